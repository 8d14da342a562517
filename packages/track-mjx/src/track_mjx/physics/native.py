"""MuJoCo C on CPU threads, through `mujoco.batch`: the engine for machines without an accelerator."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from track_mjx._common.errors import RunError
from track_mjx._common.system import n_cores
from track_mjx.physics.fields import PhysicsState

_log = logging.getLogger(__name__)

_VELOCITY = int(mujoco.mjtStage.mjSTAGE_VEL)


@dataclass
class NativeState:
    """Simulations of one batch, and the buffers its fields are copied to."""

    batch: Batch
    bound: dict[str, np.ndarray]
    """Live arrays of the batch, by field; derived ones hold what the last call computed."""
    current: dict[str, np.ndarray]
    """All fields in single precision, as of the last call."""
    varied: dict[str, np.ndarray] = field(default_factory=dict)
    """Live fields of the model that differ between simulations."""


class NativeEngine:
    """Many simulations on a thread pool; results do not depend on the number of threads.

    With `threads` 0 there is one a core. Fields that are not `wanted` stay zero, which saves time (None: all).
    """

    traceable = False

    def __init__(
        self, model: mujoco.MjModel, n_substeps: int, threads: int = 0, wanted: Collection[str] | None = None
    ) -> None:
        self.name = f"mujoco {mujoco.__version__}"
        self._model = model
        self._n_substeps = n_substeps
        self._threads = threads or n_cores()
        self._wanted = set(PhysicsState._fields if wanted is None else wanted) | {"qpos", "qvel"}
        # MuJoCo would print every warning and write a log file
        self.warnings: Counter[str] = Counter()
        mujoco.set_mju_user_warning(self._warned)

    def _warned(self, text: str) -> None:
        """Count a warning of MuJoCo by its kind, and log the first of each."""
        kind = re.sub(r"[-+\d.]+(e[-+]?\d+)?", "#", text)
        self.warnings[kind] += 1
        if self.warnings[kind] == 1:
            _log.warning("MuJoCo: %s (others of this kind are not shown)", " ".join(text.split()))

    def init(self, n_envs: int) -> NativeState:
        """Return `n_envs` simulations at the model's reference pose."""
        batch = _make_batch(self._model, n_envs, self._threads)
        bound = {name: batch.bind(name) for name in PhysicsState._fields}
        current = {name: np.zeros(array.shape, np.float32) for name, array in bound.items()}
        state = NativeState(batch, {name: bound[name] for name in self._wanted | {"ctrl", "act"}}, current)
        batch.forward()
        self._copy(state)
        return state

    def step(self, state: NativeState, ctrl: Any) -> NativeState:
        """Advance all simulations by one control step."""
        state.bound["ctrl"][:] = ctrl
        # else derived fields are those of one physics step before; a persistent batch continues from this stage
        try:
            state.batch.step(nstep=self._n_substeps, stage=_VELOCITY)
        except SimulationError as error:
            raise RunError(f"MuJoCo cannot simulate the body: {' '.join(str(error).split())[:300]}") from error
        self._copy(state)
        return state

    def vary(self, state: NativeState, ids: np.ndarray, fields: Mapping[str, Any]) -> None:
        """Give simulations their own values of fields of the model, each (env, ...)."""
        for name, values in fields.items():
            if name not in state.varied:
                state.varied[name] = state.batch.expand(name)
            state.varied[name][ids] = np.asarray(values)[ids]

    def reset(
        self,
        state: NativeState,
        mask: Any,
        qpos: Any,
        qvel: Any,
        act: Any = None,
        fields: Mapping[str, Any] = MappingProxyType({}),
    ) -> NativeState:
        """Restart the simulations in `mask`, with their own values of some fields of the model."""
        ids = np.flatnonzero(mask)
        if len(ids) == 0:
            return state
        self.vary(state, ids, fields)
        state.batch.reset(ids, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        state.bound["qpos"][ids] = np.asarray(qpos)[ids]
        state.bound["qvel"][ids] = np.asarray(qvel)[ids]
        if act is not None:
            state.bound["act"][ids] = np.asarray(act)[ids]
        state.batch.forward(ids, stage=int(mujoco.mjtStage.mjSTAGE_ACC))
        with np.errstate(over="ignore"):
            for name in self._wanted:
                state.current[name][ids] = state.bound[name][ids]
        return state

    def push(self, state: NativeState, force: Any) -> NativeState:
        """Apply forces and torques to bodies from now on."""
        state.batch.bind("xfrc_applied")[:] = force
        return state

    def read(self, state: NativeState) -> PhysicsState:
        """Return what the task reads; the arrays change with the next call."""
        return PhysicsState(**state.current)

    def _copy(self, state: NativeState) -> None:
        with np.errstate(over="ignore"):  # a simulation that diverges may exceed single precision
            for name in self._wanted:
                np.copyto(state.current[name], state.bound[name], casting="same_kind")

    def save(self, state: NativeState) -> dict[str, np.ndarray]:
        """Return the integration state of every simulation, and the fields as of the last call."""
        fields = {f"field_{name}": array.copy() for name, array in state.current.items()}
        return {"integration": state.batch.state.copy(), **fields}

    def load(self, state: NativeState, saved: dict[str, np.ndarray]) -> NativeState:
        """Replace these simulations by saved ones."""
        state.batch.state[:] = saved["integration"]
        for name, array in state.current.items():
            array[:] = saved[f"field_{name}"]
        return state


def _make_batch(model: mujoco.MjModel, n_envs: int, threads: int) -> Batch:
    """Simulations that each keep what MuJoCo computed, so that no step computes it again: a third faster for the arm.

    Where memory for that cannot be reserved they share it; the numbers are the same.
    """
    try:
        return Batch(model, n_envs, threads, persistent=True)
    except (MemoryError, ValueError) as error:
        _log.info("%d simulations share their buffers, which is slower: %s", n_envs, error)
        try:
            return Batch(model, n_envs, threads)
        except ValueError as failed:
            raise MemoryError(str(failed)) from failed
