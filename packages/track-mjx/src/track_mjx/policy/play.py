"""Playing episodes from beginning to end, all at the same time: for evaluation and rollouts.

An episode that ends early is the last of its clip; with `Realignment`, the next one begins on the reference where it
ended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from track_mjx._common.errors import ConfigError
from track_mjx.compiled import compiled
from track_mjx.physics.fields import AnyArray, Engine, PhysicsState, Start
from track_mjx.policy.control import Act, ControlStep
from track_mjx.policy.networks import Networks, PolicyOutput
from track_mjx.policy.perturbation import Perturbation, with_noise
from track_mjx.policy.policy import Held, Memory, Policy, act
from track_mjx.policy.tape import Played, Rollout, Tape
from track_mjx.task.imitation import Imitation
from track_mjx.task.reference import Reference
from track_mjx.task.step import NON_FINITE, EpisodeState, Observation, StepResult
from track_mjx.task.task import Cases, Task, choose


@dataclass(frozen=True)
class Realignment:
    """Episodes that ended early restart on the reference, at the frame they had reached (paper B, section 2.2)."""

    limit_m: float | None = None
    """An episode also ends where the mean distance of some bodies from the reference exceeds this; None: only by the
    task's terminations."""
    columns: tuple[int, ...] = ()
    """Those bodies, as columns of ``Rollout.measured["body_error_m"]``."""


def reasons_of(task: Task) -> tuple[str, ...]:
    """Meaning of ``Rollout.ended_by`` and ``Rollout.reason``: the task's reasons, then `Realignment.limit_m`."""
    return (*task.reasons, "deviation")


def realignment(task: Task, deviation_mm: float | None) -> Realignment:
    """Re-align by the terminations of a task, and where the bodies that it reports are farther away than a limit."""
    if not isinstance(task, Imitation):
        raise ConfigError(f"whole, deviation_mm: the task of the run, {task.config.kind}, follows no reference")
    return Realignment(None if deviation_mm is None else deviation_mm * 1e-3, tuple(task.parts.reported))


class PlayedStep(ControlStep):
    """A control step that is played; `noise` is that on the senses, see `Perturbation`."""

    def __init__(self, task: Task, networks: Networks, engine: Engine, noise: float = 0.0) -> None:
        super().__init__(task, networks, engine)
        self._noise = noise

    @property
    def content(self) -> Hashable:
        """As of a control step, and the noise."""
        return super().content, self._noise

    def decide(
        self, policy: Policy, observation: Observation, memory: tuple[Memory, Array]
    ) -> tuple[AnyArray, PolicyOutput]:
        """Act on the means, or on what the keys draw."""
        remembered, step = memory
        if self._noise:
            key = jax.random.fold_in(jax.random.key(0), step)
            observation = with_noise(policy, observation, self._noise, key)
        return act(self.networks, policy, observation, remembered)

    def finish(
        self, reference: Reference, physics: PhysicsState, act: Act, result: StepResult, recorded: Reference, key: None
    ) -> Played:
        """Measure the quantities of the task."""
        return Played(result, self.task.measure(recorded, physics, result.episode, act.action))


