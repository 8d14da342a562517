"""Figures of how well a fit fits: each a pure function of a record. Call them inside `plot_style.drawing`."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stac_mjx._common.figures import BLUE, GREY, INK, ORANGE, RED, SKY, Margins, label, panels
from stac_mjx.records import Offsets, ReferenceClips, thinned
from stac_mjx.report import accuracy
from stac_mjx.report.accuracy import MOST_FRAMES, percentiles, three_digits, time_bins, usable

WIDTH = 9.6
"""Width of a figure, inches."""
MOST_BORDERS = 120
"""Borders of more clips are not drawn."""
MOST_CLIP_NAMES = 60
"""More clips are numbered rather than named."""


def keypoint_errors(clips: ReferenceClips) -> Figure:
    """Draw the distances of each keypoint to its site, worst mean first: 5, 25, 50, 75, 95 % and mean."""
    distances = clips.error_mm
    mean = accuracy.means(distances, axis=0)
    order = np.argsort(-np.where(np.isfinite(mean), mean, -1), kind="stable")
    marks = percentiles(distances[thinned(len(distances), MOST_FRAMES)][:, order].T, (5, 25, 50, 75, 95))
    n = len(order)
    figure, [[axes]] = panels(WIDTH, 1.1 + 0.2 * n, Margins(left=1.7, right=0.7, top=0.55))
    y = np.arange(n)
    axes.hlines(y, marks[0], marks[4], color=GREY, lw=1)
    axes.barh(y, marks[3] - marks[1], left=marks[1], height=0.6, color=SKY, alpha=0.7, label="25 to 75 %")
    axes.vlines(marks[2], y - 0.3, y + 0.3, color=BLUE, lw=1.5, label="median")
    axes.plot(mean[order], y, "o", ms=4, color=RED, label="mean")
    _right_figures(axes, [three_digits(m) if np.isfinite(m) else "never observed" for m in mean[order]], "mean")
    axes.set_yticks(y, [label(clips.kp_names[k]) for k in order])
    axes.set(ylim=(n - 0.4, -0.6), xlabel="distance from keypoint to its site, mm")
    axes.set_xlim(left=0)
    thinning = f"; percentiles from {MOST_FRAMES:,} of them" if clips.n_frames > MOST_FRAMES else ""
    _finish(axes, f"{n} keypoints, {clips.n_frames:,} frames{thinning}; whisker 5 to 95 %", grid="x")
    return figure


def errors_over_time(clips: ReferenceClips) -> Figure:
    """Draw the median distance over the keypoints and the band of 95 % of them; unusable frames in red."""
    distances, bins = clips.error_mm, time_bins(clips)
    low, middle, high = percentiles(accuracy.pooled(distances, bins), (2.5, 50, 97.5))
    figure, [[axes]] = panels(WIDTH, 2.9, Margins(top=0.6))
    time = bins.time
    for part in _unbroken(clips, bins):
        axes.fill_between(time[part], low[part], high[part], color=SKY, alpha=0.5, lw=0, label="95 % of keypoints")
        axes.plot(time[part], middle[part], color=BLUE, lw=1, marker="." if len(time[part]) < 3 else "", label="median")
    bad = np.add.reduceat(~usable(clips), bins.start) > 0
    if bad.any():
        axes.plot(time[bad], np.zeros(bad.sum()), "|", ms=9, color=RED, label="unusable frames", clip_on=False)
    _clip_borders(axes, clips)
    axes.set(xlabel=_time_label(clips), ylabel="distance, mm")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.005)
    size = int((bins.stop - bins.start).max())
    what = "a point a frame" if size == 1 else f"a point for up to {size} frames"
    _finish(axes, f"{clips.n_frames:,} frames, {len(clips.kp_names)} keypoints; {what}")
    return figure


def errors_per_clip(clips: ReferenceClips, figures: list[dict[str, Any]]) -> Figure:
    """Draw the mean and 95th percentile of the distances in each clip, in the order of the file."""
    figure, [[axes]] = panels(WIDTH, 3.2 if len(figures) <= MOST_CLIP_NAMES else 2.9, Margins(bottom=0.95, top=0.6))
    x = np.arange(len(figures))
    mean, p95 = (np.array([f[key] for f in figures], float) for key in ("mean_error_mm", "p95_mm"))
    axes.vlines(x, mean, p95, color=SKY, lw=1.5)
    axes.plot(x, p95, "_", ms=6, color=BLUE, label="95 %")
    axes.plot(x, mean, "o", ms=4, color=RED, label="mean")
    if len(figures) <= MOST_CLIP_NAMES:
        axes.set_xticks(x, [label(f["name"], 16) for f in figures], rotation=90, fontsize=7)
    else:
        axes.set_xlabel("clip, in the order of the file")
    axes.set(ylabel="distance, mm", xlim=(-0.7, len(figures) - 0.3))
    axes.set_ylim(bottom=0)
    low, high = min(f["frames"] for f in figures), max(f["frames"] for f in figures)
    _finish(axes, f"{len(figures)} clips of {f'{low:,}' if low == high else f'{low:,} to {high:,}'} frames")
    return figure


def calibration_history(offsets: Offsets) -> Figure:
    """Draw the error of each round of calibration."""
    figure, [[axes]] = panels(WIDTH, 2.6, Margins(left=0.75, top=0.6))
    loss = np.sqrt(np.maximum(np.asarray(offsets.loss_history, np.float64), 0)) * 1000
    rounds = np.arange(1, len(loss) + 1)
    axes.plot(rounds, loss, "o-", ms=3.5, color=BLUE, label="root of the objective (weighted, with regularisation)")
    if offsets.mean_error_history is not None:
        mean = np.asarray(offsets.mean_error_history, np.float64) * 1000
        axes.plot(np.arange(1, len(mean) + 1), mean, "s--", ms=3.5, color=ORANGE, label="mean distance")
    axes.set(xlabel="round", ylabel="mm")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    frames = "an unknown number of" if offsets.fit_frames is None else f"{len(offsets.fit_frames):,}"
    _finish(axes, f"{len(loss)} rounds on {frames} frames")
    return figure


def missing_keypoints(clips: ReferenceClips) -> Figure | None:
    """Draw when each keypoint is missing; None without gaps."""
    missing = ~np.isfinite(clips.kp_data).all(axis=-1)
    if not missing.any():
        return None
    bins = time_bins(clips, 800)
    part = np.add.reduceat(missing, bins.start, axis=0, dtype=np.float32) / (bins.stop - bins.start)[:, None]
    share = missing.mean(axis=0)
    n = len(clips.kp_names)
    figure, [[axes]] = panels(WIDTH, 0.9 + 0.17 * n, Margins(left=1.7, right=0.7))
    edges = np.append(bins.start, clips.n_frames) / float(clips.info.rate_hz or 1.0)
    axes.pcolormesh(edges, np.arange(n + 1) - 0.5, part.T, cmap="Greys", vmin=0, vmax=1)
    axes.invert_yaxis()
    axes.set_yticks(np.arange(n), [label(name) for name in clips.kp_names], fontsize=8)
    _right_figures(axes, [f"{100 * s:.1f}" if s else "" for s in share], "%")
    _clip_borders(axes, clips)
    axes.set_xlabel(_time_label(clips))
    axes.set_title(f"black: missing; {missing.mean():.1%} of {clips.n_frames:,} frames x {n} keypoints")
    return figure


def legend_above(axes: Axes) -> None:
    """A legend in one row between title and axes, each entry once; the title needs a pad of 20."""
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    axes.legend(
        once.values(), once.keys(), loc="lower left", bbox_to_anchor=(-0.006, 0.99), ncols=4, borderaxespad=0.1,
        borderpad=0.1, columnspacing=1.4, handlelength=1.4,
    )  # fmt: skip


def _finish(axes: Axes, title: str, grid: Literal["x", "y"] = "y") -> None:
    axes.grid(axis=grid)
    legend_above(axes)
    axes.set_title(title, pad=20)


def _unbroken(clips: ReferenceClips, bins: accuracy.TimeBins) -> list[slice]:
    """Return the bins of each clip, for lines within clips; one slice for very many clips."""
    if len(clips.clip_name) > MOST_BORDERS:
        return [slice(None)]
    first = np.searchsorted(bins.start, clips.clip_start)
    return [slice(a, b) for a, b in zip(first, [*first[1:], len(bins.start)], strict=True)]


def _clip_borders(axes: Axes, clips: ReferenceClips) -> None:
    if 1 < len(clips.clip_name) <= MOST_BORDERS:
        rate = float(clips.info.rate_hz or 1.0)
        for start in clips.clip_start[1:]:
            axes.axvline((float(start) - 0.5) / rate, color=GREY, lw=0.6, ls=":", alpha=0.6)


def _time_label(clips: ReferenceClips) -> str:
    if len(clips.clip_name) == 1:
        return "time, s"
    dotted = "; dotted: clip borders" if len(clips.clip_name) <= MOST_BORDERS else ""
    return f"time, s ({len(clips.clip_name)} clips end to end{dotted})"


def _right_figures(axes: Axes, texts: list[str], heading: str) -> None:
    """Write numbers in a column to the right of the axes, one a row."""
    place = axes.get_yaxis_transform()
    for y, text in enumerate(texts):
        axes.text(1.012, y, text, transform=place, va="center", fontsize=8, color=INK)
    axes.text(1.012, -1.0, heading, transform=place, va="center", fontsize=8, color=GREY)
