"""Quaternions against MuJoCo, in NumPy and in JAX; at and near the identity and half a turn."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from track_mjx._common import rotations

RNG = np.random.default_rng(0)


def turns(count: int) -> np.ndarray:
    """Random unit quaternions, among them the identity, a tiny turn and nearly half a turn."""
    quats = RNG.normal(size=(count, 4))
    quats[0] = 1, 0, 0, 0
    quats[1] = 1, 1e-9, 0, 0
    quats[2] = 1e-9, 0, 1, 0
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)


A, B, VECTORS = turns(40), turns(40)[::-1].copy(), RNG.normal(size=(40, 3))


def by_mujoco(function: Callable, size: int, *arrays: np.ndarray) -> np.ndarray:
    out = np.zeros((len(arrays[0]), size))
    for row, values in zip(out, zip(*arrays, strict=True), strict=True):
        function(row, *values)
    return out


TRUTHS = {
    "multiply": (rotations.multiply(A, B), by_mujoco(mujoco.mju_mulQuat, 4, A, B)),
    "rotate": (rotations.rotate(A, VECTORS), by_mujoco(mujoco.mju_rotVecQuat, 3, VECTORS, A)),
    "to_body": (rotations.to_body(A, rotations.rotate(A, VECTORS)), VECTORS),
    "quat_to_mat": (rotations.quat_to_mat(A).reshape(-1, 9), by_mujoco(mujoco.mju_quat2Mat, 9, A)),
    "difference": (rotations.difference(A, B), by_mujoco(mujoco.mju_subQuat, 3, A, B)),
    "there and back": (rotations.multiply(B, rotations.from_rotation_vector(rotations.difference(A, B))), A),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_rotations_are_those_of_mujoco(name: str) -> None:
    ours, theirs = TRUTHS[name]
    if name == "there and back":  # q and -q are one rotation
        ours = ours * np.sign((ours * theirs).sum(-1, keepdims=True))
    np.testing.assert_allclose(ours, theirs, atol=2e-8)


def test_half_angle_is_half_of_the_rotation_vector() -> None:
    angle = np.linalg.norm(rotations.difference(A, B), axis=-1)
    np.testing.assert_allclose(rotations.half_angle(A, B), angle / 2, atol=1e-7)


@pytest.mark.parametrize("name", ["multiply", "difference", "half_angle"])
def test_jax_and_numpy_agree_and_gradients_are_finite(name: str) -> None:
    function = getattr(rotations, name)
    a, b = A.astype(np.float32), B.astype(np.float32)
    np.testing.assert_allclose(jax.jit(function)(jnp.asarray(a), jnp.asarray(b)), function(a, b), atol=2e-5)
    gradient = jax.grad(lambda q: function(q, jnp.asarray(b)).sum())(jnp.asarray(b))
    assert np.isfinite(gradient).all()
