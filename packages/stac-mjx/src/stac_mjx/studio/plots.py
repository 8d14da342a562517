"""Plots of the page over the frames of a recording, and the marks on its time line."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import mujoco
import numpy as np
from jaxtyping import Float

from stac_mjx._common.figures import GREY, ORANGE, RED
from stac_mjx._common.render.page import strip
from stac_mjx.report.accuracy import means, usable
from stac_mjx.studio.session import Session
from stac_mjx.studio.worker import Solved

MOST_POINTS, MOST_MARKS = 3000, 300
"""Points of a curve; marks of a row of the time line, which is as many units wide."""
MEAN = "mean error"
WORST_FRAMES = 6


@dataclass(frozen=True)
class Curve:
    """Curves over frames."""

    title: str
    frames: Float[np.ndarray, " point"]
    values: tuple[Float[np.ndarray, " point"], ...]
    labels: tuple[str, ...]


def choices(solved: Solved) -> list[str]:
    """Return what can be plotted: errors of all keypoints together and of each, then coordinates."""
    return [
        MEAN,
        *(f"error: {name}" for name in solved.clips.kp_names),
        *(f"joint: {n}" for n in solved.clips.names_qpos),
    ]


def curve(solved: Solved, session: Session, choice: str) -> Curve:
    """Return what a choice shows."""
    clips, kind, name = solved.clips, *choice.partition(": ")[::2]
    if kind == "joint" and name in clips.names_qpos:
        column = clips.names_qpos.index(name)
        low, high = _limits(session.body.model, column)
        flat = np.ones(clips.n_frames)
        values, labels = (clips.qpos[:, column], low * flat, high * flat), (name, "lower limit", "upper limit")
        title = f"{name}, {clips.qpos_units[column]}"
    elif kind == "error" and name in clips.kp_names:
        values, labels, title = (clips.error_mm[:, clips.kp_names.index(name)],), (name,), f"error of {name}, mm"
    else:
        values, labels, title = (means(clips.error_mm, axis=1),), (MEAN,), "mean error, mm"
    keep = np.unique(np.linspace(0, clips.n_frames - 1, min(MOST_POINTS, clips.n_frames)).astype(int))
    return Curve(title, solved.frames[keep].astype(float), tuple(np.asarray(v, float)[keep] for v in values), labels)


def _limits(model: mujoco.MjModel, column: int) -> tuple[float, float]:
    """Return the limits of a coordinate, NaN where it has none."""
    joint = np.flatnonzero((model.jnt_qposadr == column) & (model.jnt_type >= mujoco.mjtJoint.mjJNT_SLIDE))
    if not len(joint) or not model.jnt_limited[joint[0]]:
        return np.nan, np.nan
    return tuple(model.jnt_range[joint[0]].tolist())


def worst_frames(solved: Solved) -> list[int]:
    """Return the frames of the largest mean error, no two within a twentieth of the recording."""
    error = np.nan_to_num(means(solved.clips.error_mm, axis=1), nan=-1.0)
    apart, out = max(1, int(np.ptp(solved.frames)) // 20), []
    for row in np.argsort(-error):
        frame = int(solved.frames[row])
        if error[row] >= 0 and all(abs(frame - other) >= apart for other in out):
            out.append(frame)
        if len(out) == WORST_FRAMES:
            break
    return out


def time_line(session: Session, solved: Solved | None) -> str:
    """Return a strip (SVG) that marks gaps, joints at limits, and frames without a pose."""
    n_frames = session.recording.n_frames
    recording = session.recording
    seen = recording.observed[:, [name not in session.never_observed for name in recording.names]]
    rows = [("gap", GREY, np.arange(n_frames), ~seen.all(axis=1))]
    if solved is not None:
        at_limit = (np.asarray(solved.clips.at_joint_limit) == 1).any(axis=1)
        rows += [("limit", ORANGE, solved.frames, at_limit), ("failed", RED, solved.frames, ~usable(solved.clips))]
    bars = []
    for row, (_, colour, frames, marked) in enumerate(rows):
        bins = np.unique(frames[marked] * MOST_MARKS // max(n_frames, 1))
        bars += [f"<rect x='{at}' y='{4 * row}' width='1.2' height='3' fill='{colour}'/>" for at in bins.tolist()]
    legend = " ".join(f"<span style='color:{c}'>&#9632;</span> {escape(name)}" for name, c, *_ in rows)
    return strip("".join(bars), n_frames) + f"<div style='padding:0 10px;font-size:11px'>{legend}</div>"
