"""How far the derived arrays of public stac-mjx files are from those computed again."""

from __future__ import annotations

from typing import Any

import numpy as np

from stac_mjx._common.errors import shorten
from stac_mjx.convert.convert import Conversion
from stac_mjx.results import summary_of

CLIPPED = 0.005
"""Part of the entries that must share the largest size before velocities count as clipped."""


def conversion_summary(conversion: Conversion, wall_s: float) -> dict[str, Any]:
    """Figures of a conversion, as written to ``convert_summary.json``: of the whole, and of each file."""
    summary = summary_of(conversion.registration, wall_s)
    for key in ("calibration_frames", "calibration_rounds", "frames_per_s", "timings", "solver_status"):
        del summary[key]
    marker_warnings = [w for w in summary["warnings"] if w not in conversion.warnings]
    summary["warnings"] = [*conversion.warnings, *marker_warnings]
    summary["files"] = [_file(conversion, index) for index in range(len(conversion.outputs))]
    return summary


def report_lines(summary: dict[str, Any]) -> list[str]:
    """Sentences for the log: what the files themselves said, against what was computed."""
    files = summary["files"]
    lines = []
    for name, words in (("xpos_mm", "body positions"), ("marker_sites_mm", "marker sites")):
        found = [entry[name] for entry in files if entry[name]]
        if found:
            mean, largest = np.mean([f["mean"] for f in found]), max(f["max"] for f in found)
            lines.append(f"{words} of the files are {mean:.3g} mm from the computed ones (at most {largest:.3g} mm)")
        else:
            lines.append(f"{words}: the files hold none")
    speeds = [entry["qvel"] for entry in files if entry["qvel"]]
    if not speeds:
        lines.append("velocities: the files hold none")
    else:
        ratio = np.median([s["median_ratio"] for s in speeds if s["median_ratio"] is not None])
        text = f"velocities of the files are {ratio:.3g} times the computed ones"
        clipped = float(np.mean([s["clipped_fraction"] for s in speeds]))
        at = max(s["largest"] for s in speeds)
        lines.append(text + (f", {100 * clipped:.0f} % of them clipped at {at:g}" if clipped else ""))
    own = [entry["marker_error_mm"]["file"] for entry in files if entry["marker_error_mm"]["file"] is not None]
    said = f" (by the files' own marker sites {np.mean(own):.3f} mm)" if own else ""
    lines.append(f"mean marker error {summary['mean_error_mm']:.3f} mm{said}")
    return lines


def _file(conversion: Conversion, index: int) -> dict[str, Any]:
    output, frames = conversion.outputs[index], conversion.frames(index)
    result = conversion.registration.trajectory
    sites, keypoints = result.marker_sites[frames], result.keypoints.positions[frames]
    own = _own_sites(conversion, index)
    return {
        "file": output.path.name,
        "frames": len(output.qpos),
        "scale_factor": output.model_settings.get("SCALE_FACTOR"),
        "xpos_mm": _xpos(conversion, index),
        "marker_sites_mm": None if own is None else _distances(own, sites),
        "qvel": _qvel(conversion, index),
        "marker_error_mm": {
            "file": None if own is None else _distances(own, keypoints)["mean"],
            "computed": _distances(sites, keypoints)["mean"],
        },
    }


def _distances(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    away = 1000 * np.linalg.norm(a - b, axis=-1)
    away = away[np.isfinite(away)]
    return {"mean": float(away.mean()), "max": float(away.max())} if len(away) else {"mean": np.nan, "max": np.nan}


def _xpos(conversion: Conversion, index: int) -> dict[str, Any] | None:
    """Bodies matched by name."""
    output, body = conversion.outputs[index], conversion.registration.body
    ours = conversion.registration.trajectory.xpos[conversion.frames(index)]
    if output.xpos is None or (output.bodies is None and output.xpos.shape != ours.shape):
        return None
    theirs = output.bodies or body.body_names
    if len(theirs) != output.xpos.shape[1]:
        return None
    both = [name for name in theirs if name in body.body_names and name != "world"]
    if not both:
        return None
    a = output.xpos[:, [theirs.index(name) for name in both]]
    b = ours[:, [body.body_names.index(name) for name in both]]
    left_out = [name for name in theirs if name not in body.body_names]
    return {**_distances(a, b), "bodies": len(both), "unknown_bodies": shorten(left_out) if left_out else None}


def _own_sites(conversion: Conversion, index: int) -> np.ndarray | None:
    """The file's marker sites in the order of our markers."""
    output, body = conversion.outputs[index], conversion.registration.body
    if output.marker_sites is None:
        return None
    rename = conversion.registration.config.keypoints.rename
    names = [rename.get(name, name) for name in output.kp_names or body.keypoint_order]
    return output.marker_sites[:, [names.index(name) for name in body.marker_names]]


def _qvel(conversion: Conversion, index: int) -> dict[str, Any] | None:
    """Typical ratio of the file's velocities to the computed ones, and how many of them sit on a limit."""
    output = conversion.outputs[index]
    ours = conversion.registration.trajectory.qvel[conversion.frames(index)]
    if output.qvel is None or output.qvel.shape != ours.shape:
        return None
    theirs = np.abs(output.qvel[:, conversion.columns[index].qvel])
    largest = float(np.nanmax(theirs))
    clipped = theirs >= largest * (1 - 1e-6)
    fraction = float(clipped.mean())
    moving = ~clipped & (np.abs(ours) > 0.1 * np.abs(ours).max())
    moving |= ~clipped & (np.abs(ours) > np.median(np.abs(ours)))
    ratio = float(np.median(theirs[moving] / np.abs(ours[moving]))) if moving.any() else None
    return {
        "median_ratio": ratio,
        "largest": largest,
        "clipped_fraction": fraction if fraction > CLIPPED else 0.0,
    }
