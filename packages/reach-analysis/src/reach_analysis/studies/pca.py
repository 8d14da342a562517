"""Principal components of the intention and of every layer (paper A, section 2.7; paper B, section 4.7)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from reach_analysis._common.errors import DataError, shorten
from reach_analysis._common.progress import Stage, silent
from reach_analysis.config import PcaConfig
from reach_analysis.data.rollouts import SPEED, Rollouts
from reach_analysis.figures import layer_label
from reach_analysis.figures.representation import trajectories, variance_by_layer
from reach_analysis.representation.pca import LayerPca, colour_values, delay_windows, explained_intervals, layer_pca
from reach_analysis.statistics.estimates import FEWEST_UNITS, NO_INTERVAL, Interval
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.studies.section import Column, Fact, Section, fact, interval_column, number, table
from reach_analysis.studies.study import Study, StudyFigure, each, left_out_notes

TITLE = "Representation: principal components"
QUESTION = (
    "How many dimensions do the intention and the layers use? The papers print the variance along the first three "
    "components of all samples. The variance of left-out trials shows whether these components hold for new trials. "
    "The participation ratio counts dimensions without a threshold."
)


def run(rollouts: Rollouts, config: PcaConfig, stage: Stage = silent) -> Study:
    """Components of every layer of the settings."""
    layers, rows, notes = _layers(rollouts, config, stage)
    joint = config.colour_by or usual_colour(rollouts)
    if joint == SPEED:
        positions, units = rollouts.speed(), {SPEED: "m/s"}
    else:
        positions = rollouts.series("qpos")
        units = dict(zip(positions.channels, rollouts.column_units("qpos"), strict=True))
    colours = [colour_values(positions, joint, layer.scores) for layer in layers]
    window = f" Windows of {config.window_frames} frames." if config.window_frames > 1 else ""
    unit, _ = rollouts.levels.units(layers[0].scores.trials, FEWEST_UNITS)
    counted = rollouts.levels.counted(layers[0].scores.trials)
    counts = f"n = {counted}, {layers[0].n_samples} samples; mean removed, no scaling.{window}"
    return Study(
        name="pca",
        results=rows,
        inputs=(rollouts.path,),
        tables={"pca": rows, "pca_scores": _score_rows(layers, colours, joint)},
        notes=tuple(notes),
        figures=(
            StudyFigure(
                "pca_variance",
                variance_by_layer(layers, [Interval(row["explained_low"], row["explained_high"]) for row in rows]),
                f"Variance along the first {config.components} principal components of the intention (mean) and each "
                f"hidden layer, and (orange) the part of the variance of left-out trials that components of the "
                f"others account for, {min(config.folds, layers[0].n_trials)} folds of trials; whiskers: 95 % interval "
                f"of all {config.components} together over {unit} (jackknife; none below {FEWEST_UNITS}). {counts}",
            ),
            *(
                StudyFigure(
                    name,
                    trajectories(layers, colours, f"{joint} ({units[joint]})", three_d=count == 3),
                    f"Each trial in the space of the first {count} components, coloured by {joint}. {counts} A shape "
                    f"in {count} components is not evidence of a topology.",
                )
                for name, count in ((("pca_windows_3d", 3), ("pca_windows_2d", 2)) if window
                                    else (("pca_trajectories", 3),))
            ),
        ),
    )  # fmt: skip


USUAL_COLOURS = ("sh*_extension", "*elbow*")


def usual_colour(rollouts: Rollouts) -> str:
    """Joint that colours trajectories where none is named: shoulder extension (papers A, B), elbow, or what varies."""
    positions = rollouts.series("qpos")
    angles = [name for name, unit in zip(positions.channels, rollouts.column_units("qpos"), strict=True)
              if unit == "rad"] or list(positions.channels)  # fmt: skip
    for pattern in USUAL_COLOURS:
        hits = [name for name in angles if fnmatchcase(name.lower(), pattern)]
        if len(hits) == 1:
            return hits[0]
    return positions.select(angles).most_varying(1)[0]


def _layers(
    rollouts: Rollouts, config: PcaConfig, stage: Stage
) -> tuple[list[LayerPca], list[dict[str, Any]], list[str]]:
    """Components and numbers of every layer that has some, and notes about the others."""
    names = config.layers or ["latent_mean", *rollouts.layers]
    folds = folds_at_most(rollouts.trials, config.folds, config.seed)
    layers, rows, flaws = [], [], {}
    for name in each(stage, "layers", names):
        series = rollouts.representation(name).with_samples()
        if config.window_frames > 1:
            series = delay_windows(series, config.window_frames)
        if flaw := series.flaw:
            flaws[name] = flaw
            continue
        fold = folds[[rollouts.trials.index(trial) for trial in series.trials]]
        layers.append(layer_pca(series, config.components, fold))
        count = len(layers[-1].explained)
        _, units = rollouts.levels.units(series.trials, FEWEST_UNITS)
        intervals = explained_intervals(series, count, units=units) if config.resamples else [NO_INTERVAL] * (count + 1)
        rows.append(_row(layers[-1], intervals, len(np.unique(units))))
    if not layers or (config.layers and "Not finite" in flaws.values()):
        why = {"Constant": "does not vary", "Not finite": "holds values that are not finite"}
        faults = [f"{rollouts.path}: {name}: {why[flaw]}" for name, flaw in flaws.items()]
        raise DataError(f"{shorten(faults, 3)}, so there are no principal components")
    return layers, rows, left_out_notes(flaws)


def _row(layer: LayerPca, intervals: list[Interval], n_units: int) -> dict[str, Any]:
    names = [*(f"explained_pc{number + 1}" for number in range(len(layer.explained))), "explained"]
    values = [*layer.explained.tolist(), float(layer.explained.sum())]
    row: dict[str, Any] = {
        "layer": layer.name, "trials": n_units, "samples": layer.n_samples, "units": layer.n_units
    }  # fmt: skip
    for name, value, interval in zip(names, values, intervals, strict=True):
        row |= {name: value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return row | {"held_out": float(layer.held_out[-1]), "participation_ratio": layer.participation_ratio}


def _score_rows(layers: list[LayerPca], colours: list, joint: str) -> list[dict[str, Any]]:
    return [
        {"layer": layer.name, "trial": trial, "time_s": float(time), joint: float(shade)}
        | dict(zip(layer.scores.channels, map(float, point), strict=True))
        for layer, shades in zip(layers, colours, strict=True)
        for number, trial in enumerate(layer.scores.trials)
        for time, point, shade in zip(
            layer.scores.times(number), layer.scores.values[number], shades[number], strict=True
        )
    ]


def facts(study: Study) -> dict[str, Fact]:
    """Variance along the first components of each layer."""
    out = {}
    for row in study.results:
        where = layer_label(row["layer"])
        out |= {f"{where}/pc{n}": fact(row, f"explained_pc{n}") for n in (1, 2, 3) if f"explained_pc{n}" in row}
        if "explained_pc3" in row and "explained_pc4" not in row:
            out[f"{where}/first_3"] = fact(row, "explained")
    return out


def section(study: Study) -> Section:
    """Variance of each layer, and how many dimensions the intention uses."""
    rows = [row | {"name": layer_label(row["layer"])} for row in study.results]
    columns = (
        Column("layer", "name"), Column("units", "units"),
        *(interval_column(f"PC {n} [95 %]", f"explained_pc{n}", scale=100.0) for n in (1, 2, 3)),
        interval_column("together [95 %]", "explained", scale=100.0),
        Column("trials left out", "held_out", scale=100.0),
        Column("participation ratio", "participation_ratio"), Column("trials", "trials"),
    )  # fmt: skip
    findings = [
        f"The first three components of the intention hold {fact(row, 'explained').text(100.0)} % of its variance "
        f"({number(100 * row['held_out'])} % in left-out trials); it uses {number(row['participation_ratio'], 2)} of "
        f"its {row['units']} dimensions (participation ratio)."
        for row in rows
        if row["layer"] == "latent_mean" and "explained_pc3" in row and "explained_pc4" not in row
    ]
    return Section((table("Variance along the first components, %", columns, rows),), tuple(findings))
