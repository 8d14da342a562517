"""What a forecast scores when there is nothing to find: targets under a null, through the same forecaster.

Each null keeps something of the target and breaks its tie to the predictors; the score shows only what goes beyond what
was kept. Where the predictors hold the target's own past (`TrialData.own`), artificial targets replace that past too
and the forecaster is computed again; permuted trials leave the predictors unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import DataError
from reach_analysis.forecasting.embedding import TrialData
from reach_analysis.forecasting.forecaster import Forecaster
from reach_analysis.statistics.permutation import arrangements, exchangeable, permuted_rows
from reach_analysis.statistics.surrogates import iterated_amplitude, linear_process, phase_randomised, shuffled

MakeForecaster = Callable[[TrialData], Forecaster]
"""Works out a forecaster for given predictors."""

Noise = Callable[[np.random.Generator], Float[np.ndarray, " _sample"]]
"""Draws a target made of white noise that went through the recording's own processing, trials end to end."""


@dataclass(frozen=True)
class Targets:
    """Targets under a null, one a column."""

    name: str
    keeps: str
    """What the target keeps under it."""
    values: Float[np.ndarray, "sample draw"]
    artificial: bool
    """Whether they are new series rather than recorded ones."""
    complete: bool = False
    """Whether they are every arrangement of the recorded target, that one among them, rather than random draws."""
    controls: bool = True
    """Whether the null keeps what data without an effect has, so that tests against it hold their level."""


def trial_permuted(
    data: TrialData, draws: int, seed: int = 0, strata: Int[np.ndarray, " trial"] | None = None
) -> Targets:
    """Give each trial the target of another, of the same length and stratum: `draws` times, or in every arrangement.

    Whatever all trials share stays: a forecast beats this null only by what is particular to a trial. Exact, since
    under the null the pairing of trials is arbitrary.
    """
    groups = exchangeable(data.target, data.lengths, strata)
    orders, complete = arrangements(groups, draws, seed)
    drawn = data.target[permuted_rows(orders, data.lengths)]
    return Targets("trial permutation", "the time course that trials share", drawn, artificial=False, complete=complete)


def phases_randomised(
    data: TrialData, draws: int, seed: int = 0, method: Literal["phase", "iaaft"] = "phase"
) -> Targets:
    """Draw targets with each trial's spectrum and random phases; `iaaft` keeps each trial's values as well.

    The null of a stationary linear process, unrelated to the predictors. It loses the time course that trials share: a
    forecast may beat it by that alone. It is close to its level while correlations are short against a trial (6 % false
    positives at 5 % where they last as long as the trial), and does not hold it for a target forecast from its own
    past.
    """
    _require_whole(data)
    rng = _generator("phase", seed)
    randomise = phase_randomised if method == "phase" else iterated_amplitude
    drawn = randomise(data.target[:, None], data.lengths, rng, draws)[:, :, 0].T
    keeps = "each trial's spectrum" + ("" if method == "phase" else " and values")
    # A periodic series is harder to forecast from its own past than the trial behind it: its ends meet in a jump.
    return Targets("phase-randomised", keeps, drawn, artificial=True, controls=data.own is None)


def linear_processes(data: TrialData, draws: int, seed: int = 0) -> Targets:
    """Draw targets from an autoregression fitted to the target.

    The null of a linear process for a target that is forecast from its own past. Conservative, since the fit follows
    the recorded trials.
    """
    _require_whole(data)
    drawn = linear_process(data.target, data.lengths, _generator("linear", seed), draws)
    return Targets("linear process", "autocorrelation, as an autoregression has it", drawn, artificial=True)


def noise_filtered(data: TrialData, noise: Noise, draws: int, seed: int = 0) -> Targets:
    """Draw targets from white noise that went through the recording's own processing."""
    drawn = _filtered(noise, draws, seed)
    if len(drawn) != len(data.target):
        raise DataError(f"filtered noise has {len(drawn)} samples, the target has {len(data.target)}")
    return Targets("filtered white noise", "the processing of the recording", drawn, artificial=True)


@lru_cache(maxsize=1)
def _filtered(noise: Noise, draws: int, seed: int) -> Float[np.ndarray, "sample draw"]:
    """Draws of filtered noise, kept because all muscles of a recording have the same processing, and so the same."""
    rng = _generator("noise", seed)
    drawn = np.stack([noise(rng) for _ in range(draws)], axis=1)
    drawn.setflags(write=False)
    return drawn


def samples_shuffled(data: TrialData, draws: int, seed: int = 0) -> Targets:
    """Shuffle all samples; for replication only, since anything smooth beats it."""
    rng = _generator("shuffle", seed)
    drawn = [shuffled(data.target[:, None], rng)[:, 0] for _ in range(draws)]
    return Targets(
        "shuffled samples", "values only (tests nothing)", np.stack(drawn, axis=1), artificial=True, controls=False
    )


def _generator(name: str, seed: int) -> np.random.Generator:
    """A stream of its own, so that data simulated with the same seed does not turn up among the draws of its null."""
    return np.random.default_rng([*name.encode(), seed])


def _require_whole(data: TrialData) -> None:
    if not np.isfinite(data.target).all():
        raise DataError("artificial targets need trials without missing samples; crop or fill them first")


def forecast_null(
    data: TrialData, targets: Targets, make: MakeForecaster, forecaster: Forecaster
) -> tuple[Float[np.ndarray, "prediction draw"], Float[np.ndarray, "prediction draw"]]:
    """Observed and predicted values for every draw.

    `make` is called once a draw where the target's own past is a predictor.
    """
    observed = targets.values[forecaster.samples]
    if data.own is None or not targets.artificial:
        return observed, forecaster.predict(targets.values)
    predicted = np.empty(observed.shape)
    for column, values in enumerate(targets.values.T):
        again = make(data.with_target(values))
        if not np.array_equal(again.samples, forecaster.samples):
            raise DataError("a forecaster predicts other samples for another target; give it fixed folds and lags")
        predicted[:, column] = again.predict(values[:, None])[:, 0]
    return observed, predicted
