"""EMG envelopes, and simulated muscles against them by condition (paper A, sections 2.2 and 3.5, Fig. 2B-D)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reach_analysis._common.figures import CYCLE, GREY, INK, SEQUENTIAL, drawing, label, panels
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import (
    ConditionDifference,
    MuscleFit,
    actuator_for,
    compare,
    condition_differences,
    mean_and_sem,
    simulated,
)
from reach_analysis.config import EmgConfig
from reach_analysis.data.emg import Emg
from reach_analysis.data.inputs import over_shared_steps
from reach_analysis.data.levels import Levels
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import Matched, TrialSeries
from reach_analysis.figures import trial_label
from reach_analysis.statistics.estimates import FEWEST_UNITS, Resampling
from reach_analysis.statistics.permutation import holm
from reach_analysis.studies.recordings import actuators_of, envelope_rows, how_made, is_synthetic, load_emg
from reach_analysis.studies.section import Column, Fact, Section, fact, interval_column, plain, table
from reach_analysis.studies.study import Study, StudyFigure

TITLE = "Muscles and EMG"
QUESTION = (
    "Do the simulated muscles act like the muscles of the animal in the same trial? Trials are matched by name; "
    "samples are matched by their time in seconds."
)


def run(conditions: Mapping[str, Rollouts], config: EmgConfig, stage: Stage = silent) -> Study:
    """Compare every condition with the EMG."""
    tick = stage("EMG", 1 + len(conditions))
    emg, inputs, notes = load_emg(conditions, config)
    tick(1)
    fits: list[MuscleFit] = []
    pairs: dict[str, dict[str, Matched]] = {signal: {} for signal in config.signals}
    for name, rollouts in conditions.items():
        for signal in config.signals:
            result, pairs[signal][name] = _condition(name, rollouts, signal, emg, config)
            fits += result
        tick(1)
    differences, left_out = _differences(conditions, emg, config)
    if left_out:
        notes.append(f"Differences leave out {left_out} steps that some controllers took and others did not.")
    notes += _outcome_notes(next(iter(pairs[config.signals[0]].values())), fits)
    return Study(
        name="emg",
        results={
            "fits": [_row(fit) for fit in fits],
            "differences": differences,
            "trials": {fit.condition: fit.trials for fit in fits},
            "emg": {"scale": emg.scale, "unit": emg.unit, "left_out": emg.left_out, "chain": asdict(emg.chain),
                    "raw_rate_hz": emg.raw_rate_hz, "synthetic": is_synthetic(config.emg)},
        },
        inputs=(*inputs, *(rollouts.path for rollouts in conditions.values())),
        tables=_tables(emg, fits, differences),
        figures=_figures(fits, pairs, emg, config, next(iter(conditions.values())).levels),
        notes=tuple(notes),
    )  # fmt: skip


def _condition(
    name: str, rollouts: Rollouts, signal: str, emg: Emg, config: EmgConfig
) -> tuple[list[MuscleFit], Matched]:
    muscles = emg.envelope.channels
    actuators = [actuator_for(muscle, rollouts.names["actuator"], actuators_of(config)) for muscle in muscles]
    rate = emg.envelope.rate_hz if config.resample else None
    simulation = simulated(rollouts, signal, list(dict.fromkeys(actuators)), rate)  # one may stand for several muscles
    places = [simulation.channels.index(actuator) for actuator in actuators]
    values = tuple(rows[:, places] for rows in simulation.values)
    simulation = replace(simulation, channels=muscles, values=values)
    fits, both = compare(name, signal, simulation, emg.envelope, config, rollouts.levels)
    return [replace(fit, actuator=actuator) for fit, actuator in zip(fits, actuators, strict=True)], both


def _differences(conditions: Mapping[str, Rollouts], emg: Emg, config: EmgConfig) -> tuple[list[dict[str, Any]], int]:
    """Paired differences over the steps that all conditions took, p after Holm for all of them, and steps left out."""
    if len(conditions) < 2:
        return [], 0
    cut, left_out = over_shared_steps(conditions)
    fits = [fit for name, one in cut.items() for signal in config.signals for fit in
            _condition(name, one, signal, emg, config)[0]]  # fmt: skip
    levels = next(iter(conditions.values())).levels
    resampling = Resampling(config.resamples, seed=config.seed)
    rows = [_difference_row(one) for one in condition_differences(fits, resampling, levels)]
    keys = [(row, key) for row in rows for key in ("mae_p", "correlation_p") if np.isfinite(row[key])]
    for (row, key), adjusted in zip(keys, holm(np.array([row[key] for row, key in keys])), strict=True):
        row[f"{key}_holm"] = float(adjusted)
    return rows, left_out


def _outcome_notes(both: Matched, fits: list[MuscleFit]) -> list[str]:
    notes = []
    if both.only_first:
        notes.append(f"{len(both.only_first)} simulated trials have no EMG and were left out.")
    if both.only_second:
        notes.append(f"{len(both.only_second)} recorded trials have no rollout and were left out.")
    if edge := [f"{fit.condition}, {fit.muscle}, {fit.signal}" for fit in fits if fit.lag_at_edge]:
        notes.append(f"The lag is the largest that was tried for {'; '.join(edge)}: it may be larger.")
    return notes


def _row(fit: MuscleFit) -> dict[str, Any]:
    names = ("condition", "muscle", "actuator", "signal")
    row: dict[str, Any] = {name: getattr(fit, name) for name in names} | {"trials": fit.mae.n}
    for name in ("mae", "rmse", "correlation", "onset_s"):
        row |= getattr(fit, name).row(name)
    row |= {"onset_trials": fit.onset_s.n, "correlation_of_means": fit.correlation_of_means, "lag_s": fit.lag_s}
    return row | fit.simpler


def _difference_row(entry: ConditionDifference) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in ("muscle", "signal", "first", "second")}
    row["trials"] = entry.mae.estimate.n
    for name in ("mae", "correlation"):
        result = getattr(entry, name)
        row |= result.estimate.row(f"{name}_difference", name) | {f"{name}_p": result.p}
    return row


def _tables(emg: Emg, fits: list[MuscleFit], differences: list[dict[str, Any]]) -> dict[str, list[dict]]:
    tables = {"emg_fits": [_row(fit) for fit in fits], "emg_envelopes": envelope_rows(emg)}
    if differences:
        tables["emg_differences"] = differences
    return tables


def _figures(
    fits: list[MuscleFit], pairs: Mapping[str, Mapping[str, Matched]], emg: Emg, config: EmgConfig, levels: Levels
) -> tuple[StudyFigure, ...]:
    unit, _ = levels.units(fits[0].trials, FEWEST_UNITS)
    how = how_made(emg, config)
    counted = levels.counted(fits[0].trials)
    shown = [
        StudyFigure(
            "emg_error",
            errors_by_condition(fits),
            f"Mean absolute error between simulated muscles and EMG envelopes; dots: {len(fits[0].trials)} trials, "
            f"bars: {100 * fits[0].mae.level:g} % intervals over {unit} (studentised bootstrap, {config.resamples} "
            f"resamples, n = {counted}), grey lines: the null, the error with the EMG of other trials. {how}",
        )
    ]
    for signal in config.signals:
        shown.append(
            StudyFigure(
                f"emg_average_{signal}",
                averages(pairs[signal], signal, levels),
                f"Average over {unit} of EMG and simulated {signal}, shaded: standard error of the mean over {unit} "
                f"(n = {counted}). {how}",
            )
        )
    signal = config.signals[0]
    heat = (
        f"All {len(fits[0].trials)} trials, a row each in their order: EMG and simulated {signal}; colours of one "
        f"scale for each muscle. {how}"
    )
    shown.append(StudyFigure(f"emg_heat_{signal}", heat_maps(pairs[signal]), heat))
    caption = f"Single trials, spread evenly over the recording (n = {counted}): EMG and simulated {signal}. {how}"
    return (*shown, StudyFigure("emg_trials", single_trials(pairs[signal], signal), caption))


def facts(study: Study) -> dict[str, Fact]:
    """Mean absolute error of each muscle under each condition."""
    kind = "synthetic" if study.results["emg"]["synthetic"] else "recorded"
    return {
        f"{kind}/{row['muscle'].lower()}/{row['signal']}/mae@{row['condition']}": fact(row, "mae")
        for row in study.results["fits"]
    }


def section(study: Study) -> Section:
    """Agreement with EMG, and differences between controllers."""
    fits, differences = study.results["fits"], study.results["differences"]
    tables = (
        table(
            "Agreement with EMG; errors in units of the EMG's 98th percentile, correlation over time within trials, "
            "onset of simulation less EMG over the trials in which both have one",
            (Column("controller", "condition"), Column("muscle", "muscle"), Column("signal", "signal"),
             interval_column("MAE [95 %]", "mae"), interval_column("RMSE [95 %]", "rmse"),
             interval_column("r [95 %]", "correlation"), Column("lag, ms", "lag_s", scale=1e3),
             interval_column("onset, ms", "onset_s", scale=1e3), Column("trials with an onset", "onset_trials"),
             Column("trials", "trials")),
            fits,
        ),
        table(
            "The same next to simpler envelopes and to exchanged trials (simulation with the EMG of another trial)",
            (Column("controller", "condition"), Column("muscle", "muscle"), Column("signal", "signal"),
             Column("MAE", "mae"), Column("exchanged", "mae_exchanged"), Column("p", "mae_p", p=True),
             Column("a constant", "mae_constant"), Column("mean EMG of other trials", "mae_mean_trial"),
             Column("after one scale factor", "mae_scaled"), Column("r", "correlation"),
             Column("exchanged", "correlation_exchanged"), Column("p", "correlation_p", p=True),
             Column("mean EMG of other trials", "correlation_mean_trial")),
            fits,
        ),
        table(
            "Paired differences between controllers over the steps that all took, first less second",
            (Column("muscle", "muscle"), Column("signal", "signal"), Column("first", "first"),
             Column("second", "second"), interval_column("MAE [95 %]", "mae_difference", "mae"),
             Column("p", "mae_p", p=True), Column("p, Holm", "mae_p_holm", p=True),
             interval_column("r [95 %]", "correlation_difference", "correlation"), Column("p", "correlation_p", p=True),
             Column("p, Holm", "correlation_p_holm", p=True), Column("trials", "trials")),
            differences,
        ),
    )  # fmt: skip
    several = len({row["condition"] for row in fits}) > 1
    errors = [
        f"{row['muscle']} {fact(row, 'mae').text()}" + (f" ({plain(row['condition'])})" if several else "")
        for row in fits
        if row["signal"] == "act" and not study.results["emg"]["synthetic"]
    ]
    finding = (
        f"Simulated activation differed from the recorded EMG by a mean absolute error of {', '.join(errors)}, in "
        "units of the EMG's 98th percentile."
    )
    return Section(tables, ((finding,) if errors else ()) + _worth(fits))


def _worth(fits: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A sentence where simpler envelopes come as close to the EMG as the simulation."""
    rows = [row for row in fits if row["signal"] == "act"]
    beaten = [row for row in rows if min(row["mae_constant"], row["mae_mean_trial"]) <= row["mae"]]
    if not beaten:
        return ()
    names = ", ".join(f"{row['muscle']} ({plain(row['condition'])})" for row in beaten)
    scaled = all(row["mae_scaled"] < row["mae"] for row in beaten)
    why = "; one scale factor brings the simulation closer, so much of this error is amplitude" if scaled else ""
    return (f"A constant or the mean EMG of other trials is as close to the EMG as the simulation for {names}{why}.",)


