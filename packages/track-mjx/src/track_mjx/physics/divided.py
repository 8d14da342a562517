"""Physics in JAX on several devices: every device advances its own simulations independently."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from track_mjx.compiled import ByContent
from track_mjx.devices import AXIS, Devices
from track_mjx.physics.fields import Engine, PhysicsState


class DividedEngine(ByContent):
    """An engine that can be traced, its simulations divided among devices."""

    traceable = True

    def __init__(self, engine: Engine, devices: Devices) -> None:
        self.name, self._engine, self._devices = engine.name, engine, devices

    @property
    def content(self) -> Hashable:
        """The engine and the devices."""
        return self._engine, self._devices

    def _on_each(self, function: Any) -> Any:
        part = PartitionSpec(AXIS)
        return jax.shard_map(function, mesh=self._devices.mesh, in_specs=part, out_specs=part, check_vma=False)

    def init(self, n_envs: int) -> Any:
        """Return `n_envs` simulations, those of all devices together, at the model's reference pose."""
        divided = NamedSharding(self._devices.mesh, PartitionSpec(AXIS))  # type: ignore[arg-type]
        return jax.jit(lambda: self._engine.init(n_envs), out_shardings=divided)()

    def step(self, state: Any, ctrl: Any) -> Any:
        """Advance all simulations by one control step."""
        return self._on_each(self._engine.step)(state, ctrl)

    def reset(self, state: Any, mask: Any, qpos: Any, qvel: Any, act: Any = None) -> Any:
        """Restart the simulations in `mask`."""
        return self._on_each(self._engine.reset)(state, mask, qpos, qvel, act)

    def push(self, state: Any, force: Any) -> Any:
        """Apply forces and torques to bodies from now on."""
        return self._on_each(self._engine.push)(state, force)

    def read(self, state: Any) -> PhysicsState:
        """Return what the task reads."""
        return self._engine.read(state)

    def save(self, state: Any) -> dict[str, Any]:
        """Return all arrays of the simulations, still divided."""
        return {f"{i:03d}": leaf for i, leaf in enumerate(jax.tree.leaves(state))}

    def load(self, state: Any, saved: dict[str, Any]) -> Any:
        """Put saved simulations of this process in the place of its own."""
        structure = jax.tree.structure(state)
        return jax.tree.unflatten(structure, [self._devices.spread(saved[name]) for name in sorted(saved)])
