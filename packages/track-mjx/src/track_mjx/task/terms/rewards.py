"""Reward terms: how well the reference is met, each between 0 and 1 (paper B, section 4.4.2; paper A, section 2.6).

Every kernel is a Gaussian, exp(-d^2 / (2 sigma^2)), of a distance d that sums squares over joints or bodies; `sigma`
is in metres or radians. The papers' ``exp_scale`` s is taken instead, in the model's units: sigma = 1 / sqrt(2 s).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.physics.fields import AnyArray
from track_mjx.task.differences import body_error, end_effector_names, joint_error, root_pose, root_target
from track_mjx.task.registry import reward
from track_mjx.task.step import Step


def gaussian(
    squared: Float[AnyArray, "*batch"], sigma: float | None, exp_scale: float | None, unit: float = 1.0
) -> Float[AnyArray, "*batch"]:
    """Gaussian kernel of a squared distance: exp(-d^2 / (2 sigma^2)).

    Args:
        squared: squared distance, in the model's units.
        sigma: width in physical units (m, rad).
        exp_scale: the papers' form instead, exp(-s d^2) in the model's units; sigma = 1 / sqrt(2 s).
        unit: model units per physical unit, applied to `sigma`.

    Raises:
        ConfigError: unless exactly one of the two is given, and positive.
    """
    if (sigma is None) == (exp_scale is None):
        raise ConfigError("a reward term needs either sigma or exp_scale")
    value = float(sigma if sigma is not None else exp_scale)  # type: ignore[arg-type]
    if not value > 0:
        raise ConfigError(f"a reward term's sigma or exp_scale must be positive, got {value}")
    scale = 0.5 / (value * unit) ** 2 if sigma is not None else value
    return jnp.exp(-scale * squared)


@reward
def position(step: Step, *, sigma: float | None = None, exp_scale: float | None = None) -> Float[AnyArray, " env"]:
    """Where the root is in the world."""
    error = root_target(step, step.target)[0] - root_pose(step)[0]
    return gaussian((error**2).sum(-1), sigma, exp_scale, step.body.to_model_units)


@reward
def quaternion(step: Step, *, sigma: float | None = None, exp_scale: float | None = None) -> Float[AnyArray, " env"]:
    """Which way the root points; the distance is half the angle between the orientations, rad."""
    angle = rotations.half_angle(root_pose(step)[1], root_target(step, step.target)[1])
    return gaussian(angle**2, sigma, exp_scale)


@reward
def joints(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, joints: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Joint angles."""
    return gaussian((joint_error(step, joints) ** 2).sum(-1), sigma, exp_scale)


@reward
def joint_velocities(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, joints: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Joint velocities, rad/s."""
    _, columns = step.body.joint_columns(joints)
    error = step.target.qvel[:, columns] - step.now.qvel[:, columns]
    return gaussian((error**2).sum(-1), sigma, exp_scale)


@reward
def bodies(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, bodies: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Positions of bodies in the world; all that move unless named."""
    squared = (body_error(step, bodies) ** 2).sum((-1, -2))
    return gaussian(squared, sigma, exp_scale, step.body.to_model_units)


@reward
def end_effectors(
    step: Step, *, sigma: float | None = None, exp_scale: float | None = None, bodies: Sequence[str] | None = None
) -> Float[AnyArray, " env"]:
    """Positions of the end effectors in the world."""
    squared = (body_error(step, end_effector_names(step, bodies)) ** 2).sum((-1, -2))
    return gaussian(squared, sigma, exp_scale, step.body.to_model_units)
