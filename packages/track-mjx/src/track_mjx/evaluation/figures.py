"""Results of an evaluation as figures, each as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from track_mjx._common.figures import BLUE, RED, drawing, label, panels, save
from track_mjx.evaluation.tables import errors_over_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from track_mjx.evaluation.assessed import Assessed

COLOURS = {"train": BLUE, "test": RED}
LABELS = {"train": "train", "test": "held out"}
Numbers = Mapping[str, Mapping[str, Any]]


def draw_all(assessed: Assessed, numbers: Numbers, folder: Path) -> None:
    """Draw survival, errors per clip, per region and over time, and reward terms."""
    tall = min(40.0, max(2.6, 0.16 * len(assessed.clips) + 1.0))
    wide = max(4.0, 1.6 + 0.8 * len(assessed.parts.regions))
    terms = max(2.4, 0.4 * len(assessed.setup.task.metric_names) + 1.2)
    drawings: dict[str, tuple[Callable[[Axes, Assessed, Numbers], None], float, float]] = {
        "survival": (_survival, 5.0, 3.4),
        "error_per_clip": (_per_clip, 7.0, tall),
        "error_per_region": (_per_region, wide, 3.4),
        "reward_terms": (_terms, 7.0, terms),
    }
    for name, (draw, width, height) in drawings.items():
        with _figure(folder / name, width, height, 1) as axes:
            draw(axes[0], assessed, numbers)
    with _figure(folder / "error_over_time", 5.5, 5.0, 2) as axes:
        _over_time(axes, assessed)


@contextmanager
def _figure(path: Path, width: float, height: float, rows: int) -> Iterator[Sequence[Axes]]:
    """Axes to draw on; the figure is written when the block ends."""
    with drawing():
        figure, axes = panels(width, height, rows=rows)
        yield [row[0] for row in axes]
        save(figure, path.parent, path.name)


def _label(assessed: Assessed, name: str) -> str:
    n = len(assessed.rows[name])
    return f"{LABELS[name]}, {n} clip{'' if n == 1 else 's'}"


def _survival(axes: Axes, assessed: Assessed, numbers: Numbers) -> None:
    dt = assessed.setup.task.body.ctrl_dt
    for name in assessed.shown:
        curve = assessed.survival(name)
        time = curve.time * dt
        count = f"{LABELS[name]}, {numbers[name]['episodes']} episodes"
        axes.step(time, 100 * curve.survival, where="post", color=COLOURS[name], label=count)
        axes.fill_between(time, 100 * curve.low, 100 * curve.high, step="post", color=COLOURS[name], alpha=0.15, lw=0)
    axes.set(ylim=(0, 104), xlabel="time since the episode began, s", ylabel="episodes not terminated, %")
    axes.set_xlim(left=0)
    axes.set_title("re-aligned to the reference where they ended; 95 % interval", fontsize=8)
    axes.legend(loc="best")


def _per_clip(axes: Axes, assessed: Assessed, numbers: Numbers) -> None:
    """One row a clip: median and the middle 90 % of its steps, sorted; held-out clips above."""
    row, labels = 0, []
    for name in assessed.shown:
        errors = errors_over_time(assessed, name)["body_error_mm"]
        known = [values[np.isfinite(values)] for values in errors]
        order = [i for i in np.argsort([-v.mean() if len(v) else 0.0 for v in known]) if len(known[i])]
        if not order:
            continue
        places = row + np.arange(len(order))
        low, middle, high = np.array([np.quantile(known[i], [0.05, 0.5, 0.95]) for i in order]).T
        axes.hlines(places, low, high, color=COLOURS[name], lw=1.5, alpha=0.5)
        axes.plot(middle, places, "o", ms=3, color=COLOURS[name], label=_label(assessed, name))
        axes.plot([known[i].mean() for i in order], places, "|", ms=6, color=COLOURS[name])
        axes.axvline(numbers[name]["mean_body_error_mm"], color=COLOURS[name], lw=0.8, ls=":")
        labels += [label(assessed.names[assessed.rows[name][i]], 28) for i in order]
        row += len(order) + 1
        labels.append("")
    axes.set_yticks(range(len(labels)), labels, fontsize=6)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel="body-position error, mm", xlim=(0, None), ylim=(-1, len(labels) - 0.5))
    axes.set_title("dot: median, bar: middle 90 % of the steps, tick: mean, dotted: mean of the set", fontsize=8)
    axes.legend()


def _per_region(axes: Axes, assessed: Assessed, numbers: Numbers) -> None:
    """One group a region: a box for the means of the clips of each set."""
    regions = {**assessed.parts.regions, "all": assessed.parts.reported}
    regions = regions if len(assessed.parts.regions) > 1 else dict(assessed.parts.regions)
    width = 0.7 / len(assessed.shown)
    for k, name in enumerate(assessed.shown):
        played = assessed.rollout(name)
        clips = [pair for pair in zip(played.measured["body_error_m"], played.valid, strict=True) if pair[1].any()]
        means = [
            [1e3 * float(error[valid][:, columns].mean()) for error, valid in clips] for columns in regions.values()
        ]
        places = np.arange(len(regions)) + (k - 0.5 * (len(assessed.shown) - 1)) * width
        boxes = axes.boxplot(
            means, positions=places, widths=0.8 * width, patch_artist=True, manage_ticks=False, sym="",
            medianprops={"color": "black"},
        )  # fmt: skip
        for place, values in zip(places, means, strict=True):
            axes.plot(np.full(len(values), place), values, ".", ms=3, color=COLOURS[name], zorder=3)
        for box in boxes["boxes"]:
            box.set(facecolor=COLOURS[name], alpha=0.5)
        axes.plot([], [], "s", color=COLOURS[name], alpha=0.5, label=_label(assessed, name))
    axes.set_xticks(range(len(regions)), list(regions))
    axes.set(ylabel="mean body-position error of a clip, mm", ylim=(0, None))
    axes.legend(fontsize=8)


def _over_time(axes: Sequence[Axes], assessed: Assessed) -> None:
    dt = assessed.setup.task.body.ctrl_dt
    titles = {"body_error_mm": "body-position error, mm", "joint_error_deg": "joint error, deg"}
    for ax, (key, title) in zip(axes, titles.items(), strict=True):
        for name in assessed.shown:
            values = errors_over_time(assessed, name)[key]
            steps = np.flatnonzero(np.isfinite(values).any(0))
            if not len(steps):
                continue
            low, high = np.nanquantile(values[:, steps], [0.1, 0.9], axis=0)
            time = (steps + 1) * dt
            ax.plot(time, np.nanmean(values[:, steps], axis=0), color=COLOURS[name], label=_label(assessed, name))
            ax.fill_between(time, low, high, color=COLOURS[name], alpha=0.15, lw=0)
        ax.set(ylabel=title, ylim=(0, None))
        ax.set_xlim(left=0)
    axes[0].set_title("mean over clips; shaded: the middle 80 % of them", fontsize=8)
    axes[0].legend()
    axes[-1].set_xlabel("time in the clip, s")


def _terms(axes: Axes, assessed: Assessed, numbers: Numbers) -> None:
    """Draw what each term adds to the reward of a step, and the most it could add."""
    task = assessed.setup.task
    height = 0.8 / len(assessed.shown)
    for k, name in enumerate(assessed.shown):
        pairs = zip(task.metric_names, task.metric_weights, strict=True)
        added = [weight * numbers[name][f"terms/{term}"] for term, weight in pairs]
        places = np.arange(len(added)) + (k - 0.5 * (len(assessed.shown) - 1)) * height
        axes.barh(places, added, 0.9 * height, color=COLOURS[name], label=_label(assessed, name))
    most, rows = [term.weight for term in task.rewards], np.arange(len(task.rewards))
    axes.vlines(most, rows - 0.42, rows + 0.42, color="black", lw=0.8, label="most it can add")
    axes.axvline(0, color="grey", lw=0.6)
    names = [f"{name} ({weight:g})" for name, weight in zip(task.metric_names, task.metric_weights, strict=True)]
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("mean weighted value a step")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
