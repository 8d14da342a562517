"""Similarity transforms between a recording and a body, fitted to points or set by the user.

Names are from-to: `T_body_recording` maps points of the recording to the frame of the body.

Procrustes with weights in closed form (Umeyama 1991, Least-squares estimation of transformation parameters), batched
over frames; made robust by reweighting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from stac_mjx._common.errors import ConfigError
from stac_mjx._common.rotations import quat_to_mat
from stac_mjx.config import AXES, AlignmentConfig


@dataclass(frozen=True)
class Similarity:
    """``y = scale * rotation @ x + translation``; leading axes are batches."""

    rotation: Float[np.ndarray, "*batch 3 3"]
    translation: Float[np.ndarray, "*batch 3"]
    scale: Float[np.ndarray, "*batch"]

    def apply(self, points: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*points 3"]:
        """Transform points; those of a batch, (*batch, ..., 3), each by its own."""
        if self.scale.ndim == 0:
            return float(self.scale) * points @ self.rotation.T + self.translation
        batch, each = self.scale.shape, (1,) * (points.ndim - 1 - self.scale.ndim)
        turned = np.einsum("...ij,...j->...i", self.rotation.reshape(*batch, *each, 3, 3), points)
        return self.scale.reshape(*batch, *each, 1) * turned + self.translation.reshape(*batch, *each, 3)

    def after(self, first: Similarity) -> Similarity:
        """Return the similarity that applies `first`, then this one; of each of a batch."""
        scale = np.asarray(self.scale * first.scale)
        return Similarity(self.rotation @ first.rotation, self.apply(first.translation), scale)

    def inverse(self) -> Similarity:
        """Return the inverse; of each of a batch."""
        turned_back = Similarity(
            np.swapaxes(self.rotation, -1, -2), np.zeros(self.translation.shape), np.asarray(1 / self.scale)
        )
        return Similarity(turned_back.rotation, -turned_back.apply(self.translation), turned_back.scale)

    def of_clips(self, clip: np.ndarray | np.integer | int) -> Similarity:
        """Return that of each frame from the clip it belongs to, where each clip has one; else the one of all."""
        if self.scale.ndim == 0:
            return self
        return Similarity(self.rotation[clip], self.translation[clip], np.asarray(self.scale[clip]))


LOWEST, GROUND_PASSES, FLATTEST = (5, 40), 8, 1e-4
"""Percentiles of height between which places of a keypoint count as on the ground: most animals stand on a foot that
long, and what is lower still is an error; passes of the fit; smallest spread across the longest direction, as a part of
the spread along it, that determines a plane."""
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


def of_one_scale(
    parts: Sequence[tuple[np.ndarray, ...]], fit: Callable[..., Similarity], with_scale: bool
) -> Similarity:
    """Fit (source, target, weight) of each part by `fit`, a procrustes above; return the batch, of one scale."""
    scale = 1.0
    if with_scale:
        scales = [float(fit(*part, with_scale=True).scale) for part in parts]
        scale = float(np.average(scales, weights=[weight.sum() for *_, weight in parts]))
    fits = [fit(scale * source, target, weight) for source, target, weight in parts]
    rotations, translations = (np.array([getattr(f, name) for f in fits]) for name in ("rotation", "translation"))
    return Similarity(rotations, translations, np.full(len(fits), scale))


def level(points: Float[np.ndarray, "frame keypoint 3"]) -> Similarity:
    """Return the transform that lays the ground under some keypoints level, at height 0.

    The ground is the plane through low places of each keypoint (`LOWEST`; NaN left out), with Cauchy weights against
    feet that are in the air. Which places are low follows from the plane, so both are found in turn.

    Raises:
        ValueError: when the places do not determine a plane.
    """
    normal = np.array([0.0, 0.0, 1.0])
    for _ in range(GROUND_PASSES):
        height = points @ normal
        low, high = np.nanpercentile(height, LOWEST, axis=0)
        lowest = points[(height >= low) & (height <= high)]
        weight = np.ones(len(lowest))
        for _ in range(GROUND_PASSES):
            centre = np.average(lowest, axis=0, weights=weight)
            away = lowest - centre
            spread, axes = np.linalg.eigh((weight[:, None] * away).T @ away)
            distance = away @ axes[:, 0]
            weight = 1 / (1 + (distance / max(2 * float(np.median(np.abs(distance))), 1e-9)) ** 2)
        if spread[1] < FLATTEST * spread[2]:
            raise ValueError("the places are on a line")
        normal = axes[:, 0] * np.sign(axes[2, 0] or 1.0)
    axis = np.cross(normal, [0.0, 0.0, 1.0])
    angle = np.arctan2(np.linalg.norm(axis), normal[2])
    R = Rotation.from_rotvec(axis * (angle / max(float(np.linalg.norm(axis)), 1e-12))).as_matrix()
    return Similarity(R, np.array([0.0, 0.0, -float(normal @ centre)]), np.ones(()))


def prepared(config: AlignmentConfig) -> Similarity:
    """Return the transform of a recording in metres before anything is fitted.

    `up` is rotated to +z; then `scale`, `rotation` and `translation` are applied.
    """
    if config.per_clip and config.mode == "none":
        raise ConfigError("alignment.per_clip: no transform is fitted; set alignment.mode=rigid or similarity")
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
