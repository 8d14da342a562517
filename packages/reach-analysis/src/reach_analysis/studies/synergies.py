"""Muscle synergies of a controller: how many, which, and what they account for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import MUSCLES, active_muscles, actuator_for, kind_of_actuators
from reach_analysis.config import SynergiesConfig
from reach_analysis.data.emg import Emg
from reach_analysis.data.levels import Levels
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries, resample
from reach_analysis.figures.representation import synergy_overview
from reach_analysis.representation.synergies import (
    FEWEST_MUSCLES,
    Synergies,
    choose_rank,
    match_synergies,
    synergies,
)
from reach_analysis.statistics.estimates import FEWEST_UNITS
from reach_analysis.statistics.folds import blocked_folds, folds_at_most
from reach_analysis.studies.recordings import actuators_of, load_emg, recordings_of
from reach_analysis.studies.section import Column, Section, number, table
from reach_analysis.studies.study import Study, StudyFigure

MOST_NUMBERS = 100_000
"""Numbers (samples times muscles) that the choice of the rank uses; more samples are averaged."""
TITLE = "Muscle synergies"
QUESTION = (
    "Are muscles driven in groups? The number of groups is the smallest that predicts left-out muscles in left-out "
    "trials as well as the best number."
)


def run(rollouts: Rollouts | None, config: SynergiesConfig, stage: Stage = silent) -> Study:
    """Choose the number of synergies and decompose: activation of a controller, or EMG where there is none."""
    tick = stage("synergies", 2)
    emg, inputs, notes = _recorded(rollouts, config)
    activation, more = _activation(rollouts, emg, config)
    levels = rollouts.levels if rollouts else Levels()
    unit, units = levels.units(activation.trials, FEWEST_UNITS)
    names = activation.trials if unit == "trials" else [str(number) for number in range(int(units.max()) + 1)]
    folds = folds_at_most(names, config.folds, config.seed)[units]
    if rollouts is None and config.recording.block_s:
        unit, folds = "neighbouring blocks", blocked_folds(len(activation.trials), config.folds)
    thin = -(-sum(activation.lengths) * len(activation.channels) // MOST_NUMBERS)
    looked_at = resample(activation, activation.rate_hz / thin)
    choice = choose_rank(looked_at, config.largest, folds, config.muscle_folds, config.seed)
    tick(1)
    result = synergies(activation, config.rank or choice.chosen, config.seed)
    matched = [] if rollouts is None or emg is None else _matched(rollouts, emg, config, choice.chosen)
    tick(1)
    rank_rows = [
        {"synergies": rank, "held_out": float(value), "standard_error": float(error)}
        for rank, value, error in zip(choice.ranks, choice.held_out, choice.error, strict=True)
    ]
    pattern_rows = _pattern_rows(result, activation)
    how = f"{len(set(folds.tolist()))} folds of {unit}, {config.muscle_folds} of muscles"
    caption = _caption(result, activation, how, levels.counted(activation.trials), thin)
    return Study(
        name="synergies",
        results={
            "chosen": choice.chosen,
            "accounted": result.accounted,
            "ranks": rank_rows,
            "patterns": pattern_rows,
            "matched": matched,
            "of": "activation" if rollouts else "EMG",
            "scale": dict(zip(activation.channels, map(float, result.scale), strict=True)),
            "left_out": [name for name in (rollouts.names["actuator"] if rollouts else ())
                         if name not in activation.channels],
        },
        inputs=(*([rollouts.path] if rollouts else []), *inputs),
        tables={"synergy_ranks": rank_rows, "synergy_patterns": pattern_rows}
        | ({"synergy_matches": matched} if matched else {}),
        figures=(StudyFigure("synergies", synergy_overview(choice, result, activation.channels), caption),),
        notes=(*notes, *more),
    )  # fmt: skip


def _recorded(rollouts: Rollouts | None, config: SynergiesConfig) -> tuple[Emg | None, list[Path], list[str]]:
    """Envelopes of the settings; none where there are too few muscles to match with those of a controller."""
    if not config.emg:
        return None, [], []
    recordings = replace(recordings_of(config), seed=config.seed)
    emg, inputs, notes = load_emg({} if rollouts is None else {"rollouts": rollouts}, recordings)
    count = len(emg.envelope.channels)
    if count < FEWEST_MUSCLES and rollouts:
        return (
            None,
            inputs,
            [*notes, f"EMG of {count} muscles has no synergies to compare: {FEWEST_MUSCLES} are needed."],
        )
    return emg, inputs, notes


def _activation(rollouts: Rollouts | None, emg: Emg | None, config: SynergiesConfig) -> tuple[TrialSeries, list[str]]:
    """Activation of the controller's muscles or, without a controller, the envelopes."""
    if rollouts is None:
        if emg is None:
            raise ConfigError("rollouts is not set; give rollouts=rollouts.h5, or emg=... for synergies of EMG alone")
        return emg.envelope.with_samples(), []
    if kind_of_actuators(rollouts) != MUSCLES and not config.actuators:
        raise DataError(
            f"{rollouts.path}: this body has no muscles (activation between 0 and 1), and so no muscle synergies"
        )
    return active_muscles(rollouts, config.actuators)


