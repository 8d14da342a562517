"""Devices and processes of a training: simulations are divided among them, networks are copied to all of them.

One mesh axis counts the devices of all processes, in the order of the processes. Arrays of simulations are divided
along it, parameters and random keys are copied to every device, and XLA inserts the sums between devices where losses,
gradients and statistics need them. Random numbers do not depend on the number of devices, so neither does a training,
up to the order in which sums are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from track_mjx._common.errors import ConfigError, RunError, UserError
from track_mjx.compiled import ByContent
from track_mjx.config import DistributedConfig, PpoConfig

AXIS = "env"
"""Name of the mesh axis."""


class Devices(ByContent):
    """Devices of this process, or of all that train together.

    Args:
        devices: of all processes, those of a process next to each other; one device needs no mesh.
    """

    def __init__(self, devices: Sequence[Any] | None = None) -> None:
        devices = devices or jax.local_devices()[:1]
        self.count = len(devices)
        self.processes = len({device.process_index for device in devices})
        self.mesh = Mesh(np.array(devices), (AXIS,)) if self.count > 1 else None

    @property
    def content(self) -> Mesh | None:
        """What compiled functions know of them."""
        return self.mesh

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.processes == 1 or jax.process_index() == 0

    # inside of compiled functions

    def divided(self, tree: Any) -> Any:
        """Constrain the first axis of every leaf, which counts simulations, to be divided."""
        return jax.lax.with_sharding_constraint(tree, self._sharding(AXIS)) if self.mesh else tree

    def copied(self, tree: Any) -> Any:
        """Constrain every leaf to be copied to every device."""
        return jax.lax.with_sharding_constraint(tree, self._sharding()) if self.mesh else tree

    def _sharding(self, *axes: str) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*axes))  # type: ignore[arg-type]

    # on the way to the devices

    def spread(self, tree: Any) -> Any:
        """Divide arrays of this process's simulations (first axis) among its devices; the arrays may change after."""
        if self.mesh is None:
            return tree
        sharding = self._sharding(AXIS)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.array(x)), tree)

    def copy(self, tree: Any) -> Any:
        """Copy arrays, random keys among them, to every device."""
        return jax.tree.map(self._copy, tree) if self.mesh else tree

    def _copy(self, x: Any) -> jax.Array:
        if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.jit(jax.random.wrap_key_data)(self._copy(jax.random.key_data(x)))
        array = np.asarray(x)
        return jax.make_array_from_callback(array.shape, self._sharding(), lambda index: array[index])

    def own_count(self, n_envs: int) -> int:
        """Simulations that this process holds of `n_envs`."""
        return n_envs // self.processes

    def part(self, tree: Any) -> Any:
        """What belongs to this process's simulations, of arrays of all simulations (first axis)."""
        if self.processes == 1:
            return tree
        me = jax.process_index()
        return jax.tree.map(lambda x: x[me * len(x) // self.processes : (me + 1) * len(x) // self.processes], tree)

    # on the way back

    def own(self, x: Any) -> np.ndarray:
        """The part of a divided array that this process holds."""
        if self.processes == 1:
            return np.asarray(x)
        shards = sorted(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
        return np.concatenate([np.asarray(shard.data) for shard in shards])

    def local(self, tree: Any) -> Any:
        """Copied arrays as arrays of one device, for what this process computes alone."""
        return jax.tree.map(lambda x: jnp.asarray(np.asarray(x.addressable_data(0))), tree) if self.mesh else tree

    def whole(self, tree: Any) -> Any:
        """All simulations of divided arrays, or of NumPy arrays of this process's; every process must call this."""
        return tree if self.processes == 1 else jax.tree.map(self._whole, tree)

    @staticmethod
    def _whole(x: Any) -> Any:
        if isinstance(x, jax.Array):
            return x if x.is_fully_replicated else multihost_utils.process_allgather(x, tiled=True)
        # as bytes, because JAX would round doubles to single precision
        plain = np.ascontiguousarray(x)
        if plain.size == 0:
            return x
        gathered = multihost_utils.process_allgather(plain.reshape(len(plain), -1).view(np.uint8), tiled=True)
        return np.asarray(gathered).view(plain.dtype).reshape(-1, *plain.shape[1:])

    # agreements between processes

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in some process."""
        return flag if self.processes == 1 else bool(multihost_utils.process_allgather(np.int32(flag)).any())

    def chiefs(self, *flags: bool) -> tuple[bool, ...]:
        """The flags of the process that writes files, for all: clocks differ, decisions must not."""
        if self.processes == 1:
            return flags
        return tuple(map(bool, multihost_utils.broadcast_one_to_all(np.array(flags, np.int32))))


def devices_for(wanted: int | None, ppo: PpoConfig) -> Devices:
    """The devices a training uses, of all processes."""
    here = jax.local_device_count()
    each = here if wanted is None else wanted
    if not 1 <= each <= here:
        raise ConfigError(f"run.devices: expected 1 to {here}, the devices of this process, got {each}")
    chosen = [device for process in range(jax.process_count()) for device in jax.local_devices(process)[:each]]
    count = len(chosen)
    for name, number, what in (
        ("ppo.n_envs", ppo.n_envs, "simulations"),
        ("ppo.minibatches", ppo.minibatch_samples, "samples of a minibatch"),
    ):
        if number % count:
            raise ConfigError(
                f"{name}: {number} {what} cannot be divided among {count} devices (run.devices={each}, "
                f"{jax.process_count()} processes); expected a multiple of {count}"
            )
    return Devices(chosen)


_Made = TypeVar("_Made")


def join_processes(config: DistributedConfig) -> None:
    """Connect this process with the others, before JAX looks for its devices; nothing where there is only one."""
    if not config.on:
        return
    given = {"coordinator": config.coordinator, "processes": config.processes, "process": config.process}
    if None in given.values() and any(value is not None for value in given.values()):
        missing = ", ".join(f"run.distributed.{name}" for name, value in given.items() if value is None)
        raise ConfigError(f"run.distributed: {missing} is not set; give all three, or none under Slurm")
    try:
        jax.distributed.initialize(config.coordinator, config.processes, config.process)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"run.distributed.on: neither Slurm nor Open MPI started this process ({reason}); set "
            "run.distributed.coordinator=HOST:PORT, run.distributed.processes and run.distributed.process"
        ) from error


def by_chief(make: Callable[[], _Made], find: Callable[[], _Made]) -> _Made:
    """Let process 0 make something on the disk; the others open it afterwards."""
    if jax.process_count() == 1:
        return make()
    if jax.process_index() == 0:
        try:
            made = make()
        except UserError:
            multihost_utils.broadcast_one_to_all(np.int32(0))
            raise
        multihost_utils.broadcast_one_to_all(np.int32(1))
        return made
    if not multihost_utils.broadcast_one_to_all(np.int32(0)):
        raise RunError(f"process {jax.process_index()}: process 0 could not begin; its message says why")
    return find()
