"""Playing clips from their beginning to their end, all side by side: for evaluation and rollouts.

An episode that ends early is the last of its clip, or the next one begins where it ended, on the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from track_mjx.physics.fields import Arrayish, Engine, Fields
from track_mjx.policy.networks import Networks, PolicyOutput
from track_mjx.policy.policy import Policy, act
from track_mjx.task.differences import joint_error
from track_mjx.task.imitation import Clock, Imitation, is_finite
from track_mjx.task.reference import Reference


class Judgement(NamedTuple):
    """What a control step led to; the arrays of `Played`, of one step."""

    reward: Arrayish
    metrics: dict[str, Arrayish]
    stops: Arrayish
    body_error: Arrayish
    joint_error: Arrayish


class Recorded(NamedTuple):
    """States and what the policy computed, for rollout files.

    Attributes:
        states: fields of states 0..T: each (clip, state, ...).
        ctrl, action: (clip, step, actuator).
        output: what the policy computed: each (clip, step, ...).
    """

    states: Fields
    ctrl: np.ndarray
    action: np.ndarray
    output: PolicyOutput


class Played(NamedTuple):
    """Clips that were played; (clip, step, ...). Values of steps that were not taken do not count.

    Attributes:
        valid: the step was taken.
        terminated: the step ended the episode early.
        ended_by: (clip, step) what ended an episode in this step, an index into `reasons_of`; 0 where nothing did.
        reason: (clip,) what ended the first episode of each clip; 0 for the clip's end.
        reward: sum of the weighted terms.
        metrics: every reward and cost term, unweighted, by name.
        body_error_m: (clip, step, body) distance of every moving body from its reference after the step, metres.
        joint_error_rad: (clip, step, joint) angle, or model units for slides.
        recorded: None unless asked for.
    """

    valid: np.ndarray
    terminated: np.ndarray
    ended_by: np.ndarray
    reason: np.ndarray
    reward: np.ndarray
    metrics: dict[str, np.ndarray]
    body_error_m: np.ndarray
    joint_error_rad: np.ndarray
    recorded: Recorded | None


@dataclass(frozen=True)
class Realignment:
    """Episodes that ended early start anew on the reference, at the frame they had reached (paper B, section 2.2).

    Attributes:
        limit_m: an episode also ends where the mean distance of some bodies from the reference passes this; None: by
            the task's terminations alone.
        columns: which bodies, as columns of ``Played.body_error_m``.
    """

    limit_m: float | None = None
    columns: tuple[int, ...] = ()


def reasons_of(task: Imitation) -> tuple[str, ...]:
    """Meaning of ``Played.ended_by`` and ``Played.reason``: the task's reasons, then `Realignment.limit_m`."""
    return (*task.reasons, "deviation")


class _Tape:
    """What playing leaves behind, step by step."""

    def __init__(self, n_clips: int) -> None:
        self.valid: list[np.ndarray] = []
        self.terminated: list[np.ndarray] = []
        self.ended_by: list[np.ndarray] = []
        self.judgements: list[Judgement] = []
        self.states: list[Fields] = []
        self.acts: list[Any] = []
        self.reason = np.zeros(n_clips, np.uint8)

    def add(self, taken: np.ndarray, ended_by: np.ndarray, judgement: Judgement) -> None:
        """Note a step; one into nowhere counts as none: the one before was the last."""
        broken, stopped = judgement.stops[0], ended_by > 0
        if self.terminated:
            self.terminated[-1] = self.terminated[-1] | (stopped & broken)
        self.valid.append(taken & ~broken)
        self.terminated.append(stopped & ~broken)
        self.ended_by.append(ended_by)
        self.judgements.append(judgement)
        self.reason = np.where(self.reason > 0, self.reason, ended_by)

    def played(self) -> Played:
        """All of it."""
        judged = _stacked(self.judgements)
        return Played(
            valid=np.stack(self.valid, 1),
            terminated=np.stack(self.terminated, 1),
            ended_by=np.stack(self.ended_by, 1),
            reason=self.reason,
            reward=judged.reward,
            metrics=judged.metrics,
            body_error_m=judged.body_error,
            joint_error_rad=judged.joint_error,
            recorded=Recorded(_stacked(self.states), *_stacked(self.acts)) if self.states else None,
        )