def _matched(rollouts: Rollouts, emg: Emg, config: SynergiesConfig, rank: int) -> list[dict[str, Any]]:
    """Synergies of the EMG next to those of the same muscles of the controller, as many as the controller has."""
    channels = emg.envelope.channels
    chosen = actuators_of(recordings_of(config))
    actuators = [actuator_for(name, rollouts.names["actuator"], chosen) for name in channels]
    rank = min(config.rank or rank, len(channels) - 1)
    recorded = synergies(emg.envelope.with_samples(), rank, config.seed)
    simulated = synergies(active_muscles(rollouts, actuators)[0].select(actuators), rank, config.seed)
    pairs = match_synergies(recorded.patterns, simulated.patterns, seed=config.seed)
    return [
        {"emg_synergy": number + 1, "controller_synergy": int(pairs.partner[number]) + 1,
         "cosine": float(pairs.cosine[number]), "mean_cosine": float(pairs.cosine.mean()), "null": pairs.null,
         "p": pairs.p, "muscles": len(channels), "emg_accounted": recorded.accounted,
         "controller_accounted": simulated.accounted}
        for number in range(rank)
    ]  # fmt: skip


def _pattern_rows(result: Synergies, activation: TrialSeries) -> list[dict[str, Any]]:
    return [
        {"synergy": number + 1} | dict(zip(activation.channels, map(float, pattern), strict=True))
        for number, pattern in enumerate(result.patterns)
    ]


def _caption(result: Synergies, activation: TrialSeries, folds: str, counted: str, thin: int) -> str:
    """Caption of the figure: folds and trials in words, `thin` samples to one mean."""
    return (
        "Left: variance (not centred) of left-out muscles in left-out trials that is predicted, by number of "
        "synergies; "
        f"bars: standard error over {folds}; "
        f"ring: the smallest number within one standard error of the best. Right: {len(result.patterns)} of them "
        f"(each muscle over its largest activation), which account for {100 * result.accounted:.1f} %. "
        f"n = {counted}, {sum(activation.lengths)} samples"
        + (f"; means over {thin} samples for the choice of the number." if thin > 1 else ".")
    )


def section(study: Study) -> Section:
    """Predicted activation by number of synergies, and the number chosen."""
    columns = (
        Column("synergies", "synergies"), Column("predicted, %", "held_out", scale=100.0),
        Column("standard error", "standard_error", scale=100.0),
    )  # fmt: skip
    chosen, accounted, matched = (study.results[name] for name in ("chosen", "accounted", "matched"))
    finding = (
        f"{chosen} {'synergy predicts' if chosen == 1 else 'synergies predict'} left-out muscles in left-out trials as "
        f"well as any number does, and account for {number(100 * accounted)} % of the {study.results['of']}."
    )
    pairs = table(
        "Synergies of recorded EMG with those of the same muscles of the controller: cosine of the angle between them; "
        "mean over synergies, its null of exchanged muscles, and p",
        (Column("of EMG", "emg_synergy"), Column("of the controller", "controller_synergy"), Column("cosine", "cosine"),
         Column("mean", "mean_cosine"), Column("muscles exchanged", "null"), Column("p", "p", p=True),
         Column("muscles", "muscles")),
        matched,
    )  # fmt: skip
    return Section((table("Predicted left-out activation", columns, study.results["ranks"]), pairs), (finding,))
