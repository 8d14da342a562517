"""Reward terms: how well the reference is met, each between 0 and 1 (paper B, section 4.4.2; paper A, section 2.6).

Every kernel is a Gaussian, exp(-d^2 / (2 sigma^2)), of a distance d that sums squares over joints or bodies; `sigma`
is in metres or radians. The papers' ``exp_scale`` s is taken instead, in the model's units: sigma = 1 / sqrt(2 s).
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx.physics.fields import Arrayish
from track_mjx.task.differences import body_error, end_effector_names, joint_error, root_pose, root_target
from track_mjx.task.registry import reward
from track_mjx.task.step import Scene
from track_mjx.task.terms.kernels import gaussian


@reward
def position(scene: Scene, *, sigma: float | None = None, exp_scale: float | None = None) -> Float[Arrayish, " env"]:
    """Where the root is in the world."""
    error = root_target(scene, scene.target)[0] - root_pose(scene)[0]
    return gaussian((error**2).sum(-1), sigma, exp_scale, scene.body.to_model_units)


@reward
def quaternion(scene: Scene, *, sigma: float | None = None, exp_scale: float | None = None) -> Float[Arrayish, " env"]:
    """Which way the root points; the distance is half the angle between the orientations, rad."""
    angle = rotations.half_angle(root_pose(scene)[1], root_target(scene, scene.target)[1])
    return gaussian(angle**2, sigma, exp_scale)


@reward
def joints(
    scene: Scene, *, sigma: float | None = None, exp_scale: float | None = None, joints: Sequence[str] | None = None
) -> Float[Arrayish, " env"]:
    """Joint angles."""
    return gaussian((joint_error(scene, joints) ** 2).sum(-1), sigma, exp_scale)


@reward
def joint_velocities(
    scene: Scene, *, sigma: float | None = None, exp_scale: float | None = None, joints: Sequence[str] | None = None
) -> Float[Arrayish, " env"]:
    """Joint velocities, rad/s."""
    _, columns = scene.body.joint_columns(joints)
    error = scene.target.qvel[:, columns] - scene.now.qvel[:, columns]
    return gaussian((error**2).sum(-1), sigma, exp_scale)


@reward
def bodies(
    scene: Scene, *, sigma: float | None = None, exp_scale: float | None = None, bodies: Sequence[str] | None = None
) -> Float[Arrayish, " env"]:
    """Positions of bodies in the world; all that move unless named."""
    squared = (body_error(scene, bodies) ** 2).sum((-1, -2))
    return gaussian(squared, sigma, exp_scale, scene.body.to_model_units)


@reward
def end_effectors(
    scene: Scene, *, sigma: float | None = None, exp_scale: float | None = None, bodies: Sequence[str] | None = None
) -> Float[Arrayish, " env"]:
    """Positions of the end effectors in the world."""
    squared = (body_error(scene, end_effector_names(scene, bodies)) ** 2).sum((-1, -2))
    return gaussian(squared, sigma, exp_scale, scene.body.to_model_units)
