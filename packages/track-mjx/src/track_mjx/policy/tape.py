"""Records of episodes that are played, in arrays of all clips: as a whole, or piece by piece in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from track_mjx.physics.fields import AnyArray, PhysicsState
from track_mjx.policy.networks import PolicyOutput
from track_mjx.task.step import NON_FINITE, StepResult


class Played(NamedTuple):
    """One control step of all clips."""

    result: StepResult
    measured: dict[str, AnyArray]
    """See `Task.measure`."""


class Recording(NamedTuple):
    """Physics and what the policy computed, for rollout files."""

    states: PhysicsState
    """From the state before the first step to the state after the last one: each (clip, state, ...)."""
    ctrl: np.ndarray
    """(clip, step, actuator)."""
    action: np.ndarray
    """(clip, step, actuator)."""
    output: PolicyOutput
    """Each (clip, step, ...)."""


class Rollout(NamedTuple):
    """Clips that were played, or a piece of them; (clip, step, ...). Values where `valid` is False have no meaning."""

    valid: np.ndarray
    """The step was taken and led to a finite state."""
    terminated: np.ndarray
    """The step ended the episode early."""
    ended_by: np.ndarray
    """(clip, step) what ended an episode in this step, an index into `reasons_of`; 0: nothing."""
    reward: np.ndarray
    """Sum of the weighted terms."""
    metrics: dict[str, np.ndarray]
    """Every reward and cost term, unweighted, by name."""
    measured: dict[str, np.ndarray]
    """Quantities of the task after the step, by name, each (clip, step, ...); see `Task.measure`."""
    broken: dict[str, int]
    """Steps so far in which the state (``state``) or a term was not finite, by name."""
    recording: Recording | None
    """None unless `record` was set."""
    first: int = 0
    """Number of the first step."""

    @property
    def reason(self) -> np.ndarray:
        """(clip,) what ended the first episode of each clip that ended here; 0: none did."""
        return self.ended_by[np.arange(len(self.ended_by)), (self.ended_by > 0).argmax(1)]

    def rows(self, rows: list[int]) -> Rollout:
        """Return some of the clips, without recording."""

        def chosen(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: chosen(item) for name, item in value.items()}
            return value[rows] if isinstance(value, np.ndarray) else value

        return Rollout(*map(chosen, self._replace(recording=None)))


class Tape:
    """The latest steps of all clips; steps not taken stay 0.

    A piece has `size` steps; None: all.
    """

    def __init__(self, n_clips: int, n_steps: int, size: int | None = None) -> None:
        self._n_clips, self._n_steps = n_clips, n_steps
        # one more than a piece has, because a step may still make the one before it terminal
        self._rows = n_steps if size is None else min(n_steps, size + 1)
        self._first = 0
        self._broken: dict[str, int] = {}
        self._arrays: dict[str, Any] = {}
        self._further: dict[str, int] = {}

    def add(self, i: int, taken: np.ndarray, ended_by: np.ndarray, step: Played) -> None:
        """Set step `i`. A non-finite step is invalid; the previous one becomes terminal."""
        broken, stopped = step.result.reason == NON_FINITE, ended_by > 0
        self.put("ends", i, (taken & ~broken, stopped & ~broken, ended_by))
        if i > 0:
            self._arrays["ends"][1][:, i - 1 - self._first] |= stopped & broken
        for name, bad in step.result.broken.items():
            self._broken[name] = self._broken.get(name, 0) + int((np.asarray(bad) & taken).sum())
        self.put("steps", i, (step.result.reward, step.result.metrics, step.measured))

    def put(self, name: str, i: int, tree: Any, further: int = 0) -> None:
        """Store records (clip, ...) of step `i` in arrays that are `further` longer than the steps."""
        if name not in self._arrays:
            shape, self._further[name] = (self._n_clips, self._rows + further), further
            self._arrays[name] = jax.tree.map(lambda x: np.zeros((*shape, *x.shape[1:]), x.dtype), tree)
        for whole, part in zip(jax.tree.leaves(self._arrays[name]), jax.tree.leaves(tree), strict=True):
            whole[:, i - self._first] = part

    def full(self, i: int) -> Iterator[Rollout]:
        """Yield a piece where step `i` is the last that the tape has room for, and more follow."""
        if i + 1 == self._first + self._rows < self._n_steps:
            yield self._piece(self._rows - 1)
            self._drop(self._rows - 1)

    def rest(self) -> Iterator[Rollout]:
        """Yield all pieces that are left, up to the last step of the longest clip."""
        while True:
            n = min(self._rows, self._n_steps - self._first)
            yield self._piece(n)
            if self._first + n == self._n_steps:
                return
            self._drop(n)

    def _piece(self, n: int) -> Rollout:
        kept = {
            name: jax.tree.map(lambda x, rows=n + self._further[name]: x[:, :rows], tree)
            for name, tree in self._arrays.items()
        }
        recording = Recording(kept["states"], *kept["acts"]) if "acts" in kept else None
        return Rollout(*kept["ends"], *kept["steps"], broken=self._broken, recording=recording, first=self._first)

    def _drop(self, n: int) -> None:
        """Make room for further steps in place of the first `n`."""
        for whole in jax.tree.leaves(self._arrays):
            left = whole[:, n:].copy()
            whole[:, : left.shape[1]] = left
            whole[:, left.shape[1] :] = 0
        self._first += n
