"""The runs of a sweep side by side: reward, high-frequency power and EMG error (paper A, section 2.6, Fig. 2A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reach_analysis._common.errors import ConfigError, DataError, unknown
from reach_analysis._common.figures import CYCLE, GREY, drawing, label, log_scale, panels
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import actuator_for, compare, simulated
from reach_analysis.behaviour.run_sweeps import Knee, Level, Run, differing, knee, over_seeds, read_run, steps_to, swept
from reach_analysis.behaviour.spectra import band_power, long_enough
from reach_analysis.config import SweepConfig
from reach_analysis.data.rollouts import Rollouts, read_rollouts
from reach_analysis.statistics.estimates import rank_correlation
from reach_analysis.studies.recordings import actuators_of, load_emg, recordings_of, require_recorded
from reach_analysis.studies.section import Column, Fact, Section, fact, interval_column, number, table
from reach_analysis.studies.study import Study, StudyFigure, each

TITLE = "Sweep of runs"
QUESTION = (
    "What does a setting of the training improve, and what does it cost? Points are training runs; lines are means "
    "over seeds."
)


FEWEST_RUNS = 4
"""Runs below which no trend is given."""

CONTROL_COST, TRAIN_CLIPS = "task.costs.control.weight", "run.train_clips"
"""Settings whose sweeps the papers show."""

REWARD, POWER, STEPS, REACHED_END = "reward", "high_frequency_power", "steps_to_fraction", "reached_end"
TRAINED, HELD_OUT, GAP = f"{REWARD}_train", f"{REWARD}_held_out", "generalisation_gap"


def run(rollouts: Mapping[str, Rollouts] | None, config: SweepConfig, stage: Stage = silent) -> Study:
    """Compare the runs that the settings name; the rollouts of the report are not used."""
    return compare_runs(find_runs(config.runs), config, stage)


def compare_runs(runs: Sequence[Run], config: SweepConfig, stage: Stage = silent) -> Study:
    """Table of runs, means over seeds, the knee, and the figure of all outcomes together."""
    parameter, values = swept(runs, config.parameter)
    outcomes = [_outcomes(run, config) for run in each(stage, "runs", runs)]
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome))
    columns = {name: [outcome.get(name, float("nan")) for outcome in outcomes] for name in names}
    levels = over_seeds(values, columns)
    result, notes = _knee(values, columns, config)
    notes += [note for run in runs if run.rollouts and (note := read_rollouts(run.rollouts).unread_seeds)]
    others = [key for key in differing(runs) if key != parameter]
    if others:
        notes.append(f"Other settings differ too, and are confounded with {parameter}: {', '.join(others[:6])}.")
    run_rows = [
        {"run": run.folder.name, parameter: value, "seed": run.settings.get("seed"), "n_train": len(run.train)}
        | {key: run.settings.get(key) for key in others} | outcome
        for run, value, outcome in zip(runs, values, outcomes, strict=True)
    ]  # fmt: skip
    level_rows = [_level_row(level, parameter) for level in levels]
    seeds = sorted({level.n for level in levels})
    caption = (
        f"Outcomes against {parameter}: points are runs, lines means over seeds (n = "
        f"{'-'.join(map(str, [seeds[0], seeds[-1]][: len(seeds)]))} a value), bars 95 % intervals (Student's t). "
        f"High-frequency power: {config.band}, of the actions."
    )
    if result:
        caption += f" Dashed: the knee, {result.value:g} ({100 * result.agreement:.0f} % of resampled seeds)."
    shown = [name for name in names if name not in (STEPS, TRAINED, HELD_OUT) and np.isfinite(columns[name]).any()]
    figures = [StudyFigure("sweep", sweep_curves(values, columns, levels, shown, (parameter, result)), caption)]
    if GAP in columns:
        caption = (
            f"Reward a step of trained and held-out clips against {parameter}: points are runs (n = {len(runs)}), "
            "lines means over them, red the gap between the means."
        )
        figures.append(StudyFigure("generalisation", generalisation(values, columns, parameter), caption))
    return Study(
        name="sweep",
        results={
            "parameter": parameter,
            "runs": run_rows,
            "levels": level_rows,
            "knee": result,
            "trends": _trends(values, columns),
        },
        inputs=tuple(run.rollouts for run in runs if run.rollouts is not None),
        tables={"sweep_runs": run_rows, "sweep_levels": level_rows},
        figures=tuple(figures),
        notes=tuple(notes),
    )


def find_runs(setting: Any) -> list[Run]:
    """Runs from folders, or patterns of folders; a pattern skips folders without a run."""
    if not setting:
        raise DataError("no runs of a sweep: runs is not set; for example runs='sweep/*'")
    entries = [setting] if isinstance(setting, str) else list(setting)
    folders: list[Path] = []
    for entry in entries:
        text = str(Path(str(entry)).expanduser())
        if any(sign in text for sign in "*?[") and not Path(text).exists():
            folders += [Path(name) for name in sorted(glob(text)) if (Path(name) / "config.yaml").is_file()]
        else:
            folders.append(Path(text))
    if not folders:
        raise ConfigError(f"runs: no folder of a run matches {setting!r}")
    return [read_run(folder) for folder in dict.fromkeys(folders)]


def _outcomes(run: Run, config: SweepConfig) -> dict[str, float]:
    """What came out of a run, by name."""
    result: dict[str, float] = {STEPS: steps_to(run.progress, config.progress_metric, config.fraction)}
    if run.rollouts is None:
        last = {name: run.progress[name][-1] for name in run.progress if len(run.progress[name])}
        names = {REWARD: config.progress_metric, TRAINED: "eval/train/reward", HELD_OUT: "eval/test/reward"}
        return _with_gap(result | {name: float(last[logged]) for name, logged in names.items() if logged in last})
    rollouts = read_rollouts(run.rollouts)
    if config.clip_pattern:
        rollouts = rollouts.renamed(config.clip_pattern)
    result |= _rewards(rollouts, run, config) | {REACHED_END: rollouts.reached_end}
    series = rollouts.series("action")
    if keep := long_enough(series, config.low_hz):
        result[POWER] = float(band_power(series.take(keep), config.low_hz, config.high_hz).power.mean())
    if config.emg:
        result |= _emg_errors(rollouts, config)
    return result


def _rewards(rollouts: Rollouts, run: Run, config: SweepConfig) -> dict[str, float]:
    """Mean over steps and clips of the reward (or one term of it), also of train and held-out clips where listed."""
    names = rollouts.names.get("metric", ())
    term = config.reward or next((name for name in names if "joint" in name.lower()), None)
    if term is not None and term != REWARD and term not in names:
        raise ConfigError(f"reward: {unknown('term', term, [REWARD, *names])}")
    series = rollouts.series("reward") if term in (None, REWARD) else rollouts.series("metrics").select([str(term)])
    by_clip = dict(zip(rollouts.clip_names, [float(rows.mean()) for rows in series.values], strict=True))
    result = {REWARD: float(np.mean(list(by_clip.values())))}
    for outcome, names in ((TRAINED, run.train), (HELD_OUT, run.test)):
        rewards = [by_clip[name] for name in names if name in by_clip]
        result |= {outcome: float(np.mean(rewards))} if rewards else {}
    return _with_gap(result)


def _with_gap(result: dict[str, float]) -> dict[str, float]:
    """Outcomes with the gap of generalisation, where both sets of clips have a reward."""
    return result | ({GAP: result[TRAINED] - result[HELD_OUT]} if {TRAINED, HELD_OUT} <= result.keys() else {})


def _emg_errors(rollouts: Rollouts, config: SweepConfig) -> dict[str, float]:
    """Mean absolute error of each muscle against the recorded EMG."""
    settings = recordings_of(config)
    require_recorded(settings)
    emg, _, _ = load_emg({}, settings)
    chosen = actuators_of(settings)
    actuators = [actuator_for(muscle, rollouts.names["actuator"], chosen) for muscle in emg.envelope.channels]
    simulation = simulated(rollouts, "act", actuators, emg.envelope.rate_hz)
    fits, _ = compare("run", "act", simulation, emg.envelope, replace(settings, resamples=100))
    return {f"emg_error_{fit.muscle}": fit.mae.value for fit in fits}


def _knee(values: list[float], columns: dict[str, list[float]], config: SweepConfig) -> tuple[Knee | None, list[str]]:
    if REWARD not in columns or POWER not in columns:
        return None, ["Without rollouts there is no high-frequency power, and no knee."]
    try:
        result = knee(values, columns[REWARD], columns[POWER], seed=config.seed)
    except DataError as error:
        return None, [f"No knee: {error}."]
    if result is None:
        return None, ["A knee needs at least three values of what is swept."]
    if result.value in (min(values), max(values)):
        return result, ["The knee is at the end of the sweep: the true one may be outside."]
    return result, []


def _trends(values: list[float], columns: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Rank correlation of every outcome with what is swept, over runs, with its interval over runs."""
    rows = []
    for name, outcome in columns.items():
        known = np.isfinite(outcome)
        swept_values, result = np.array(values)[known], np.array(outcome)[known]
        if len(result) < FEWEST_RUNS or np.ptp(result) == 0 or np.ptp(swept_values) == 0:
            continue
        trend = rank_correlation(swept_values, result)
        rows.append({"outcome": name, **trend.row("spearman", ""), "runs": trend.n})
    return rows


