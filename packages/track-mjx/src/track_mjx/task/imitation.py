"""Imitation of reference clips as a Markov decision process (paper B, section 4.4.2): pure functions, batch first.

The clock is an integer: every simulation holds the number of its clip and of its frame at the control rate. A control
step advances the frame by one and is judged against the reference at the new frame; the episode ends where the clip
ends. At every reset a clip is drawn anew, then a start frame from all that leave a step to do.

Order of a control step, the same for all engines::

    seen = task.observe(...)          # state k
    physics advances under ctrl       # state k -> k + 1
    outcome = task.judge(...)         # reward, ends; poses for the simulations that start anew
    physics of those starts anew
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx.body.anatomy import Anatomy
from track_mjx.config import TaskConfig
from track_mjx.physics.fields import Arrayish, Fields, zero_fields
from track_mjx.task.actions import MAPPINGS, range_faults, to_ctrl
from track_mjx.task.reference import Reference
from track_mjx.task.registry import Term, resolve
from track_mjx.task.step import History, Poses, Scene


class Observation(NamedTuple):
    """What the networks see: for the encoder, and for the decoder; the critic sees both."""

    reference: Arrayish
    proprioception: Arrayish


class Clock(NamedTuple):
    """Where every simulation is, and what it remembers.

    Attributes:
        clip: number of the clip in the reference.
        frame: frame within the clip, at the control rate.
        action: last action; zero after a reset.
        history: last steps.
    """

    clip: Arrayish
    frame: Arrayish
    action: Arrayish
    history: History


class Outcome(NamedTuple):
    """What a control step led to.

    Attributes:
        clock: after the step and after resets.
        reward: (env,).
        terminated: the episode ended early.
        truncated: it ended with its clip.
        reason: 0 none or the clip's end, 1 non-finite, then the terminations in their order.
        metrics: every reward and cost term, unweighted, by name; finite.
        qpos, qvel: where the simulations that ended start anew.
    """

    clock: Clock
    reward: Arrayish
    terminated: Arrayish
    truncated: Arrayish
    reason: Arrayish
    metrics: dict[str, Arrayish]
    qpos: Arrayish
    qvel: Arrayish


@dataclass(frozen=True, eq=False)
class Imitation:
    """The task: terms of the config, for one body.

    Attributes:
        body: names and places.
        config: settings.
    """

    body: Anatomy
    config: TaskConfig
    reference_terms: tuple[Term, ...] = field(init=False)
    proprioception_terms: tuple[Term, ...] = field(init=False)
    rewards: tuple[Term, ...] = field(init=False)
    costs: tuple[Term, ...] = field(init=False)
    terminations: tuple[Term, ...] = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        kinds = (
            ("reference_terms", "observation", config.reference, "task.reference"),
            ("proprioception_terms", "observation", config.proprioception, "task.proprioception"),
            ("rewards", "reward", config.rewards, "task.rewards"),
            ("costs", "cost", config.costs, "task.costs"),
            ("terminations", "termination", config.terminations, "task.terminations"),
        )
        for name, kind, settings, where in kinds:
            object.__setattr__(self, name, resolve(kind, settings, where))
        _verify(self)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of reward and cost terms, in their order."""
        return tuple(term.name for term in (*self.rewards, *self.costs))

    @property
    def metric_weights(self) -> tuple[float, ...]:
        """Weight of each in the reward; costs negative."""
        return (*(term.weight for term in self.rewards), *(-term.weight for term in self.costs))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Meaning of the values of ``Outcome.reason``."""
        return ("clip_end", "non_finite", *(term.name for term in self.terminations))

    @cached_property
    def history_steps(self) -> int:
        """Control steps of history that some term looks at."""
        return max([1, *(term.window for term in self.costs)])

    def clock(self, n_envs: int) -> Clock:
        """A clock at frame 0 of clip 0."""
        nothing = np.zeros((n_envs, self.body.model.nu), np.float32)
        history = History(
            action=np.zeros((n_envs, self.history_steps, self.body.model.nu), np.float32),
            qvel=np.zeros((n_envs, self.history_steps, self.body.model.nv), np.float32),
            age=np.zeros(n_envs, np.int32),
        )
        return Clock(np.zeros(n_envs, np.int32), np.zeros(n_envs, np.int32), nothing, history)

    # the poses of the reference

    def poses(self, reference: Reference, clip: Arrayish, frame: Arrayish) -> Poses:
        """Reference at these frames of these clips; frames past the end hold the last."""
        row = reference.start[clip] + jnp.minimum(frame, reference.length[clip] - 1)
        return Poses(*(jnp.asarray(table)[row] for table in reference[:4]))

    def scene(self, reference: Reference, fields: Fields, clock: Clock, action: Arrayish) -> Scene:
        """One control step as terms see it."""
        ahead = clock.frame[:, None] + jnp.asarray(self.config.window, jnp.int32)
        return Scene(
            body=self.body,
            now=fields,
            target=self.poses(reference, clock.clip, clock.frame),
            window=self.poses(reference, clock.clip[:, None], ahead),
            action=action,
            previous_action=clock.action,
            history=clock.history,
            time_s=clock.frame * self.body.ctrl_dt,
        )

    def observe(self, reference: Reference, fields: Fields, clock: Clock) -> Observation:
        """What the networks see in this state."""
        scene = self.scene(reference, fields, clock, clock.action)
        groups = []
        for terms in (self.reference_terms, self.proprioception_terms):
            seen = [jnp.reshape(term(scene), (fields.qpos.shape[0], -1)) for term in terms]
            groups.append(jnp.concatenate(seen, axis=-1) if seen else jnp.zeros((fields.qpos.shape[0], 0)))
        return Observation(*groups)

    def ctrl(self, action: Float[Arrayish, "env actuator"]) -> Float[Arrayish, "env actuator"]:
        """Controls of an action."""
        return to_ctrl(self.body, action, self.config.action, self.config.action_range)

    def judge(self, reference: Reference, fields: Fields, clock: Clock, action: Arrayish, key: Array) -> Outcome:
        """Reward a step and start anew what has ended.

        Args:
            reference: the clips.
            fields: physics after the step.
            clock: before the step.
            action: what the policy put out.
            key: for the draws of the resets.
        """
        after, terms, stops = self.measure(reference, fields, clock, action)
        finite = is_finite(fields) & jnp.all(jnp.stack([jnp.isfinite(v) for v in terms.values()]), axis=0)
        metrics = {name: jnp.where(finite, value, 0.0) for name, value in terms.items()}
        pairs = zip(metrics.values(), self.metric_weights, strict=True)
        reward = sum((weight * value for value, weight in pairs), jnp.zeros(action.shape[0]))
        ended = jnp.stack([~finite, *(stop & finite for stop in stops.values())])
        terminated = ended.any(0)
        reason = jnp.where(terminated, 1 + jnp.argmax(ended, axis=0), 0).astype(jnp.int32)
        truncated = ~terminated & (after.frame >= reference.length[clock.clip] - 1)
        fresh, qpos, qvel = self.start(reference, key, action.shape[0])
        done = terminated | truncated
        clock = jax.tree.map(
            lambda new, old: jnp.where(done.reshape(-1, *[1] * (old.ndim - 1)), new, old), fresh, after
        )
        return Outcome(clock, reward, terminated, truncated, reason, metrics, qpos, qvel)

    def measure(
        self, reference: Reference, fields: Fields, clock: Clock, action: Arrayish
    ) -> tuple[Clock, dict[str, Array], dict[str, Array]]:
        """Advance the clock, and return it with every reward and cost term and every termination, by name."""
        age = clock.history.age + 1
        history = History(
            action=_push(clock.history.action, action, age),
            qvel=_push(clock.history.qvel, fields.qvel, age),
            age=age,
        )
        moved = clock._replace(frame=clock.frame + 1, history=history)
        scene = self.scene(reference, fields, moved, action)
        terms = {term.name: term(scene) for term in (*self.rewards, *self.costs)}
        stops = {term.name: term(scene) for term in self.terminations}
        return moved._replace(action=action), terms, stops

    # starting anew

    def start(self, reference: Reference, key: Array, n_envs: int) -> tuple[Clock, Array, Array]:
        """Draw a clip and a start frame for every simulation; return clock, pose and velocity."""
        clip_key, frame_key, first_key, pose_key, velocity_key = jax.random.split(key, 5)
        clip = jax.random.randint(clip_key, (n_envs,), 0, reference.length.shape[0], jnp.int32)
        steps = jnp.asarray(reference.length)[clip] - 1
        drawn = jnp.floor(jax.random.uniform(frame_key, (n_envs,)) * steps).astype(jnp.int32)
        frame = jnp.minimum(drawn, steps - 1)
        if self.config.start_at_beginning > 0:
            first = jax.random.uniform(first_key, (n_envs,)) < self.config.start_at_beginning
            frame = jnp.where(first, 0, frame)
        return self.start_at(reference, clip, frame, (pose_key, velocity_key))

    def start_at(
        self,
        reference: Reference,
        clip: Int[Arrayish, " env"],
        frame: Int[Arrayish, " env"],
        keys: tuple[Arrayish, Array] | None = None,
    ) -> tuple[Clock, Array, Array]:
        """Clock, pose and velocity at these frames; with noise where keys for pose and velocity are given."""
        poses = self.poses(reference, clip, frame)
        qpos, qvel = jnp.asarray(poses.qpos), jnp.asarray(poses.qvel)
        config = self.config
        if keys is not None and config.velocity_noise > 0:
            qvel = qvel + config.velocity_noise * jax.random.normal(keys[1], qvel.shape)
        if keys is not None and config.pose_noise > 0:
            qpos = self._perturb(qpos, config.pose_noise * jax.random.normal(keys[0], qvel.shape))
        clock = jax.tree.map(jnp.asarray, self.clock(qpos.shape[0]))
        clock = clock._replace(clip=jnp.asarray(clip, jnp.int32), frame=jnp.asarray(frame, jnp.int32))
        return clock, qpos, qvel

    def _perturb(
        self, qpos: Float[Arrayish, "env qpos"], noise: Float[Arrayish, "env dof"]
    ) -> Float[Arrayish, "env qpos"]:
        """Move poses by `noise` along the joint manifold, within joint limits; quaternions keep unit length."""
        body, model = self.body, self.body.model
        columns, dofs = body.joint_columns(None)
        low, high = np.full(model.nq, -np.inf, np.float32), np.full(model.nq, np.inf, np.float32)
        limited = [j for j in range(model.njnt) if model.jnt_limited[j] and model.jnt_qposadr[j] in columns]
        for joint in limited:
            low[model.jnt_qposadr[joint]], high[model.jnt_qposadr[joint]] = model.jnt_range[joint]
        moved = qpos.at[:, columns].add(noise[:, dofs])
        # a registered pose may sit a little beyond a limit: noise does not move it further, nor back
        moved = jnp.clip(moved, jnp.minimum(low, qpos), jnp.maximum(high, qpos))
        for q, v in body.quaternions:
            if (q, v) not in body.balls:
                moved = moved.at[:, q - 3 : q].add(noise[:, v - 3 : v])
            turn = rotations.from_rotation_vector(noise[:, v : v + 3])
            moved = moved.at[:, q : q + 4].set(rotations.normalize(rotations.multiply(qpos[:, q : q + 4], turn)))
        return moved


def is_finite(fields: Fields) -> Bool[Arrayish, " env"]:
    """Whether the state of each simulation is finite, and small enough for physics."""
    parts = [fields.qpos, fields.qvel, fields.act]
    return jnp.all(jnp.stack([(jnp.abs(part) < 1e10).all(-1) for part in parts]), axis=0)


def _push(
    history: Float[Arrayish, "env step n"], latest: Float[Arrayish, "env n"], age: Int[Arrayish, " env"]
) -> Float[Arrayish, "env step n"]:
    """Append a step to a history; the first step after a reset fills all of it."""
    first = (age <= 1)[:, None, None]
    shifted = jnp.concatenate([history[:, 1:], latest[:, None]], axis=1)
    return jnp.where(first, latest[:, None], shifted)


def _verify(task: Imitation) -> None:
    config = task.config
    if not task.rewards:
        raise ConfigError("task.rewards: no term has a weight; there is nothing to learn")
    if not task.reference_terms or not task.proprioception_terms:
        raise ConfigError("task.reference and task.proprioception: each needs at least one observation term")
    if not config.window or any(step < 0 for step in config.window):
        raise ConfigError(f"task.window: expected control steps ahead, 0 or more, got {list(config.window)}")
    names = list(task.metric_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"task: {', '.join(twice)}: a cost has the name of a reward; rename it with term: NAME")
    if config.action not in MAPPINGS:
        raise ConfigError(f"task.action: {unknown('mapping', config.action, MAPPINGS)}")
    raise_all(ConfigError, "task.action_range", range_faults(task.body, config.action_range))
    if config.pose_noise < 0 or config.velocity_noise < 0 or not 0 <= config.start_at_beginning <= 1:
        raise ConfigError("task: noises must not be negative, and start_at_beginning must lie in 0..1")


def used_fields(task: Imitation, reference: Reference) -> set[str]:
    """Names of the physics fields that some term reads, found by running every term once on shapes."""
    used: set[str] = set()
    zeros = zero_fields(task.body.model, 2)

    class Watched(Fields):
        """Fields that remember who was read."""

        def __getattribute__(self, name: str) -> Any:
            if name in Fields._fields:
                used.add(name)
            return super().__getattribute__(name)

    watched, clock = Watched(*zeros), task.clock(2)
    few = reference._replace(**{name: np.asarray(getattr(reference, name))[:2] for name in Reference._fields[:4]})
    few = few._replace(start=np.zeros(1, np.int32), length=np.full(1, 2, np.int32))

    def run() -> None:
        task.observe(few, watched, clock)
        task.measure(few, watched, clock, clock.action)

    jax.eval_shape(run)
    return used | {"qpos", "qvel", "act"}
