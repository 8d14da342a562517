"""A forecast with everything it has to beat.

One call gives a score per measure with its interval over trials, null distributions (computed by the same forecaster,
on the same samples), baselines that learn from the same libraries, and the ceiling of a common time course.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, raise_all
from reach_analysis.forecasting.baselines import mean_trial, persistence, ridge
from reach_analysis.forecasting.embedding import Lags, TrialData, embed, fold_splits
from reach_analysis.forecasting.forecaster import Forecaster
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
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.ceiling import Ceiling, trial_ceiling
from reach_analysis.statistics.correlation import Measure, agreement, resampled_agreement
from reach_analysis.statistics.estimates import Resampling, bootstrap
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
    resampling: Resampling = field(default_factory=Resampling)
    """Of trials, for intervals."""
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
    noise: Noise | None = None
    """Draws filtered white noise in place of the target; None leaves that null out."""
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


class _Draws(NamedTuple):
    """Observed and predicted values under a null, one draw a column."""

    targets: Targets
    observed: np.ndarray
    predicted: np.ndarray


class _Rival(NamedTuple):
    """A baseline's predictions of the same samples."""

    name: str
    knows: str
    predicted: np.ndarray
    knows_more: bool


class _Scored(NamedTuple):
    """Predictions and observations with the trial each belongs to (numbered without gaps)."""

    observed: np.ndarray
    predicted: np.ndarray
    trial: np.ndarray
    trials: int


def assess(task: Task, settings: AssessmentSettings | None = None) -> list[Score]:
    """Score a forecast, one score for each measure."""
    settings = settings or AssessmentSettings()
    data, forecaster = task.data, task.make(task.data)
    samples = forecaster.samples
    predicted = forecaster.predict(data.target[:, None])[:, 0]
    trials, trial = np.unique(data.trial[samples], return_inverse=True)
    scored = _Scored(data.target[samples], predicted, trial, len(trials))
    draws = [
        _Draws(targets, *forecast_null(data, targets, task.make, forecaster))
        for targets in null_targets(task, settings)
    ]
    rivals, notes = _rivals(data, forecaster)
    ceiling = _ceiling(data)
    return [
        Score(
            name=task.name,
            measure=measure,
            value=float(agreement(measure, scored.observed[:, None], predicted[:, None])[0]),
            unit=measure.unit(task.unit),
            trials=len(trials),
            predictions=len(samples),
            interval=_interval(measure, scored, settings.resampling),
            nulls=tuple(_null(measure, scored, drawn) for drawn in draws),
            baselines=tuple(_baseline(measure, scored, rival, settings.resampling) for rival in rivals),
            ceiling=ceiling if measure is Measure.PEARSON else None,
            parameters=task.parameters,
            notes=(*task.notes, *notes),
        )
        for measure in settings.measures
    ]


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


def _interval(measure: Measure, scored: _Scored, resampling: Resampling) -> Any:
    return bootstrap(
        lambda weights: resampled_agreement(measure, scored.observed, scored.predicted, scored.trial, weights),
        scored.trials,
        resampling,
    )


def _null(measure: Measure, scored: _Scored, drawn: _Draws) -> Null:
    value = float(agreement(measure, scored.observed[:, None], scored.predicted[:, None])[0])
    values = agreement(measure, drawn.observed, drawn.predicted)
    probability = p_value(value, values, "greater" if measure.better_high else "less")
    return Null(drawn.targets.name, drawn.targets.keeps, values, probability, drawn.targets.controls)


def _baseline(measure: Measure, scored: _Scored, rival: _Rival, resampling: Resampling) -> Baseline:
    """Value of a baseline, and the interval of the forecast's gain over it, paired over trials."""

    def gain(weights: Float[np.ndarray, "resample trial"]) -> Float[np.ndarray, " resample"]:
        ours, theirs = (
            resampled_agreement(measure, scored.observed, predicted, scored.trial, weights)
            for predicted in (scored.predicted, rival.predicted)
        )
        return ours - theirs if measure.better_high else theirs - ours

    value = float(agreement(measure, scored.observed[:, None], rival.predicted[:, None])[0])
    return Baseline(rival.name, rival.knows, value, bootstrap(gain, scored.trials, resampling), rival.knows_more)


def _rivals(data: TrialData, forecaster: Forecaster) -> tuple[list[_Rival], list[str]]:
    """Baselines for the forecaster's own samples, and why one is missing."""
    pieces = forecaster.pieces(data.target)
    template, linear, present = [], [], []
    for embedding, split in pieces:
        rows = split.prediction
        template.append(mean_trial(embedding.targets, embedding.time + embedding.lags.Tp, [split])[rows])
        linear.append(ridge(embedding.vectors, embedding.targets, embedding.trial, [split])[rows])
        present.append(persistence(data.target[embedding.row], [split])[rows])
    rivals = [
        _Rival("mean trial", "the time within the trial", np.concatenate(template), knows_more=False),
        _Rival("ridge", "the same lags, linearly", np.concatenate(linear), knows_more=False),
    ]
    if all(embedding.lags.Tp > 0 for embedding, _ in pieces):
        values = np.concatenate(present)
        return [*rivals, _Rival("persistence", "the target's present value", values, knows_more=data.own is None)], []
    return rivals, ["no persistence baseline: with Tp = 0 or less the target's present value is not a forecast"]


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
    gain = _gain(scores)
    null_gains = np.empty(0)
    if surrogates:
        drawn = phases_randomised(data, surrogates, seed).values.T
        null_gains = np.array([_gain(_scores(data.with_target(values), lags, folds, thetas)[0]) for values in drawn])
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


def _gain(scores: dict[Measure, Float[np.ndarray, " theta"]]) -> float:
    error = scores[Measure.RMSE]
    return float(1 - error.min() / error[0]) if error[0] > 0 else 0.0
