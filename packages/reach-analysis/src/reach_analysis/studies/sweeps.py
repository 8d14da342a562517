"""Figure of a sweep: every outcome against what was swept, one panel an outcome, the knee marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, GREY, drawing, label, panels
from reach_analysis.behaviour.run_sweeps import Knee, Level


def sweep_curves(
    values: Sequence[float],
    columns: Mapping[str, Sequence[float]],
    levels: Sequence[Level],
    shown: Sequence[str],
    parameter: tuple[str, Knee | None],
) -> Figure:
    """Runs as points, means over seeds as lines with their intervals.

    Args:
        values: of what was swept, one a run.
        columns: outcomes, one value a run.
        levels: means over the runs that share a value.
        shown: outcomes that are drawn.
        parameter: name of what was swept, and the knee.
    """
    with drawing():
        figure, axes = panels(2.9 * max(1, len(shown)), 2.9, columns=max(1, len(shown)))
        name, knee = parameter
        # equal steps: values such as 0, .1, .15, .4 would crowd on a scale
        place = {level.value: index for index, level in enumerate(levels)}
        for number, (axis, outcome) in enumerate(zip(axes[0], shown, strict=False)):
            colour = CYCLE[number % len(CYCLE)]
            axis.plot([place[value] for value in values], columns[outcome], ".", color=colour, alpha=0.4, markersize=4)
            means = np.array([level.mean[outcome] for level in levels])
            reach = np.array([level.high[outcome] for level in levels]) - means
            axis.errorbar(range(len(levels)), means, np.nan_to_num(reach), fmt="o-", color=colour, capsize=3)
            if knee is not None:
                axis.axvline(place[knee.value], color=GREY, ls="--", lw=1)
            axis.set_xticks(range(len(levels)), [f"{level.value:g}" for level in levels])
            axis.set_xlabel(label(name, 30))
            axis.set_title(outcome.replace("_", " "))
            axis.set_ylim(bottom=min(0.0, float(np.nanmin(columns[outcome]))))
        return figure
