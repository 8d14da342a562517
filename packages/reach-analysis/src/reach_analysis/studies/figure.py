"""Betti curves beside those of the nulls, and the longest lifetimes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, GREY, INK, LIGHT, drawing, layer_label, panels
from reach_analysis.topology.assessment import RADII, Shape

NAMES = {1: "loops", 2: "voids"}
SHOWN = 8
"""Lifetimes drawn of each dimension."""


def shapes(found: Sequence[Shape]) -> Figure:
    """A row a layer: for each dimension the Betti curve and the longest lifetimes, with what the nulls give."""
    dimensions = range(1, len(found[0].diagram.births))
    with drawing():
        figure, axes = panels(
            3.6 * 2 * len(dimensions), 2.3 * len(found) + 0.4, rows=len(found), columns=2 * len(dimensions)
        )
        for row, one in zip(axes, found, strict=True):
            for column, dimension in enumerate(dimensions):
                _curve(row[2 * column], one, dimension)
                _lifetimes(row[2 * column + 1], one, dimension)
            row[0].set_title(layer_label(one.name))
        axes[0][0].legend()
    return figure


def _curve(axis: Axes, one: Shape, dimension: int) -> None:
    axis.step(RADII, one.diagram.betti(dimension, RADII), color=INK, where="post", label="data")
    for null, colour in zip(one.nulls, CYCLE, strict=False):
        axis.step(
            RADII, null.betti[dimension - 1], color=colour, lw=1, ls="--", where="post", label=f"{null.name}, 95 %"
        )
    axis.set_xlabel("radius (rms distances)")
    axis.set_ylabel(NAMES[dimension])
    axis.grid(axis="y")


def _lifetimes(axis: Axes, one: Shape, dimension: int) -> None:
    lives = one.diagram.lifetimes(dimension)[:SHOWN]
    axis.bar(np.arange(1, len(lives) + 1), lives, color=LIGHT, edgecolor=GREY)
    for null, colour in zip(one.nulls, CYCLE, strict=False):
        axis.axhline(float(np.quantile(null.longest[dimension - 1], 0.95)), color=colour, lw=1, ls="--")
    axis.axhline(one.diagram.covered, color=INK, lw=1)
    axis.set_ylim(0, 1.15 * max(one.diagram.covered, float(lives.max(initial=0.0))))
    axis.set_xlim(0.3, SHOWN + 0.7)
    axis.set_xlabel(f"{NAMES[dimension]}, longest first")
    axis.set_ylabel("lifetime (rms distances)")