def errors_by_condition(fits: Sequence[MuscleFit]) -> Figure:
    """Mean absolute error of each condition with its interval, a panel a muscle and signal, and every trial."""
    with drawing():
        muscles = list(dict.fromkeys((fit.muscle, fit.signal) for fit in fits))
        figure, axes = panels(1.0 + 2.3 * len(muscles), 3.0, columns=len(muscles))
        for axis, key in zip(axes[0], muscles, strict=True):
            chosen = [fit for fit in fits if (fit.muscle, fit.signal) == key]
            for place, fit in enumerate(chosen):
                colour = CYCLE[place % len(CYCLE)]
                spread = np.linspace(-0.22, 0.22, len(fit.trial_mae)) if len(fit.trial_mae) > 1 else np.zeros(1)
                axis.plot(place + spread, fit.trial_mae, ".", color=colour, alpha=0.35, markersize=3)
                reach = [[fit.mae.value - fit.mae.low], [fit.mae.high - fit.mae.value]]
                axis.errorbar(place, fit.mae.value, reach, fmt="o", color=colour, capsize=3, markersize=6)
                axis.hlines(fit.simpler["mae_exchanged"], place - 0.3, place + 0.3, color=GREY, lw=1)
            axis.set_xticks(range(len(chosen)), [label(fit.condition, 14) for fit in chosen])
            axis.set_xlim(-0.6, len(chosen) - 0.4)
            axis.set_ylim(bottom=0)
            axis.set_title(f"{key[0]}, {key[1]}")
        axes[0][0].set_ylabel("mean absolute error\n(of EMG's 98th percentile)")
        return figure


