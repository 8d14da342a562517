"""Forecasts of muscles and EMG by simplex projection, beside everything they have to beat (paper A, section 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reach_analysis._common.errors import ConfigError, unknown
from reach_analysis._common.progress import Stage, silent
from reach_analysis.config import ForecastConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.figures.forecasts import Traces, forecast_scores, forecast_sweeps, forecast_traces
from reach_analysis.forecasting.assessment import AssessmentSettings, Nonlinearity, Task, assess, nonlinearity
from reach_analysis.forecasting.embedding import Lags, TrialData, fold_splits
from reach_analysis.forecasting.forecaster import Forecaster, NestedLags, fixed_lags, grid
from reach_analysis.forecasting.lag_sweep import SweepPoint, sweep
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.estimates import Resampling
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.statistics.score import Score
from reach_analysis.studies.forecast_questions import Question, lags_within, questions, working_rate
from reach_analysis.studies.study import Shown, Study

ENGINES = ("ours", "pyedm")
SHOWN_TRIALS = 5


@dataclass(frozen=True)
class _Answer:
    """Everything about one question."""

    question: Question
    scores: list[Score]
    traces: Traces
    sweeps: dict[str, list[SweepPoint]]
    nonlinear: Nonlinearity | None
    engines: dict[str, Any] | None


def study(rollouts: Rollouts, config: ForecastConfig, stage: Stage = silent) -> Study:
    """Forecast everything the settings ask for.

    Raises:
        UserError: when series are not there, or too few trials can be forecast.
    """
    if config.engine not in ENGINES:
        raise ConfigError(f"engine: {unknown('engine', config.engine, ENGINES)}")
    if not (config.E and config.tau and config.Tp):
        raise ConfigError("E, tau and Tp need at least one value each")
    rate = working_rate(rollouts, config.rate_hz)
    asked, inputs, notes = questions(rollouts, config)
    tick = stage("forecasts", len(asked))
    answers = []
    for question in asked:
        answers.append(_answer(question, config, rate))
        tick(1)
    scores = [score for answer in answers for score in answer.scores]
    rows = [_row(score) for score in scores]
    sweep_rows = [row for answer in answers for row in _sweep_rows(answer)]
    tables = {"forecast_scores": rows}
    if sweep_rows:
        tables["forecast_sweeps"] = sweep_rows
    engines = [answer.engines for answer in answers if answer.engines is not None]
    if engines:
        tables["forecast_engines"] = engines
    notes += list(dict.fromkeys(note for score in scores for note in score.notes))
    return Study(
        name="forecast",
        title="Forecasting muscles and EMG",
        results={
            "scores": [score.to_dict() for score in scores],
            "sweeps": sweep_rows,
            "nonlinearity": [_nonlinear_row(answer) for answer in answers if answer.nonlinear is not None],
            "engines": engines,
        },
        inputs=(rollouts.path, *inputs),
        tables=tables,
        figures=_figures(answers, config, rate),
        notes=tuple(notes),
    )


def _answer(question: Question, config: ForecastConfig, rate_hz: float) -> _Answer:
    folds = folds_at_most(question.data.ids, config.folds, config.seed)
    candidates = _candidates(question, config)

    def make(data: TrialData) -> Forecaster:
        if len(candidates) == 1:
            return fixed_lags(data, candidates[0], folds)
        return NestedLags(data, candidates, folds)

    found = make(question.data)
    chosen = found.chosen(question.data.target) if isinstance(found, NestedLags) else [candidates[0]]
    parameters = {
        "lags": [[lags.E, lags.tau, lags.Tp] for lags in chosen],
        "folds": int(folds.max()) + 1,
        "predictors": question.data.predictors.shape[1],
        "rate_hz": rate_hz,
    }
    settings = AssessmentSettings(
        permutations=config.permutations,
        surrogates=config.surrogates,
        resampling=Resampling(config.resamples, seed=config.seed),
        seed=config.seed,
    )
    task = Task(
        question.name,
        question.data,
        make,
        noise=question.noise,
        engine="pyedm" if config.engine == "pyedm" else "ours",
        notes=question.notes,
        parameters=parameters,
    )
    usual = _most_common(chosen)
    return _Answer(
        question,
        assess(task, settings),
        _traces(question, found),
        _sweeps(question, config, folds) if config.sweeps else {},
        nonlinearity(question.data, usual, folds, surrogates=config.nonlinear_surrogates, seed=config.seed)
        if config.nonlinear else None,
        _engines(question, usual, folds) if config.engine == "pyedm" else None,
    )  # fmt: skip


def _candidates(question: Question, config: ForecastConfig) -> tuple[Lags, ...]:
    if not question.own:
        return lags_within(question.data, config)
    if len(config.own_lags) != 3:
        raise ConfigError(f"own_lags: expected E, tau and Tp, got {config.own_lags}")
    return (Lags(*config.own_lags),)


def _most_common(lags: Sequence[Lags]) -> Lags:
    return max(dict.fromkeys(lags), key=list(lags).count)


def _sweeps(question: Question, config: ForecastConfig, folds: np.ndarray) -> dict[str, list[SweepPoint]]:
    """The sweeps of paper A, Fig. 4: one of E, tau and Tp at a time, the others at 3, -1 and 1."""
    found = {}
    for name, candidates in (
        ("E", grid(range(1, config.sweep_E + 1))),
        ("tau", grid((3,), range(-1, -config.sweep_tau - 1, -1))),
        ("Tp", grid((3,), (-1,), range(1, config.sweep_Tp + 1))),
    ):
        longest = int(question.data.lengths.max())
        fitting = [lags for lags in candidates if lags.reach[1] - lags.reach[0] + 1 < longest]
        if fitting:
            found[name] = sweep(question.data, fitting, folds)
    return found


def _engines(question: Question, lags: Lags, folds: np.ndarray) -> dict[str, Any]:
    """The same forecast by pyEDM, and how many predictions pyEDM keeps on trials with NaN rows between them."""
    from reach_analysis.forecasting.pyedm import kept_by_padding, simplex_by_pyedm
    from reach_analysis.statistics.correlation import agreement

    ours = fixed_lags(question.data, lags, folds)
    embedding = ours.map.embedding
    theirs = simplex_by_pyedm(embedding, fold_splits(embedding, folds))
    predicted = ours.predict(question.data.target[:, None])[:, 0]
    kept = kept_by_padding(question.data, lags, folds)
    order, other = np.argsort(ours.map.state), np.argsort(theirs.state)
    difference = np.abs(predicted[order] - theirs.predicted[other]).max() / np.std(theirs.observed)
    observed = question.data.target[ours.samples, None]
    return {
        "question": question.name,
        "E": lags.E,
        "tau": lags.tau,
        "Tp": lags.Tp,
        "spearman_ours": float(agreement(Measure.SPEARMAN, observed, predicted[:, None])[0]),
        "spearman_pyedm": float(agreement(Measure.SPEARMAN, theirs.observed[:, None], theirs.predicted[:, None])[0]),
        "largest_difference_sd": float(difference),
        "kept_ours": kept.ours,
        "kept_pyedm_nan_padding": kept.padded,
        "crossing_without_padding": kept.crossing,
    }


def _traces(question: Question, found: Forecaster) -> Traces:
    """Observed and predicted courses of a few trials spread evenly over the recording."""
    data = question.data
    samples, predicted = found.samples, found.predict(data.target[:, None])[:, 0]
    chosen = np.linspace(0, len(data.ids) - 1, min(SHOWN_TRIALS, len(data.ids))).round().astype(int)
    trials, observed, forecast = [], [], []
    for number in chosen.tolist():
        rows = np.flatnonzero(data.trial == number)
        course = np.full(len(rows), np.nan)
        mine = data.trial[samples] == number
        course[samples[mine] - rows[0]] = predicted[mine]
        trials.append(data.ids[number])
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


def _sweep_rows(answer: _Answer) -> list[dict[str, Any]]:
    return [
        {"question": answer.question.name, "swept": name, "E": point.lags.E, "tau": point.lags.tau, "Tp": point.lags.Tp,
         "predictions": point.predictions, "common_predictions": point.common_predictions}
        | {str(measure): value for measure, value in point.common_scores.items()}
        for name, points in answer.sweeps.items() for point in points
    ]  # fmt: skip


def _nonlinear_row(answer: _Answer) -> dict[str, Any]:
    found = answer.nonlinear
    assert found is not None
    return {
        "question": answer.question.name,
        "thetas": found.thetas,
        "pearson": found.scores[Measure.PEARSON],
        "rmse": found.scores[Measure.RMSE],
        "gain": found.gain,
        "p": found.p_value,
        "predictions": found.predictions,
    }


def _figures(answers: list[_Answer], config: ForecastConfig, rate_hz: float) -> tuple[Shown, ...]:
    first = answers[0].scores[0]
    chosen = "chosen by nested folds" if len(grid(config.E, config.tau, config.Tp)) > 1 else "fixed"
    how = (
        f"n = {first.trials} trials at {rate_hz:g} Hz; library and prediction by {first.parameters['folds']} folds of "
        f"whole trials; E, tau and Tp {chosen}, from its own past fixed at {config.own_lags}; no state crosses the "
        "border of a trial."
    )
    beside = (
        f"Grey bars: 95 % of the scores under each null ({config.permutations} permutations of trials, "
        f"{config.surrogates} surrogates), black line: its median. Bars on points: 95 % bootstrap intervals over "
        "trials."
    )
    shown = [
        Shown(
            "forecast_scores",
            forecast_scores([answer.scores for answer in answers], Measure.SPEARMAN),
            "Simplex projection, Spearman's rho between forecast and observation, beside what it has to beat. "
            f"{beside} {how}",
        ),
        Shown(
            "forecast_traces",
            forecast_traces([answer.traces for answer in answers]),
            f"Observed (dark) and forecast (blue) in trials spread evenly over the recording. {how}",
        ),
    ]
    if config.sweeps:
        points = {answer.question.name: answer.sweeps for answer in answers}
        curves = {answer.question.name: answer.nonlinear for answer in answers if answer.nonlinear is not None}
        caption = (
            "Sweeps of E (tau = -1, Tp = 1), tau (E = 3, Tp = 1) and Tp (E = 3, tau = -1), Pearson's r on the samples "
            "that every point of a sweep can predict, and S-map against theta. For looking at: a score at the best "
            f"point of a sweep is no test. {how}"
        )
        shown.append(Shown("forecast_sweeps", forecast_sweeps(points, curves), caption))
    return tuple(shown)
