"""Escape from a bowl (paper B, section 4.5), from recorded poses put on its ground; and the terms of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.terrain import Surface
from track_mjx.physics.fields import AnyArray, PhysicsState, Start
from track_mjx.task.differences import root_pose_w
from track_mjx.task.reference import Reference
from track_mjx.task.registry import observation, reward, task, termination
from track_mjx.task.step import EpisodeState, Step
from track_mjx.task.task import Task

_UP = np.array([0.0, 0.0, 1.0], np.float32)
UPRIGHT = 0.5
"""A body counts as upright where the cosine of its angle to the vertical is above this."""


@task("bowl")
@dataclass(frozen=True, eq=False)
class Bowl(Task):
    """Go away from the centre of a bowl (``arena.terrain.kind=bowl``).

    The goal of an episode says where it starts: x and y of the root in the model's units, and the angle by which the
    recorded pose is turned about the vertical, rad. The rim is the same for all.
    """

    goal_size: ClassVar[int] = 3
    outcomes: ClassVar[tuple[str, ...]] = ("radius_mm", "upright_fraction", "rim_fraction")

    _: KW_ONLY
    start_radius_m: float = 0.0
    """Episodes start anywhere within this distance from the centre."""
    clearance_m: float = 0.0
    """Height by which starts are raised beyond that: feet that begin deep in a height field are thrown out of it."""
    cases_per_clip: int = 4
    """Starts that evaluation plays from the first pose of every clip."""

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        problems = super().problems()
        if self.body.surface is None:
            problems.append("task.kind=bowl: there is no terrain; set arena.terrain.kind=bowl")
        if _free_joint(self.body) is None:
            problems.append("task.kind=bowl: the body has no free joint; it cannot travel")
        if self.start_radius_m < 0 or self.cases_per_clip < 1:
            problems.append("task.parameters: start_radius_m is at least 0, cases_per_clip at least 1")
        return problems

    def goals(self, reference: Reference, clip: Int[AnyArray, " env"], key: Array) -> Float[AnyArray, "env goal"]:
        """Draw places, uniformly from a disc, and angles."""
        part, angle, turn = jax.random.uniform(key, (3, clip.shape[0]))
        radius = self.start_radius_m * self.body.to_model_units * jnp.sqrt(part)
        angle, turn = 2 * jnp.pi * angle, 2 * jnp.pi * turn
        return jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle), turn], -1)

    def start_at(
        self,
        reference: Reference,
        clip: Int[AnyArray, " env"],
        frame: Int[AnyArray, " env"],
        keys: tuple[Array, Array] | None = None,
        goal: AnyArray | None = None,
    ) -> tuple[EpisodeState, Start]:
        """Put recorded poses on the ground: raised until no body is lower above it than it was above the floor."""
        episode, start = super().start_at(reference, clip, frame, keys, goal)
        place, turn = episode.goal[:, :2], _UP * episode.goal[:, 2:]
        turn = rotations.from_rotation_vector(turn)
        joint = _free_joint(self.body)
        assert joint is not None
        q, v = joint
        recorded = self.poses(reference, clip, frame)
        moving = np.asarray(self.body.moving_bodies, np.int32)
        bodies = recorded.xpos[:, moving] - recorded.qpos[:, None, q - 3 : q]
        below = place[:, None] + rotations.rotate(turn[:, None], bodies)[..., :2]
        raised = (_surface(self.body).height(below) - _surface(self.body).origin[2]).max(-1)
        raised = raised + self.clearance_m * self.body.to_model_units
        qpos = jnp.asarray(start.qpos).at[:, q - 3 : q - 1].set(place).at[:, q - 1].add(raised)
        qpos = qpos.at[:, q : q + 4].set(rotations.multiply(turn, start.qpos[:, q : q + 4]))
        qvel = jnp.asarray(start.qvel).at[:, v - 3 : v].set(rotations.rotate(turn, start.qvel[:, v - 3 : v]))
        return episode, start._replace(qpos=qpos, qvel=qvel)

    def measure(
        self, recorded: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray
    ) -> dict[str, AnyArray]:
        """Distance from the centre, cosine of the trunk's angle to the vertical, and which feet touch the ground."""
        place, orientation = physics.xpos[:, self.body.root], physics.xquat[:, self.body.root]
        columns = self.body.contact_columns.values()
        touching = [(physics.sensordata[:, np.asarray(places)] > 0).any(-1) for places in columns]
        touch = {"touch": jnp.stack(touching, -1)} if touching else {}
        return {
            "radius_m": jnp.linalg.norm(place[:, :2], axis=-1) * self.body.length_unit_m,
            "upright": rotations.rotate(orientation, _UP)[:, 2],
            **touch,
        }

    def summary(self, measured: Mapping[str, np.ndarray], valid: Bool[np.ndarray, "case step"]) -> dict[str, float]:
        """Radius at the end of episodes (median and largest), and shares that are upright and at the rim then."""
        cases, last = np.arange(len(valid)), np.maximum(valid.sum(1) - 1, 0)
        radius, upright = (measured[name][cases, last] for name in ("radius_m", "upright"))
        half = float(_surface(self.body).half[0]) * self.body.length_unit_m
        return {
            "radius_mm": 1e3 * float(np.median(radius)),
            "largest_radius_mm": 1e3 * float(radius.max()),
            "upright_fraction": float((upright > UPRIGHT).mean()),
            "rim_fraction": float((radius > 0.95 * half).mean()),
        }


