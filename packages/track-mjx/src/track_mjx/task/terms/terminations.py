"""Conditions that end an episode before its clip does (paper B, section 4.4.2); limits in metres and radians.

Simulations that become non-finite always end, and are counted; that is no term.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Bool

from track_mjx._common import rotations
from track_mjx.physics.fields import Arrayish
from track_mjx.task.differences import joint_error, root_pose, root_target
from track_mjx.task.registry import termination
from track_mjx.task.step import Scene


@termination
def fall(scene: Scene, *, low_m: float, high_m: float = float("inf")) -> Bool[Arrayish, " env"]:
    """The root is lower or higher than is healthy."""
    height = root_pose(scene)[0][:, 2] * scene.body.length_unit_m
    return (height < low_m) | (height > high_m)


@termination
def too_far(scene: Scene, *, limit_m: float) -> Bool[Arrayish, " env"]:
    """The root is far from where it should be."""
    error = root_target(scene, scene.target)[0] - root_pose(scene)[0]
    return jnp.sqrt((error**2).sum(-1)) * scene.body.length_unit_m > limit_m


@termination
def too_rotated(scene: Scene, *, limit_rad: float) -> Bool[Arrayish, " env"]:
    """The root points elsewhere; the limit is on the whole angle."""
    return 2 * rotations.half_angle(root_pose(scene)[1], root_target(scene, scene.target)[1]) > limit_rad


@termination
def pose_error(scene: Scene, *, limit_rad: float) -> Bool[Arrayish, " env"]:
    """The joint angles are wrong in aggregate: the length of their error vector."""
    return jnp.sqrt((joint_error(scene) ** 2).sum(-1)) > limit_rad
