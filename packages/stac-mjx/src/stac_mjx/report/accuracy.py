"""How well clips fit: distances between keypoints and their marker sites, and figures drawn from them.

All distances here are in millimetres, NaN where a keypoint is missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from stac_mjx.records import SOLVER_STATUS, ReferenceClips

MOST_FRAMES = 20_000
"""Frames that percentiles of single keypoints are taken from; longer recordings are thinned evenly."""
POOR_FIT = 2.5
"""A marker whose mean error exceeds this multiple of the median over markers is reported."""
FAR_OFFSET = 0.35
"""A marker whose offset is longer than this part of the body is reported."""
LOST = 0.1
"""A frame whose mean error exceeds this part of the body does not follow the recording."""
MOST_BINS = 1200
"""Points of a curve over time."""


@dataclass(frozen=True)
class TimeBins:
    """Runs of frames that are one point of a curve; none crosses a clip border."""

    start: Int[np.ndarray, " bin"]
    stop: Int[np.ndarray, " bin"]
    time: Float[np.ndarray, " bin"]
    """Middle of each bin, seconds, with all clips end to end."""


def percentiles(
    values: Float[np.ndarray, "row column"], wanted: Sequence[float | int]
) -> Float[np.ndarray, "wanted row"]:
    """Return percentiles of each row, skipping NaN; NaN where all values are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows without a value
        return np.nanpercentile(values, wanted, axis=1)