def _free_joint(body: Anatomy) -> tuple[int, int] | None:
    """Index of the free joint's quaternion in qpos and of its angular velocity in qvel."""
    return next((joint for joint in body.quaternions if joint not in body.balls), None)


def _surface(body: Anatomy) -> Surface:
    if body.surface is None:
        raise ConfigError("this term needs terrain (arena.terrain.kind=bowl)")
    return body.surface


def _upright(step: Step, name: str | None) -> Float[AnyArray, " env"]:
    """Cosine of the angle between the local vertical of a body, the root unless named, and the vertical."""
    body = step.body.root if name is None else step.body.body_ids([name])[0]
    return rotations.rotate(step.now.xquat[:, body], _UP)[:, 2]


@observation
def origin_b(step: Step) -> Float[AnyArray, "env 3"]:
    """Vector from the root to the centre of the bowl, horizontal (o_orig of eq. 15)."""
    position, orientation = root_pose_w(step)
    return rotations.to_body(orientation, position * np.array([-1.0, -1.0, 0.0], np.float32))


@reward
def escape_linear(
    step: Step, *, torso: str | None = None, head: str | None = None, tilt_rad: float = 0.0
) -> Float[AnyArray, " env"]:
    """Distance from the centre, of the rim's, times uprightness (eq. 18, 19 and first part of 21).

    Uprightness is the mean over torso and head of 1 - (cos tilt - u) / (1 + cos tilt), within 0 and 1, for the cosine
    u of the angle to the vertical: dm_control's linear tolerance, as eq. 17a has no value for an unbounded interval.
    """
    surface, allowed = _surface(step.body), float(np.cos(tilt_rad))
    radius = jnp.linalg.norm(root_pose_w(step)[0][:, :2], axis=-1) / surface.half[0]
    parts = [_upright(step, torso), _upright(step, head if head is not None else torso)]
    upright = [jnp.clip(1 - (allowed - part) / (1 + allowed), 0.0, 1.0) for part in parts]
    return jnp.minimum(1.0, radius) * 0.5 * (upright[0] + upright[1])


@reward
def speed_linear(step: Step, *, target_m_s: float, window: int = 1) -> Float[AnyArray, " env"]:
    """Speed of the root: 1 at the target, 0 at rest and at twice the target (eq. 20).

    With a `window` the velocity is averaged over so many control steps, so that shivering in place earns nothing.
    """
    joint = _free_joint(step.body)
    if joint is None:
        raise ConfigError("the body has no free joint")
    columns = slice(joint[1] - 3, joint[1])
    velocity = step.history.qvel[:, -window:, columns].mean(1) * step.body.length_unit_m
    return jnp.maximum(0.0, 1 - jnp.abs(jnp.linalg.norm(velocity, axis=-1) - target_m_s) / target_m_s)


@termination
def tipped_over(step: Step, *, limit_rad: float, torso: str | None = None) -> Bool[AnyArray, " env"]:
    """The angle between the torso and the vertical is large."""
    return _upright(step, torso) < np.cos(limit_rad)
