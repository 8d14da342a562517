"""Choosing the engine that suits the machine."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

import mujoco

from track_mjx.config import PhysicsConfig
from track_mjx.errors import ConfigError, unknown
from track_mjx.physics.fields import Engine

ENGINES = ("native", "mjx", "warp")


def engine_name(wanted: str) -> str:
    """Resolve ``auto``: native on a CPU, warp on NVIDIA where it is installed, else mjx.

    Raises:
        ConfigError: when there is no such engine, or it is not installed.
    """
    import jax

    if wanted == "auto":
        if jax.default_backend() == "cpu":
            return "native"
        return "warp" if jax.default_backend() == "gpu" and find_spec("warp") else "mjx"
    if wanted not in ENGINES:
        raise ConfigError(f"physics.engine: {unknown('engine', wanted, ['auto', *ENGINES])}")
    if wanted == "warp" and find_spec("warp") is None:
        raise ConfigError("physics.engine=warp needs Warp: pip install track-mjx[warp]")
    return wanted


def make_engine(
    physics: PhysicsConfig, model: mujoco.MjModel, n_substeps: int, wanted: Collection[str] | None = None
) -> Engine:
    """Make the engine of the config.

    Args:
        physics: settings.
        model: the body in its world.
        n_substeps: physics steps in a control step.
        wanted: fields the task reads; None: all.

    Raises:
        ConfigError: when there is no such engine, or it cannot run this model.
    """
    name = engine_name(physics.engine)
    if name == "native":
        from track_mjx.physics.native import NativeEngine

        return NativeEngine(model, n_substeps, physics.threads, wanted)
    from track_mjx.physics.mjx import MjxEngine

    return MjxEngine(model, n_substeps, warp=name == "warp")
