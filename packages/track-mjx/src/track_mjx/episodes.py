"""Playing clips from their beginning to their end, all side by side, without resets: for evaluation and rollouts."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from track_mjx.mdp.differences import joint_error
from track_mjx.networks import Networks, PolicyOutput
from track_mjx.physics.fields import Arrayish, Engine, Fields
from track_mjx.policy import Policy, act
from track_mjx.reference import Reference
from track_mjx.tasks.imitation import Clock, Imitation, is_finite


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
    """Clips that were played; (clip, step, ...). Values after a clip's end, or its termination, do not count.

    Attributes:
        valid: the step was taken.
        terminated: the step ended the clip early.
        reason: (clip,) index into the task's reasons; 0 for the clip's end.
        reward: sum of the weighted terms.
        metrics: every reward and cost term, unweighted, by name.
        body_error_m: (clip, step, body) distance of every moving body from its reference after the step, metres.
        joint_error_rad: (clip, step, joint) angle, or model units for slides.
        recorded: None unless asked for.
    """

    valid: np.ndarray
    terminated: np.ndarray
    reason: np.ndarray
    reward: np.ndarray
    metrics: dict[str, np.ndarray]
    body_error_m: np.ndarray
    joint_error_rad: np.ndarray
    recorded: Recorded | None


class Player:
    """Plays clips on an engine.

    Args:
        task: the task.
        networks: the policy.
        engine: the physics.
    """

    def __init__(self, task: Imitation, networks: Networks, engine: Engine) -> None:
        self.task, self.networks, self.engine = task, networks, engine
        self._act = jax.jit(self._act_once)
        self._after = jax.jit(self._judge_once)
        self._start = jax.jit(task.start_at)
        self._step = jax.jit(engine.step) if engine.traceable else engine.step
        self._states: dict[int, Any] = {}

    def play(
        self, policy: Policy, reference: Reference, clips: Arrayish, *, seed: int | None = None, record: bool = False
    ) -> Played:
        """Play clips from their first frame.

        Args:
            policy: what acts.
            reference: the clips.
            clips: (clip,) numbers in the reference.
            seed: of sampled intentions and actions; None: the policy acts on its means.
            record: keep states and what the policy computed.
        """
        clips = np.asarray(clips, np.int32)
        n_steps = np.asarray(reference.length)[clips] - 1
        clock, qpos, qvel = self._start(reference, clips, np.zeros_like(clips))
        state = self._begin(len(clips), qpos, qvel)
        key = None if seed is None else jax.random.key(seed)
        judgements, states, acts = [], [], []
        running, valid, terminated = np.ones(len(clips), bool), [], []
        reason = np.zeros(len(clips), np.uint8)
        for step in range(int(n_steps.max())):
            if record:
                states.append(_copied(self.engine.fields(state)))
            step_key = None if key is None else jax.random.fold_in(key, step)
            action, output, ctrl = self._act(policy, reference, self.engine.fields(state), clock, step_key)
            state = self._step(state, ctrl if self.engine.traceable else np.asarray(ctrl))
            clock, judgement = self._after(reference, self.engine.fields(state), clock, action)
            judgement = jax.tree.map(np.asarray, judgement)
            taken = running & (step < n_steps)
            stopped = taken & judgement.stops.any(0)
            reason[stopped] = 1 + judgement.stops[:, stopped].argmax(0)
            running = running & ~stopped
            broken = judgement.stops[0]
            if broken.any():  # a step into nowhere is none: the one before was the last
                state = self.engine.reset(state, broken, np.asarray(qpos), np.asarray(qvel))
                if terminated:
                    terminated[-1] = terminated[-1] | (stopped & broken)
            valid.append(taken & ~broken)
            terminated.append(stopped & ~broken)
            judgements.append(judgement)
            if record:
                acts.append(jax.tree.map(np.asarray, (ctrl, action, output)))
            if not (running & (step + 1 < n_steps)).any():
                break
        recorded = None
        if record:
            states.append(_copied(self.engine.fields(state)))
            recorded = Recorded(_stacked(states), *_stacked(acts))
        judged = _stacked(judgements)
        return Played(
            valid=np.stack(valid, 1),
            terminated=np.stack(terminated, 1),
            reason=reason,
            reward=judged.reward,
            metrics=judged.metrics,
            body_error_m=judged.body_error,
            joint_error_rad=judged.joint_error,
            recorded=recorded,
        )

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
        self, reference: Reference, fields: Fields, clock: Clock, action: Arrayish
    ) -> tuple[Clock, Judgement]:
        task = self.task
        after, terms, stops = task.measure(reference, fields, clock, action)
        finite = is_finite(fields)
        metrics = {name: jnp.where(finite, value, 0.0) for name, value in terms.items()}
        pairs = zip(metrics.values(), task.metric_weights, strict=True)
        reward = sum((weight * value for value, weight in pairs), jnp.zeros(action.shape[0]))
        scene = task.scene(reference, fields, after, action)
        bodies = task.body.moving_bodies
        distance = jnp.linalg.norm(scene.target.xpos[:, bodies] - fields.xpos[:, bodies], axis=-1)
        return after, Judgement(
            reward=reward,
            metrics=metrics,
            stops=jnp.stack([~finite, *(stop & finite for stop in stops.values())]),
            body_error=distance * task.body.length_unit_m,
            joint_error=jnp.abs(joint_error(scene)),
        )


def _copied(fields: Fields) -> Fields:
    """Fields that stay as they are when the engine goes on."""
    return jax.tree.map(lambda x: np.array(x), fields)


def _stacked(steps: list[Any]) -> Any:
    """Stack records of arrays (clip, ...) along a second axis."""
    return jax.tree.map(lambda *x: np.stack(x, axis=1), *steps)
