"""Controllers side by side: paired differences over the trials they share (paper A, sections 2.6 and 3.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from reach_analysis._common.errors import DataError
from reach_analysis._common.figures import CYCLE, GREY, drawing, label
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import MUSCLES, kind_of_actuators
from reach_analysis.behaviour.spectra import band_power, long_enough
from reach_analysis.behaviour.tracking_errors import has_reference, joint_deviation, trial_means
from reach_analysis.config import ComparisonConfig
from reach_analysis.data.inputs import over_shared_steps
from reach_analysis.data.levels import Levels
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries
from reach_analysis.figures import grid
from reach_analysis.statistics.estimates import (
    FEWEST_UNITS,
    Estimate,
    Resampling,
    common_places,
    mean_of,
    paired_difference,
)
from reach_analysis.statistics.permutation import holm
from reach_analysis.studies.section import Column, Fact, Section, fact, interval_column, number, plain, table
from reach_analysis.studies.study import Study, StudyFigure, each

TITLE = "Comparison of controllers"
QUESTION = (
    "What does a cost on effort change? Each trial is imitated by each controller, so differences are taken trial by "
    "trial."
)


MAIN = ("high-frequency power", "squared control", "joint error (deg)")
"""Quantities of the finding."""


@dataclass(frozen=True)
class _Quantity:
    """One number a trial."""

    unit: str
    """Its unit; "1" where it has none."""
    trials: tuple[str, ...]
    """Names of the trials that have it."""
    values: Float[np.ndarray, " trial"]


def run(conditions: Mapping[str, Rollouts], config: ComparisonConfig, stage: Stage = silent) -> Study:
    """Compare each condition with the first one, trial by trial, over the time for which both took steps."""
    if len(conditions) < 2:
        raise DataError("a comparison needs at least two rollouts files")
    config = config.shared(rollouts.rate_hz for rollouts in conditions.values())
    first, *others = conditions
    rows: list[dict[str, Any]] = []
    notes = []
    for other in each(stage, "conditions", others):
        pair = {name: conditions[name] for name in (first, other)}
        cut, left_out = over_shared_steps(pair)
        rows += _rows(cut, pair, config)
        if left_out:
            notes.append(f"{first} and {other}: {left_out} steps that only one of them took were left out.")
    if not rows:
        raise DataError(f"{first} and {', '.join(others)} share no trial, so nothing can be compared trial by trial")
    adjusted = holm(np.array([row["p"] if np.isfinite(row["p"]) else 1.0 for row in rows]))
    rows = [row | {"p_holm": float(p)} for row, p in zip(rows, adjusted, strict=True)]
    everything, _ = over_shared_steps(conditions)
    levels = conditions[first].levels
    unit, _ = levels.units(conditions[first].trials, FEWEST_UNITS)
    drawn = _paired({name: _quantities(rollouts, config) for name, rollouts in everything.items()}, levels, config)
    caption = (
        f"Every trial under each controller (thin lines), and means with 95 % intervals over {unit} (n = "
        f"{min(row['trials'] for row in rows)}, studentised bootstrap, {config.resamples} resamples), over the steps "
        f"that all controllers took. High-frequency power: actions, {config.band}. The null of "
        f"the differences: the sign of the difference of each of these is chance, p after Holm for {len(rows)} tests."
    )
    return Study(
        name="comparison",
        results=rows,
        inputs=tuple(rollouts.path for rollouts in conditions.values()),
        tables={"comparison": rows},
        figures=(StudyFigure("comparison", paired_trials(drawn), caption),),
        notes=tuple(notes),
    )


def _quantities(rollouts: Rollouts, config: ComparisonConfig) -> dict[str, _Quantity]:
    """What controllers are compared by: errors, effort, chatter, and the reward terms they share."""
    out: dict[str, _Quantity] = {}
    if has_reference(rollouts):
        deviation = joint_deviation(rollouts)
        for unit in dict.fromkeys(deviation.units):
            means = trial_means(deviation, deviation.in_unit(unit).distance.channels)
            means[rollouts.n_steps == 0] = np.nan
            out[f"joint error ({unit})"] = _Quantity(unit, rollouts.trials, means)
    out["squared control"] = _means(rollouts.series("ctrl"), square=True)
    if kind_of_actuators(rollouts) == MUSCLES:
        out["muscle activation"] = _means(rollouts.series("act"))
    action, _ = rollouts.series("action").known()
    if keep := long_enough(action, config.low_hz):
        power = band_power(action.take(keep), config.low_hz, config.high_hz)
        out["high-frequency power"] = _Quantity("1", power.trials, power.power.mean(axis=1))
    for name in rollouts.names.get("metric", ()):
        if "joint" in name.lower():
            out[f"reward term {name}"] = _means(rollouts.series("metrics").select([name]))
    return out


def _means(series: TrialSeries, square: bool = False) -> _Quantity:
    """Mean over time and channels of each trial; what a trial does not know is left out."""
    values = [rows**2 if square else rows for rows in series.values]
    means = [float(np.nanmean(rows)) if np.isfinite(rows).any() else float("nan") for rows in values]
    return _Quantity("1", series.trials, np.array(means))


def _common(quantities: Sequence[_Quantity]) -> Float[np.ndarray, "quantity trial"]:
    """Values over the trials that all have."""
    places = common_places(*(quantity.trials for quantity in quantities))
    return np.array([quantity.values[rows] for quantity, rows in zip(quantities, places, strict=True)])


def _units(quantities: Sequence[_Quantity], levels: Levels, config: ComparisonConfig) -> Resampling:
    """How intervals over the trials that all have are made."""
    places, *_ = common_places(*(quantity.trials for quantity in quantities))
    trials = [quantities[0].trials[place] for place in places]
    return Resampling(config.resamples, seed=config.seed).of(levels, trials)


def _rows(cut: Mapping[str, Rollouts], whole: Mapping[str, Rollouts], config: ComparisonConfig) -> list[dict[str, Any]]:
    """Means of two conditions and their paired difference, second less first; nothing where no trial is shared."""
    one, two = cut
    quantities = [_quantities(rollouts, config) for rollouts in cut.values()]
    rows = []
    for name in quantities[0]:
        if name not in quantities[1]:
            continue
        unit = quantities[0][name].unit
        full = [both[name] for both in quantities]
        first, second = _common(full)
        resampling = _units(full, cut[one].levels, config)
        known = np.isfinite(first) & np.isfinite(second)
        if not known.any():
            continue
        first, second = (np.where(known, values, np.nan) for values in (first, second))
        means = [mean_of(values, unit, resampling, least=_least(name)) for values in (first, second)]
        change = paired_difference(second, first, unit, resampling)
        rows.append({
            "quantity": name, "unit": unit, "first": one, "second": two, "trials": means[0].n,
            **means[0].row("first_mean", "first"), **means[1].row("second_mean", "second"),
            **change.estimate.row("difference", ""), "p": change.p,
            "first_reached_end": whole[one].reached_end, "second_reached_end": whole[two].reached_end,
        })  # fmt: skip
    return rows


def _least(name: str) -> float:
    """Least possible value: rewards may be below 0, errors, effort and power not."""
    return -np.inf if name.startswith("reward") else 0.0


def _paired(result: Mapping[str, Mapping[str, _Quantity]], levels: Levels, config: ComparisonConfig) -> list[Paired]:
    """Quantities of all conditions over the trials that all have, for the figure."""
    drawn = []
    for name in next(iter(result.values())):
        full = [quantities[name] for quantities in result.values() if name in quantities]
        values = _common(full)
        if len(full) < len(result) or not np.isfinite(values).all(axis=0).any():
            continue
        resampling = _units(full, levels, config)
        means = tuple(mean_of(row, full[0].unit, resampling, least=_least(name)) for row in values)
        drawn.append(Paired(name, tuple(result), values, means))
    return drawn


@dataclass(frozen=True)
class Paired:
    """One quantity under several conditions."""

    name: str
    """What is measured, with its unit."""
    conditions: tuple[str, ...]
    values: Float[np.ndarray, "condition trial"]
    means: tuple[Estimate, ...]


def paired_trials(quantities: Sequence[Paired]) -> Figure:
    """Each trial as a line over the conditions, and each condition's mean with its interval."""
    with drawing():
        figure, axes = grid(len(quantities), 3, (2.5, 2.5))
        for axis, one in zip(axes, quantities, strict=True):
            place = np.arange(len(one.conditions))
            axis.plot(place, one.values, color=GREY, lw=0.5, alpha=0.35)
            for number, mean in enumerate(one.means):
                reach = np.nan_to_num([[mean.value - mean.low], [mean.high - mean.value]])
                axis.errorbar(number, mean.value, reach, fmt="o", color=CYCLE[number % len(CYCLE)], capsize=3, zorder=3)
            axis.set_xticks(place, [label(name, 16) for name in one.conditions])
            axis.set_xlim(-0.4, len(one.conditions) - 0.6)
            axis.set_ylim(0, 1.08 * max(float(np.nanmax(one.values)), 1e-12))
            axis.set_title(one.name)
        return figure


