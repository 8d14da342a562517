"""Muscle synergies of a controller: how many, which, and what they account for."""

from __future__ import annotations

from typing import Any

from reach_analysis._common.errors import DataError
from reach_analysis._common.progress import Stage, silent
from reach_analysis.behaviour.muscles import MUSCLES, active_muscles, kind_of_actuators
from reach_analysis.config import SynergiesConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import TrialSeries, resample
from reach_analysis.figures.representation import synergy_overview
from reach_analysis.representation.synergies import Synergies, choose_rank, synergies
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.studies.section import Column, Section, number, table
from reach_analysis.studies.study import Study, StudyFigure

MOST_NUMBERS = 100_000
"""Numbers (samples times muscles) that the choice of the rank uses; more samples are averaged."""
TITLE = "Muscle synergies"
QUESTION = (
    "Are muscles driven in groups? The number of groups is the smallest that predicts left-out muscles in left-out "
    "trials as well as the best number."
)


def run(rollouts: Rollouts, config: SynergiesConfig, stage: Stage = silent) -> Study:
    """Choose the number of synergies and decompose."""
    if kind_of_actuators(rollouts) != MUSCLES and not config.actuators:
        raise DataError(
            f"{rollouts.path}: this body has no muscles (activation between 0 and 1), and so no muscle synergies"
        )
    tick = stage("synergies", 2)
    activation, notes = active_muscles(rollouts, config.actuators)
    folds = folds_at_most(activation.trials, config.folds, config.seed)
    thin = -(-sum(activation.lengths) * len(activation.channels) // MOST_NUMBERS)
    looked_at = resample(activation, activation.rate_hz / thin)
    choice = choose_rank(looked_at, config.largest, folds, config.muscle_folds, config.seed)
    tick(1)
    result = synergies(activation, config.rank or choice.chosen, config.seed)
    tick(1)
    pattern_rows: list[dict[str, Any]] = [
        {"synergy": number + 1} | dict(zip(activation.channels, map(float, pattern), strict=True))
        for number, pattern in enumerate(result.patterns)
    ]
    rank_rows = [
        {"synergies": rank, "held_out": float(value), "standard_error": float(error)}
        for rank, value, error in zip(choice.ranks, choice.held_out, choice.error, strict=True)
    ]
    n_folds = len(set(folds.tolist()))
    caption = _caption(result, activation, (n_folds, config.muscle_folds), thin)
    return Study(
        name="synergies",
        results={
            "chosen": choice.chosen,
            "accounted": result.accounted,
            "ranks": rank_rows,
            "patterns": pattern_rows,
            "scale": dict(zip(activation.channels, map(float, result.scale), strict=True)),
            "left_out": [name for name in rollouts.names["actuator"] if name not in activation.channels],
        },
        inputs=(rollouts.path,),
        tables={"synergy_ranks": rank_rows, "synergy_patterns": pattern_rows},
        figures=(StudyFigure("synergies", synergy_overview(choice, result, activation.channels), caption),),
        notes=tuple(notes),
    )


def _caption(result: Synergies, activation: TrialSeries, folds: tuple[int, int], thin: int) -> str:
    """Caption of the figure; `folds` of trials and of muscles, `thin` samples to one mean."""
    return (
        "Left: variance (not centred) of left-out muscles in left-out trials that is predicted, by number of "
        "synergies; "
        f"bars: standard error over {folds[0]} folds of trials, {folds[1]} of muscles; "
        f"ring: the smallest number within one standard error of the best. Right: the {len(result.patterns)} synergies "
        f"(each muscle over its largest activation), which account for {100 * result.accounted:.1f} %. "
        f"n = {len(activation.trials)} trials, {sum(activation.lengths)} samples"
        + (f"; means over {thin} samples for the choice of the number." if thin > 1 else ".")
    )


def section(study: Study) -> Section:
    """Predicted activation by number of synergies, and the number chosen."""
    columns = (
        Column("synergies", "synergies"), Column("predicted, %", "held_out", scale=100.0),
        Column("standard error", "standard_error", scale=100.0),
    )  # fmt: skip
    chosen, accounted = study.results["chosen"], study.results["accounted"]
    finding = (
        f"{chosen} {'synergy predicts' if chosen == 1 else 'synergies predict'} left-out muscles in left-out trials as "
        f"well as any number does, and account for {number(100 * accounted)} % of the activation."
    )
    return Section((table("Predicted left-out activation", columns, study.results["ranks"]),), (finding,))
