"""Records of one control step: the state of an episode, what a term receives, and the result of the step.

Arrays have the simulations first. Lengths are in the MJCF's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax

from track_mjx._common.errors import ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import AnyArray, PhysicsState

NON_FINITE = 1
"""Value of `StepResult.reason` for a state or a term that is not finite."""


class Observation(NamedTuple):
    """Input of the networks; the critic receives both parts."""

    reference: AnyArray
    """For the encoder."""
    proprioception: AnyArray
    """For the decoder."""


class Poses(NamedTuple):
    """Reference poses; leading axes (env,) or, for the window of future ones, (env, ahead)."""

    qpos: AnyArray
    qvel: AnyArray
    xpos: AnyArray
    xquat: AnyArray


class History(NamedTuple):
    """The last control steps of every simulation, newest last; entries before a reset repeat the first value."""

    action: AnyArray
    """(env, step, actuator) policy outputs, the present one included."""
    qvel: AnyArray
    """(env, step, dof) velocities, the present ones included."""
    age: AnyArray
    """(env,) control steps since the reset, the present one included."""


class EpisodeState(NamedTuple):
    """Position of every simulation in the reference, its history, and its goal."""

    clip: AnyArray
    """Number of the clip in the reference."""
    frame: AnyArray
    """Frame within the clip, at the control rate."""
    action: AnyArray
    """Last action; zero after a reset."""
    history: History
    goal: AnyArray
    """What the episode is to reach; no numbers for imitation."""


@dataclass(frozen=True, eq=False)
class Step:
    """What a term receives: one control step of all simulations."""

    body: Anatomy
    """Names and places of bodies, joints and actuators."""
    now: PhysicsState
    """Physics after the step."""
    goal: AnyArray
    """(env, goal) what the episode is to reach; see the kind of task."""
    action: AnyArray
    """Output of the policy in this step, in [-1, 1]."""
    previous_action: AnyArray
    """Output of the policy in the step before; zero after a reset."""
    history: History
    """The last steps, as many as the longest `window` of any term."""
    time_s: AnyArray
    """(env,) seconds since the start of the clip; since that of the episode, where the task follows no reference."""
    followed: tuple[Poses, Poses] | None = None
    """See `target` and `window`; None where the task follows no reference."""

    @property
    def target(self) -> Poses:
        """Reference at the same time as `now`."""
        return self._followed()[0]

    @property
    def window(self) -> Poses:
        """Reference at the future times that the encoder receives."""
        return self._followed()[1]

    def _followed(self) -> tuple[Poses, Poses]:
        if self.followed is None:
            raise ConfigError("this term reads a reference; only a task that follows one has it (task.kind=imitation)")
        return self.followed


class StepResult(NamedTuple):
    """Result of one control step, before any reset."""

    episode: EpisodeState
    """After the step."""
    reward: AnyArray
    """(env,) weighted sum of the terms; 0 where the step is not finite."""
    terminated: AnyArray
    """The episode ended early."""
    truncated: AnyArray
    """The episode ended with its clip, or in time."""
    reason: AnyArray
    """0: none or the end of the clip; 1: not finite; then the terminations in their order."""
    metrics: dict[str, jax.Array]
    """Every reward and cost term, unweighted, by name; 0 where the step is not finite."""
    broken: dict[str, jax.Array]
    """Whether the state (``state``) and every term, by name, are not finite."""

    @property
    def done(self) -> AnyArray:
        """Whether the episode ended."""
        return self.terminated | self.truncated
