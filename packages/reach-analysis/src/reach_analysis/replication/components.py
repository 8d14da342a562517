"""Principal components and high-frequency power with the public choices and with ours.

Components: explained variance of the very trials they were found on, and trajectories coloured by the third column of
qpos, called shoulder extension there. Power: a band of 10-1000 Hz asked of actions that are sampled 400 times a second
or less, which is silently cut at half the rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.spectra import band_power, check_band
from reach_analysis.config import PcaConfig, SpectraConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.replication.table import Comparison, comparison_study
from reach_analysis.representation.pca import LayerPca, colour_values, layer_pca
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.studies.pca import usual_colour
from reach_analysis.studies.study import Study, each

COLOUR_COLUMN = 2
"""Column of qpos that the public notebook calls shoulder extension."""
BAND_HZ = (10.0, 1000.0)


def compare_components(rollouts: Rollouts, config: PcaConfig, stage: Stage = silent) -> Study:
    """Every layer, ours and theirs."""
    names = config.layers or ["latent_mean", *rollouts.layers]
    folds = folds_at_most(rollouts.trials, config.folds, config.seed)
    rows = []
    positions = rollouts.series("qpos")
    joint = config.colour_by or usual_colour(rollouts)
    column = positions.channels[min(COLOUR_COLUMN, len(positions.channels) - 1)]
    for name in each(stage, "replication", names):
        series = rollouts.representation(name)
        result = layer_pca(series, config.components, folds)
        count = f"first {len(result.explained)} components"
        rows.append(Comparison(
            name, "explained variance of the same trials", "variance of left-out trials",
            "variance of the trials the components were found on", f"fraction of variance, {count}",
            float(result.held_out[-1]), float(result.explained.sum()), result.n_trials, result.n_trials,
        ))  # fmt: skip
        ours, theirs = (_colour_r2(result, colour_values(positions, one, result.scores)) for one in (joint, column))
        rows.append(Comparison(
            name, "coloured by a column's number", f"coloured by {joint}, by name",
            f"coloured by column {COLOUR_COLUMN} of qpos, here {column}", f"R² of the colour, {count}",
            ours, theirs, result.n_trials, result.n_trials,
        ))  # fmt: skip
    return comparison_study("pca", rows, (rollouts.path,), [f"n = {len(rollouts.trials)} trials."])


def _colour_r2(layer: LayerPca, colours: Sequence[np.ndarray]) -> float:
    """How much of a colour is a linear function of the components."""
    scores, shade = np.concatenate(layer.scores.values), np.concatenate(list(colours))
    design = np.column_stack([np.ones(len(scores)), scores])
    left = shade - design @ np.linalg.lstsq(design, shade, rcond=None)[0]
    return float(1 - left.var() / shade.var()) if shade.var() > 0 else float("nan")


def compare_spectra(conditions: Mapping[str, Rollouts], config: SpectraConfig, stage: Stage = silent) -> Study:
    """Every condition, ours and theirs."""
    rows = []
    for name, rollouts in each(stage, "replication", conditions.items()):
        series = rollouts.series(config.signal)
        series = series.select(config.actuators) if config.actuators else series
        low, high = check_band(config.low_hz, config.high_hz, series.rate_hz)
        ours = band_power(series, low, high)
        top = min(BAND_HZ[1], series.rate_hz / 2)
        theirs = band_power(series, BAND_HZ[0], top)
        named, there = f"{BAND_HZ[0]:g}-{BAND_HZ[1]:g} Hz", f"{BAND_HZ[0]:g}-{top:g} Hz"
        rows.append(Comparison(
            name, f"a band of {named}", f"{low:g}-{high:g} Hz, checked against the rate",
            f"called {named}, in truth {there}", "power", float(ours.power.mean()), float(theirs.power.mean()),
            len(ours.trials), len(theirs.trials),
        ))  # fmt: skip
        rows.append(Comparison(
            name, "width of the band", f"{low:g}-{high:g} Hz", f"called {named}, in truth {there}",
            "part of the named band that the signal can hold", 1.0, (top - BAND_HZ[0]) / (BAND_HZ[1] - BAND_HZ[0]),
            len(ours.trials), len(theirs.trials),
        ))  # fmt: skip
    inputs = tuple(rollouts.path for rollouts in conditions.values())
    return comparison_study("spectra", rows, inputs, [f"n = {rows[0].ours_n} trials."])
