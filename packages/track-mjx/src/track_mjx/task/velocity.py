"""Moving as a joystick commands: a velocity in the plane and a heading; and the terms that read the command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import AnyArray, PhysicsState
from track_mjx.task.differences import root_pose_w
from track_mjx.task.reference import Reference
from track_mjx.task.registry import observation, reward, task
from track_mjx.task.step import EpisodeState, Step
from track_mjx.task.task import Task
from track_mjx.task.terms.rewards import gaussian

_AHEAD = (1.0, 0.0, 0.0)


@task("velocity")
@dataclass(frozen=True, eq=False)
class Velocity(Task):
    """Keep a velocity and a heading that were drawn at the start of the episode.

    The goal is the velocity (x, y; model units/s), then the heading (x, y; a unit vector), both in the world frame. The
    velocity has the direction of the heading, which is any. The root must be free to move and turn.
    """

    goal_size: ClassVar[int] = 4
    outcomes: ClassVar[tuple[str, ...]] = ("speed_error_m_s", "heading_error_deg", "unterminated_fraction")

    _: KW_ONLY
    speed_m_s: Sequence[float] = (0.0, 0.1)
    """Slowest and fastest command, m/s."""
    ahead: Sequence[float] = field(default=_AHEAD)
    """Where the animal faces, in the frame of its root."""
    cases_per_clip: int = 4
    """Commands that evaluation gives from the start of every clip."""

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        problems = super().problems()
        if len(self.speed_m_s) != 2 or not 0 <= self.speed_m_s[0] <= self.speed_m_s[1]:
            problems.append(f"task.parameters.speed_m_s: expected [slowest, fastest], got {list(self.speed_m_s)}")
        if not _free_dofs(self.body):
            problems.append("task.kind=velocity: the root of this body does not move and turn freely")
        return problems

    def goals(self, reference: Reference, clip: Int[AnyArray, " env"], key: Array) -> Float[AnyArray, "env goal"]:
        """Draw speeds and directions."""
        n, speed_key, angle_key = clip.shape[0], *jax.random.split(key)
        low, high = (speed * self.body.to_model_units for speed in self.speed_m_s)
        angle = jax.random.uniform(angle_key, (n,), maxval=2 * jnp.pi)
        heading = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
        return jnp.concatenate([jax.random.uniform(speed_key, (n, 1), minval=low, maxval=high) * heading, heading], -1)

    def measure(
        self, recorded: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray
    ) -> dict[str, AnyArray]:
        """Velocity in the plane, the part that is commanded, and the angle from the commanded heading."""
        unit, linear = self.body.length_unit_m, _free_dofs(self.body)[:2]
        away = _facing(self.body, physics, self.ahead) * episode.goal[:, 2:]
        return {
            "velocity_m_s": physics.qvel[:, linear] * unit,
            "command_m_s": episode.goal[:, :2] * unit,
            "heading_error_deg": jnp.degrees(jnp.arccos(jnp.clip(away.sum(-1), -1.0, 1.0))),
        }

    def summary(self, measured: Mapping[str, np.ndarray], valid: Bool[np.ndarray, "case step"]) -> dict[str, float]:
        """Medians over episodes: how far the mean velocity is from the command, and the mean angle from the heading."""

        def mean(name: str) -> np.ndarray:
            values = measured[name].reshape(*valid.shape, -1)
            return np.where(valid[..., None], values, 0.0).sum(1) / np.maximum(valid.sum(1), 1)[:, None]

        off = np.linalg.norm(mean("velocity_m_s") - mean("command_m_s"), axis=-1)
        return {
            "speed_error_m_s": float(np.median(off)),
            "heading_error_deg": float(np.median(mean("heading_error_deg"))),
        }


def _free_dofs(body: Anatomy) -> list[int]:
    """Indices in qvel of the linear velocity of a free root; none where it has no free joint."""
    first = int(body.model.body_dofadr[body.root])
    free = [v - 3 for q, v in body.quaternions if (q, v) not in body.balls and v - 3 == first]
    return [first, first + 1, first + 2] if free else []


def _facing(body: Anatomy, physics: PhysicsState, ahead: Sequence[float]) -> Float[AnyArray, "env 2"]:
    """Direction in the plane in which the animal faces; of length 1, or less where it looks up or down."""
    return rotations.rotate(physics.xquat[:, body.root], jnp.asarray(ahead, jnp.float32))[:, :2]


def _command(step: Step) -> tuple[Float[AnyArray, "env 2"], Float[AnyArray, "env 2"]]:
    """Velocity and heading."""
    if step.goal.shape[-1] != Velocity.goal_size:
        raise ConfigError("this term needs a velocity as goal (task.kind=velocity)")
    return step.goal[:, :2], step.goal[:, 2:]


@observation
def command_b(step: Step) -> Float[AnyArray, "env 2 3"]:
    """Commanded velocity and heading."""
    both = jnp.stack([jnp.pad(part, ((0, 0), (0, 1))) for part in _command(step)], axis=1)
    return rotations.to_body(root_pose_w(step)[1][:, None], both)


@reward
def velocity_exp(step: Step, *, sigma: float, window: int = 1) -> Float[AnyArray, " env"]:
    """Velocity in the plane, averaged over the last `window` control steps, m/s: a Gaussian of the difference."""
    count = jnp.minimum(step.history.age, window)
    recent = jnp.arange(window)[::-1] < count[:, None]
    velocity = jnp.asarray(step.history.qvel)[:, -window:, jnp.asarray(_free_dofs(step.body)[:2])]
    mean = jnp.where(recent[..., None], velocity, 0.0).sum(1) / jnp.maximum(count, 1).astype(jnp.float32)[:, None]
    return gaussian(((mean - _command(step)[0]) ** 2).sum(-1), sigma, None, step.body.to_model_units)


@reward
def heading_cos(step: Step, *, ahead: Sequence[float] = _AHEAD) -> Float[AnyArray, " env"]:
    """Direction in which the animal faces: (1 + cos) / 2 of the angle from the command."""
    return 0.5 * (1.0 + (_facing(step.body, step.now, ahead) * _command(step)[1]).sum(-1))
