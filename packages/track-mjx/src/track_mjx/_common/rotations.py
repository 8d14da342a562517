"""Quaternions (wxyz, unit length) and vectors, batched over leading axes, in JAX or NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx.physics.fields import Arrayish


def _namespace(*arrays: Any) -> Any:
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def conjugate(q: Any) -> Any:
    """Inverse of a unit quaternion."""
    xp = _namespace(q)
    return xp.concatenate([q[..., :1], -q[..., 1:]], axis=-1)


def multiply(a: Any, b: Any) -> Any:
    """Rotation `b` followed by rotation `a`."""
    xp = _namespace(a, b)
    w = a[..., 0] * b[..., 0] - (a[..., 1:] * b[..., 1:]).sum(-1)
    xyz = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + xp.cross(a[..., 1:], b[..., 1:])
    return xp.concatenate([w[..., None], xyz], axis=-1)


def rotate(q: Any, vector: Any) -> Any:
    """Turn vectors by quaternions: from the body's frame to the world when `q` is the body's orientation."""
    xp = _namespace(q, vector)
    shape = xp.broadcast_shapes(q.shape[:-1], vector.shape[:-1])
    q, vector = xp.broadcast_to(q, (*shape, 4)), xp.broadcast_to(vector, (*shape, 3))
    twice = 2 * xp.cross(q[..., 1:], vector)
    return vector + q[..., :1] * twice + xp.cross(q[..., 1:], twice)


def to_body(q: Any, vector: Any) -> Any:
    """Vectors of the world as seen from a body of orientation `q` (egocentric): world to body."""
    return rotate(conjugate(q), vector)


def rotation_vector(q: Any) -> Any:
    """Axis times angle (rad) of a unit quaternion, angle at most pi; smooth at the identity."""
    xp = _namespace(q)
    q = xp.where(q[..., :1] < 0, -q, q)
    squared = (q[..., 1:] ** 2).sum(-1, keepdims=True)
    small = squared < 1e-12
    sine = xp.sqrt(xp.where(small, 1.0, squared))
    factor = xp.where(small, 2.0, 2.0 * xp.arctan2(sine, q[..., :1]) / sine)
    return factor * q[..., 1:]


def from_rotation_vector(vector: Any) -> Any:
    """Unit quaternion of axis times angle (rad)."""
    xp = _namespace(vector)
    squared = (vector**2).sum(-1, keepdims=True)
    small = squared < 1e-12
    angle = xp.sqrt(xp.where(small, 1.0, squared))
    factor = xp.where(small, 0.5 - squared / 48, xp.sin(angle / 2) / angle)
    cosine = xp.where(small, 1 - squared / 8, xp.cos(angle / 2))
    return xp.concatenate([cosine, factor * vector], axis=-1)


def difference(q: Any, start: Any) -> Any:
    """Rotation vector, in the frame of `start`, that leads from `start` to `q` (MuJoCo's mju_subQuat)."""
    return rotation_vector(multiply(conjugate(start), q))


def normalize(q: Any) -> Any:
    """Scale quaternions to unit length."""
    xp = _namespace(q)
    return q / xp.sqrt((q**2).sum(-1, keepdims=True))


def half_angle(a: Float[Arrayish, "*batch 4"], b: Float[Arrayish, "*batch 4"]) -> Float[Arrayish, "*batch"]:
    """Half the angle of the rotation between two orientations, rad; the distance of the papers' quaternion reward."""
    relative = multiply(conjugate(a), b)
    sine = jnp.sqrt(jnp.maximum((relative[..., 1:] ** 2).sum(-1), 1e-20))
    return jnp.arctan2(sine, jnp.abs(relative[..., 0]))