def means(values: Float[np.ndarray, "row column"], axis: int) -> Float[np.ndarray, " other"]:
    """Return means along an axis, skipping NaN; NaN where all values are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=axis, dtype=np.float64))


def rms_per_frame(distances: Float[np.ndarray, "frame keypoint"]) -> Float[np.ndarray, " frame"]:
    """Return the root mean square over the observed keypoints of each frame; NaN where none is."""
    return np.sqrt(means(distances**2, axis=1))


def time_bins(clips: ReferenceClips, most: int = MOST_BINS) -> TimeBins:
    """Cut the frames into about `most` bins, at least one a clip."""
    lengths = np.asarray(clips.clip_length, np.int64)
    width = max(1, -(-int(lengths.sum()) // most))
    edges = [
        start + np.arange(0, n + width, width).clip(max=n) for start, n in zip(clips.clip_start, lengths, strict=True)
    ]
    edges = [np.unique(e) for e in edges]
    start = np.concatenate([e[:-1] for e in edges])
    stop = np.concatenate([e[1:] for e in edges])
    return TimeBins(start, stop, (start + stop - 1) / 2 / float(clips.info.rate_hz or 1.0))


def pooled(values: Float[np.ndarray, "frame keypoint"], bins: TimeBins) -> Float[np.ndarray, "bin value"]:
    """Return the values of all frames of each bin in one row; rows of shorter bins end in NaN."""
    width = int((bins.stop - bins.start).max())
    frames = bins.start[:, None] + np.arange(width)
    inside = frames < bins.stop[:, None]
    out = values[np.where(inside, frames, 0)]
    out[~inside] = np.nan
    return out.reshape(len(frames), -1)


def usable(clips: ReferenceClips) -> Bool[np.ndarray, " frame"]:
    """Return which frames have a usable pose."""
    return np.asarray(clips.valid) == 1


def error_figures(distances: Float[np.ndarray, " point"]) -> dict[str, float | None]:
    """Return mean, median, root mean square and 95th percentile of distances, mm; None where there are none."""
    named = {
        "mean_error_mm": np.mean,
        "median_error_mm": np.median,
        "rmse_mm": lambda d: np.sqrt(np.mean(d**2)),
        "p95_mm": lambda d: np.percentile(d, 95),
    }
    return {name: rounded(statistic(distances)) if len(distances) else None for name, statistic in named.items()}


def rounded(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")


def frames_at_limit(qpos: Float[np.ndarray, "frame nq"], at_limit: Bool[np.ndarray, "frame nq"]) -> int:
    """Count frames with a joint at a limit, without joints that never leave it: no keypoint observes those."""
    return int((at_limit & (np.ptp(qpos, axis=0) > 1e-4)).any(axis=1).sum())


def figures_of(clips: ReferenceClips) -> dict[str, Any]:
    """Return the figures of ``fit_summary.json`` that follow from the clips alone."""
    distances = clips.error_mm
    seen = distances[np.isfinite(distances)].astype(np.float64)
    status = np.bincount(np.asarray(clips.solver_status, np.int64), minlength=len(SOLVER_STATUS))
    return {
        "body": clips.info.model_name,
        "frames": clips.n_frames,
        "clips": len(clips.clip_name),
        "keypoints": len(clips.kp_names),
        "degrees_of_freedom": len(clips.names_qvel),
        "rate_hz": clips.info.rate_hz,
        **error_figures(seen),
        "per_keypoint_mm": {
            name: rounded(mean) if np.isfinite(mean) else None
            for name, mean in zip(clips.kp_names, means(distances, axis=0), strict=True)
        },
        "frames_at_limit": frames_at_limit(clips.qpos, np.asarray(clips.at_joint_limit) == 1),
        "failed_frames": int((~usable(clips)).sum()),
        "solver_status": dict(zip(SOLVER_STATUS, status.tolist(), strict=False)),
        "warnings": [],
    }


def marker_warnings(names: tuple[str, ...], error_mm: np.ndarray, offsets: np.ndarray, size_m: float) -> list[str]:
    """Return sentences on frames and markers that do not fit the body; `error_mm` is (frame, keypoint)."""
    mean = means(error_mm, axis=0)
    lost = np.flatnonzero(means(error_mm, axis=1) > 1000 * LOST * size_m)
    typical = float(np.median(mean[np.isfinite(mean)])) if np.isfinite(mean).any() else 0.0
    length = np.linalg.norm(offsets, axis=1)
    far = (length > FAR_OFFSET * size_m) & (size_m > 0)
    out = []
    if len(lost) and size_m > 0:
        out.append(
            f"{len(lost)} of {len(error_mm)} frames (the first is {lost[0]}) do not follow the recording: their mean "
            f"error is above {three_digits(1000 * LOST * size_m)} mm. Look at them (stac-mjx studio clips=...)"
        )
    if len(names) > 3 and far.mean() > 0.5:
        middle, size = (three_digits(1000 * metres) for metres in (float(np.median(length)), size_m))
        out.append(
            f"{far.sum()} of {len(names)} keypoints are far from their bodies (median {middle} mm on a body of {size} "
            "mm): recording and body have different frames. Set alignment.up where another axis than z points up, "
            "alignment.mode=rigid where the root is fixed and the rig has axes of its own, and check keypoints.unit "
            "and body.scale"
        )
        far[:] = False
    for k, name in enumerate(names):
        if len(names) > 3 and mean[k] > POOR_FIT * typical:
            worse = f"mean error {mean[k]:.2f} mm, {mean[k] / typical:.1f} times the median of all keypoints"
            out.append(f"{name}: {worse}. Check its body (body.markers.{name}.body) and its name in the recording")
        if far[k]:
            place = f"{1000 * length[k]:.1f} mm from the origin of its body"
            out.append(f"{name}: {place}. Check its body (body.markers.{name}.body)")
    return out


def three_digits(value: float | int | None) -> str:
    """Format with three significant digits; "-" for none."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def figures_per_clip(clips: ReferenceClips) -> list[dict[str, Any]]:
    """Return name, frames, errors (mm) and number of failed frames of each clip, in the order of the file."""
    distances, bad = clips.error_mm, ~usable(clips)
    out = []
    for name, start, length in zip(clips.clip_name, clips.clip_start, clips.clip_length, strict=True):
        span = slice(int(start), int(start + length))
        seen = distances[span][np.isfinite(distances[span])].astype(np.float64)
        worst = float(seen.max()) if len(seen) else None
        out.append({"name": name, "frames": int(length), "failed": int(bad[span].sum()), "worst_mm": worst})
        out[-1] |= error_figures(seen)
    return out