def facts(study: Study) -> dict[str, Fact]:
    """Differences of each pair of conditions, both ways."""
    out = {}
    for row in study.results:
        change = fact(row, "difference", "")
        out[f"{row['quantity']}/{row['first']}>{row['second']}"] = change
        out[f"{row['quantity']}/{row['second']}>{row['first']}"] = replace(
            change, value=-change.value, low=-change.high, high=-change.low
        )
    return out


def section(study: Study) -> Section:
    """Paired differences, and the relative change of the main quantities."""
    columns = (
        Column("quantity", "quantity"), Column("first", "first"), interval_column("mean [95 %]", "first_mean", "first"),
        Column("second", "second"), interval_column("mean [95 %]", "second_mean", "second"),
        interval_column("difference [95 %]", "difference", ""), Column("p", "p", p=True),
        Column("p, Holm", "p_holm", p=True), Column("first reached the end, %", "first_reached_end", scale=100.0),
        Column("second reached the end, %", "second_reached_end", scale=100.0), Column("trials", "trials"),
    )  # fmt: skip
    pairs = dict.fromkeys((row["first"], row["second"]) for row in study.results)
    rows = {(row["quantity"], row["first"], row["second"]): row for row in study.results}
    findings = []
    for first, second in pairs:
        changes = [_change(rows[name, first, second]) for name in MAIN if (name, first, second) in rows]
        if texts := [text for text in changes if text]:
            findings.append(f"From {plain(first)} to {plain(second)}, {', '.join(texts)}.")
    return Section(
        (table("Paired differences over the steps that both took, second less first", columns, study.results),),
        tuple(findings),
        opening=True,
    )


def _change(row: Mapping[str, Any]) -> str:
    """Relative change of a quantity in words; empty where its mean is 0."""
    change = fact(row, "difference", "")
    if not row["first_mean"]:
        return ""
    if change.has_interval and change.low <= 0 <= change.high:
        return f"{row['quantity']} did not change beyond chance"
    percent = 100 * change.value / abs(row["first_mean"])
    doubt = "" if change.has_interval else " (too few trials for an interval)"
    return f"{row['quantity']} {'rose' if percent > 0 else 'fell'} by {number(abs(percent), 2)} %{doubt}"
