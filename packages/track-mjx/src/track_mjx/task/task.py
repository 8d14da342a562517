"""What a task is: a Markov decision process on the poses of clips, as pure functions, batch first.

`Task` holds what all tasks share: terms, history, starts from recorded poses, and the end of an episode after
``task.episode_s``. A kind of task is a subclass in a module of its own, registered by
`track_mjx.task.registry.task`; it overrides what differs:

=============  =======================================================================================
`goals`        what an episode is to reach, drawn at its start: numbers for each simulation
`measure`      quantities recorded after every control step, in physical units
`summary`      numbers of played episodes, from these quantities
`cases`        episodes that evaluation and rollouts play
`outcomes`     names of the numbers of `summary` by which runs are compared
=============  =======================================================================================

Order of a control step, the same for all engines (`track_mjx.policy.control`)::

    observation = task.observe(...)   # state k
    physics advances under ctrl       # state k -> k + 1
    result = task.step(...)           # reward and end of the episode
    finished simulations restart      # task.restart
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError, raise_all
from track_mjx.body.anatomy import Anatomy
from track_mjx.compiled import ByContent
from track_mjx.config import TaskConfig
from track_mjx.physics.fields import AnyArray, PhysicsState, Start, zero_physics
from track_mjx.task.actions import range_problems, to_action, to_ctrl
from track_mjx.task.reference import Reference
from track_mjx.task.reference import choose as choose_clips
from track_mjx.task.registry import Term, resolve
from track_mjx.task.step import EpisodeState, History, Observation, Poses, Step, StepResult


class Cases(NamedTuple):
    """Episodes to be played, each from the first frame of a clip."""

    clip: Int[np.ndarray, " case"]
    """Number of the clip whose first pose an episode starts in."""
    goal: Float[np.ndarray, "case goal"]
    """See `Task.goals`."""
    label: tuple[str, ...]
    """What tells apart the episodes of one clip; empty where there is one."""


@dataclass(frozen=True, eq=False)
class Task(ByContent):
    """Terms of the config, for one body; see the text of the module."""

    follows_reference: ClassVar[bool] = False
    """An episode follows its clip: terms read ``step.target``, and errors against the clip are reported."""
    goal_size: ClassVar[int] = 0
    """Numbers in the goal of an episode."""
    outcomes: ClassVar[tuple[str, ...]] = ()
    """Names of `summary` by which runs are compared, the most important first."""
    cases_per_clip: ClassVar[int] = 1
    """Episodes that evaluation plays from the start of every clip."""

    body: Anatomy
    config: TaskConfig
    goal_terms: tuple[Term, ...] = field(init=False)
    """What the policy observes of its goal; for imitation, of the reference."""
    proprioception_terms: tuple[Term, ...] = field(init=False)
    rewards: tuple[Term, ...] = field(init=False)
    costs: tuple[Term, ...] = field(init=False)
    terminations: tuple[Term, ...] = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        goal = "reference" if self.follows_reference else "goal"
        kinds = (
            ("goal_terms", "observation", getattr(config, goal), f"task.{goal}"),
            ("proprioception_terms", "observation", config.proprioception, "task.proprioception"),
            ("rewards", "reward", config.rewards, "task.rewards"),
            ("costs", "cost", config.costs, "task.costs"),
            ("terminations", "termination", config.terminations, "task.terminations"),
        )
        for name, kind, settings, where in kinds:
            object.__setattr__(self, name, resolve(kind, settings, where))
        raise_all(ConfigError, "settings", self.problems())

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        config, problems, names = self.config, [], list(self.metric_names)
        goal = "reference" if self.follows_reference else "goal"
        if not self.rewards:
            problems.append("task.rewards: no term has a weight; there is nothing to learn")
        if not self.goal_terms or not self.proprioception_terms:
            problems.append(f"task.{goal} and task.proprioception: each needs at least one observation term")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            problems.append(f"task.costs: {', '.join(twice)}: a reward has the same name; rename one with term: NAME")
        problems += [f"task.action_range: {problem}" for problem in range_problems(self.body, config.action_range)]
        if not self.follows_reference and config.action == "offset":
            problems.append(f"task.action=offset: task.kind={config.kind} follows no reference to add to")
        if not self.follows_reference and config.episode_s is None:
            problems.append(f"task.episode_s: task.kind={config.kind} needs the length of its episodes")
        return problems

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
        """Meaning of the values of ``StepResult.reason``."""
        end = "clip_end" if self.follows_reference else "time_up"
        return (end, "non_finite", *(term.name for term in self.terminations))

    @cached_property
    def history_steps(self) -> int:
        """Control steps of history that some term reads."""
        return max([1, *(term.window for term in self._terms())])

    def _terms(self) -> tuple[Term, ...]:
        return (*self.goal_terms, *self.proprioception_terms, *self.rewards, *self.costs, *self.terminations)

    @cached_property
    def content(self) -> Hashable:
        """Body and settings; a task with functions of the user's own equals no other: they may read what changes."""
        functions = [term.function for term in self._terms()]
        settings = [repr(getattr(self, entry.name)) for entry in fields(self) if entry.init and entry.name != "body"]
        ours = all(made.__module__.startswith("track_mjx.") for made in (type(self), *functions))
        return self.body, *settings, *functions, None if ours else object()

    def episode(self, n_envs: int) -> EpisodeState:
        """Return episodes at frame 0 of clip 0."""
        nothing = np.zeros((n_envs, self.body.model.nu), np.float32)
        history = History(
            action=np.zeros((n_envs, self.history_steps, self.body.model.nu), np.float32),
            qvel=np.zeros((n_envs, self.history_steps, self.body.model.nv), np.float32),
            age=np.zeros(n_envs, np.int32),
        )
        goal = np.zeros((n_envs, self.goal_size), np.float32)
        return EpisodeState(np.zeros(n_envs, np.int32), np.zeros(n_envs, np.int32), nothing, history, goal)

    # what a kind of task overrides

    def goals(self, reference: Reference, clip: Int[AnyArray, " env"], key: Array) -> Float[AnyArray, "env goal"]:
        """Draw the goals of episodes that start in these clips."""
        return jnp.zeros((clip.shape[0], self.goal_size))

    def measure(
        self, recorded: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray
    ) -> dict[str, AnyArray]:
        """Quantities after a control step by name, each (env, ...); names end with the unit.

        Args:
            recorded: the clips, not smoothed.
            physics: after the step.
            episode: after the step.
            action: of the step.
        """
        return {}

    def summary(self, measured: Mapping[str, np.ndarray], valid: Bool[np.ndarray, "case step"]) -> dict[str, float]:
        """Numbers of played episodes.

        Args:
            measured: what `measure` returned, (case, step, ...).
            valid: the step was taken; NaN where none was.
        """
        return {}

    def cases(self, reference: Reference, clips: Sequence[int]) -> Cases:
        """Episodes that evaluation plays on a set of clips; goals are drawn within the set, always the same."""
        n = self.cases_per_clip
        rows = np.repeat(np.arange(len(clips)), n)
        goal = np.asarray(self.goals(choose_clips(reference, clips), rows, jax.random.key(0)))
        labels = [str(i) if n > 1 else "" for i in range(n)] * len(clips)
        return Cases(np.asarray(clips, np.int32)[rows], goal, tuple(labels))

    def goal_positions_m(self, goal: Float[np.ndarray, "case goal"]) -> Float[np.ndarray, "case 3"] | None:
        """Return where in the world goals are, m; None where they are no places."""
        return None

    def n_steps(self, reference: Reference, clip: Int[AnyArray, " case"]) -> Int[np.ndarray, " case"]:
        """Control steps of whole episodes from the first frame of these clips."""
        return np.full(len(clip), self.episode_steps)

    def is_over(self, reference: Reference, episode: EpisodeState) -> Bool[AnyArray, " env"]:
        """Say which episodes end in time, after a step."""
        return episode.history.age >= self.episode_steps

    @property
    def episode_steps(self) -> int:
        """Control steps in ``task.episode_s``."""
        assert self.config.episode_s is not None
        return max(1, round(self.config.episode_s / self.body.ctrl_dt))

    # a control step

    def poses(self, reference: Reference, clip: AnyArray, frame: AnyArray) -> Poses:
        """Look up the reference at these frames of these clips; frames past the end hold the last."""
        row = self._row(reference, clip, frame)
        return Poses(*(jnp.asarray(table)[row] for table in reference[:4]))

    @staticmethod
    def _row(reference: Reference, clip: AnyArray, frame: AnyArray) -> AnyArray:
        return reference.start[clip] + jnp.minimum(frame, reference.length[clip] - 1)

    def context(self, reference: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray) -> Step:
        """Return a control step as terms receive it."""
        return Step(
            body=self.body,
            now=physics,
            goal=episode.goal,
            action=action,
            previous_action=episode.action,
            history=episode.history,
            time_s=episode.history.age * self.body.ctrl_dt,
        )

    def observe(self, reference: Reference, physics: PhysicsState, episode: EpisodeState) -> Observation:
        """Return the input of the networks in this state."""
        step = self.context(reference, physics, episode, episode.action)
        n_envs = physics.qpos.shape[0]
        groups = []
        for terms in (self.goal_terms, self.proprioception_terms):
            values = [jnp.reshape(term(step), (n_envs, -1)) for term in terms]
            groups.append(jnp.concatenate(values, axis=-1) if values else jnp.zeros((n_envs, 0)))
        return Observation(*groups)

    def observed_by(self, reference: Reference, group: str) -> list[str]:
        """Return the term of each element of the observations of a group, ``reference`` or ``proprioception``."""
        terms = self.goal_terms if group == "reference" else self.proprioception_terms

        def values(reference: Reference, physics: PhysicsState, episode: EpisodeState) -> list[Array]:
            step = self.context(reference, physics, episode, episode.action)
            return [jnp.asarray(term(step)) for term in terms]

        shapes = jax.eval_shape(values, reference, zero_physics(self.body.model, 1), self.episode(1))
        return [term.name for term, shape in zip(terms, shapes, strict=True) for _ in range(math.prod(shape.shape))]

    def ctrl(
        self, reference: Reference, episode: EpisodeState, action: Float[AnyArray, "env actuator"]
    ) -> Float[AnyArray, "env actuator"]:
        """Map an action to controls."""
        return to_ctrl(self.body, action, self.config.action, self.config.action_range)

    def demonstrated(self, reference: Reference, episode: EpisodeState, lead: int) -> Float[Array, "env actuator"]:
        """Return the actions whose servo angles are those of the reference so many control steps ahead."""
        held = jnp.asarray(reference.held)[self._row(reference, episode.clip, episode.frame + lead)]
        return jnp.asarray(to_action(self.body, held, self.config.action, self.config.action_range))

    def step(self, reference: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray) -> StepResult:
        """Reward a control step and decide which episodes end with it.

        An episode whose state or any of whose terms is not finite ends, whatever the terminations say.

        Args:
            reference: the clips.
            physics: after the step.
            episode: before the step.
            action: output of the policy.
        """
        after, terms, stops = self.evaluate_terms(reference, physics, episode, action)
        broken = {"state": ~is_finite(physics), **{name: ~jnp.isfinite(value) for name, value in terms.items()}}
        finite = ~jnp.any(jnp.stack(list(broken.values())), axis=0)
        metrics = {name: jnp.where(finite, value, 0.0) for name, value in terms.items()}
        pairs = zip(metrics.values(), self.metric_weights, strict=True)
        reward = sum((weight * value for value, weight in pairs), jnp.zeros(action.shape[0]))
        ended = jnp.stack([~finite, *(stop & finite for stop in stops.values())])
        terminated = ended.any(0)
        reason = jnp.where(terminated, 1 + jnp.argmax(ended, axis=0), 0).astype(jnp.int32)
        truncated = ~terminated & self.is_over(reference, after)
        return StepResult(after, reward, terminated, truncated, reason, metrics, broken)

    def evaluate_terms(
        self, reference: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray
    ) -> tuple[EpisodeState, dict[str, Array], dict[str, Array]]:
        """Advance the episode, and return it with every reward and cost term and every termination, by name."""
        age = episode.history.age + 1
        history = History(
            action=_push(episode.history.action, action, age),
            qvel=_push(episode.history.qvel, physics.qvel, age),
            age=age,
        )
        advanced = episode._replace(frame=episode.frame + 1, history=history)
        step = self.context(reference, physics, advanced, action)
        terms = {term.name: term(step) for term in (*self.rewards, *self.costs)}
        stops = {term.name: term(step) for term in self.terminations}
        return advanced._replace(action=action), terms, stops

    # restarts

    def start(self, reference: Reference, key: Array, n_envs: int) -> tuple[EpisodeState, Start]:
        """Draw a clip and a start frame for every simulation; return episode and physics."""
        clip_key, frame_key, first_key, pose_key, velocity_key = jax.random.split(key, 5)
        clip = self._draw_clips(reference, clip_key, n_envs)
        steps = jnp.asarray(reference.length)[clip] - 1
        if self.config.start_frames is not None:
            steps = jnp.minimum(steps, self.config.start_frames)
        drawn = jnp.floor(jax.random.uniform(frame_key, (n_envs,)) * steps).astype(jnp.int32)
        frame = jnp.minimum(drawn, steps - 1)
        if self.config.start_at_beginning > 0:
            first = jax.random.uniform(first_key, (n_envs,)) < self.config.start_at_beginning
            frame = jnp.where(first, 0, frame)
        goal = self.goals(reference, clip, jax.random.fold_in(key, 5))
        return self.start_at(reference, clip, frame, (pose_key, velocity_key), goal)

    def _draw_clips(self, reference: Reference, key: Array, n_envs: int) -> Int[Array, " env"]:
        if self.config.clip_sampling == "uniform":
            return jax.random.randint(key, (n_envs,), 0, reference.length.shape[0], jnp.int32)
        return jax.random.categorical(key, jnp.log(reference.weight), shape=(n_envs,)).astype(jnp.int32)

    def limited(self, result: StepResult) -> StepResult:
        """Truncate the episodes that have lasted ``task.episode_s``; for training only."""
        if self.config.episode_s is None:
            return result
        late = ~result.terminated & (result.episode.history.age >= self.episode_steps)
        return result._replace(truncated=result.truncated | late)

    def restart(self, reference: Reference, result: StepResult, key: Array) -> tuple[EpisodeState, Start]:
        """Return the episodes with those that ended drawn again; and the physics for these."""
        fresh, start = self.start(reference, key, result.done.shape[0])
        return choose(result.done, fresh, result.episode), start

    def start_at(
        self,
        reference: Reference,
        clip: Int[AnyArray, " env"],
        frame: Int[AnyArray, " env"],
        keys: tuple[Array, Array] | None = None,
        goal: AnyArray | None = None,
    ) -> tuple[EpisodeState, Start]:
        """Return episode and physics at these frames; with noise where keys for pose and velocity are given.

        Actuators with a state start with the one that continues the movement. Without a `goal`, it is zero.
        """
        poses = self.poses(reference, clip, frame)
        qpos, qvel = jnp.asarray(poses.qpos), jnp.asarray(poses.qvel)
        config = self.config
        if keys is not None and config.velocity_noise > 0:
            qvel = qvel + config.velocity_noise * jax.random.normal(keys[1], qvel.shape)
        if keys is not None and config.pose_noise > 0:
            qpos = self._perturb(qpos, config.pose_noise * jax.random.normal(keys[0], qvel.shape))
        episode = jax.tree.map(jnp.asarray, self.episode(qpos.shape[0]))
        episode = episode._replace(clip=jnp.asarray(clip, jnp.int32), frame=jnp.asarray(frame, jnp.int32))
        episode = episode if goal is None else episode._replace(goal=jnp.asarray(goal, jnp.float32))
        act = jnp.asarray(reference.act)[self._row(reference, clip, frame)]
        return episode, Start(qpos, qvel, act)

    def _perturb(self, qpos: Float[Array, "env qpos"], noise: Float[Array, "env dof"]) -> Float[Array, "env qpos"]:
        """Move poses by `noise` along the joint manifold, within joint limits; quaternions keep unit length."""
        body, model = self.body, self.body.model
        columns, dofs = (np.asarray(places, np.int32) for places in body.joint_columns(None, root=True))
        low, high = np.full(model.nq, -np.inf, np.float32), np.full(model.nq, np.inf, np.float32)
        limited = [j for j in range(model.njnt) if model.jnt_limited[j] and model.jnt_qposadr[j] in columns]
        for joint in limited:
            low[model.jnt_qposadr[joint]], high[model.jnt_qposadr[joint]] = model.jnt_range[joint]
        moved = qpos.at[:, columns].add(noise[:, dofs])
        # a registered pose may exceed a limit slightly: noise moves it neither further out nor back in
        moved = jnp.clip(moved, jnp.minimum(low, qpos), jnp.maximum(high, qpos))
        for q, v in body.quaternions:
            if (q, v) not in body.balls:
                moved = moved.at[:, q - 3 : q].add(noise[:, v - 3 : v])
            turn = rotations.from_rotation_vector(noise[:, v : v + 3])
            moved = moved.at[:, q : q + 4].set(rotations.normalize(rotations.multiply(qpos[:, q : q + 4], turn)))
        return moved


