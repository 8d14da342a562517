"""Reward terms: how well the reference is followed, 0 to 1 (paper B, section 4.4.2; paper A, section 2.6).

A name ends with its kernel. ``_exp`` is a Gaussian, exp(-d^2 / (2 sigma^2)), of a distance d that sums squares over
joints or bodies; `sigma` is in metres or radians. `exp_scale` is the papers' parameter s in the model's units instead:
exp(-s d^2), so sigma = 1 / sqrt(2 s). Positions and orientations are in the world frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.physics.fields import AnyArray
from track_mjx.task.differences import (
    body_error_w,
    end_effector_names,
    joint_error,
    root_error_w,
    root_pose_w,
    root_target_w,
)
from track_mjx.task.registry import reward
from track_mjx.task.step import Step


def gaussian(
    squared: Float[AnyArray, "*batch"], sigma: float | None, exp_scale: float | None, unit: float = 1.0
) -> Float[AnyArray, "*batch"]:
    """Gaussian kernel of a squared distance: exp(-d^2 / (2 sigma^2)).

    Args:
        squared: squared distance, in the model's units.
        sigma: width in physical units (m, rad).
        exp_scale: instead of `sigma`: exp(-s d^2) in the model's units.
        unit: model units per physical unit, applied to `sigma`.
    """
    if (sigma is None) == (exp_scale is None):
        raise ConfigError("a reward term needs either sigma or exp_scale")
    name, value = ("sigma", sigma) if sigma is not None else ("exp_scale", exp_scale)
    if value is None or not 0 < value < float("inf"):
        raise ConfigError(f"{name} must be positive, got {value}")
    scale = 0.5 / (value * unit) ** 2 if sigma is not None else value
    return jnp.exp(-scale * squared)


@reward
def root_position_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None
) -> Float[AnyArray, " env"]:
    """Position of the root."""
    return gaussian((root_error_w(step) ** 2).sum(-1), sigma, exp_scale, step.body.to_model_units)


@reward
def root_orientation_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None
) -> Float[AnyArray, " env"]:
    """Orientation of the root; the distance is half the angle between the orientations, rad."""
    angle = rotations.half_angle(root_pose_w(step)[1], root_target_w(step, step.target)[1])
    return gaussian(angle**2, sigma, exp_scale)


@reward
def joint_position_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, joints: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Joint angles."""
    return gaussian((joint_error(step, joints) ** 2).sum(-1), sigma, exp_scale)


@reward
def joint_velocity_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, joints: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Joint velocities, rad/s."""
    columns = step.body.joint_dofs if joints is None else step.body.joint_columns(joints)[1]
    error = step.target.qvel[:, columns] - step.now.qvel[:, columns]
    return gaussian((error**2).sum(-1), sigma, exp_scale)


@reward
def body_position_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, bodies: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Positions of bodies; all that move unless named."""
    squared = (body_error_w(step, bodies) ** 2).sum((-1, -2))
    return gaussian(squared, sigma, exp_scale, step.body.to_model_units)


@reward
def end_effector_position_exp(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, bodies: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Positions of the end effectors."""
    squared = (body_error_w(step, end_effector_names(step.body, bodies)) ** 2).sum((-1, -2))
    return gaussian(squared, sigma, exp_scale, step.body.to_model_units)
