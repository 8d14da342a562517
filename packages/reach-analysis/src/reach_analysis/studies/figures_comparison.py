"""Figure of paired trials: one panel a quantity, one thin line a trial, means with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, GREY, drawing, label, panels
from reach_analysis.statistics.estimates import Estimate

MOST_COLUMNS = 3


@dataclass(frozen=True)
class Paired:
    """One quantity under several conditions.

    Attributes:
        name: what is measured, with its unit.
        conditions: their names.
        values: condition x trial.
        means: mean of each condition.
    """

    name: str
    conditions: tuple[str, ...]
    values: Float[np.ndarray, "condition trial"]
    means: tuple[Estimate, ...]


def paired_trials(quantities: Sequence[Paired]) -> Figure:
    """Each trial as a line over the conditions, and each condition's mean with its interval."""
    with drawing():
        columns = min(MOST_COLUMNS, len(quantities))
        rows = int(np.ceil(len(quantities) / columns))
        figure, axes = panels(2.5 * columns, 2.5 * rows, rows=rows, columns=columns)
        flat = [axis for row in axes for axis in row]
        for axis, one in zip(flat, quantities, strict=False):
            place = np.arange(len(one.conditions))
            axis.plot(place, one.values, color=GREY, lw=0.5, alpha=0.35)
            for number, mean in enumerate(one.means):
                reach = np.nan_to_num([[mean.value - mean.low], [mean.high - mean.value]])
                axis.errorbar(number, mean.value, reach, fmt="o", color=CYCLE[number % len(CYCLE)], capsize=3, zorder=3)
            axis.set_xticks(place, [label(name, 16) for name in one.conditions])
            axis.set_xlim(-0.4, len(one.conditions) - 0.6)
            axis.set_ylim(0, 1.08 * max(float(np.nanmax(one.values)), 1e-12))
            axis.set_title(one.name)
        for axis in flat[len(quantities) :]:
            axis.remove()
        return figure
