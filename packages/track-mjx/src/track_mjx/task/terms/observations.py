"""Observation terms: what encoder and decoder see (paper B, section 4.4.2). Any shape (env, ...); it is flattened.

Vectors are egocentric where the root moves: world to body, by the inverse of the root's orientation. Lengths are in the
model's units; running statistics bring all to the same scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Float

from track_mjx._common import rotations
from track_mjx.physics.fields import Arrayish
from track_mjx.task.differences import end_effector_names, root_pose, root_target
from track_mjx.task.registry import observation
from track_mjx.task.step import Scene

# what lies ahead: for the encoder


@observation
def joints_ahead(scene: Scene) -> Float[Arrayish, "env ahead joint"]:
    """Reference joint angles ahead minus the present ones."""
    columns, _ = scene.body.joint_columns(None)
    parts = [scene.window.qpos[..., columns] - scene.now.qpos[:, None, columns]]
    for q, _ in scene.body.balls:
        parts.append(rotations.difference(scene.window.qpos[..., q : q + 4], scene.now.qpos[:, None, q : q + 4]))
    return jnp.concatenate(parts, axis=-1)


@observation
def joint_velocities_ahead(scene: Scene) -> Float[Arrayish, "env ahead joint"]:
    """Reference joint velocities ahead."""
    return scene.window.qvel[..., scene.body.joint_columns(None)[1]]


@observation
def root_ahead(scene: Scene) -> Float[Arrayish, "env ahead 3"]:
    """Vector from the root to where it should be ahead, egocentric."""
    position, orientation = root_pose(scene)
    return rotations.to_body(orientation[:, None], root_target(scene, scene.window)[0] - position[:, None])


@observation
def orientation_ahead(scene: Scene) -> Float[Arrayish, "env ahead 4"]:
    """Turn from the root's orientation to those ahead, egocentric, as a quaternion with w >= 0."""
    relative = rotations.multiply(
        rotations.conjugate(root_pose(scene)[1])[:, None], root_target(scene, scene.window)[1]
    )
    return jnp.where(relative[..., :1] < 0, -relative, relative)


@observation
def bodies_ahead(scene: Scene, *, bodies: Sequence[str] | None = None) -> Float[Arrayish, "env ahead body 3"]:
    """Vectors from bodies to where they should be ahead, egocentric; all that move unless named."""
    ids = scene.body.body_ids(bodies)
    vectors = scene.window.xpos[:, :, ids] - scene.now.xpos[:, None, ids]
    return rotations.to_body(root_pose(scene)[1][:, None, None], vectors)


@observation
def target_velocities(scene: Scene) -> Float[Arrayish, "env joint"]:
    """Reference joint velocities at the present moment."""
    return scene.target.qvel[:, scene.body.joint_columns(None)[1]]


# what the body feels: for the decoder


@observation
def joints(scene: Scene) -> Float[Arrayish, "env joint"]:
    """Joint angles; ball joints as rotation vectors."""
    columns, _ = scene.body.joint_columns(None)
    parts = [scene.now.qpos[:, columns]]
    parts += [rotations.rotation_vector(scene.now.qpos[:, q : q + 4]) for q, _ in scene.body.balls]
    return jnp.concatenate(parts, axis=-1)


@observation
def velocities(scene: Scene) -> Float[Arrayish, "env dof"]:
    """All velocities; the linear ones of a free root egocentric."""
    velocity = scene.now.qvel
    for q, v in scene.body.quaternions:
        if (q, v) not in scene.body.balls:
            linear = rotations.to_body(scene.now.qpos[:, q : q + 4], velocity[:, v - 3 : v])
            velocity = jnp.concatenate([velocity[:, : v - 3], linear, velocity[:, v:]], axis=-1)
    return jnp.asarray(velocity)


@observation
def joint_torques(scene: Scene) -> Float[Arrayish, "env dof"]:
    """Generalised forces of the actuators in the last physics step."""
    return jnp.asarray(scene.now.qfrc_actuator)


@observation
def root_height(scene: Scene) -> Float[Arrayish, "env 1"]:
    """Height of the root."""
    return root_pose(scene)[0][:, 2:]


@observation
def up_direction(scene: Scene) -> Float[Arrayish, "env 3"]:
    """The world's vertical as seen from the root, as by a vestibular sense."""
    return rotations.to_body(root_pose(scene)[1], jnp.array([0.0, 0.0, 1.0]))


@observation
def end_effectors(scene: Scene, *, bodies: Sequence[str] | None = None) -> Float[Arrayish, "env body 3"]:
    """End effectors relative to the root, egocentric."""
    ids = scene.body.body_ids(end_effector_names(scene, bodies))
    position, orientation = root_pose(scene)
    return rotations.to_body(orientation[:, None], scene.now.xpos[:, ids] - position[:, None])


@observation
def muscle_activation(scene: Scene) -> Float[Arrayish, "env activation"]:
    """Activation of muscles, or the state of other actuators that have one."""
    return jnp.asarray(scene.now.act)


@observation
def muscle_length(scene: Scene) -> Float[Arrayish, "env actuator"]:
    """Length of each actuator's path, as a muscle spindle senses it."""
    return jnp.asarray(scene.now.actuator_length)


@observation
def muscle_velocity(scene: Scene) -> Float[Arrayish, "env actuator"]:
    """Its velocity."""
    return jnp.asarray(scene.now.actuator_velocity)


@observation
def muscle_force(scene: Scene) -> Float[Arrayish, "env actuator"]:
    """Force of each actuator in the last physics step, as a tendon organ senses it."""
    return jnp.asarray(scene.now.actuator_force)


@observation
def previous_action(scene: Scene) -> Float[Arrayish, "env actuator"]:
    """The action just taken; zero after a reset."""
    return jnp.asarray(scene.action)


@observation
def touch(scene: Scene) -> Float[Arrayish, "env contact"]:
    """1 for each end effector that touches the floor."""
    columns = scene.body.contact_columns.values()
    if not columns:
        return jnp.zeros((scene.now.qpos.shape[0], 0))
    return jnp.stack([(scene.now.sensordata[:, places] > 0).any(-1) for places in columns], -1).astype(jnp.float32)
