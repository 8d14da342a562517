"""Forecasts of muscles and EMG by simplex projection, with everything they have to beat (paper A, section 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError
from reach_analysis._common.progress import Stage, silent
from reach_analysis.config import ForecastConfig
from reach_analysis.data.levels import Levels
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.figures.forecasts import Traces, forecast_map, forecast_scores, forecast_sweeps, forecast_traces
from reach_analysis.forecasting.assessment import AssessmentSettings, Nonlinearity, Task, assess, nonlinearity
from reach_analysis.forecasting.embedding import Lags, TrialData
from reach_analysis.forecasting.forecaster import Forecaster, NestedLags, fixed_lags, grid
from reach_analysis.forecasting.lag_sweep import SweepPoint, sweep
from reach_analysis.forecasting.neighbours import one_blas_thread
from reach_analysis.forecasting.shared_search import SharedSearch
from reach_analysis.processes import each_of
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.estimates import FEWEST_UNITS
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.statistics.permutation import holm
from reach_analysis.statistics.score import Score
from reach_analysis.studies.forecast_questions import Question, lags_within, questions, working_rate
from reach_analysis.studies.section import Column, Fact, Section, fact, interval_column, number, p_text, table
from reach_analysis.studies.study import Study, StudyFigure

TITLE = "Forecasting"
QUESTION = (
    "Can {actuators} and EMG be forecast from the history of the joints? A correlation alone is not evidence: trials "
    "of one task are similar, and filtered signals are smooth. Each score is shown with what it has to beat: targets "
    "of exchanged trials, artificial targets with the same spectrum, the mean trial, the present value (persistence), "
    "a linear model of the same lags (ridge), and the ceiling of a common time course."
)


SWEEP_E, SWEEP_TAU, SWEEP_TP = 10, 5, 10
"""Largest values of the sweeps."""
MAP, MAP_E = "E and tau", 6
"""Name of the sweep of E and tau together, and its largest E: larger ones leave few samples with long lags."""
PAPER_LAGS = (3, -1, 5)
"""E, tau and Tp of paper A, section 3.6."""
SHOWN_TRIALS = 5
EXPLORATORY = (
    "Exploratory: the best point is chosen by its score, which is therefore too high, and has neither an interval nor "
    "a test; the scores of the forecasts above have both."
)


@dataclass(frozen=True)
class _Answer:
    """Everything about one question."""

    question: Question
    scores: list[Score]
    traces: Traces
    sweeps: dict[str, list[SweepPoint]]
    nonlinear: Nonlinearity | None


def run(rollouts: Rollouts, config: ForecastConfig, stage: Stage = silent) -> Study:
    """Forecast everything the settings ask for."""
    if not (config.E and config.tau and config.Tp):
        raise ConfigError("E, tau and Tp need at least one value each")
    if config.protocol == "paper":
        E, tau, Tp = PAPER_LAGS
        config = replace(config, E=[E], tau=[tau], Tp=[Tp], own_lags=list(PAPER_LAGS), reference=True)
    rate = working_rate(rollouts, config.rate_hz)
    to_forecast, inputs, notes = questions(rollouts, config)
    tick, answers = stage("forecasts", len(to_forecast)), []
    work = partial(_answers, config=config, rate_hz=rate, levels=rollouts.levels)
    for some in each_of(work, _by_predictors(to_forecast), int(rollouts.n_steps.sum())):
        answers += some
        tick(len(some))
    answers.sort(key=lambda answer: [one.name for one in to_forecast].index(answer.question.name))
    scores = [score for answer in answers for score in answer.scores]
    rows = [_row(score) for score in scores]
    _adjust(rows)
    sweep_rows = [row for answer in answers for row in _sweep_rows(answer)]
    tables = {"forecast_scores": rows}
    if sweep_rows:
        tables["forecast_sweeps"] = sweep_rows
    if any(step > 0 for step in config.tau):
        notes.append("With tau above 0 states hold samples after the present: the predictors look into the future.")
    notes += list(dict.fromkeys(note for score in scores for note in score.notes))
    return Study(
        name="forecast",
        results={
            "scores": [score.to_dict() for score in scores],
            "sweeps": sweep_rows,
            "nonlinearity": [_nonlinear_row(answer) for answer in answers if answer.nonlinear is not None],
        },
        inputs=(rollouts.path, *inputs),
        tables=tables,
        figures=_figures(answers, config, rate, rollouts.levels),
        notes=tuple(notes),
    )


def _by_predictors(asked: Sequence[Question]) -> list[list[Question]]:
    """Questions with the same predictors together, so that they share their neighbours; most work first."""
    groups: dict[int, list[Question]] = {}
    for question in asked:
        groups.setdefault(id(question.data.predictors), []).append(question)
    return sorted(groups.values(), key=len, reverse=True)


def _answers(asked: Sequence[Question], *, config: ForecastConfig, rate_hz: float, levels: Levels) -> list[_Answer]:
    data = asked[0].data
    shared = SharedSearch(data, folds_at_most(data.ids, config.folds, config.seed))
    with one_blas_thread():
        return [_answer(question, config, rate_hz, levels, shared) for question in asked]


def _answer(
    question: Question, config: ForecastConfig, rate_hz: float, levels: Levels, shared: SharedSearch
) -> _Answer:
    folds, candidates = shared.folds, _candidates(question, config)

    def make(data: TrialData) -> Forecaster:
        if len(candidates) == 1:
            return fixed_lags(data, candidates[0], folds, shared if data is question.data else None)
        return NestedLags(data, candidates, folds, shared)

    result = make(question.data)
    chosen = result.chosen(question.data.target) if isinstance(result, NestedLags) else [candidates[0]]
    parameters = {
        "lags": [[lags.E, lags.tau, lags.Tp] for lags in chosen],
        "folds": int(folds.max()) + 1,
        "predictors": question.data.predictors.shape[1],
        "rate_hz": rate_hz,
    }
    settings = AssessmentSettings(
        permutations=config.permutations,
        surrogates=config.surrogates,
        intervals=config.resamples > 0,
        seed=config.seed,
    )
    ids = question.data.ids
    task = Task(question.name, question.data, make, strata=levels.strata(ids), units=levels.units(ids, FEWEST_UNITS)[1],
                noise=question.noise, notes=question.notes, parameters=parameters)  # fmt: skip
    usual = max(dict.fromkeys(chosen), key=chosen.count)
    return _Answer(
        question,
        assess(task, settings),
        _traces(question, result),
        _sweeps(question, shared) if config.sweeps else {},
        nonlinearity(question.data, usual, folds, surrogates=config.nonlinear_surrogates, seed=config.seed)
        if config.nonlinear else None,
    )  # fmt: skip


def _candidates(question: Question, config: ForecastConfig) -> tuple[Lags, ...]:
    if not question.own:
        return lags_within(question.data, config)
    if len(config.own_lags) != 3:
        raise ConfigError(f"own_lags: expected E, tau and Tp, got {config.own_lags}")
    return (Lags(*config.own_lags),)


def _sweeps(question: Question, shared: SharedSearch) -> dict[str, list[SweepPoint]]:
    """The sweeps of paper A, Fig. 4: E, tau and Tp one at a time, the others at 3, -1 and 1; and E and tau together."""
    result = {}
    for name, candidates in (
        ("E", grid(range(1, SWEEP_E + 1))),
        ("tau", grid((3,), range(-1, -SWEEP_TAU - 1, -1))),
        ("Tp", grid((3,), (-1,), range(1, SWEEP_TP + 1))),
        (MAP, grid(range(1, MAP_E + 1), range(-1, -SWEEP_TAU - 1, -1))),
    ):
        longest = int(question.data.lengths.max())
        fitting = [lags for lags in candidates if lags.reach[1] - lags.reach[0] + 1 < longest]
        if fitting:
            result[name] = sweep(question.data, fitting, shared.folds, shared=shared)
    return result


def _traces(question: Question, result: Forecaster) -> Traces:
    """Observed and predicted courses of a few trials spread evenly over the recording."""
    data = question.data
    samples, predicted = result.samples, result.predict(data.target[:, None])[:, 0]
    chosen = np.linspace(0, len(data.ids) - 1, min(SHOWN_TRIALS, len(data.ids))).round().astype(int)
    trials, observed, forecast = [], [], []
    for place in chosen.tolist():
        rows = np.flatnonzero(data.trial == place)
        course = np.full(len(rows), np.nan)
        mine = data.trial[samples] == place
        course[samples[mine] - rows[0]] = predicted[mine]
        trials.append(data.ids[place])
        observed.append(data.target[rows])
        forecast.append(course)
    return Traces(question.name, tuple(trials), tuple(observed), tuple(forecast))


def _row(score: Score) -> dict[str, Any]:
    row: dict[str, Any] = {
        "question": score.name,
        "measure": str(score.measure),
        "value": score.value,
        "low": score.interval.low,
        "high": score.interval.high,
        "trials": score.trials,
        "predictions": score.predictions,
        "verdict": score.verdict(),
    }
    for null in score.nulls:
        key = null.name.replace(" ", "_").replace("-", "_")
        row |= {f"{key}_median": float(np.median(null.values)), f"{key}_p": null.p_value}
    for baseline in score.baselines:
        row[baseline.name.replace(" ", "_")] = baseline.value
    if score.ceiling is not None:
        row["ceiling"] = score.ceiling.value
    return row


def _adjust(rows: list[dict[str, Any]]) -> None:
    """Add p values after Holm for all questions of one measure."""
    for measure, null in product(Measure, ("trial_permutation", "phase_randomised", "linear_process")):
        tested = [row for row in rows if row["measure"] == measure and f"{null}_p" in row]
        for row, adjusted in zip(tested, holm(np.array([row[f"{null}_p"] for row in tested])), strict=True):
            row[f"{null}_p_holm"] = float(adjusted)


def _sweep_rows(answer: _Answer) -> list[dict[str, Any]]:
    return [
        {"question": answer.question.name, "swept": name, "E": point.lags.E, "tau": point.lags.tau, "Tp": point.lags.Tp,
         "predictions": point.predictions, "common_predictions": point.common_predictions}
        | {str(measure): value for measure, value in point.common_scores.items()}
        for name, points in answer.sweeps.items() for point in points
    ]  # fmt: skip


def _nonlinear_row(answer: _Answer) -> dict[str, Any]:
    result = answer.nonlinear
    assert result is not None
    return {
        "question": answer.question.name,
        "thetas": result.thetas,
        "pearson": result.scores[Measure.PEARSON],
        "rmse": result.scores[Measure.RMSE],
        "gain": result.gain,
        "p": result.p_value,
        "predictions": result.predictions,
    }


def _figures(answers: list[_Answer], config: ForecastConfig, rate_hz: float, levels: Levels) -> tuple[StudyFigure, ...]:
    first, ids = answers[0].scores[0], answers[0].question.data.ids
    unit, _ = levels.units(ids, FEWEST_UNITS)
    chosen = "chosen by nested folds" if len(grid(config.E, config.tau, config.Tp)) > 1 else "fixed"
    trials = (
        f"n = {levels.counted(ids)} at {rate_hz:g} Hz; library and prediction by {first.parameters['folds']} folds of "
        "whole trials; no state crosses the border of a trial."
    )
    how = f"E, tau and Tp {chosen}, from its own past fixed at {config.own_lags}. {trials}"
    nulls = (
        f"Grey bars: 95 % of the scores under each null ({config.permutations} permutations of trials, "
        f"{config.surrogates} surrogates), black line: its median. Bars on points: 95 % intervals for a study of as "
        f"many {unit} (jackknife: forecasts without some {unit}, lags as chosen; Student's t on Fisher's scale)."
    )
    shown = [
        StudyFigure(
            "forecast_scores",
            forecast_scores([answer.scores for answer in answers], Measure.SPEARMAN),
            "Simplex projection, Spearman's rho between forecast and observation, with nulls and baselines. "
            f"{nulls} {how}",
        ),
        StudyFigure(
            "forecast_traces",
            forecast_traces([answer.traces for answer in answers]),
            f"Observed (dark) and forecast (blue) in trials spread evenly over the recording. {how}",
        ),
    ]
    if config.sweeps:
        points = {answer.question.name: answer.sweeps for answer in answers}
        curves = {answer.question.name: answer.nonlinear for answer in answers if answer.nonlinear is not None}
        caption = (
            "Sweeps of E (tau = -1, Tp = 1), tau (E = 3, Tp = 1) and Tp (E = 3, tau = -1), Spearman's rho on the "
            "samples that every point of a sweep can predict, and Pearson's r of S-map against theta. "
            f"{EXPLORATORY} {trials}"
        )
        shown.append(StudyFigure("forecast_sweeps", forecast_sweeps(points, curves), caption))
        together = {name: by_name[MAP] for name, by_name in points.items() if MAP in by_name}
        if together:
            caption = (
                "E and tau together (Tp = 1), Spearman's rho on the samples that every point of a map can predict; "
                f"ring: the largest. {EXPLORATORY} {trials}"
            )
            shown.append(StudyFigure("forecast_map", forecast_map(together), caption))
    return tuple(shown)


def facts(study: Study) -> dict[str, Fact]:
    """Spearman's rho of each question about biceps and triceps, and the best point of each sweep."""
    out = {}
    for row in study.tables["forecast_scores"]:
        if (name := _fact_name(row["question"])) and row["measure"] == "spearman":
            out[f"{name}/spearman"] = fact(row, "value", "")
    sweeps: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in study.results["sweeps"]:
        if row["swept"] != MAP:
            sweeps.setdefault((row["question"], row["swept"]), []).append(row)
    for (question, swept), points in sweeps.items():
        best = max(points, key=lambda row: row["pearson"])
        if name := _fact_name(question):
            at_end = best is points[-1]  # the first point is the least there can be
            out[f"{name}/best_{swept}"] = Fact(float(best[swept]), at_end=at_end)
            out[f"{name}/score_at_best_{swept}"] = Fact(float(best["pearson"]), at_end=at_end)
    return out


