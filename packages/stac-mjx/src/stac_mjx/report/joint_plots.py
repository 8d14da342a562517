"""How far each joint moves, against its limits. Call inside `plot_style.drawing`."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stac_mjx._common.figures import BLUE, GREY, INK, LIGHT, RED, Margins, label, log_scale, panels
from stac_mjx.records import ReferenceClips, thinned
from stac_mjx.report.accuracy import MOST_FRAMES, percentiles, usable
from stac_mjx.report.error_plots import WIDTH

ROWS, COLUMNS = 40, 3
"""Joints in a column, columns in a figure."""
MOST_FIGURES = 4
OFTEN = 0.1
"""A joint that spends more than this part of the frames at a limit is counted as held by it."""
_STILL = 1e-3
"""A joint that covers less than this part of its range does not move: no keypoint observes it."""


@dataclass(frozen=True)
class JointRanges:
    """Motion of hinges and slides in degrees or mm; those at a limit most often come first."""

    names: tuple[str, ...]
    unit: tuple[str, ...]
    """° or mm."""
    limited: Bool[np.ndarray, " joint"]
    """Whether the joint has limits; else `low` and `high` are a full turn around zero, or the range used."""
    low: Float[np.ndarray, " joint"]
    high: Float[np.ndarray, " joint"]
    marks: Float[np.ndarray, "4 joint"]
    """0, 1, 99 and 100th percentile of the usable frames."""
    at_limit: Float[np.ndarray, " joint"]
    """Part of the usable frames at a limit."""
    still: tuple[str, ...]
    """Names of joints that do not move; they are in none of the arrays."""
    n_frames: int
    """Usable frames."""

    @property
    def held(self) -> int:
        """Joints that are often at a limit."""
        return int((self.at_limit > OFTEN).sum())


def ranges_used(clips: ReferenceClips, model: mujoco.MjModel) -> JointRanges | None:
    """Summarise the motion of hinges and slides; None without joints or usable frames."""
    hinge = int(mujoco.mjtJoint.mjJNT_HINGE)
    joints = np.nonzero(model.jnt_type >= int(mujoco.mjtJoint.mjJNT_SLIDE))[0]
    frames = np.nonzero(usable(clips))[0]
    if not len(joints) or not len(frames):
        return None
    column = model.jnt_qposadr[joints]
    turns = model.jnt_type[joints] == hinge
    scale = np.where(turns, 180 / np.pi, 1000 * clips.info.length_unit_m)
    used = clips.qpos[frames[thinned(len(frames), MOST_FRAMES)]][:, column]
    marks = percentiles(used.T, (0, 1, 99, 100)) * scale
    limited = model.jnt_limited[joints].astype(bool)
    low = np.where(limited, model.jnt_range[joints, 0] * scale, np.where(turns, -180.0, marks[0]))
    high = np.where(limited, model.jnt_range[joints, 1] * scale, np.where(turns, 180.0, marks[3]))
    at_limit = (np.asarray(clips.at_joint_limit)[frames][:, column] == 1).mean(axis=0)
    span = np.maximum(high - low, 1e-12)
    still = marks[3] - marks[0] < _STILL * span
    order = np.lexsort((joints, -(marks[2] - marks[1]) / span, -at_limit))
    order = order[~still[order]]
    return JointRanges(
        names=tuple(clips.names_qpos[c] for c in column[order]),
        unit=tuple("°" if turn else "mm" for turn in turns[order]),
        limited=limited[order],
        low=low[order],
        high=high[order],
        marks=marks[:, order],
        at_limit=at_limit[order],
        still=tuple(clips.names_qpos[c] for c in column[still]),
        n_frames=len(frames),
    )


def joint_errors(clips: ReferenceClips) -> Figure | None:
    """Draw the standard error of each degree of freedom; None where the clips have none."""
    frames = np.nonzero(usable(clips))[0]
    if clips.qpos_stderr is None or clips.qpos_resolution is None or not len(frames):
        return None
    some = frames[thinned(len(frames), MOST_FRAMES)]
    turns = np.array([unit == "rad" for unit in clips.dof_units])
    scale = np.where(turns, 180 / np.pi, 1000 * clips.info.length_unit_m)
    marks = percentiles(clips.qpos_stderr[some].T, (5, 50, 95)) * scale
    known = percentiles(clips.qpos_resolution[some].T, (50,))[0]
    order = np.lexsort((-marks[1], ~turns))[: ROWS * COLUMNS]
    n_columns = -(-len(order) // ROWS)
    rows = -(-len(order) // n_columns)
    margins = Margins(left=2.0, right=0.2, top=0.5, bottom=0.45, between_columns=2.0)
    figure, [axes] = panels(WIDTH, 0.95 + 0.165 * rows, margins, columns=n_columns)
    for column, ax in enumerate(axes):
        part = order[column * rows : (column + 1) * rows]
        y = np.arange(len(part))
        colour = np.where(known[part] > 0.5, BLUE, RED)
        ax.hlines(y, marks[0, part], marks[2, part], color=colour, lw=1.5)
        ax.scatter(marks[1, part], y, c=colour, s=14)
        names = [f"{label(clips.names_qvel[k], 22)}  {'°' if turns[k] else 'mm'}" for k in part]
        ax.set_yticks(y, names, fontsize=7)
        log_scale(ax)
        ax.set(ylim=(rows - 0.4, -0.6), xlabel="standard error")
    text = "dot: median of the frames; line: 5 to 95 %; red: less than half comes from keypoints"
    figure.text(0.01, 1 - 0.06 / figure.get_figheight(), text, fontsize=8, va="top", color=GREY)
    return figure


def joint_ranges(ranges: JointRanges) -> list[Figure]:
    """Draw the motion of each joint between its limits, in at most `MOST_FIGURES` figures."""
    n = len(ranges.names)
    if n == 0:
        return []
    rows = min(ROWS, n)
    pages = [np.arange(n)[start : start + rows * COLUMNS] for start in range(0, n, rows * COLUMNS)]
    return [_page(ranges, page) for page in pages[:MOST_FIGURES]]


def _page(ranges: JointRanges, joints: Int[np.ndarray, " joint"]) -> Figure:
    n_columns = -(-len(joints) // ROWS)
    rows = -(-len(joints) // n_columns)
    margins = Margins(left=2.35, right=0.5, top=0.65, bottom=0.25, between_columns=2.75)
    if n_columns == 3:
        margins = Margins(left=1.95, right=0.45, top=0.65, bottom=0.25, between_columns=2.3)
    figure, [axes] = panels(WIDTH, 0.95 + 0.165 * rows, margins, columns=n_columns)
    for column, ax in enumerate(axes):
        _column(ax, ranges, joints[column * rows : (column + 1) * rows], rows)
    n = len(ranges.names)
    which = (
        f"{n} joints that move" if len(joints) == n else f"joints {joints[0] + 1} to {joints[-1] + 1} of {n} that move"
    )
    text = f"{which}, {ranges.n_frames:,} frames; those at a limit most often first"
    figure.text(0.01, 1 - 0.06 / figure.get_figheight(), text, fontsize=10, va="top")
    key = (
        "grey: between the limits (dashed: no limits, a full turn); thin: all frames; thick: 1 to 99 %; tick: zero; "
        "right: % of frames at a limit"
    )
    figure.text(0.01, 1 - 0.26 / figure.get_figheight(), key, fontsize=8, va="top", color=GREY)
    return figure


def _column(ax: Axes, ranges: JointRanges, joints: Int[np.ndarray, " joint"], rows: int) -> None:
    y = np.arange(len(joints))
    low, span = ranges.low[joints], np.maximum(ranges.high[joints] - ranges.low[joints], 1e-12)
    marks = (ranges.marks[:, joints] - low) / span
    limited, share = ranges.limited[joints], ranges.at_limit[joints]
    colour = np.where(share > 0, RED, BLUE)
    ax.barh(y[limited], np.ones(limited.sum()), height=0.75, color="#EBEBEB", lw=0)
    ax.hlines(y[~limited], 0, 1, color=LIGHT, lw=1, ls="--")
    # clip what exceeds the limits by rounding, or turns more than once
    shown = marks.clip(-0.03, 1.03)
    ax.hlines(y, shown[0], shown[3], color=colour, lw=1)
    ax.hlines(y, shown[1], shown[2], color=colour, lw=4.5)
    neutral = -low / span
    inside = (neutral >= 0) & (neutral <= 1)
    ax.plot(neutral[inside], y[inside], "|", ms=5, color=INK, mew=0.7)
    names = [label(ranges.names[j], 22) for j in joints]
    ends = [f"  {ranges.low[j]:.3g} to {ranges.high[j]:.3g}{ranges.unit[j]}" for j in joints]
    texts = [name + (end if is_limited else "") for name, end, is_limited in zip(names, ends, limited, strict=True)]
    ax.set_yticks(y, texts, fontsize=7)
    place = ax.get_yaxis_transform()
    for k in np.nonzero(share > 0)[0]:
        percent = f"{100 * share[k]:.0f}" if share[k] >= 0.095 else f"{100 * share[k]:.1g}"
        ax.text(1.04, y[k], percent, transform=place, va="center", fontsize=7, color=RED)
    ax.set(xlim=(-0.04, 1.04), ylim=(rows - 0.4, -0.6))
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(left=False, pad=1)
