"""Imitation of reference clips (paper B, section 4.4.2).

The episode state is an integer clock: every simulation holds the number of its clip and of its frame at the control
rate. A control step advances the frame by one and is compared with the reference at the new frame; the episode ends
where the clip ends. Every reset draws a clip, then a start frame from all that leave at least one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from track_mjx.physics.fields import AnyArray, PhysicsState
from track_mjx.runs.run_folder import IMITATION_OUTCOMES
from track_mjx.task.actions import offset_ctrl
from track_mjx.task.differences import joint_error
from track_mjx.task.parts import Parts, parts_of
from track_mjx.task.reference import Reference
from track_mjx.task.registry import task
from track_mjx.task.step import EpisodeState, Step
from track_mjx.task.task import Task


@task("imitation")
@dataclass(frozen=True, eq=False)
class Imitation(Task):
    """Follow the clips."""

    follows_reference: ClassVar[bool] = True
    outcomes: ClassVar[tuple[str, ...]] = IMITATION_OUTCOMES

    def problems(self) -> list[str]:
        """Return what is wrong with the settings."""
        window = [] if self.config.window else ["task.window: expected at least one number of control steps ahead"]
        return super().problems() + window

    @cached_property
    def parts(self) -> Parts:
        """Meaning of the columns of errors."""
        return parts_of(self.body, self.config.regions)

    def context(self, reference: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray) -> Step:
        """Return a control step as terms receive it."""
        step = super().context(reference, physics, episode, action)
        ahead = episode.frame[:, None] + jnp.asarray(self.config.window, jnp.int32)
        target = self.poses(reference, episode.clip, episode.frame)
        window = self.poses(reference, episode.clip[:, None], ahead)
        return replace(step, followed=(target, window), time_s=episode.frame * self.body.ctrl_dt)

    def ctrl(
        self, reference: Reference, episode: EpisodeState, action: Float[AnyArray, "env actuator"]
    ) -> Float[AnyArray, "env actuator"]:
        """Map an action to controls."""
        if self.config.action != "offset":
            return super().ctrl(reference, episode, action)
        row = self._row(reference, episode.clip, episode.frame + self.config.offset_lead)
        return offset_ctrl(self.body, action, jnp.asarray(reference.held)[row], self.config.offset)

    def n_steps(self, reference: Reference, clip: Int[AnyArray, " case"]) -> Int[np.ndarray, " case"]:
        """Control steps of whole clips."""
        return np.asarray(reference.length)[clip] - 1

    def is_over(self, reference: Reference, episode: EpisodeState) -> Bool[AnyArray, " env"]:
        """Say which clips end, after a step."""
        return episode.frame >= reference.length[episode.clip] - 1

    def measure(
        self, recorded: Reference, physics: PhysicsState, episode: EpisodeState, action: AnyArray
    ) -> dict[str, AnyArray]:
        """Distance of every moving body, and difference of every joint, from the reference as recorded.

        ``body_error_m`` is (env, body); ``joint_error_rad`` is (env, joint), in model units for slides.
        """
        step = self.context(recorded, physics, episode, action)
        moving = np.asarray(self.body.moving_bodies, np.int32)
        distance = jnp.linalg.norm(step.target.xpos[:, moving] - physics.xpos[:, moving], axis=-1)
        return {
            "body_error_m": distance * self.body.length_unit_m,
            "joint_error_rad": jnp.abs(joint_error(step)),
        }

    def summary(self, measured: Mapping[str, np.ndarray], valid: Bool[np.ndarray, "case step"]) -> dict[str, float]:
        """Means of the errors over all valid steps, by region too, and the median; NaN if there is none."""
        parts = self.parts
        error_mm = measured["body_error_m"][valid] * 1e3
        reported = error_mm[:, parts.reported]
        return {
            "mean_body_error_mm": mean_of(reported),
            "mean_joint_error_deg": mean_of(np.degrees(measured["joint_error_rad"][valid][:, parts.angles])),
            **{f"body_error_mm/{region}": mean_of(error_mm[:, group]) for region, group in parts.regions.items()},
            "median_body_error_mm": float(np.median(reported)) if reported.size else float("nan"),
            "max_body_error_mm": float(reported.max(initial=0.0)),
        }


def mean_of(values: np.ndarray) -> float:
    """Mean in double precision; NaN for no values."""
    return float(np.mean(values, dtype=np.float64)) if values.size else float("nan")
