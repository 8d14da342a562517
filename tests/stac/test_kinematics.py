"""Forward kinematics, Jacobians and steps on the manifold against MuJoCo itself and against finite differences."""

from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac_mjx.body.body import Body
from stac_mjx.kinematics import forward as kinematics
from stac_mjx.kinematics.tree import Tree, build_tree


def mujoco_poses(model: mujoco.MjModel, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    data = mujoco.MjData(model)
    xpos, xquat = [], []
    for pose in qpos:
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        xpos.append(data.xpos.copy())
        xquat.append(data.xquat.copy())
    return np.array(xpos), np.array(xquat)


def assert_equal_to_mujoco(body: Body, qpos: np.ndarray) -> None:
    ours = kinematics.body_poses(build_tree(body.model), jnp.asarray(qpos, jnp.float32))
    xpos, xquat = mujoco_poses(body.model, qpos)
    size = np.ptp(xpos[:, 1:], axis=1).max()
    assert np.abs(np.asarray(ours.xpos) - xpos).max() < 1e-5 * size
    cosine = np.abs((np.asarray(ours.xquat) * xquat).sum(-1)) / np.linalg.norm(xquat, axis=-1)
    assert (1 - cosine).max() < 1e-6


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


def jacobian_of(body: Body, qpos: np.ndarray) -> tuple[Tree, np.ndarray, np.ndarray]:
    tree = build_tree(body.model)
    offsets = jnp.asarray(body.marker_offset / body.length_unit_m, jnp.float32)
    jacobian = kinematics.marker_jacobian(tree, body.marker_body, jnp.asarray(qpos, jnp.float32), offsets)
    return tree, np.asarray(offsets), np.asarray(jacobian)


@pytest.mark.parametrize("species", ["rat", "mouse"])
def test_marker_jacobian_equals_mj_jac(data_dir: Path, species: str) -> None:
    assert_jacobian_is_mujocos(bodies.real_body(data_dir, species), n_frames=2)


def test_marker_jacobian_of_every_joint_type_equals_mj_jac() -> None:
    assert_jacobian_is_mujocos(bodies.every_joint(), n_frames=5)


def assert_jacobian_is_mujocos(body: Body, n_frames: int) -> None:
    qpos = bodies.random_qpos(body.model, n_frames, seed=3)
    _, offsets, ours = jacobian_of(body, qpos)
    data, truth = mujoco.MjData(body.model), np.zeros_like(ours)
    for frame, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(body.model, data)
        mujoco.mj_comPos(body.model, data)
        for k, carrier in enumerate(body.marker_body):
            block = np.zeros((3, body.model.nv))
            point = data.xpos[carrier] + data.xmat[carrier].reshape(3, 3) @ offsets[k]
            mujoco.mj_jac(body.model, data, block, None, point, carrier)
            truth[frame, k] = block
    np.testing.assert_allclose(ours, truth, atol=2e-6 * np.abs(truth).max())


def test_marker_jacobian_equals_finite_differences() -> None:
    body = bodies.every_joint()
    qpos = bodies.random_qpos(body.model, 1, seed=5, size=0.2)
    tree, offsets, ours = jacobian_of(body, qpos)
    h = 1e-3
    for dof in range(tree.n_dof):
        ends = []
        for sign in (1.0, -1.0):
            pose = qpos[0].copy()
            mujoco.mj_integratePos(body.model, pose, sign * h * np.eye(tree.n_dof)[dof], 1.0)
            at = jnp.asarray(pose, jnp.float32)[None]
            ends.append(np.asarray(kinematics.marker_positions(tree, body.marker_body, at, jnp.asarray(offsets)))[0])
        np.testing.assert_allclose(ours[0, :, :, dof], (ends[0] - ends[1]) / (2 * h), atol=3e-4)


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


def test_quaternion_of_half_turns_is_exact() -> None:
    quats = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.5, -0.5, 0.5, 0.5]], np.float32)
    columns = tuple(jnp.asarray(quats[:, k]) for k in range(4))
    found = np.stack(kinematics.quat_from_mat(kinematics.mat_from_quat(columns)), axis=1)
    np.testing.assert_allclose(np.abs((found * quats).sum(1)), 1.0, atol=1e-6)


def test_a_body_without_joints_has_poses(tmp_path: Path) -> None:
    xml = "<mujoco><worldbody><body name='still' pos='1 2 3'><geom size='1'/></body></worldbody></mujoco>"
    body = bodies.body_of(tmp_path, xml, {"k": ("still", [0.0, 0.0, 1.0])})
    tree = build_tree(body.model)
    offsets = jnp.asarray(body.marker_offset, jnp.float32)
    found = kinematics.marker_positions(tree, body.marker_body, jnp.zeros((2, 0), jnp.float32), offsets)
    np.testing.assert_allclose(np.asarray(found), [[[1, 2, 4]], [[1, 2, 4]]], atol=1e-6)