def _level_row(level: Level, parameter: str) -> dict[str, Any]:
    row: dict[str, Any] = {parameter: level.value, "runs": level.n}
    for name, outcome in level.outcomes.items():
        row |= outcome.row(name)
    return row


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
            means = [level.outcomes[outcome] for level in levels]
            reach = np.nan_to_num([mean.high - mean.value for mean in means])
            axis.errorbar(range(len(levels)), [mean.value for mean in means], reach, fmt="o-", color=colour, capsize=3)
            if knee is not None:
                axis.axvline(place[knee.value], color=GREY, ls="--", lw=1)
            axis.set_xticks(range(len(levels)), [f"{level.value:g}" for level in levels])
            axis.set_xlabel(label(name, 30))
            axis.set_title(outcome.replace("_", " "))
            axis.set_ylim(bottom=min(0.0, float(np.nanmin(columns[outcome]))))
        return figure


def generalisation(values: Sequence[float], columns: Mapping[str, Sequence[float]], parameter: str) -> Figure:
    """Reward of trained and of held-out clips, and the gap between them (paper B, Fig. 4b)."""
    levels, swept_values = np.unique(values), np.asarray(values)
    with drawing():
        figure, axes = panels(4.2, 3.2)
        axis, means = axes[0][0], {}
        for name, colour, text in ((TRAINED, CYCLE[0], "train"), (HELD_OUT, CYCLE[1], "held-out")):
            rewards = np.asarray(columns[name])
            means[name] = [np.nanmean(rewards[swept_values == level]) for level in levels]
            axis.plot(values, rewards, ".", color=colour, alpha=0.4, markersize=4)
            axis.plot(levels, means[name], "o-", color=colour, label=text)
        axis.vlines(levels, means[HELD_OUT], means[TRAINED], color="tab:red", lw=1)
        if levels[0] > 0 and levels[-1] > 10 * levels[0]:
            log_scale(axis)
        axis.set(xlabel=label(parameter, 30), ylabel="reward a step")
        axis.legend(frameon=False)
        return figure


