"""What is missing, and how much each point counts.

After cleaning three things agree for every point: it is NaN in all three coordinates, its weight is 0, it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import counted


@dataclass(frozen=True)
class Cleaned:
    """Positions (frame, keypoint, xyz), weights in 0..1 (frame, keypoint), and notes."""

    positions: Float[np.ndarray, "frame keypoint 3"]
    confidence: Float[np.ndarray, "frame keypoint"]
    notes: tuple[str, ...]


def clean(positions: np.ndarray, scores: np.ndarray | None, zeros_are_missing: bool, min_confidence: float) -> Cleaned:
    """Mark missing points and turn scores into weights; `positions` is changed in place.

    Args:
        positions: (frame, keypoint, xyz), in any unit.
        scores: (frame, keypoint) confidence as stored, or None: all points count alike.
        zeros_are_missing: the format writes (0, 0, 0) for a point that was not found.
        min_confidence: weights below it taken as missing.
    """
    notes: list[str] = []
    missing = _missing(positions, zeros_are_missing, notes)
    if scores is None:
        weights = np.ones(positions.shape[:2])
        if min_confidence > 0:
            notes.append("keypoints.min_confidence has no effect: the file holds no confidence")
    else:
        weights = _weights(scores, ~missing, notes)
        low = ~missing & ((weights < min_confidence) | (weights == 0))
        if low.any():
            below = f"confidence below {min_confidence:g}" if min_confidence > 0 else "confidence 0"
            notes.append(f"{_points(low)} of {below} taken as missing")
        missing |= low
    if missing.any():
        positions[missing] = np.nan
        weights[missing] = 0.0
        notes.append(f"{_points(missing)} of {missing.size} are missing ({missing.mean():.1%})")
    return Cleaned(positions, weights, tuple(notes))


def _missing(positions: np.ndarray, zeros_are_missing: bool, notes: list[str]) -> np.ndarray:
    """Whether each point is missing as stored, (frame, keypoint)."""
    finite: np.ndarray = np.isfinite(positions)
    missing = np.asarray(~finite.all(axis=-1))
    if missing.any():
        infinite = np.asarray(np.isinf(positions).any(axis=-1))
        if infinite.any():
            notes.append(f"{_points(infinite)} with an infinite coordinate taken as missing")
        partial = missing & np.asarray(finite.any(axis=-1)) & ~infinite
        if partial.any():
            notes.append(f"{_points(partial)} with one or two NaN coordinates taken as missing")
    if zeros_are_missing:
        zero = np.asarray((positions == 0).all(axis=-1))
        # A keypoint that is always at the origin defines the frame (egocentric data); it was not lost.
        zero[:, zero.all(axis=0)] = False
        if zero.any():
            notes.append(f"{_points(zero)} at exactly (0, 0, 0) taken as missing, as this format writes them")
            missing |= zero
    return missing


def _weights(scores: np.ndarray, seen: np.ndarray, notes: list[str]) -> np.ndarray:
    """Turn scores into weights in 0..1.

    A few scores above 1 are peaks of a fitted map and are cut to 1. Where most exceed 1 the scale is another one
    (percent, counts), so all are divided by the largest. A point without a score counts fully; so do all points of a
    file that scores every one of them 0 or not at all, which is a placeholder.
    """
    known = seen & np.isfinite(scores)
    values = scores[known]
    if not values.size or not values.any():
        notes.append("no point has a confidence (all are 0 or absent): all points count alike")
        return np.ones(scores.shape)
    weights = np.where(np.isfinite(scores), scores, 1.0)
    unscored = seen & ~known
    if unscored.any():
        notes.append(f"{_points(unscored)} without a confidence count fully")
    above = values > 1
    if above.mean() > 0.5:
        notes.append(f"confidences reach {values.max():g}, most exceed 1: divided by the largest")
        weights[known] /= values.max()
    elif above.any():
        notes.append(f"{int(above.sum())} confidences above 1 (up to {values.max():g}) are cut to 1")
    if values.min() < 0:
        notes.append(f"{int((values < 0).sum())} confidences below 0 count as 0")
    return np.clip(weights, 0.0, 1.0)


def _points(mask: np.ndarray) -> str:
    return counted(int(mask.sum()), "point")
