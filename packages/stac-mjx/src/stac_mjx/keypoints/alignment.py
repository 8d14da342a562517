"""Similarity transforms between a recording and a body, fitted to points or set by the user.

Names are from-to: `T_body_recording` maps points of the recording to the frame of the body.

Procrustes with weights in closed form (Umeyama 1991, Least-squares estimation of transformation parameters), batched
over frames; made robust by reweighting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import ConfigError
from stac_mjx._common.rotations import quat_to_mat
from stac_mjx.config import AXES, AlignmentConfig


@dataclass(frozen=True)
class Similarity:
    """``y = scale * rotation @ x + translation``; leading axes are batches."""

    rotation: Float[np.ndarray, "*batch 3 3"]
    translation: Float[np.ndarray, "*batch 3"]
    scale: Float[np.ndarray, "*batch"]

    def apply(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
        """Transform points by one (unbatched) similarity."""
        return float(self.scale) * points @ self.rotation.T + self.translation

    def after(self, first: Similarity) -> Similarity:
        """Return the (unbatched) similarity that applies `first`, then this one."""
        scale = np.asarray(self.scale * first.scale)
        return Similarity(self.rotation @ first.rotation, self.apply(first.translation), scale)

    def inverse(self) -> Similarity:
        """Return the inverse of an (unbatched) similarity."""
        scale, rotation = 1 / self.scale, self.rotation.T
        return Similarity(rotation, -float(scale) * rotation @ self.translation, np.asarray(scale))


IDENTITY = Similarity(np.eye(3), np.zeros(3), np.ones(()))


def procrustes(
    source: Float[np.ndarray, "*batch point 3"],
    target: Float[np.ndarray, "*batch point 3"],
    weight: Float[np.ndarray, "*batch point"],
    *,
    with_scale: bool = False,
) -> Similarity:
    """Fit T_target_source by weighted least squares; points of weight 0 may be NaN.

    Fewer than three points, or points on a line, do not determine the rotation; the smallest one is taken.
    """
    weight = weight[..., None]
    total = np.maximum(weight.sum(axis=-2, keepdims=True), 1e-12)
    source, target = (np.where(weight > 0, points, 0.0) for points in (source, target))
    source_mean, target_mean = ((weight * points).sum(axis=-2, keepdims=True) / total for points in (source, target))
    a, b = source - source_mean, target - target_mean
    covariance = np.swapaxes(weight * b, -1, -2) @ a
    # regularise towards the identity, so that degenerate point sets give the smallest rotation
    size = np.abs(covariance).max(axis=(-1, -2), keepdims=True)
    u, singular, vt = np.linalg.svd(covariance + 1e-9 * size * np.eye(3))
    sign = np.ones(singular.shape)
    sign[..., 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[..., None, :]) @ vt
    scale = np.ones(rotation.shape[:-2])
    if with_scale:
        scale = (singular * sign).sum(-1) / np.maximum((weight * a * a).sum(axis=(-1, -2)), 1e-30)
    turned = np.squeeze(source_mean @ np.swapaxes(rotation, -1, -2), -2)
    return Similarity(rotation, np.squeeze(target_mean, -2) - scale[..., None] * turned, np.asarray(scale))


def robust_procrustes(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray, *, with_scale: bool = False, passes: int = 10
) -> Similarity:
    """Fit T_target_source like `procrustes`, with Cauchy weights on the residuals against outliers."""
    current = weight
    for _ in range(passes):
        fit = procrustes(source, target, current, with_scale=with_scale)
        distance = np.linalg.norm(target - fit.apply(source), axis=-1)
        present = weight > 0
        scale = max(float(np.median(distance[present])), 1e-9) if present.any() else 1.0
        current = np.where(present, weight / (1 + (distance / (2 * scale)) ** 2), 0.0)
    return fit


def prepared(config: AlignmentConfig) -> Similarity:
    """Return the transform of a recording in metres before anything is fitted.

    `up` is rotated to +z; then `scale`, `rotation` and `translation` are applied.
    """
    quat, translation = np.asarray(config.rotation, float), np.asarray(config.translation, float)
    if quat.shape != (4,) or not 0 < np.linalg.norm(quat) < np.inf:
        raise ConfigError(f"alignment.rotation: expected a quaternion (w, x, y, z), got {list(config.rotation)}")
    if translation.shape != (3,) or not np.isfinite(translation).all():
        raise ConfigError(f"alignment.translation: expected three numbers (metres), got {list(config.translation)}")
    rotation = quat_to_mat(quat / np.linalg.norm(quat)) @ _up_rotation(config.up or "z")
    return Similarity(rotation, translation, np.asarray(float(config.scale)))


def _up_rotation(up: str) -> Float[np.ndarray, "3 3"]:
    """Return the smallest rotation that maps axis `up` to +z."""
    if up == "-z":
        return np.diag([1.0, -1.0, -1.0])
    v = np.cross(np.array(AXES[up], float), [0.0, 0.0, 1.0])
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + skew + skew @ skew