class Player:
    """Plays clips on an engine.

    Errors are those against `recorded`, clip by clip; None: against what is followed.
    """

    def __init__(
        self,
        task: Task,
        networks: Networks,
        engine: Engine,
        recorded: Reference | None = None,
        perturbation: Perturbation | None = None,
        step: type[PlayedStep] = PlayedStep,
    ) -> None:
        self.task, self.networks, self.engine, self.recorded = task, networks, engine, recorded
        self._perturbation = perturbation
        self._hold = networks.use.hold_steps(task.body.ctrl_dt)
        self._holds = networks.use.decision_steps(task.body.ctrl_dt) > 1
        self.watch: Callable[[int, int], bool] = lambda _done, _of: True
        """Called after each step with the number of steps taken and their total; False ends the playing."""
        self.piece: int | None = None
        """Control steps of a piece of a rollout, of which the last one may have one more; None: all are in one."""
        self._step = step(task, networks, engine, perturbation.noise if perturbation else 0.0)
        self._start = compiled(type(task).start_at, task)
        self._states: dict[int, Any] = {}

    def play(self, policy: Policy, reference: Reference, cases: AnyArray | Cases, **how: Any) -> Rollout:
        """Play episodes from the first frame of clips; see `pieces`."""
        (whole,) = self.pieces(policy, reference, cases, **how)
        return whole

    def pieces(
        self,
        policy: Policy,
        reference: Reference,
        cases: AnyArray | Cases,
        *,
        seed: int | None = None,
        record: bool = False,
        realign: Realignment | None = None,
    ) -> Iterator[Rollout]:
        """Play episodes from the first frame of clips, and yield their records; a piece is valid until the next one.

        Args:
            policy: parameters and statistics.
            reference: the clips.
            cases: the episodes, or numbers of the clips that they start on.
            seed: of sampled intentions and actions; None: the policy uses its means.
            record: keep states and what the policy computed.
            realign: continue to the end of every clip, in a new episode where one ended early; None: stop there. What
                is recorded ends with a state that is not finite all the same.
        """
        clips, goals = (cases.clip, cases.goal) if isinstance(cases, Cases) else (np.asarray(cases, np.int32), None)
        n_steps = self.task.n_steps(reference, clips)
        episode, start = self._start(reference, clips, np.zeros_like(clips), None, goals)
        state = self._begin(len(clips), start)
        running, tape = np.ones(len(clips), bool), Tape(len(clips), int(n_steps.max()), self.piece)
        if record:
            tape.put("states", 0, self.engine.read(state), 1)
        held, hidden = None, np.asarray(self.networks.memory(len(clips)))
        for i in range(int(n_steps.max())):
            keys = None if seed is None else (_key(seed, i), _key(seed, i - i % self._hold))
            memory = (Memory(keys, held, hidden), np.uint32(i))
            if self._perturbation is not None:
                state = self.engine.push(state, self._perturbation.force_at(i, len(clips)))
            state, ctrl, chosen, outcome = self._step(
                policy, reference, state, episode, self.recorded or reference, (memory, None)
            )
            if self._holds:
                held = Held(np.bool_((i + 1) % self._hold == 0), chosen.details)
            episode, outcome = outcome.result.episode, jax.tree.map(np.asarray, outcome)
            taken = running & (i < n_steps)
            ended_by = np.where(taken, _ended_by(self.task, outcome, realign), 0).astype(np.uint8)
            tape.add(i, taken, ended_by, outcome)
            if realign is None or record:
                running = running & (ended_by == 0 if realign is None else ended_by != NON_FINITE)
            done = not (self.watch(i + 1, int(n_steps.max())) and (running & (i + 1 < n_steps)).any())
            restart = (ended_by > 0) if realign is not None else outcome.result.reason == NON_FINITE
            hidden = np.where(restart[:, None], 0.0, chosen.details.hidden)
            if restart.any() and not done:
                state, episode = self._restart(reference, state, episode, restart)
            if record:
                tape.put("acts", i, (ctrl, chosen.action, chosen.details))
                tape.put("states", i + 1, self.engine.read(state), 1)
            yield from tape.full(i)
            if done:
                break
        yield from tape.rest()

    def _restart(
        self, reference: Reference, state: Any, episode: EpisodeState, which: np.ndarray
    ) -> tuple[Any, EpisodeState]:
        """Put some simulations on the reference, at the frames they have reached."""
        fresh, start = self._start(reference, episode.clip, episode.frame, None, episode.goal)
        state = self._step.reset(state, which, *map(np.asarray, start))
        return state, choose(which, fresh, episode)

    def _begin(self, n: int, start: Start) -> Any:
        state = self._states.get(n)
        if state is None or self.engine.traceable:
            state = self._states[n] = self.engine.init(n)
        return self._step.reset(state, np.ones(n, bool), *map(np.asarray, start))


def _key(seed: int, step: int) -> Array:
    return jax.random.fold_in(jax.random.key(seed), step)


def _ended_by(task: Task, step: Played, realign: Realignment | None) -> np.ndarray:
    """(clip,) index into `reasons_of` of what ends an episode in this step; 0: nothing."""
    ended_by = np.asarray(step.result.reason)
    if realign is None or realign.limit_m is None:
        return ended_by
    far = step.measured["body_error_m"][:, list(realign.columns)].mean(1) > realign.limit_m
    return np.where((ended_by == 0) & far, len(task.reasons), ended_by)
