"""Persistent homology of latents and layers as a study: numbers, tables, a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, GREY, INK, LIGHT, drawing, panels
from reach_analysis._common.progress import Stage, silent
from reach_analysis.config import TopologyConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.figures import layer_label
from reach_analysis.representation.pca import delay_windows
from reach_analysis.studies.section import Column, Section, table
from reach_analysis.studies.study import Study, StudyFigure
from reach_analysis.topology.assessment import RADII, Shape, shape
from reach_analysis.topology.homology import require_ripser
from reach_analysis.topology.nulls import KEEPS

TITLE = "Topology of the intention"
QUESTION = (
    "Does the intention move on a loop? A loop counts only if the covariance, the distances from the mean, the "
    "spectra and the courses that trials share do not explain it."
)


def run(rollouts: Rollouts, config: TopologyConfig, stage: Stage = silent) -> Study:
    """Look for loops and voids in every layer of the settings."""
    require_ripser()
    names = config.layers or ["latent_mean"]
    tick = stage("topology", len(names) * len(config.nulls) * config.draws)
    result = []
    for name in names:
        series = rollouts.representation(name)
        if config.window_frames > 1:
            series = delay_windows(series, config.window_frames)
        result.append(shape(series, config, tick))
    rows = [row for one in result for row in _rows(one)]
    first = result[0]
    remaining = f", first {config.components} principal axes" if config.components else ""
    nulls = "; ".join(f"{null.name} keeps {KEEPS[null.name]}" for null in first.nulls)
    caption = (
        f"Betti curves and longest lifetimes of n = {first.n_samples} samples of {first.n_trials} trials{remaining}: "
        f"Vietoris-Rips complexes on {config.landmarks} maxmin landmarks, {100 * config.trim:g} % of the samples, "
        "which are isolated, left out; lengths in root mean square distances from the centre. "
        "Line: distance of samples from their landmarks; shorter lifetimes are gaps between landmarks. Dashed: 95 % "
        f"of {config.draws} draws of each null ({nulls}); p values are not corrected for their number."
    )
    notes = (
        "A shape counts only beyond nulls that keep its trivial causes: norms where layers are "
        "normalised, the shared course of the trials, a linear oscillation.",
        *(note for one in result for note in one.notes),
    )
    return Study(
        name="topology",
        results=rows,
        inputs=(rollouts.path,),
        tables={"topology": rows, "topology_lifetimes": _lifetimes(result), "topology_betti": _betti(result)},
        figures=(StudyFigure("topology", shapes(result), caption),),
        notes=notes,
    )


def _rows(one: Shape) -> list[dict[str, Any]]:
    """One row a dimension and null."""
    rows = []
    for dimension in range(1, len(one.diagram.births)):
        lives = one.diagram.lifetimes(dimension)
        base = {
            "layer": one.name, "trials": one.n_trials, "samples": one.n_samples, "units": one.n_units,
            "features": NAMES[dimension], "longest": one.diagram.longest(dimension),
            "next": float(lives[1]) if len(lives) > 1 else 0.0, "covered": one.diagram.covered,
        }  # fmt: skip
        for null in one.nulls:
            values = null.longest[dimension - 1]
            rows.append(base | {
                "null": null.name, "keeps": null.keeps, "null_median": float(np.median(values)),
                "null_95": float(np.quantile(values, 0.95)), "p": one.p(null, dimension),
                "beyond": one.beyond(null, dimension),
            })  # fmt: skip
        if not one.nulls:
            rows.append(base)
    return rows


def _lifetimes(result: list[Shape]) -> list[dict[str, Any]]:
    return [
        {"layer": one.name, "dimension": dimension, "birth": float(birth), "death": float(death)}
        for one in result
        for dimension, (births, deaths) in enumerate(zip(one.diagram.births, one.diagram.deaths, strict=True))
        for birth, death in zip(births, deaths, strict=True)
    ]


def _betti(result: list[Shape]) -> list[dict[str, Any]]:
    return [
        {"layer": one.name, "dimension": dimension, "radius": float(radius), "data": int(count)}
        | {f"{null.name}_95": float(null.betti[dimension - 1][place]) for null in one.nulls}
        for one in result
        for dimension in range(1, len(one.diagram.births))
        for place, (radius, count) in enumerate(zip(RADII, one.diagram.betti(dimension, RADII), strict=True))
    ]


NAMES = {1: "loops", 2: "voids"}
SHOWN = 8
"""Lifetimes drawn of each dimension."""


def shapes(result: Sequence[Shape]) -> Figure:
    """A row a layer: for each dimension the Betti curve and the longest lifetimes, with what the nulls give."""
    dimensions = range(1, len(result[0].diagram.births))
    with drawing():
        figure, axes = panels(
            3.6 * 2 * len(dimensions), 2.3 * len(result) + 0.4, rows=len(result), columns=2 * len(dimensions)
        )
        for row, one in zip(axes, result, strict=True):
            for column, dimension in enumerate(dimensions):
                _draw_curve(row[2 * column], one, dimension)
                _draw_lifetimes(row[2 * column + 1], one, dimension)
            row[0].set_title(layer_label(one.name))
        axes[0][0].legend()
    return figure


def _draw_curve(axis: Axes, one: Shape, dimension: int) -> None:
    axis.step(RADII, one.diagram.betti(dimension, RADII), color=INK, where="post", label="data")
    for null, colour in zip(one.nulls, CYCLE, strict=False):
        axis.step(
            RADII, null.betti[dimension - 1], color=colour, lw=1, ls="--", where="post", label=f"{null.name}, 95 %"
        )
    axis.set_xlabel("radius (rms distances)")
    axis.set_ylabel(NAMES[dimension])
    axis.grid(axis="y")


def _draw_lifetimes(axis: Axes, one: Shape, dimension: int) -> None:
    lives = one.diagram.lifetimes(dimension)[:SHOWN]
    axis.bar(np.arange(1, len(lives) + 1), lives, color=LIGHT, edgecolor=GREY)
    for null, colour in zip(one.nulls, CYCLE, strict=False):
        axis.axhline(float(np.quantile(null.longest[dimension - 1], 0.95)), color=colour, lw=1, ls="--")
    axis.axhline(one.diagram.covered, color=INK, lw=1)
    axis.set_ylim(0, 1.15 * max(one.diagram.covered, float(lives.max(initial=0.0))))
    axis.set_xlim(0.3, SHOWN + 0.7)
    axis.set_xlabel(f"{NAMES[dimension]}, longest first")
    axis.set_ylabel("lifetime (rms distances)")


def section(study: Study) -> Section:
    """Longest lifetimes with those of the nulls."""
    rows = [
        row | {"name": layer_label(row["layer"]), "is_beyond": "yes" if row.get("beyond") else "no"}
        for row in study.results
    ]
    columns = (
        Column("layer", "name"), Column("features", "features"), Column("longest", "longest"), Column("next", "next"),
        Column("null", "null"), Column("null, median", "null_median"), Column("null, 95 %", "null_95"),
        Column("p", "p", p=True), Column("beyond", "is_beyond"), Column("trials", "trials"),
    )  # fmt: skip
    title = "Longest lifetimes and those of the nulls (in root mean square distances from the centre)"
    return Section((table(title, columns, rows),))
