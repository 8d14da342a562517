"""Choosing the engine that suits the machine."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec

import mujoco

from track_mjx._common.errors import ConfigError
from track_mjx.config import PhysicsConfig
from track_mjx.physics.fields import Engine


def best_engine(platform: str, *, warp: bool) -> str:
    """The engine for a platform (cpu, cuda, rocm, tpu, ...), with Warp installed or not; Warp needs NVIDIA."""
    if platform == "cpu":
        return "native"
    return "warp" if platform == "cuda" and warp else "mjx"


def engine_name(wanted: str) -> str:
    """Resolve ``auto``: native on a CPU, warp on NVIDIA where it is installed, else mjx."""
    import jax.extend.backend

    if wanted == "auto":
        backend = jax.extend.backend.get_backend()
        # JAX calls the GPUs of all makers "gpu"
        maker = "rocm" if "rocm" in backend.platform_version.lower() else "cuda"
        platform = maker if backend.platform == "gpu" else backend.platform
        return best_engine(platform, warp=find_spec("warp") is not None)
    if wanted == "warp" and find_spec("warp") is None:
        raise ConfigError("physics.engine=warp needs Warp: pip install track-mjx[warp]")
    return wanted


def verify_division(name: str, n_devices: int) -> None:
    """Refuse an engine whose simulations cannot be divided: Warp's share arrays, such as that of all contacts."""
    if name == "warp" and n_devices > 1:
        raise ConfigError(
            f"physics.engine=warp: simulations cannot be divided among {n_devices} devices; use physics.engine=mjx, "
            "or run.devices=1 and one process"
        )


def make_engine(
    physics: PhysicsConfig, model: mujoco.MjModel, n_substeps: int, wanted: Collection[str] | None = None
) -> Engine:
    """Make the engine of the config.

    It computes the fields that are `wanted` (None: all).
    """
    name = engine_name(physics.engine)
    if name == "native":
        from track_mjx.physics.native import NativeEngine

        return NativeEngine(model, n_substeps, physics.threads, wanted)
    from track_mjx.physics.mjx import MjxEngine

    return MjxEngine(model, n_substeps, warp=name == "warp")
