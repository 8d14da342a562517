"""Clean a recording: missing points, weights, spacing of frames.

After cleaning three things agree for every point: it is NaN in all three coordinates, its weight is 0, it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import InputError, counted

JUMP = 0.5
"""An interval that departs from the median interval by more than this fraction is a jump."""
FEWEST_REPEATS = 3
"""A triple of coordinates that occurs less often may be a measurement."""
MAX_JUMPS = 0.1
"""With more than this fraction of jumps the frames are not evenly spaced at all."""


def placeholders(positions: np.ndarray, zeros_are_missing: bool) -> str:
    """Set points that are no measurements to NaN, in place, and return a sentence about them; empty: there are none.

    No measurement repeats all digits of three coordinates. So a triple that recurs at several keypoints stands for a
    missing point, as 0, -1 or 9999 do, and so do three equal numbers that recur at one keypoint. A keypoint at zero in
    every frame is the origin of egocentric data. `clean` looks after formats of which `zeros_are_missing`.
    """
    finite = np.isfinite(positions).all(axis=-1)
    frames, keypoints = np.nonzero(finite)
    bits = (positions[finite] + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    mixed = bits @ np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
    _, first, group, count = np.unique(mixed, return_index=True, return_inverse=True, return_counts=True)
    # a recording that is repeated as a whole has many groups, of one keypoint each
    n_all = positions.shape[1]
    pairs = np.unique((group * n_all + keypoints)[count[group] >= FEWEST_REPEATS])
    at_several = np.bincount(pairs // n_all, minlength=len(count)) > 1
    equal = np.ptp(positions[frames[first], keypoints[first]], axis=-1) == 0
    said: list[str] = []
    for one in np.flatnonzero((count >= FEWEST_REPEATS) & (at_several | equal)).tolist():
        value, members = positions[frames[first[one]], keypoints[first[one]]].copy(), group == one
        each = np.bincount(keypoints[members], minlength=n_all)
        if not value.any():
            origin = zeros_are_missing | (each == finite.sum(axis=0))
            members, each = members & ~origin[keypoints], np.where(origin, 0, each)
        n_keypoints = np.count_nonzero(each)
        if n_keypoints > 1 or (n_keypoints and np.ptp(value) == 0):
            positions[frames[members], keypoints[members]] = np.nan
            triple = ", ".join(f"{number:g}" for number in value)
            said.append(f"({triple}) at {_points(members)} of {counted(int(n_keypoints), 'keypoint')}")
    if not said:
        return ""
    places = "; ".join(said[:5])
    return f"the same coordinates recur exactly, which no measurement does: {places}. They are set to missing"


def clean(
    positions: np.ndarray, scores: np.ndarray | None, zeros_are_missing: bool, min_confidence: float
) -> tuple[Float[np.ndarray, "frame keypoint"], tuple[str, ...]]:
    """Set missing points of `positions` to NaN, in place; return weights in 0..1 and notes.

    Args:
        positions: (frame, keypoint, xyz), in any unit.
        scores: (frame, keypoint) confidence as stored, or None: all points have the same weight.
        zeros_are_missing: the format writes (0, 0, 0) for a point that was not detected.
        min_confidence: points with a smaller weight are missing.
    """
    notes: list[str] = []
    missing = _missing(positions, zeros_are_missing, notes)
    if scores is None:
        weights = np.ones(positions.shape[:2])
        if min_confidence > 0:
            notes.append("keypoints.min_confidence has no effect: the file has no confidence")
    else:
        weights = _weights(scores, ~missing, notes)
        low = ~missing & ((weights < min_confidence) | (weights == 0))
        if low.any():
            below = f"confidence below {min_confidence:g}" if min_confidence > 0 else "confidence 0"
            notes.append(f"{_points(low)} of {below} set to missing")
        missing |= low
    if missing.any():
        positions[missing] = np.nan
        weights[missing] = 0.0
        notes.append(f"{_points(missing)} of {missing.size} are missing ({missing.mean():.1%})")
    return weights, tuple(notes)


def _missing(positions: np.ndarray, zeros_are_missing: bool, notes: list[str]) -> np.ndarray:
    """Return whether each point is missing in the file, (frame, keypoint)."""
    finite: np.ndarray = np.isfinite(positions)
    missing = np.asarray(~finite.all(axis=-1))
    if missing.any():
        infinite = np.asarray(np.isinf(positions).any(axis=-1))
        if infinite.any():
            notes.append(f"{_points(infinite)} with an infinite coordinate set to missing")
        partial = missing & np.asarray(finite.any(axis=-1)) & ~infinite
        if partial.any():
            notes.append(f"{_points(partial)} with one or two NaN coordinates set to missing")
    if zeros_are_missing:
        zero = np.asarray((positions == 0).all(axis=-1))
        # a keypoint that is always at the origin defines the frame (egocentric data)
        zero[:, zero.all(axis=0)] = False
        if zero.any():
            notes.append(f"{_points(zero)} at exactly (0, 0, 0) set to missing (convention of the format)")
            missing |= zero
    return missing


def _weights(scores: np.ndarray, seen: np.ndarray, notes: list[str]) -> np.ndarray:
    """Convert scores to weights in 0..1.

    A few scores above 1 are peaks of a fitted map and are clipped to 1. Where most exceed 1 the scale is another one
    (percent, counts), so all are divided by the largest. A point without a score has weight 1. So have all points of a
    file whose scores are all 0 or absent, which are placeholders.
    """
    known = seen & np.isfinite(scores)
    values = scores[known]
    if not values.size or not values.any():
        notes.append("all confidences are 0 or absent: all points have weight 1")
        return np.ones(scores.shape)
    weights = np.where(np.isfinite(scores), scores, 1.0)
    unscored = seen & ~known
    if unscored.any():
        notes.append(f"{_points(unscored)} without a confidence have weight 1")
    above = values > 1
    if above.mean() > 0.5:
        notes.append(f"confidences reach {values.max():g}, most exceed 1: divided by the largest")
        weights[known] /= values.max()
    elif above.any():
        notes.append(f"{int(above.sum())} confidences above 1 (up to {values.max():g}) are clipped to 1")
    if values.min() < 0:
        notes.append(f"{int((values < 0).sum())} confidences below 0 are set to 0")
    return np.clip(weights, 0.0, 1.0)


def _points(mask: np.ndarray) -> str:
    return counted(int(mask.sum()), "point")


@dataclass(frozen=True)
class Timing:
    """Spacing of the frames of one file."""

    step: float | None
    """Mean interval between neighbouring frames within clips, in the unit of the times; None for one frame."""
    clip_lengths: tuple[int, ...]
    """Frames between jumps; they add up to the number of times."""
    notes: tuple[str, ...] = ()


def spacing(path: Path, times: np.ndarray, what: str) -> Timing:
    """Measure the spacing of `times` (frame,), split where they jump or decrease.

    A jump ends a clip: frames on both sides are not neighbours, so neither smoothing nor velocity may connect them.

    Args:
        path: the file, for messages.
        times: time or number of each frame, finite.
        what: what the times are, for messages ("timestamps").
    """
    if not np.isfinite(times).all():
        raise InputError(f"{path}: {what} contain NaN or infinite values")
    if len(times) < 2:
        return Timing(None, (len(times),))
    intervals = np.diff(times)
    typical = float(np.median(intervals))
    if typical <= 0:
        raise InputError(f"{path}: {what} do not increase (median interval {typical:g})")
    jumps = np.abs(intervals - typical) > JUMP * typical
    if jumps.mean() > MAX_JUMPS and jumps.sum() > 1:
        raise InputError(
            f"{path}: {what} are not evenly spaced: {jumps.mean():.0%} of the intervals depart from the median"
            f" {typical:g} by more than {JUMP:.0%}; resample the recording to a fixed rate first"
        )
    lengths = np.diff(np.concatenate([[0], np.flatnonzero(jumps) + 1, [len(times)]]))
    step = float(intervals[~jumps].mean())
    notes = ()
    if jumps.any():
        notes = (f"{what} jump at {counted(int(jumps.sum()), 'place')}; each part between jumps is a clip",)
    return Timing(step, tuple(int(length) for length in lengths), notes)
