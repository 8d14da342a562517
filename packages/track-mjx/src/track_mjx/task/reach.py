"""Reaching with a body to a target in space, from recorded poses; and the terms that read the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import AnyArray, PhysicsState
from track_mjx.task.differences import end_effector_names, root_pose_w
from track_mjx.task.reference import Reference
from track_mjx.task.registry import observation, reward, task
from track_mjx.task.step import EpisodeState, Step
from track_mjx.task.task import Task
from track_mjx.task.terms.rewards import gaussian


@task("reach")
@dataclass(frozen=True, eq=False)
class Reach(Task):
    """Bring a body to a position that was drawn at the start of the episode, and hold it there.

    The goal is a position in the world frame, in the model's units.
    """

    goal_size: ClassVar[int] = 3
    outcomes: ClassVar[tuple[str, ...]] = ("end_error_mm", "reached_fraction", "time_to_target_s")

    _: KW_ONLY
    reaching: str | None = None
    """Body that reaches; empty: the first end effector."""
    targets: str = "ends"
    """Targets are positions of that body at the ends of clips (ends) or in all their frames (frames)."""
    positions: Sequence[Sequence[float]] | None = None
    """Targets by hand instead: [x, y, z] in the world frame, m."""
    within_mm: float = 1.0
    """The target is reached within this distance."""
    cases_per_clip: int = 4
    """Targets to which evaluation reaches from the start of every clip."""

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        problems = super().problems()
        if self.targets not in ("ends", "frames"):
            problems.append(f"task.parameters.targets: expected ends or frames, got {self.targets!r}")
        if self.positions is not None and (not self.positions or any(len(place) != 3 for place in self.positions)):
            problems.append("task.parameters.positions: expected a list of [x, y, z] in m")
        if self.cases_per_clip < 1:
            problems.append(f"task.parameters.cases_per_clip: expected at least 1, got {self.cases_per_clip}")
        return problems

    def goals(self, reference: Reference, clip: Int[AnyArray, " env"], key: Array) -> Float[AnyArray, "env goal"]:
        """Draw targets among those of all clips."""
        n, clip_key, frame_key = clip.shape[0], *jax.random.split(key)
        if self.positions is not None:
            places = jnp.asarray(self.positions, jnp.float32) * self.body.to_model_units
            return places[jax.random.randint(clip_key, (n,), 0, len(self.positions))]
        of = jax.random.randint(clip_key, (n,), 0, reference.length.shape[0])
        last = jnp.asarray(reference.length)[of] - 1
        frame = last
        if self.targets == "frames":
            frame = jnp.floor(jax.random.uniform(frame_key, (n,)) * (last + 1)).astype(jnp.int32)
        return self.poses(reference, of, frame).xpos[:, self._reaching]

    def goal_positions_m(self, goal: Float[np.ndarray, "case goal"]) -> Float[np.ndarray, "case 3"] | None:
        """Return the targets."""
        return (goal * self.body.length_unit_m).astype(np.float32)

    @property
    def _reaching(self) -> int:
        return _reaching_id(self.body, self.reaching)

    def measure(
        self, recorded: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray
    ) -> dict[str, AnyArray]:
        """Distance of the body from the target."""
        vector = episode.goal - physics.xpos[:, self._reaching]
        return {"distance_m": jnp.linalg.norm(vector, axis=-1) * self.body.length_unit_m}

    def summary(self, measured: Mapping[str, np.ndarray], valid: Bool[np.ndarray, "case step"]) -> dict[str, float]:
        """Medians over episodes; the time is NaN where half of them or more never come within ``within_mm``."""
        distance = 1e3 * np.where(valid, measured["distance_m"], np.inf)
        last = np.maximum(valid.sum(1) - 1, 0)
        end = distance[np.arange(len(distance)), last]
        near = distance <= self.within_mm
        time = np.where(near.any(1), (near.argmax(1) + 1) * self.body.ctrl_dt, np.inf)
        middle = float(np.median(time))
        return {
            "end_error_mm": float(np.median(end)),
            "reached_fraction": float((end <= self.within_mm).mean()),
            "time_to_target_s": middle if np.isfinite(middle) else float("nan"),
        }


def _reaching_id(body: Anatomy, name: str | None) -> int:
    """Id of the body named, or of the first end effector."""
    return body.body_ids([name] if name else end_effector_names(body, None))[0]


def _to_goal_w(step: Step, reaching: str | None) -> Float[AnyArray, "env 3"]:
    """Vector from the body that reaches to the goal, in model units."""
    if step.goal.shape[-1] != 3:
        raise ConfigError("this term needs a position as goal (task.kind=reach)")
    return step.goal - step.now.xpos[:, _reaching_id(step.body, reaching)]


@observation
def goal_b(step: Step, *, reaching: str | None = None) -> Float[AnyArray, "env 3"]:
    """Vector from the body that reaches to the goal."""
    return rotations.to_body(root_pose_w(step)[1], _to_goal_w(step, reaching))


@reward
def goal_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, reaching: str | None = None
) -> Float[AnyArray, " env"]:
    """Distance from the goal: a Gaussian, which is flat far away."""
    return gaussian((_to_goal_w(step, reaching) ** 2).sum(-1), sigma, exp_scale, step.body.to_model_units)


@reward
def goal_tanh(step: Step, *, scale_m: float, reaching: str | None = None) -> Float[AnyArray, " env"]:
    """Distance d from the goal: 1 - tanh(d / scale), which still rises far away."""
    distance = jnp.linalg.norm(_to_goal_w(step, reaching), axis=-1) * step.body.length_unit_m
    return 1.0 - jnp.tanh(distance / scale_m)