def _fact_name(question: str) -> str:
    """Name of a question in facts: muscle / simulated or emg / past or joints; empty for other muscles."""
    muscle = next((m for m in ("triceps", "biceps") if m in question.lower()), "")
    kind, source = "emg" if " EMG " in question else "simulated", "past" if "own past" in question else "joints"
    return f"{muscle}/{kind}/{source}" if muscle else ""


def section(study: Study) -> Section:
    """Scores with nulls and baselines, S-map, and one sentence for each muscle that is forecast from the joints."""
    rows = study.tables["forecast_scores"]
    pearson = {row["question"]: row for row in rows if row["measure"] == "pearson"}
    scores = [
        {**row, "ceiling": pearson[row["question"]].get("ceiling"), "pearson": pearson[row["question"]]["value"]}
        for row in rows
        if row["measure"] == "spearman"
    ]
    tables = (
        table("Simplex projection: Spearman's ρ, and its median under each null", _NULL_COLUMNS, scores),
        table("The same next to simpler forecasts of the same samples, and the verdict", _BASELINE_COLUMNS, scores),
        table(
            "S-map: forecasts that are local in state space against one linear model (theta = 0)",
            _SMAP_COLUMNS,
            [_best_theta(row) for row in study.results["nonlinearity"]],
        ),
    )
    return Section(tables, tuple(filter(None, map(_sentence, scores))))