def choose(mask: Bool[AnyArray, " env"], new: Any, old: Any) -> Any:
    """Return a tree of arrays with the simulations in `mask` from `new` and the others from `old`."""
    return jax.tree.map(lambda a, b: jnp.where(mask.reshape(-1, *[1] * (b.ndim - 1)), a, b), new, old)


def is_finite(physics: PhysicsState) -> Bool[AnyArray, " env"]:
    """Say whether the state of each simulation is finite, and small enough for physics."""
    parts = [physics.qpos, physics.qvel, physics.act]
    return jnp.all(jnp.stack([(jnp.abs(part) < 1e10).all(-1) for part in parts]), axis=0)


def _push(
    history: Float[AnyArray, "env step n"], latest: Float[AnyArray, "env n"], age: Int[AnyArray, " env"]
) -> Float[AnyArray, "env step n"]:
    """Append a step to a history; the first step after a reset fills all of it."""
    first = (age <= 1)[:, None, None]
    shifted = jnp.concatenate([history[:, 1:], latest[:, None]], axis=1)
    return jnp.where(first, latest[:, None], shifted)


class Needs(NamedTuple):
    """What a task reads, and what it gives to the networks."""

    fields: frozenset[str]
    """Fields of the physics that some term reads."""
    observation: Observation
    """Shape of each part of the observation of one simulation."""


def needs_of(task: Task, reference: Reference) -> Needs:
    """Run every term once, on shapes, so that errors in them are raised now."""
    return _needs(task, tuple((np.shape(part)[1:], np.result_type(part)) for part in reference))


@lru_cache(maxsize=256)
def _needs(task: Task, tables: tuple[tuple[tuple[int, ...], Any], ...]) -> Needs:
    used = {"qpos", "qvel", "act"}
    few = Reference(*(np.zeros((2, *shape), dtype) for shape, dtype in tables))

    class Watched(PhysicsState):
        """A state that records which of its fields are read."""

        def __getattribute__(self, name: str) -> Any:
            if name in PhysicsState._fields:
                used.add(name)
            return super().__getattribute__(name)

    def run(few: Reference, physics: PhysicsState, episode: EpisodeState) -> Observation:
        watched = Watched(*physics)
        task.evaluate_terms(few, watched, episode, episode.action)
        return task.observe(few, watched, episode)

    seen = jax.eval_shape(run, few, zero_physics(task.body.model, 2), task.episode(2))
    return Needs(frozenset(used), Observation(*(part.shape[1:] for part in seen)))
