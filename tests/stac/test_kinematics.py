"""Forward kinematics, Jacobians and steps on the manifold against MuJoCo itself and against finite differences."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac_mjx.body.body import Body
from stac_mjx.body.poses import marker_frames, marker_jacobian
from stac_mjx.kinematics import forward as kinematics
from stac_mjx.kinematics.tree import build_tree


def assert_equal_to_mujoco(body: Body, qpos: np.ndarray) -> None:
    """Three points of each body have its place and rotation in them."""
    tree, bodies_of_points = build_tree(body.model), np.repeat(np.arange(body.model.nbody), 3)
    size = np.ptp(body.rest[0], axis=0).max() / body.length_unit_m
    local = np.tile(size * np.eye(3), (body.model.nbody, 1))
    ours = kinematics.marker_positions(
        tree, bodies_of_points, jnp.asarray(qpos, jnp.float32), jnp.asarray(local, jnp.float32)
    )
    data = mujoco.MjData(body.model)
    for pose, found in zip(qpos, np.asarray(ours), strict=True):
        data.qpos[:] = pose
        mujoco.mj_kinematics(body.model, data)
        turned = np.einsum("bij,bj->bi", data.xmat.reshape(-1, 3, 3)[bodies_of_points], local)
        np.testing.assert_allclose(found, data.xpos[bodies_of_points] + turned, atol=1e-5 * size)


def test_poses_of_every_joint_type_equal_mujoco() -> None:
    body = bodies.every_joint()
    qpos = bodies.random_qpos(body.model, 24, seed=0)
    # quaternions that are not normalised are taken as MuJoCo takes them
    qpos[:4, 3:7] *= 3.0
    qpos[0, 3:7] = 0.0
    assert_equal_to_mujoco(body, qpos)


@pytest.mark.parametrize("species", sorted(bodies.REAL))
def test_poses_of_real_bodies_equal_mujoco(data_dir: Path, species: str) -> None:
    body = bodies.real_body(data_dir, species)
    assert_equal_to_mujoco(body, bodies.random_qpos(body.model, 3, seed=2))


def test_marker_jacobian_equals_finite_differences() -> None:
    body = replace(bodies.every_joint(), length_unit_m=0.01)
    tree, model = body.tree, body.model
    qpos, h = bodies.random_qpos(model, 2, seed=5, size=0.2), 1e-6
    ours = marker_jacobian(body, tree.from_model(qpos), body.marker_offset)
    for dof in range(tree.n_dof):
        ends = []
        for sign in (1.0, -1.0):
            moved = qpos.copy()
            for pose in moved:
                mujoco.mj_integratePos(model, pose, sign * h * np.eye(tree.n_dof)[dof], 1.0)
            ends.append(marker_frames(body, tree.from_model(moved)).points(body.marker_offset))
        np.testing.assert_allclose(ours[..., dof], (ends[0] - ends[1]) / (2 * h * tree.dof_unit[dof]), atol=1e-6)


def test_retract_and_difference_equal_mujoco() -> None:
    body = bodies.every_joint()
    tree, model = build_tree(body.model), body.model
    rng = np.random.default_rng(6)
    start = np.tile(model.qpos0, (8, 1))
    step = rng.normal(scale=0.1, size=(8, model.nv))
    moved = np.asarray(kinematics.retract(tree, jnp.asarray(start.T, jnp.float32), jnp.asarray(step.T, jnp.float32))).T
    back = np.asarray(kinematics.difference(tree, jnp.asarray(start.T, jnp.float32), jnp.asarray(moved.T))).T
    for pose, change, ours, found in zip(start, step, moved, back, strict=True):
        truth = pose.copy()
        mujoco.mj_integratePos(model, truth, change, 1.0)
        np.testing.assert_allclose(ours, truth, atol=2e-6)
        velocity = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, velocity, 1.0, pose, truth)
        np.testing.assert_allclose(found, velocity, atol=5e-6)


def test_retract_keeps_all_limits() -> None:
    body = bodies.every_joint()
    tree = build_tree(body.model)
    start = jnp.asarray(np.tile(body.model.qpos0, (64, 1)).T, jnp.float32)
    step = jax.random.normal(jax.random.PRNGKey(0), (tree.n_dof, 64)) * 4
    moved = np.asarray(kinematics.retract(tree, start, step))
    value = moved[tree.scalar_qadr]
    assert (value >= tree.lower[tree.scalar_dof, None] - 1e-6).all()
    assert (value <= tree.upper[tree.scalar_dof, None] + 1e-6).all()
    ball = moved[tree.ball_qadr[1] : tree.ball_qadr[1] + 4]
    assert (2 * np.arccos(np.clip(np.abs(ball[0]), 0, 1)) <= np.radians(70) + 1e-3).all()


def test_a_body_without_joints_has_poses(tmp_path: Path) -> None:
    xml = "<mujoco><worldbody><body name='still' pos='1 2 3'><geom size='1'/></body></worldbody></mujoco>"
    body = bodies.body_of(tmp_path, xml, {"k": ("still", [0.0, 0.0, 1.0])})
    tree = build_tree(body.model)
    offsets = jnp.asarray(body.marker_offset, jnp.float32)
    found = kinematics.marker_positions(tree, body.marker_body, jnp.zeros((2, 0), jnp.float32), offsets)
    np.testing.assert_allclose(np.asarray(found), [[[1, 2, 4]], [[1, 2, 4]]], atol=1e-6)
