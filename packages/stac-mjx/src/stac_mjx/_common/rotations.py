"""Unit quaternions (wxyz) as NumPy arrays; `kinematics` has the JAX counterparts, laid out for the solver."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def quat_to_mat(quat: Float[np.ndarray, "*batch 4"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Rotation matrices of unit quaternions."""
    w, x, y, z = np.moveaxis(np.asarray(quat, np.float64), -1, 0)
    rows = [
        [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotate(quat: Float[np.ndarray, "*batch 4"], vector: Float[np.ndarray, "*vectors 3"]) -> np.ndarray:
    """Vectors turned by unit quaternions; leading axes broadcast."""
    twice = 2 * np.cross(quat[..., 1:], vector)
    return vector + quat[..., :1] * twice + np.cross(quat[..., 1:], twice)
