"""A forecast with everything it has to beat.

One call gives a score per measure with its interval over trials, null distributions (computed by the same forecaster,
on the same samples), baselines that learn from the same libraries, and the ceiling of a common time course.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, raise_all
from reach_analysis.forecasting.baselines import mean_trial, persistence, ridge
from reach_analysis.forecasting.embedding import Lags, Split, TrialData, embed, fold_splits
from reach_analysis.forecasting.forecaster import Forecaster, Piece
from reach_analysis.forecasting.nulls import (
    MakeForecaster,
    Noise,
    Targets,
    forecast_null,
    linear_processes,
    noise_filtered,
    phases_randomised,
    samples_shuffled,
    trial_permuted,
)
from reach_analysis.forecasting.simplex import simplex
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.ceiling import Ceiling, trial_ceiling
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.estimates import FEWEST_UNITS, FISHER, LOGARITHM, Interval, groups_of, jackknifed
from reach_analysis.statistics.permutation import p_value
from reach_analysis.statistics.score import Baseline, Null, Score


@dataclass(frozen=True)
class AssessmentSettings:
    """Nulls, baselines and intervals of a score."""

    measures: tuple[Measure, ...] = (Measure.SPEARMAN, Measure.PEARSON)
    permutations: int = 1000
    """Draws of the trial-permutation null; 0 leaves it out."""
    surrogates: int = 200
    """Draws of the phase-randomised, linear-process (only for a target forecast from its own past) and filtered-noise
    null; 0 leaves them out."""
    surrogate: Literal["phase", "iaaft"] = "phase"
    """Phase keeps spectra, iaaft keeps values too."""
    intervals: bool = True
    """Whether intervals over trials are computed; they take a forecast for each group of trials left out."""
    seed: int = 0
    """Of permutations and surrogates."""
    shuffle: bool = False
    """Also show the null of shuffled samples, which anything smooth beats; for replication only."""

    def __post_init__(self) -> None:
        faults = [] if self.measures else ["measures must name at least one measure"]
        for name in ("permutations", "surrogates"):
            if not (getattr(self, name) == 0 or getattr(self, name) >= 19):
                faults.append(f"{name} must be 0, or at least 19 to reach p = 0.05; got {getattr(self, name)}")
        raise_all(ConfigError, "assessment", faults)


@dataclass(frozen=True)
class Task:
    """What is forecast."""

    name: str
    """What is predicted from what."""
    data: TrialData
    make: MakeForecaster
    unit: str = "1"
    strata: Int[np.ndarray, " trial"] | None = None
    """Trials are exchanged only within equal entries, such as conditions; None, among all."""
    units: Int[np.ndarray, " trial"] | None = None
    """Unit of each trial, whose trials are left out together for intervals; None: each trial is one."""
    noise: Noise | None = None
    """Draws filtered white noise in place of the target; None leaves that null out."""
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


class _Forecasts(NamedTuple):
    """Observed values, and predictions of them by the forecast and by each baseline."""

    observed: np.ndarray
    predicted: dict[str, np.ndarray]


FORECAST = "forecast"
KNOWS = {
    "mean trial": "the time within the trial",
    "ridge": "the same lags, linearly",
    "persistence": "the target's present value",
}
"""Baselines, and what each knows."""


def assess(task: Task, settings: AssessmentSettings | None = None) -> list[Score]:
    """Score a forecast, one score for each measure.

    Intervals are for a study of as many trials: they come from forecasts without some of the trials, which are then
    missing from the libraries too. Lags stay as they were chosen.
    """
    settings = settings or AssessmentSettings()
    data, forecaster = task.data, task.make(task.data)
    pieces = forecaster.pieces(data.target)
    trials = np.unique(data.trial[forecaster.samples])
    everything = _forecasts(data, pieces, trials)
    without = _without_groups(data, pieces, trials, task.units) if settings.intervals else []
    draws = [
        (targets, _null_forecasts(data, targets, task.make, forecaster)) for targets in null_targets(task, settings)
    ]
    ceiling = _ceiling(data)
    notes = () if "persistence" in everything.predicted else (NO_PERSISTENCE,)
    return [
        Score(
            name=task.name,
            measure=measure,
            value=_score(measure, everything, FORECAST),
            unit=measure.unit(task.unit),
            trials=len(trials if task.units is None else np.unique(task.units[trials])),
            predictions=len(everything.observed),
            interval=jackknifed(
                _score(measure, everything, FORECAST),
                np.array([_score(measure, one, FORECAST) for one in without]),
                FISHER if measure.better_high else LOGARITHM,
            ),
            nulls=tuple(_null(measure, targets, *drawn) for targets, drawn in draws),
            baselines=tuple(
                Baseline(
                    name, KNOWS[name], _score(measure, everything, name), _gain(measure, everything, without, name),
                    knows_more=name == "persistence" and data.own is None,
                )
                for name in everything.predicted if name != FORECAST
            ),
            ceiling=ceiling if measure is Measure.PEARSON else None,
            parameters=task.parameters,
            notes=(*task.notes, *notes),
        )
        for measure in settings.measures
    ]  # fmt: skip


NO_PERSISTENCE = "no persistence baseline: with Tp = 0 or less the target's present value is not a forecast"


def _forecasts(data: TrialData, pieces: Sequence[Piece], trials: Int[np.ndarray, " trial"]) -> _Forecasts:
    """Forecasts and baselines of some trials, from libraries of these trials."""
    observed: list[np.ndarray] = []
    predicted: dict[str, list[np.ndarray]] = {}
    ahead = all(piece.embedding.lags.Tp > 0 for piece in pieces)
    kept = np.zeros(len(data.lengths), dtype=bool)
    kept[trials] = True
    for embedding, whole, search in pieces:
        split = Split(*(rows[kept[embedding.trial[rows]]] for rows in whole))
        rows = split.prediction
        if not len(rows):
            continue
        made = {
            FORECAST: simplex(embedding, [split], search=search).predicted,
            "mean trial": mean_trial(embedding.targets, embedding.time + embedding.lags.Tp, [split])[rows],
            "ridge": ridge(embedding.vectors, embedding.targets, embedding.trial, [split])[rows],
        }
        if ahead:
            made["persistence"] = persistence(data.target[embedding.row], [split])[rows]
        observed.append(embedding.targets[rows])
        for name, values in made.items():
            predicted.setdefault(name, []).append(values)
    return _Forecasts(np.concatenate(observed), {name: np.concatenate(parts) for name, parts in predicted.items()})


def _without_groups(
    data: TrialData, pieces: Sequence[Piece], trials: Int[np.ndarray, " trial"], units: Int[np.ndarray, " trial"] | None
) -> list[_Forecasts]:
    """Forecasts without each group of trials; none where the rest is too few."""
    if len(trials) < FEWEST_UNITS:
        return []
    groups = groups_of(len(trials), None if units is None else units[trials])
    try:
        return [_forecasts(data, pieces, trials[groups != group]) for group in np.unique(groups)]
    except DataError:  # too few states for the neighbours of one
        return []


def _score(measure: Measure, forecasts: _Forecasts, name: str) -> float:
    return float(agreement(measure, forecasts.observed[:, None], forecasts.predicted[name][:, None])[0])


def _gain(measure: Measure, everything: _Forecasts, without: Sequence[_Forecasts], name: str) -> Interval:
    """How much better the forecast is than a baseline, with its interval over trials."""

    def gain(forecasts: _Forecasts) -> float:
        ours, theirs = (_score(measure, forecasts, one) for one in (FORECAST, name))
        return ours - theirs if measure.better_high else theirs - ours

    return jackknifed(gain(everything), np.array([gain(one) for one in without]))


def null_targets(task: Task, settings: AssessmentSettings) -> list[Targets]:
    """Targets of every null of the settings."""
    data, seed = task.data, settings.seed
    nulls = []
    if settings.permutations:
        nulls.append(trial_permuted(data, settings.permutations, seed, task.strata))
    if settings.surrogates:
        nulls.append(phases_randomised(data, settings.surrogates, seed, settings.surrogate))
    if settings.surrogates and data.own is not None:
        nulls.append(linear_processes(data, settings.surrogates, seed))
    if settings.surrogates and task.noise:
        nulls.append(noise_filtered(data, task.noise, settings.surrogates, seed))
    if settings.shuffle:
        nulls.append(samples_shuffled(data, max(settings.surrogates, 19), seed))
    return nulls


def _null_forecasts(
    data: TrialData, targets: Targets, make: MakeForecaster, forecaster: Forecaster
) -> tuple[np.ndarray, np.ndarray]:
    """Observed and predicted values, the recorded target in column 0 and one draw in each other."""
    recorded = data.target[forecaster.samples, None], forecaster.predict(data.target[:, None])
    if data.own is None or not targets.artificial:
        return forecast_null(
            data, replace(targets, values=np.column_stack([data.target, targets.values])), make, forecaster
        )
    drawn = forecast_null(data, targets, make, forecaster)
    return np.column_stack([recorded[0], drawn[0]]), np.column_stack([recorded[1], drawn[1]])


def _null(measure: Measure, targets: Targets, observed: np.ndarray, predicted: np.ndarray) -> Null:
    value, *drawn = agreement(measure, observed, predicted)
    side = "greater" if measure.better_high else "less"
    values = np.array(drawn)
    p = p_value(float(value), values, side, complete=targets.complete)
    return Null(targets.name, targets.keeps, values, p, targets.controls)


def _ceiling(data: TrialData) -> Ceiling | None:
    """Ceiling of a common time course; None for fewer than four trials."""
    if len(data.lengths) < 4:
        return None
    padded = np.full((len(data.lengths), int(data.lengths.max())), np.nan)
    padded[data.trial, np.arange(len(data.target)) - data.starts[data.trial]] = data.target
    return trial_ceiling(padded)


THETAS = (0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)


@dataclass(frozen=True)
class Nonlinearity:
    """Forecasts by S-map at several theta."""

    thetas: tuple[float, ...]
    """From 0 upward."""
    scores: dict[Measure, Float[np.ndarray, " theta"]]
    """Each measure at each theta."""
    predictions: int
    """Number of predictions at each theta."""
    gain: float
    """Largest reduction of RMSE by theta > 0, as a fraction of the RMSE at theta = 0; at least 0."""
    null_gains: Float[np.ndarray, " draw"]
    """The same for each surrogate."""
    p_value: float
    """Of the gain; NaN without surrogates."""


def nonlinearity(
    data: TrialData,
    lags: Lags,
    folds: Int[np.ndarray, " trial"],
    *,
    thetas: Sequence[float] = THETAS,
    surrogates: int = 0,
    seed: int = 0,
) -> Nonlinearity:
    """Forecast at several theta, and test the gain against `surrogates` linear series.

    Surrogates replace the target, and its own past where that is a predictor (`TrialData.own`).
    """
    if len(thetas) < 2 or thetas[0] != 0 or list(thetas) != sorted(set(thetas)):
        raise ConfigError(f"thetas must ascend from 0 and hold at least two values, got {list(thetas)}")
    scores, count = _scores(data, lags, folds, thetas)
    gain = _reduction(scores)
    null_gains = np.empty(0)
    if surrogates:
        drawn = phases_randomised(data, surrogates, seed).values.T
        null_gains = np.array(
            [_reduction(_scores(data.with_target(values), lags, folds, thetas)[0]) for values in drawn]
        )
    chance = p_value(gain, null_gains) if surrogates else float("nan")
    return Nonlinearity(tuple(thetas), scores, count, gain, null_gains, chance)


def _scores(
    data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], thetas: Sequence[float]
) -> tuple[dict[Measure, Float[np.ndarray, " theta"]], int]:
    embedding = embed(data, lags)
    forecasts = smap(embedding, fold_splits(embedding, folds), thetas)
    predicted = np.stack([one.predicted for one in forecasts], axis=1)
    observed = forecasts[0].observed[:, None]
    return {measure: agreement(measure, observed, predicted) for measure in Measure}, len(observed)


def _reduction(scores: dict[Measure, Float[np.ndarray, " theta"]]) -> float:
    error = scores[Measure.RMSE]
    return float(1 - error.min() / error[0]) if error[0] > 0 else 0.0