_NULL_COLUMNS = (
    Column("question", "question"), interval_column("ρ [95 %]", "value", ""),
    Column("trials exchanged", "trial_permutation_median"), Column("p", "trial_permutation_p", p=True),
    Column("p, Holm", "trial_permutation_p_holm", p=True),
    Column("phases random", "phase_randomised_median"), Column("p", "phase_randomised_p", p=True),
    Column("linear process", "linear_process_median"), Column("p", "linear_process_p", p=True),
    Column("p, Holm", "linear_process_p_holm", p=True),
    Column("filtered noise", "filtered_white_noise_median"), Column("p", "filtered_white_noise_p", p=True),
    Column("predictions", "predictions"),
)  # fmt: skip
_BASELINE_COLUMNS = (
    Column("question", "question"), Column("ρ", "value"), Column("mean trial", "mean_trial"),
    Column("ridge", "ridge"), Column("persistence", "persistence"), Column("Pearson's r", "pearson"),
    Column("ceiling of r", "ceiling"), Column("trials", "trials"), Column("verdict", "verdict"),
)  # fmt: skip
_SMAP_COLUMNS = (
    Column("question", "question"), Column("best theta", "theta"), Column("RMSE there", "rmse"),
    Column("RMSE, linear", "linear"), Column("gain, %", "gain", scale=100.0), Column("p", "p", p=True),
    Column("predictions", "predictions"),
)  # fmt: skip


def _best_theta(row: dict[str, Any]) -> dict[str, Any]:
    best = int(np.argmin(row["rmse"]))
    return row | {
        "theta": float(row["thetas"][best]), "rmse": float(row["rmse"][best]), "linear": float(row["rmse"][0])
    }  # fmt: skip


def _sentence(row: dict[str, Any]) -> str:
    """What a forecast of biceps or triceps from the joints shows; empty for other questions."""
    muscle, kind, source = _fact_name(row["question"]).split("/") if _fact_name(row["question"]) else ("", "", "")
    chance = row.get("trial_permutation_p")
    if source != "joints" or chance is None:
        return ""
    p = p_text(chance) if chance < 0.001 else f"= {p_text(chance)}"
    simple = "" if row["value"] > max(row["mean_trial"], row["ridge"]) else ": a simpler forecast does as well"
    return (
        f"{f'EMG of the {muscle}' if kind == 'emg' else f'The simulated {muscle}'} can be forecast from the joints' "
        f"history with ρ = {fact(row, 'value', '').text()}; exchanged trials give "
        f"{number(row['trial_permutation_median'])} (p {p}), the mean trial {number(row['mean_trial'])}, "
        f"a linear model {number(row['ridge'])}{simple}."
    )
