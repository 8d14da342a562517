"""Bouts of locomotion in a continuous recording: stretches in which the animal moves over the ground, step by step.

The speed is that of the trunk: the median over its keypoints of what each moved within `WINDOW_S`. A foot is in stance
where it is slower than half the trunk, as it does not move in stance and is faster than the trunk in swing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from stac_mjx._common.errors import ConfigError, InputError, raise_all, unknown
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.keypoints import Keypoints

WINDOW_S = 0.1
"""Time over which speeds are measured; shorter pauses, and gaps, do not end a bout."""
STANDS = 0.5
"""Part of the speed of the trunk below which a foot is in stance."""


def in_bouts(keypoints: Keypoints, config: KeypointsConfig, trunk: Sequence[str]) -> Keypoints:
    """Return bouts as clips called ``CLIP_bout_00`` and so on, with their number in the clip as label ``bout``.

    Args:
        keypoints: a recording in metres, z up, of known rate.
        config: settings; without `bout_mm_s` the recording is returned as it is.
        trunk: keypoints of the trunk; none: all.

    Raises:
        ConfigError: when `bout_feet` names no keypoint.
        InputError: when there is no bout.
    """
    if config.bout_mm_s is None:
        return keypoints
    names = keypoints.names
    problems = [unknown("keypoint", name, names) for name in config.bout_feet if name not in names]
    raise_all(ConfigError, "keypoints.bout_feet", problems)
    points = np.where(keypoints.observed[..., None], keypoints.positions, np.nan)[..., :2]
    central, feet = ([names.index(name) for name in some] for some in (trunk or names, config.bout_feet))
    spans, bout, fastest = [], [], 0.0
    for clip, (start, length) in enumerate(zip(keypoints.clip_starts, keypoints.clip_lengths, strict=True)):
        part = points[start : start + length]
        found, most = _found(part[:, central], part[:, feet], config, float(keypoints.rate_hz or 1.0))
        spans += [(clip, int(start) + first, int(start) + last) for first, last in found]
        bout += [str(number) for number in range(len(found))]
        fastest = max(fastest, most)
    if not spans:
        raise InputError(
            f"{keypoints.where}: no bout of {config.bout_s:g} s at {config.bout_mm_s:g} mm/s (keypoints.bout_mm_s); "
            f"the animal reaches {1000 * fastest:.3g} mm/s"
        )
    pieces = keypoints.pieces(spans)
    return replace(
        pieces,
        clip_names=tuple(f"{name}_bout_{number:0>2}" for name, number in zip(pieces.clip_names, bout, strict=True)),
        more_labels={**pieces.more_labels, "bout": tuple(bout)},
        notes=(*keypoints.notes, f"{len(spans)} bouts of locomotion"),
    )


def _found(
    trunk: Float[np.ndarray, "frame point 2"],
    feet: Float[np.ndarray, "frame foot 2"],
    config: KeypointsConfig,
    rate_hz: float,
) -> tuple[list[tuple[int, int]], float]:
    """Return the bouts of one clip, as `stretches` does, and the largest speed, m/s."""
    half = max(1, round(WINDOW_S / 2 * rate_hz))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # frames without a keypoint
        speed = np.linalg.norm(np.nanmedian(velocity(trunk, half, rate_hz), axis=1), axis=-1)
    stands = np.linalg.norm(velocity(feet, half, rate_hz), axis=-1) < STANDS * speed[:, None]
    found = [
        (first, last)
        for first, last in stretches(speed >= float(config.bout_mm_s or 0.0) / 1000, half)
        if last - first >= config.bout_s * rate_hz and _steps(stands[first:last])
    ]
    return found, float(np.nanmax(speed, initial=0.0))


def velocity(
    points: Float[np.ndarray, "frame point 2"], half: int, rate_hz: float
) -> Float[np.ndarray, "frame point 2"]:
    """Return what each point moved between `half` frames before and after, per second; shorter at the ends."""
    frame = np.arange(len(points))
    before, after = np.maximum(frame - half, 0), np.minimum(frame + half, len(points) - 1)
    return (points[after] - points[before]) * (rate_hz / np.maximum(after - before, 1))[:, None, None]


def stretches(fast: Bool[np.ndarray, " frame"], pause: int) -> list[tuple[int, int]]:
    """Return first frame and frame after the last one of each stretch; pauses of up to 2 `pause` frames are in it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], fast.astype(np.int8), [0]])))
    out: list[tuple[int, int]] = []
    for first, last in edges.reshape(-1, 2).tolist():
        if out and first - out[-1][1] <= 2 * pause:
            first = out.pop()[0]
        out.append((first, last))
    return out


def _steps(stands: Bool[np.ndarray, "frame foot"]) -> bool:
    """Return whether each foot has stance and swing."""
    return bool((stands.any(axis=0) & ~stands.all(axis=0)).all())