def averages(pairs: Mapping[str, Matched], signal: str, levels: Levels) -> Figure:
    """Average over units of EMG and of each condition, with its standard error, a panel a muscle."""
    with drawing():
        recorded = next(iter(pairs.values())).second
        figure, axes = panels(3.6 * len(recorded.channels) + 1.2, 2.8, columns=len(recorded.channels))
        for column, (axis, muscle) in enumerate(zip(axes[0], recorded.channels, strict=True)):
            _average(axis, recorded, column, levels, name="EMG", colour=INK)
            for number, (condition, both) in enumerate(pairs.items()):
                name, colour = f"{label(condition)}, {signal}", CYCLE[number % len(CYCLE)]
                _average(axis, both.first, column, levels, name=name, colour=colour)
            axis.set_title(muscle)
            axis.set_xlabel("time from the start of the reach (ms)")
            axis.set_ylim(bottom=0)
        axes[0][0].set_ylabel("activation, envelope")
        axes[0][-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def _average(axis: Axes, series: TrialSeries, column: int, levels: Levels, *, name: str, colour: str) -> None:
    values, (_, units) = series.padded()[..., column], levels.units(series.trials, FEWEST_UNITS)
    mean, sem = mean_and_sem(np.array([mean_and_sem(values[units == unit])[0] for unit in np.unique(units)]))
    time = 1e3 * series.times(int(np.argmax(series.lengths)))
    axis.plot(time, mean, color=colour, label=name)
    axis.fill_between(time, mean - sem, mean + sem, color=colour, alpha=0.25, linewidth=0)


def heat_maps(pairs: Mapping[str, Matched]) -> Figure:
    """All trials as rows over time: EMG and each condition, a row of panels a muscle."""
    with drawing():
        recorded = next(iter(pairs.values())).second
        sides = {"EMG": recorded} | {name: both.first for name, both in pairs.items()}
        muscles = recorded.channels
        figure, axes = panels(2.3 * len(sides) + 0.8, 1.9 * len(muscles) + 0.4, rows=len(muscles), columns=len(sides))
        for column, (row, muscle) in enumerate(zip(axes, muscles, strict=True)):
            images = [series.padded()[..., column] for series in sides.values()]
            top = max(float(np.nanmax(image)) for image in images)
            for axis, (name, series), image in zip(row, sides.items(), images, strict=True):
                end = 1e3 * (series.start_s[0] + image.shape[1] / series.rate_hz)
                extent = (1e3 * float(series.start_s[0]), end, len(image) + 0.5, 0.5)
                drawn = axis.imshow(image, aspect="auto", cmap=SEQUENTIAL, vmin=0, vmax=top, extent=extent)
                axis.set_title(label(name) if row is axes[0] else "")
            row[0].set_ylabel(f"{muscle}\ntrial")
            figure.colorbar(drawn, ax=row, shrink=0.8)
        axes[-1][0].set_xlabel("time (ms)")
        return figure


SHOWN_TRIALS = 6
"""Trials drawn one by one."""


def single_trials(pairs: Mapping[str, Matched], signal: str) -> Figure:
    """A few trials spread evenly over the recording: EMG and each condition, a row a muscle."""
    with drawing():
        recorded = next(iter(pairs.values())).second
        muscles, count = recorded.channels, min(SHOWN_TRIALS, len(recorded.trials))
        chosen = [recorded.trials[i] for i in np.linspace(0, len(recorded.trials) - 1, count).round().astype(int)]
        figure, axes = panels(1.9 * count, 1.7 * len(muscles) + 0.3, rows=len(muscles), columns=count)
        for column, (row, muscle) in enumerate(zip(axes, muscles, strict=True)):
            for axis, trial in zip(row, chosen, strict=True):
                for number, (condition, both) in enumerate(pairs.items()):
                    if trial not in both.first.trials:
                        continue
                    place = both.first.trials.index(trial)
                    time = 1e3 * both.first.times(place)
                    if number == 0:
                        axis.plot(time, both.second.values[place][:, column], color=INK, lw=1.0, label="EMG")
                    axis.plot(time, both.first.values[place][:, column], color=CYCLE[number % len(CYCLE)], lw=1.0,
                              label=label(f"{condition}, {signal}"))  # fmt: skip
                axis.set_title(trial_label(trial) if row is axes[0] else "")
                if axis is not row[0]:
                    axis.set_yticklabels([])
            top = max(axis.get_ylim()[1] for axis in row)
            for axis in row:
                axis.set_ylim(0, top)
            row[0].set_ylabel(muscle)
        axes[-1][0].set_xlabel("time (ms)")
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        return figure