class Player:
    """Plays clips on an engine.

    Args:
        task: the task.
        networks: the policy.
        engine: the physics.
        recorded: what errors are measured against, clip by clip; None: what is followed.
    """

    def __init__(self, task: Imitation, networks: Networks, engine: Engine, recorded: Reference | None = None) -> None:
        self.task, self.networks, self.engine, self.recorded = task, networks, engine, recorded
        self._act = jax.jit(self._act_once)
        self._after = jax.jit(self._judge_once)
        self._start = jax.jit(task.start_at)
        self._step = jax.jit(engine.step) if engine.traceable else engine.step
        self._states: dict[int, Any] = {}

    def play(
        self,
        policy: Policy,
        reference: Reference,
        clips: Arrayish,
        *,
        seed: int | None = None,
        record: bool = False,
        realign: Realignment | None = None,
    ) -> Played:
        """Play clips from their first frame.

        Args:
            policy: what acts.
            reference: the clips.
            clips: (clip,) numbers in the reference.
            seed: of sampled intentions and actions; None: the policy acts on its means.
            record: keep states and what the policy computed.
            realign: go on to the end of every clip, in a new episode where one ended early; None: stop there.
        """
        clips = np.asarray(clips, np.int32)
        n_steps = np.asarray(reference.length)[clips] - 1
        clock, qpos, qvel = self._start(reference, clips, np.zeros_like(clips))
        state = self._begin(len(clips), qpos, qvel)
        key = None if seed is None else jax.random.key(seed)
        running, tape = np.ones(len(clips), bool), _Tape(len(clips))
        for step in range(int(n_steps.max())):
            before = self.engine.fields(state)
            if record:
                tape.states.append(_copied(before))
            step_key = None if key is None else jax.random.fold_in(key, step)
            action, output, ctrl = self._act(policy, reference, before, clock, step_key)
            state = self._step(state, ctrl if self.engine.traceable else np.asarray(ctrl))
            clock, judgement = self._after(
                reference, self.recorded or reference, self.engine.fields(state), clock, action
            )
            judgement = jax.tree.map(np.asarray, judgement)
            taken = running & (step < n_steps)
            ended_by = np.where(taken, _ended_by(judgement, realign), 0).astype(np.uint8)
            tape.add(taken, ended_by, judgement)
            if record:
                tape.acts.append(jax.tree.map(np.asarray, (ctrl, action, output)))
            if realign is None:
                running = running & (ended_by == 0)
            if not (running & (step + 1 < n_steps)).any():
                break
            anew = (ended_by > 0) if realign is not None else judgement.stops[0]
            if anew.any():
                state, clock = self._begin_again(reference, state, clock, anew)
        if record:
            tape.states.append(_copied(self.engine.fields(state)))
        return tape.played()

    def _begin_again(self, reference: Reference, state: Any, clock: Clock, which: np.ndarray) -> tuple[Any, Clock]:
        """Put some simulations on the reference, at the frames they have reached."""
        fresh, qpos, qvel = self._start(reference, clock.clip, clock.frame)
        state = self.engine.reset(state, which, np.asarray(qpos), np.asarray(qvel))

        def choose(new: Array, old: Array) -> Array:
            return jnp.where(which.reshape(-1, *[1] * (old.ndim - 1)), new, old)

        return state, jax.tree.map(choose, fresh, clock)

    def _begin(self, n: int, qpos: Array, qvel: Array) -> Any:
        state = self._states.get(n)
        if state is None or self.engine.traceable:
            state = self._states[n] = self.engine.init(n)
        return self.engine.reset(state, np.ones(n, bool), qpos, qvel)

    def _act_once(
        self, policy: Policy, reference: Reference, fields: Fields, clock: Clock, key: Array | None
    ) -> tuple[Arrayish, PolicyOutput, Array]:
        action, output = act(self.networks, policy, self.task.observe(reference, fields, clock), key)
        return action, output, self.task.ctrl(action)

    def _judge_once(
        self, reference: Reference, recorded: Reference, fields: Fields, clock: Clock, action: Arrayish
    ) -> tuple[Clock, Judgement]:
        task = self.task
        after, terms, stops = task.measure(reference, fields, clock, action)
        finite = is_finite(fields)
        metrics = {name: jnp.where(finite, value, 0.0) for name, value in terms.items()}
        pairs = zip(metrics.values(), task.metric_weights, strict=True)
        reward = sum((weight * value for value, weight in pairs), jnp.zeros(action.shape[0]))
        scene = task.scene(recorded, fields, after, action)
        bodies = task.body.moving_bodies
        distance = jnp.linalg.norm(scene.target.xpos[:, bodies] - fields.xpos[:, bodies], axis=-1)
        return after, Judgement(
            reward=reward,
            metrics=metrics,
            stops=jnp.stack([~finite, *(stop & finite for stop in stops.values())]),
            body_error=distance * task.body.length_unit_m,
            joint_error=jnp.abs(joint_error(scene)),
        )


def _ended_by(judgement: Judgement, realign: Realignment | None) -> np.ndarray:
    """(clip,) index into `reasons_of` of what ends an episode in this step; 0 where nothing does."""
    stops = judgement.stops
    if realign is not None and realign.limit_m is not None:
        far = judgement.body_error[:, list(realign.columns)].mean(1) > realign.limit_m
        stops = np.concatenate([stops, far[None]])
    return np.where(stops.any(0), 1 + stops.argmax(0), 0)


def _copied(fields: Fields) -> Fields:
    """Fields that stay as they are when the engine goes on."""
    return jax.tree.map(lambda x: np.array(x), fields)


def _stacked(steps: list[Any]) -> Any:
    """Stack records of arrays (clip, ...) along a second axis."""
    return jax.tree.map(lambda *x: np.stack(x, axis=1), *steps)
