"""One choice of the public notebooks compared with ours: a row of the table, and the table as a study.

The choices are those of the notebooks published with paper A. They are reproduced to show the effect of
each, one at a time and all together; none of them is a setting of the analyses themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reach_analysis._common.figures import BLUE, GREY, LIGHT, ORANGE, drawing, label
from reach_analysis.studies.study import Study, StudyFigure

NAN = float("nan")


@dataclass(frozen=True)
class Comparison:
    """One departure."""

    question: str
    departure: str
    """The choice, in a few words."""
    ours_does: str
    public_does: str
    measure: str
    ours: float
    """Value with our choice, and with theirs alone (all others ours)."""
    public: float
    ours_n: int
    """Number of values behind each: predictions, trials."""
    public_n: int
    ours_null: float = NAN
    """The same when trials are exchanged, so that there is nothing to find (forecasts: median over exchanges; EMG: each
    trial with the next one's); NaN where it is meaningless."""
    public_null: float = NAN

    @property
    def row(self) -> dict[str, Any]:
        """The row of the table."""
        return {**asdict(self), "difference": self.public - self.ours}


def comparison_study(verb: str, rows: Sequence[Comparison], inputs: tuple[Path, ...], notes: Sequence[str]) -> Study:
    """Table and figure of one analysis done both ways."""
    return Study(
        name=f"{verb}_replication",
        results=[row.row for row in rows],
        inputs=inputs,
        tables={f"{verb}_replication": [row.row for row in rows]},
        figures=(
            StudyFigure(
                f"{verb}_replication",
                side_by_side(rows),
                "Each row: a value with our choice (blue) and with that of the public notebooks (orange), everything "
                "else as ours. Open marks: the same when trials are exchanged, so that there is nothing "
                f"to find. {' '.join(notes)}",
            ),
        ),
        notes=tuple(notes),
    )


def side_by_side(rows: Sequence[Comparison]) -> Figure:
    """One panel a question and kind of measure; one line a departure, from our value to theirs."""
    groups = list(dict.fromkeys(map(_group, rows)))
    with drawing():
        heights = [sum(_group(row) == group for row in rows) for group in groups]
        figure = Figure(figsize=(7.4, 0.6 * len(groups) + 0.3 * sum(heights) + 0.4), layout="constrained")
        grid = figure.subplots(len(groups), 1, squeeze=False, gridspec_kw={"height_ratios": [h + 1 for h in heights]})
        for (axis,), (question, measure) in zip(grid, groups, strict=True):
            mine = [row for row in rows if _group(row) == (question, measure)]
            for place, row in enumerate(mine):
                axis.plot([row.ours, row.public], [place, place], color=LIGHT, lw=2, zorder=1)
                for value, null, colour in ((row.ours, row.ours_null, BLUE), (row.public, row.public_null, ORANGE)):
                    axis.plot(value, place, "o", color=colour, ms=5)
                    if np.isfinite(null):
                        axis.plot(null, place, "o", mfc="none", mec=colour, ms=5)
            axis.set_yticks(range(len(mine)), [label(row.departure, 44) for row in mine])
            axis.set_ylim(len(mine) - 0.5, -0.5)
            axis.set_xlabel(measure)
            axis.set_title(label(question, 70))
            axis.grid(axis="x")
            axis.tick_params(axis="y", length=0, labelcolor=GREY)
    return figure


def _group(row: Comparison) -> tuple[str, str]:
    """Question and kind of measure: the text before the first comma."""
    return row.question, row.measure.split(",")[0]
