"""Conditions that end an episode before its clip does (paper B, section 4.4.2); limits in metres and radians.

Simulations that are not finite always end, and are counted; that is not a term.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Bool

from track_mjx._common import rotations
from track_mjx.physics.fields import AnyArray
from track_mjx.task.differences import joint_error, root_error_w, root_pose_w, root_target_w
from track_mjx.task.registry import termination
from track_mjx.task.step import Step


@termination
def fall(step: Step, *, low_m: float, high_m: float = float("inf")) -> Bool[AnyArray, " env"]:
    """The root is lower or higher above the ground below it than is healthy (paper B, eq. 22)."""
    height = jnp.asarray(step.body.height_above_ground(root_pose_w(step)[0])) * step.body.length_unit_m
    return (height < low_m) | (height > high_m)


@termination
def too_far(step: Step, *, limit_m: float) -> Bool[AnyArray, " env"]:
    """The root is far from its reference."""
    return jnp.sqrt((root_error_w(step) ** 2).sum(-1)) * step.body.length_unit_m > limit_m


@termination
def too_rotated(step: Step, *, limit_rad: float) -> Bool[AnyArray, " env"]:
    """The angle between the orientations of the root and of its reference is large."""
    return 2 * rotations.half_angle(root_pose_w(step)[1], root_target_w(step, step.target)[1]) > limit_rad


@termination
def pose_error(step: Step, *, limit_rad: float) -> Bool[AnyArray, " env"]:
    """The norm of the joint errors is large."""
    return jnp.sqrt((joint_error(step) ** 2).sum(-1)) > limit_rad
