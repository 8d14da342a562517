"""Unit quaternions (wxyz) and vectors, batched over leading axes, in JAX or NumPy."""

from __future__ import annotations

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

Array: TypeAlias = jax.Array | np.ndarray
Quaternions: TypeAlias = Float[Array, "*#batch 4"]
Vectors: TypeAlias = Float[Array, "*#batch 3"]


def namespace(*arrays: Array) -> Any:
    """Return the library of the arrays: JAX's where one is JAX's, else NumPy."""
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def conjugate(q: Quaternions) -> Quaternions:
    """Invert unit quaternions."""
    return namespace(q).concatenate([q[..., :1], -q[..., 1:]], axis=-1)


def multiply(a: Quaternions, b: Quaternions) -> Quaternions:
    """Compose rotations: first `b`, then `a`."""
    xp = namespace(a, b)
    w = a[..., 0] * b[..., 0] - (a[..., 1:] * b[..., 1:]).sum(-1)
    xyz = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + xp.cross(a[..., 1:], b[..., 1:])
    return xp.concatenate([w[..., None], xyz], axis=-1)


def rotate(q: Quaternions, vector: Vectors) -> Vectors:
    """Rotate vectors by quaternions: from the body's frame to the world if `q` is the body's orientation."""
    xp = namespace(q, vector)
    shape = xp.broadcast_shapes(q.shape[:-1], vector.shape[:-1])
    q, vector = xp.broadcast_to(q, (*shape, 4)), xp.broadcast_to(vector, (*shape, 3))
    twice = 2 * xp.cross(q[..., 1:], vector)
    return vector + q[..., :1] * twice + xp.cross(q[..., 1:], twice)


def to_body(q: Quaternions, vector: Vectors) -> Vectors:
    """Express world vectors in the frame of a body of orientation `q` (egocentric)."""
    return rotate(conjugate(q), vector)


def rotation_vector(q: Quaternions) -> Vectors:
    """Return axis times angle (rad), with an angle of at most pi; smooth at the identity."""
    xp = namespace(q)
    q = xp.where(q[..., :1] < 0, -q, q)
    squared = (q[..., 1:] ** 2).sum(-1, keepdims=True)
    small = squared < 1e-12
    sine = xp.sqrt(xp.where(small, 1.0, squared))
    factor = xp.where(small, 2.0, 2.0 * xp.arctan2(sine, q[..., :1]) / sine)
    return factor * q[..., 1:]


def from_rotation_vector(vector: Vectors) -> Quaternions:
    """Return the unit quaternion of axis times angle (rad)."""
    xp = namespace(vector)
    squared = (vector**2).sum(-1, keepdims=True)
    small = squared < 1e-12
    angle = xp.sqrt(xp.where(small, 1.0, squared))
    factor = xp.where(small, 0.5 - squared / 48, xp.sin(angle / 2) / angle)
    cosine = xp.where(small, 1 - squared / 8, xp.cos(angle / 2))
    return xp.concatenate([cosine, factor * vector], axis=-1)


def difference(q: Quaternions, start: Quaternions) -> Vectors:
    """Return the rotation vector, in the frame of `start`, that leads from `start` to `q` (MuJoCo's mju_subQuat)."""
    return rotation_vector(multiply(conjugate(start), q))


def normalize(q: Quaternions) -> Quaternions:
    """Scale quaternions to unit length; those of zeros become the identity, as in MuJoCo."""
    xp = namespace(q)
    norm = xp.sqrt((q**2).sum(-1, keepdims=True))
    return xp.where(norm > 0, q / xp.where(norm > 0, norm, 1.0), xp.asarray([1.0, 0.0, 0.0, 0.0], q.dtype))


def half_angle(a: Quaternions, b: Quaternions) -> Float[Array, "*#batch"]:
    """Return half the angle between two orientations, rad: the distance of the papers' quaternion reward."""
    xp = namespace(a, b)
    relative = multiply(conjugate(a), b)
    sine = xp.sqrt(xp.maximum((relative[..., 1:] ** 2).sum(-1), 1e-20))
    return xp.arctan2(sine, xp.abs(relative[..., 0]))


def quat_to_mat(q: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Return the rotation matrices of unit quaternions, in double precision."""
    w, x, y, z = np.moveaxis(np.asarray(q, np.float64), -1, 0)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
