"""Differences between the body and its reference that several terms share; ``_w`` is the world frame."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx._common.errors import ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import AnyArray
from track_mjx.task.step import Poses, Step


def joint_error(step: Step, joints: Sequence[str] | None = None) -> Float[AnyArray, "env joint"]:
    """Angles (rad) and slides (model units) from the body to its reference; ball joints as rotation vectors.

    The root of a floating body is left out.
    """
    columns, _ = step.body.joint_columns(joints)
    parts = [step.target.qpos[:, columns] - step.now.qpos[:, columns]]
    if joints is None:
        for q, _ in step.body.balls:
            parts.append(rotations.difference(step.target.qpos[:, q : q + 4], step.now.qpos[:, q : q + 4]))
    return jnp.concatenate(parts, axis=-1)


def body_error_w(step: Step, bodies: Sequence[str] | None) -> Float[AnyArray, "env body 3"]:
    """Vectors from bodies to their reference, in model units; None: all that move."""
    ids = step.body.body_ids(bodies)
    return step.target.xpos[:, ids] - step.now.xpos[:, ids]


def end_effector_names(body: Anatomy, bodies: Sequence[str] | None) -> Sequence[str]:
    """Return the bodies given, or the end effectors of the arena; refuse none, whose distance would always be 0."""
    names = body.arena.end_effectors if bodies is None else bodies
    if not names:
        raise ConfigError("the clips file names no end effectors; name some bodies: arena.end_effectors=[...]")
    return names


def root_pose_w(step: Step) -> tuple[Float[AnyArray, "env 3"], Float[AnyArray, "env 4"]]:
    """Position and orientation of the root body."""
    return step.now.xpos[:, step.body.root], step.now.xquat[:, step.body.root]


def root_target_w(step: Step, poses: Poses) -> tuple[Float[AnyArray, "*batch 3"], Float[AnyArray, "*batch 4"]]:
    """Position and orientation of the root body in reference poses."""
    return poses.xpos[..., step.body.root, :], poses.xquat[..., step.body.root, :]


def root_error_w(step: Step) -> Float[AnyArray, "env 3"]:
    """Vector from the root to its reference, in model units."""
    return root_target_w(step, step.target)[0] - root_pose_w(step)[0]
