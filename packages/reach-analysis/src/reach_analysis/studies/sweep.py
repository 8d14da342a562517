"""The runs of a sweep side by side: reward, high-frequency power and EMG error (paper A, section 2.6, Fig. 2A)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import glob
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, DataError, unknown
from reach_analysis._common.figures import label
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import actuator_for, compare, simulated
from reach_analysis.behaviour.run_sweeps import (
    Knee,
    Level,
    Point,
    Run,
    condition_names,
    differing,
    knee,
    over_seeds,
    read_run,
    steps_to,
    swept,
)
from reach_analysis.behaviour.spectra import band_power, long_enough
from reach_analysis.behaviour.tracking_errors import (
    assign_regions,
    has_reference,
    joint_deviation,
    keypoint_deviation,
    trial_means,
)
from reach_analysis.config import SweepConfig
from reach_analysis.data.clips import read_clips
from reach_analysis.data.rollouts import Rollouts, read_rollouts
from reach_analysis.figures.sweeps import generalisation, sweep_conditions, sweep_curves, sweep_maps
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
SIGNED = (REWARD, TRAINED, HELD_OUT, GAP)
"""Outcomes that may be negative."""
JOINT_ERROR, EMG_ERROR, KEYPOINT_ERROR = "joint_error_deg", "emg_error", "keypoint_error_mm"
CONDITION = "condition"

GRID = 2
"""Settings that are drawn as a map; points of more are conditions."""

KNEE, BEST = "reward and high-frequency power (the knee)", "joint error and EMG error"
"""What a point of the sweep is chosen by."""


def run(rollouts: Mapping[str, Rollouts] | None, config: SweepConfig, stage: Stage = silent) -> Study:
    """Compare the runs that the settings name; the rollouts of the report are not used."""
    return compare_runs(find_runs(config.runs), config, stage)


def compare_runs(runs: Sequence[Run], config: SweepConfig, stage: Stage = silent) -> Study:
    """Table of runs, means over seeds, the points that are best by two outcomes, and a figure of all outcomes."""
    swept_names, values = swept(runs, config.parameter)
    config = replace(config, reward=config.reward or _common_term(runs))
    outcomes = [_outcomes(run, config) for run in each(stage, "runs", runs)]
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome))
    columns = {name: [outcome.get(name, float("nan")) for outcome in outcomes] for name in names}
    limits = {name: (0.0, 1.0 if name == REACHED_END else np.inf) for name in names if name not in SIGNED}
    levels = over_seeds(values, columns, limits)
    conditions = condition_names(swept_names, values) if len(swept_names) > GRID else {}
    chosen, notes = _choices(swept_names, values, columns, config) if len(swept_names) <= GRID else ({}, [])
    notes += [note for run in runs if run.rollouts and (note := read_rollouts(run.rollouts).unread_seeds)]
    others = [key for key in differing(runs) if key not in swept_names]
    if others:
        notes.append(f"Other settings differ too, and are confounded with {' and '.join(swept_names)}: "
                     f"{', '.join(others[:6])}.")  # fmt: skip
    run_rows = [
        {"run": run.folder.name, **dict(zip(swept_names, value, strict=True)), "seed": run.settings.get("seed"),
         "n_train": len(run.train)} | {key: run.settings.get(key) for key in others} | outcome
        for run, value, outcome in zip(runs, values, outcomes, strict=True)
    ]  # fmt: skip
    level_rows = [_level_row(level, swept_names, conditions) for level in levels]
    shown = {name: column for name, column in columns.items()
             if name not in (STEPS, TRAINED, HELD_OUT) and np.isfinite(column).any()}  # fmt: skip
    figures = [_outcome_figure(swept_names, values, shown, levels, chosen, config.band)]
    if GAP in columns and len(swept_names) == 1:
        caption = (
            f"Reward a step of trained and held-out clips against {swept_names[0]}: points are runs (n = {len(runs)}), "
            "lines means over them, red the gap between the means."
        )
        drawn = generalisation(swept_names[0], [value for (value,) in values], columns[TRAINED], columns[HELD_OUT])
        figures.append(StudyFigure("generalisation", drawn, caption))
    return Study(
        name="sweep",
        results={
            "parameters": list(swept_names),
            "runs": run_rows,
            "levels": level_rows,
            "choices": [
                {"by": by, **dict(zip(swept_names, found.value, strict=True)), "agreement": found.agreement}
                for by, found in chosen.items()
            ],
            "trends": _trends(swept_names, values, columns),
        },
        inputs=tuple(run.rollouts for run in runs if run.rollouts is not None),
        tables={"sweep_runs": run_rows, "sweep_levels": level_rows},
        figures=tuple(figures),
        notes=tuple(notes),
    )


def _outcome_figure(
    names: Sequence[str],
    values: Sequence[Point],
    shown: Mapping[str, Sequence[float]],
    levels: Sequence[Level],
    chosen: Mapping[str, Knee],
    band: str,
) -> StudyFigure:
    """Outcomes against one setting or on the grid of two, with what was chosen, or by condition."""
    points = [found.value for found in chosen.values()]
    seeds = sorted({level.n for level in levels})
    n = f"n = {'-'.join(map(str, [seeds[0], seeds[-1]][: len(seeds)]))}"
    if len(names) == 1:
        drawn, marks = sweep_curves(names[0], values, shown, levels, points), ("Dashed", "Dotted")
        caption = (
            f"Outcomes against {names[0]}: points are runs, lines means over seeds ({n} a value), bars 95 % intervals "
            "(Student's t)."
        )
    elif len(names) == GRID:
        drawn, marks = sweep_maps(names, shown, levels, points), ("Orange ring", "White square")
        caption = f"Means over seeds ({n} a point) on the grid of {names[0]} (across) and {names[1]} (up)."
    else:
        drawn, marks = sweep_conditions(condition_names(names, values), values, shown, levels), ()
        caption = (
            "Outcomes of conditions, named by what departs from most runs: small points are runs, large ones means "
            f"over seeds ({n} a condition), bars 95 % intervals (Student's t)."
        )
    caption += f" High-frequency power: {band}, of the actions."
    for mark, (by, found) in zip(marks, chosen.items(), strict=False):
        place = " and ".join(f"{value:g}" for value in found.value)
        caption += f" {mark}: best by {by}, {place} ({100 * found.agreement:.0f} % of resampled seeds)."
    return StudyFigure("sweep", drawn, caption)


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
    if has_reference(rollouts) and "deg" in (joints := joint_deviation(rollouts)).units:
        result[JOINT_ERROR] = float(np.mean(np.concatenate(joints.in_unit("deg").distance.values)))
    if config.clips:
        result |= _keypoint_errors(rollouts, config.clips)
    return result


def _common_term(runs: Sequence[Run]) -> str:
    """The reward of joints, where all runs have it, else that of all terms."""
    known = [read_rollouts(run.rollouts).names.get("metric", ()) for run in runs if run.rollouts is not None]
    joints = (name for name in (known[0] if known else ()) if "joint" in name.lower())
    return next((name for name in joints if all(name in names for names in known)), REWARD)


def _rewards(rollouts: Rollouts, run: Run, config: SweepConfig) -> dict[str, float]:
    """Mean over steps and clips of the reward (or one term of it), also of train and held-out clips where listed."""
    names, term = rollouts.names.get("metric", ()), config.reward or REWARD
    if term != REWARD and term not in names:
        raise ConfigError(f"reward: {unknown('term', term, [REWARD, *names])}")
    series = rollouts.series("reward") if term == REWARD else rollouts.series("metrics").select([str(term)])
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
    errors = {f"{EMG_ERROR}_{fit.muscle}": fit.mae.value for fit in fits}
    return errors | {EMG_ERROR: float(np.mean(list(errors.values())))}


def _keypoint_errors(rollouts: Rollouts, clips: str) -> dict[str, float]:
    """Mean distance of keypoints from their reference, of each region and of all (paper B, suppl. Fig. 3)."""
    deviation = keypoint_deviation(rollouts, read_clips(Path(clips).expanduser()))
    regions = assign_regions(deviation.distance.channels)
    groups = {KEYPOINT_ERROR: [name for names in regions.values() for name in names]}
    groups |= {f"{KEYPOINT_ERROR}_{region}": names for region, names in regions.items()} if len(regions) > 1 else {}
    return {name: float(np.nanmean(trial_means(deviation, members))) for name, members in groups.items()}


def _choices(
    names: Sequence[str], values: Sequence[Point], columns: Mapping[str, Sequence[float]], config: SweepConfig
) -> tuple[dict[str, Knee], list[str]]:
    """The knee, and with EMG the point that is best by joint error and EMG error together (paper A, section 2.6)."""
    pairs = {KNEE: (columns.get(REWARD), columns.get(POWER))}
    if JOINT_ERROR in columns and EMG_ERROR in columns:
        pairs[BEST] = ([-error for error in columns[JOINT_ERROR]], columns[EMG_ERROR])
    chosen: dict[str, Knee] = {}
    notes = []
    for by, (gain, price) in pairs.items():
        if gain is None or price is None:
            notes.append("Without rollouts there is no high-frequency power, and no knee.")
            continue
        try:
            found = knee(values, gain, price, seed=config.seed)
        except DataError as error:
            notes.append(f"No choice by {by}: {error}.")
            continue
        if found is None:
            notes.append(f"A choice by {by} needs at least three values of what is swept.")
            continue
        chosen[by] = found
        for name, best, own in zip(names, found.value, zip(*values, strict=True), strict=True):
            if best in (min(own), max(own)) and min(own) < max(own):
                notes.append(f"The best {name} by {by} is at the end of the sweep: the true one may be outside.")
    return chosen, notes


def _trends(
    names: Sequence[str], values: Sequence[Point], columns: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """Rank correlation of every outcome with each setting that is swept, over runs, with its interval over runs."""
    rows = []
    for (name, swept_values), (outcome, column) in product(
        zip(names, np.array(values).T, strict=True), columns.items()
    ):
        known = np.isfinite(column)
        setting, result = swept_values[known], np.array(column)[known]
        if len(result) >= FEWEST_RUNS and np.ptp(result) > 0 and np.ptp(setting) > 0:
            trend = rank_correlation(setting, result)
            rows.append({"parameter": name, "outcome": outcome, **trend.row("spearman", ""), "runs": trend.n})
    return rows


def _level_row(level: Level, names: Sequence[str], conditions: Mapping[Point, str]) -> dict[str, Any]:
    row: dict[str, Any] = {**dict(zip(names, level.value, strict=True)), "runs": level.n}
    row |= {CONDITION: conditions[level.value]} if conditions else {}
    for name, outcome in level.outcomes.items():
        row |= outcome.row(name)
    return row


def facts(study: Study) -> dict[str, Fact]:
    """Trends of the outcomes, the steps that the first level took, and the gap at 100 clips over the trained reward."""
    parameters, levels = study.results["parameters"], study.results["levels"]
    trends = {f"{_kind(row['parameter'])}/trend/{row['outcome']}": fact(row, "spearman", "", "runs")
              for row in study.results["trends"]}  # fmt: skip
    gaps = {}
    for row in levels if parameters == [TRAIN_CLIPS] else ():
        gap, whole = fact(row, GAP, of="runs"), row[TRAINED]
        shares = {end: getattr(gap, end) / whole for end in ("value", "low", "high")}
        gaps[f"{_kind(TRAIN_CLIPS)}/gap_{row[TRAIN_CLIPS]:g}"] = replace(gap, **shares)
    return trends | gaps | {f"{_kind(parameters[0])}/steps": fact(levels[0], STEPS, of="runs")}


def _kind(parameter: str) -> str:
    return {CONTROL_COST: "control_cost", TRAIN_CLIPS: "train_clips"}.get(parameter, "other")


def section(study: Study) -> Section:
    """Means over seeds, and how power changes with the swept settings."""
    parameters, levels = study.results["parameters"], study.results["levels"]
    columns = (
        *([Column("condition", CONDITION)] if len(parameters) > GRID else []),
        *(Column(label(name, 30), name) for name in parameters if len(parameters) <= GRID), Column("runs", "runs"),
        interval_column("reward [95 %]", REWARD), interval_column("held-out reward [95 %]", HELD_OUT),
        interval_column("train - held-out [95 %]", GAP), interval_column("joint error, deg [95 %]", JOINT_ERROR),
        interval_column("keypoint error, mm [95 %]", KEYPOINT_ERROR),
        Column("reached the end, %", REACHED_END, scale=100.0),
        interval_column("high-frequency power [95 %]", POWER),
        interval_column("EMG error, biceps [95 %]", f"{EMG_ERROR}_biceps"),
        interval_column("EMG error, triceps [95 %]", f"{EMG_ERROR}_triceps"),
        interval_column("steps to 95 % [95 %]", STEPS),
    )  # fmt: skip
    findings = [
        f"Over {row['runs']} runs, high-frequency power and "
        f"{'the control cost' if row['parameter'] == CONTROL_COST else row['parameter']} have a rank correlation of "
        f"{fact(row, 'spearman', '').text()}."
        for row in study.results["trends"]
        if row["outcome"] == POWER
    ]
    findings += [
        f"Best by {row['by']}: " + ", ".join(f"{name} = {number(row[name])}" for name in parameters) + "."
        for row in study.results["choices"]
    ]
    return Section((table("Means over seeds", columns, levels),), tuple(findings))