def facts(study: Study) -> dict[str, Fact]:
    """Trends of the outcomes, the steps that the first level took, and the gap at 100 clips over the trained reward."""
    parameter, levels = study.results["parameter"], study.results["levels"]
    kind = {CONTROL_COST: "control_cost", TRAIN_CLIPS: "train_clips"}.get(parameter, "other")
    trends = {f"{kind}/trend/{row['outcome']}": fact(row, "spearman", "", "runs") for row in study.results["trends"]}
    gaps = {}
    for row in levels if kind == "train_clips" else ():
        gap, whole = fact(row, GAP, of="runs"), row[TRAINED]
        shares = {end: getattr(gap, end) / whole for end in ("value", "low", "high")}
        gaps[f"{kind}/gap_{row[parameter]:g}"] = replace(gap, **shares)
    return trends | gaps | {f"{kind}/steps": fact(levels[0], STEPS, of="runs")}


def section(study: Study) -> Section:
    """Means over seeds, and how power changes with the swept setting."""
    parameter, levels = study.results["parameter"], study.results["levels"]
    rows = [row | {"swept": float(row[parameter])} for row in levels]
    columns = (
        Column("value", "swept"), Column("runs", "runs"), interval_column("reward [95 %]", REWARD),
        interval_column("held-out reward [95 %]", HELD_OUT), interval_column("train - held-out [95 %]", GAP),
        Column("reached the end, %", REACHED_END, scale=100.0),
        interval_column("high-frequency power [95 %]", POWER),
        interval_column("EMG error, biceps [95 %]", "emg_error_biceps"),
        interval_column("EMG error, triceps [95 %]", "emg_error_triceps"),
        interval_column("steps to 95 % [95 %]", STEPS),
    )  # fmt: skip
    what, knee_found = "the control cost" if parameter == CONTROL_COST else parameter, study.results["knee"]
    findings = [
        f"Over {row['runs']} runs, high-frequency power and {what} have a rank correlation of "
        f"{fact(row, 'spearman', '').text()}" + (f"; the knee is at {number(knee_found.value)}." if knee_found else ".")
        for row in study.results["trends"]
        if row["outcome"] == POWER
    ]
    return Section((table("Means over seeds", columns, rows),), tuple(findings))
