"""Observation terms: inputs of encoder and decoder (paper B, section 4.4.2). Any shape (env, ...); it is flattened.

``_b`` is the frame of the root: vectors are rotated from the world by the inverse of the root's orientation. Lengths
are in the model's units; running statistics normalise them.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx.physics.fields import AnyArray
from track_mjx.task.differences import end_effector_names, root_pose_w, root_target_w
from track_mjx.task.registry import observation
from track_mjx.task.step import Step

# the reference ahead: for the encoder


@observation
def joints_ahead(step: Step) -> Float[AnyArray, "env ahead joint"]:
    """Reference joint angles ahead minus the present ones."""
    columns, _ = step.body.joint_columns(None)
    parts = [step.window.qpos[..., columns] - step.now.qpos[:, None, columns]]
    for q, _ in step.body.balls:
        parts.append(rotations.difference(step.window.qpos[..., q : q + 4], step.now.qpos[:, None, q : q + 4]))
    return jnp.concatenate(parts, axis=-1)


@observation
def joint_velocities_ahead(step: Step) -> Float[AnyArray, "env ahead joint"]:
    """Reference joint velocities ahead."""
    return step.window.qvel[..., np.asarray(step.body.joint_dofs)]


@observation
def root_ahead_b(step: Step) -> Float[AnyArray, "env ahead 3"]:
    """Vectors from the root to its reference ahead."""
    position, orientation = root_pose_w(step)
    return rotations.to_body(orientation[:, None], root_target_w(step, step.window)[0] - position[:, None])


@observation
def orientation_ahead_b(step: Step) -> Float[AnyArray, "env ahead 4"]:
    """Rotations from the root's orientation to those ahead, as quaternions with w >= 0."""
    relative = rotations.multiply(
        rotations.conjugate(root_pose_w(step)[1])[:, None], root_target_w(step, step.window)[1]
    )
    return jnp.where(relative[..., :1] < 0, -relative, relative)


@observation
def bodies_ahead_b(step: Step, *, bodies: Sequence[str] | None = None) -> Float[AnyArray, "env ahead body 3"]:
    """Vectors from bodies to their reference ahead; all that move unless named."""
    ids = step.body.body_ids(bodies)
    vectors = step.window.xpos[:, :, ids] - step.now.xpos[:, None, ids]
    return rotations.to_body(root_pose_w(step)[1][:, None, None], vectors)


@observation
def target_velocities(step: Step) -> Float[AnyArray, "env joint"]:
    """Reference joint velocities at the present time."""
    return step.target.qvel[:, np.asarray(step.body.joint_dofs)]


# the senses of the body: for the decoder


@observation
def joints(step: Step) -> Float[AnyArray, "env joint"]:
    """Joint angles; ball joints as rotation vectors."""
    columns, _ = step.body.joint_columns(None)
    parts = [step.now.qpos[:, columns]]
    parts += [rotations.rotation_vector(step.now.qpos[:, q : q + 4]) for q, _ in step.body.balls]
    return jnp.concatenate(parts, axis=-1)


@observation
def velocities_b(step: Step) -> Float[AnyArray, "env dof"]:
    """All velocities; those of a free root in its own frame."""
    velocity = step.now.qvel
    for q, v in step.body.quaternions:
        if (q, v) not in step.body.balls:
            linear = rotations.to_body(step.now.qpos[:, q : q + 4], velocity[:, v - 3 : v])
            velocity = jnp.concatenate([velocity[:, : v - 3], linear, velocity[:, v:]], axis=-1)
    return jnp.asarray(velocity)


@observation
def joint_torques(step: Step) -> Float[AnyArray, "env dof"]:
    """Generalised forces of the actuators in the last physics step."""
    return jnp.asarray(step.now.qfrc_actuator)


@observation
def root_height(step: Step) -> Float[AnyArray, "env 1"]:
    """Height of the root above the ground below it."""
    return jnp.asarray(step.body.height_above_ground(root_pose_w(step)[0]))[:, None]


@observation
def ground_normal_b(step: Step) -> Float[AnyArray, "env 3"]:
    """Normal of the ground below the root."""
    position, orientation = root_pose_w(step)
    surface = step.body.surface
    normal = jnp.array([0.0, 0.0, 1.0]) if surface is None else surface.normal(position[:, :2])
    return rotations.to_body(orientation, normal)


@observation
def up_direction_b(step: Step) -> Float[AnyArray, "env 3"]:
    """The world's vertical, as a vestibular sense measures it."""
    return rotations.to_body(root_pose_w(step)[1], jnp.array([0.0, 0.0, 1.0]))


@observation
def end_effectors_b(step: Step, *, bodies: Sequence[str] | None = None) -> Float[AnyArray, "env body 3"]:
    """End effectors relative to the root."""
    ids = step.body.body_ids(end_effector_names(step.body, bodies))
    position, orientation = root_pose_w(step)
    return rotations.to_body(orientation[:, None], step.now.xpos[:, ids] - position[:, None])


@observation
def muscle_activation(step: Step) -> Float[AnyArray, "env activation"]:
    """Activation of muscles, or the state of other actuators that have one."""
    return jnp.asarray(step.now.act)


@observation
def muscle_length(step: Step) -> Float[AnyArray, "env actuator"]:
    """Length of each actuator's path, as a muscle spindle measures it."""
    return jnp.asarray(step.now.actuator_length)


@observation
def muscle_velocity(step: Step) -> Float[AnyArray, "env actuator"]:
    """Velocity of each actuator's path."""
    return jnp.asarray(step.now.actuator_velocity)


@observation
def muscle_force(step: Step) -> Float[AnyArray, "env actuator"]:
    """Force of each actuator in the last physics step, as a tendon organ measures it."""
    return jnp.asarray(step.now.actuator_force)


@observation
def previous_action(step: Step) -> Float[AnyArray, "env actuator"]:
    """The action just taken; zero after a reset."""
    return jnp.asarray(step.action)


@observation
def touch(step: Step) -> Float[AnyArray, "env contact"]:
    """1 for each end effector that touches the floor."""
    columns = step.body.contact_columns.values()
    if not columns:
        return jnp.zeros((step.now.qpos.shape[0], 0))
    return jnp.stack([(step.now.sensordata[:, places] > 0).any(-1) for places in columns], -1).astype(jnp.float32)


@observation
def sensors(step: Step, *, names: Sequence[str] = ("*",)) -> Float[AnyArray, "env value"]:
    """Readings of the sensors whose names match; `arena.sensors` chooses which the body has.

    Those that measure accelerations and forces belong to the last physics step.
    """
    return jnp.asarray(step.now.sensordata)[:, np.asarray(step.body.sensor_columns(names), np.int32)]
