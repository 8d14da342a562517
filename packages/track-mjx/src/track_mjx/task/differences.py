"""Differences between the body and its reference that several terms share."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.physics.fields import Arrayish
from track_mjx.task.step import Poses, Scene


def joint_error(scene: Scene, joints: Sequence[str] | None = None) -> Float[Arrayish, "env joint"]:
    """Angles (rad) and slides (model units) from the body to its reference; ball joints as rotation vectors.

    The root of a floating body does not count.
    """
    columns, _ = scene.body.joint_columns(joints)
    parts = [scene.target.qpos[:, columns] - scene.now.qpos[:, columns]]
    if joints is None:
        for q, _ in scene.body.balls:
            parts.append(rotations.difference(scene.target.qpos[:, q : q + 4], scene.now.qpos[:, q : q + 4]))
    return jnp.concatenate(parts, axis=-1)


def body_error(scene: Scene, bodies: Sequence[str] | None) -> Float[Arrayish, "env body 3"]:
    """Vectors in the world from bodies to where they should be, in model units; None: all that move."""
    ids = scene.body.body_ids(bodies)
    return scene.target.xpos[:, ids] - scene.now.xpos[:, ids]


def end_effector_names(scene: Scene, bodies: Sequence[str] | None) -> Sequence[str]:
    """The bodies given, or the end effectors of the arena.

    Raises:
        ConfigError: when there are none: a distance over nothing would always be 0.
    """
    names = scene.body.arena.end_effectors if bodies is None else bodies
    if not names:
        raise ConfigError("the clips file names no end effectors; name some bodies: arena.end_effectors=[...]")
    return names


def root_pose(scene: Scene) -> tuple[Float[Arrayish, "env 3"], Float[Arrayish, "env 4"]]:
    """Position and orientation of the root body."""
    return scene.now.xpos[:, scene.body.root], scene.now.xquat[:, scene.body.root]


def root_target(scene: Scene, poses: Poses) -> tuple[Float[Arrayish, "*batch 3"], Float[Arrayish, "*batch 4"]]:
    """The same of reference poses."""
    return poses.xpos[..., scene.body.root, :], poses.xquat[..., scene.body.root, :]
