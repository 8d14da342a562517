"""Figures of sweeps: outcomes against one setting, maps over two, conditions; reward of trained and held-out clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, GREY, ORANGE, SEQUENTIAL, drawing, label, log_scale, panels
from reach_analysis.behaviour.run_sweeps import Level, Point
from reach_analysis.figures import grid

Columns = Mapping[str, Sequence[float]]
"""Outcomes by name, one value a run."""

PANELS = 4
"""Panels next to each other."""


def sweep_curves(
    name: str, values: Sequence[Point], columns: Columns, levels: Sequence[Level], marked: Sequence[Point]
) -> Figure:
    """Runs as points, means over seeds as lines with their intervals.

    `marked` are points with a dashed and a dotted line, `levels` means over the runs that share a value.
    """
    with drawing():
        figure, axes = grid(len(columns), PANELS, (2.9, 2.9))
        # equal steps: values such as 0, .1, .15, .4 would crowd on a scale
        place = {level.value: index for index, level in enumerate(levels)}
        for number, (axis, outcome) in enumerate(zip(axes, columns, strict=True)):
            colour = CYCLE[number % len(CYCLE)]
            axis.plot([place[value] for value in values], columns[outcome], ".", color=colour, alpha=0.4, markersize=4)
            means, reach = _means(levels, outcome)
            axis.errorbar(range(len(levels)), means, reach, fmt="o-", color=colour, capsize=3)
            for point, line in zip(marked, ("--", ":"), strict=False):
                axis.axvline(place[point], color=GREY, ls=line, lw=1)
            axis.set_xticks(range(len(levels)), [f"{level.value[0]:g}" for level in levels])
            axis.set_xlabel(label(name, 30))
            axis.set_title(outcome.replace("_", " "))
            axis.set_ylim(bottom=min(0.0, float(np.nanmin(columns[outcome]))))
        return figure


def sweep_conditions(
    names: Mapping[Point, str], values: Sequence[Point], columns: Columns, levels: Sequence[Level]
) -> Figure:
    """A row a condition, a panel an outcome: runs as points, means over seeds with their intervals."""
    place = {level.value: index for index, level in enumerate(levels)}
    rows = -(-len(columns) // PANELS)
    with drawing():
        across = min(PANELS, len(columns))
        figure, axes = panels(2.2 * across + 2.2, rows * (0.3 * len(levels) + 0.9), rows=rows, columns=across)
        flat = [axis for row in axes for axis in row]
        for number, (axis, outcome) in enumerate(zip(flat, columns, strict=False)):
            colour = CYCLE[number % len(CYCLE)]
            axis.plot(columns[outcome], [place[value] for value in values], ".", color=colour, alpha=0.4, markersize=4)
            means, reach = _means(levels, outcome)
            axis.errorbar(means, range(len(levels)), xerr=reach, fmt="o", color=colour, capsize=3)
            shown = [names[level.value] for level in levels] if number % across == 0 else [""] * len(levels)
            axis.set_yticks(range(len(levels)), shown)
            axis.set_title(outcome.replace("_", " "))
            axis.margins(0.08)
            axis.set_xlim(left=min(0.0, axis.get_xlim()[0]) if np.nanmin(columns[outcome]) < 0 else 0.0)
        for axis in flat[len(columns) :]:
            axis.remove()
        return figure


def _means(levels: Sequence[Level], outcome: str) -> tuple[list[float], list[float]]:
    """Means of an outcome, and how far their intervals reach."""
    means = [level.outcomes[outcome] for level in levels]
    return [mean.value for mean in means], np.nan_to_num([mean.high - mean.value for mean in means]).tolist()


def sweep_maps(names: Sequence[str], columns: Columns, levels: Sequence[Level], marked: Sequence[Point]) -> Figure:
    """Means over seeds on the grid of two settings, a panel an outcome; a ring and a square mark points."""
    across, up = (
        {value: i for i, value in enumerate(sorted({level.value[axis] for level in levels}))} for axis in (0, 1)
    )
    with drawing():
        figure, axes = grid(len(columns), 3, (0.75 * len(across) + 1.2, 0.55 * len(up) + 1.0))
        for axis, outcome in zip(axes, columns, strict=True):
            image = np.full((len(up), len(across)), np.nan)
            for level in levels:
                image[up[level.value[1]], across[level.value[0]]] = level.outcomes[outcome].value
            axis.imshow(image, aspect="auto", cmap=SEQUENTIAL, origin="lower")
            middle = (np.nanmin(image) + np.nanmax(image)) / 2
            for (row, column), mean in np.ndenumerate(image):
                if np.isfinite(mean):
                    axis.text(column, row, f"{mean:.3g}", ha="center", va="center", fontsize=7,
                              color="black" if mean > middle else "white")  # fmt: skip
            for number, (x, y) in enumerate(marked):
                axis.plot(
                    across[x], up[y], "os"[number], ms=26 + 5 * number, mfc="none", mec=(ORANGE, "white")[number], mew=2
                )
            axis.set_xticks(range(len(across)), [f"{value:g}" for value in across])
            axis.set_yticks(range(len(up)), [f"{value:g}" for value in up])
            axis.set_title(outcome.replace("_", " "))
        figure.supxlabel(label(names[0], 40), fontsize=8)
        figure.supylabel(label(names[1], 40), fontsize=8)
        return figure


def generalisation(name: str, values: Sequence[float], train: Sequence[float], held_out: Sequence[float]) -> Figure:
    """Reward of trained and of held-out clips in each run, and the gap between them (paper B, Fig. 4b)."""
    levels, swept_values = np.unique(values), np.asarray(values)
    with drawing():
        figure, axes = panels(4.2, 3.2)
        axis, means = axes[0][0], []
        for rewards, colour, text in (
            (np.asarray(train), CYCLE[0], "train"),
            (np.asarray(held_out), CYCLE[1], "held-out"),
        ):
            means.append([np.nanmean(rewards[swept_values == level]) for level in levels])
            axis.plot(values, rewards, ".", color=colour, alpha=0.4, markersize=4)
            axis.plot(levels, means[-1], "o-", color=colour, label=text)
        axis.vlines(levels, *reversed(means), color="tab:red", lw=1)
        if levels[0] > 0 and levels[-1] > 10 * levels[0]:
            log_scale(axis)
        axis.set(xlabel=label(name, 30), ylabel="reward a step")
        axis.legend(frameon=False)
        return figure
