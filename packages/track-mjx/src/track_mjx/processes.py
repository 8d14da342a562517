"""Several processes that train one controller together, on one machine or many: how they find each other.

Each process runs the same command and holds its part of the simulations; gradients, statistics and totals are sums over
all of them. Process 0 alone writes files; the others read the checkpoints, so all must see the folder of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from track_mjx._common.errors import ConfigError, RunError, UserError
from track_mjx.config import DistributedConfig

_Made = TypeVar("_Made")


def join_processes(config: DistributedConfig) -> None:
    """Connect this process with the others, before JAX looks for its devices; nothing where there is only one.

    Raises:
        ConfigError: when it is not clear who the others are.
    """
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
    """Let process 0 make something on the disk; the others find it when it is there.

    Raises:
        RunError: in the other processes, when process 0 could not.
    """
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
