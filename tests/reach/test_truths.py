"""Tests hold their level: over a thousand small data sets without an effect, 5 % are called significant, not more.

Every null that says it controls its level is held to the 95 % binomial interval of 1000 x 5 %; the two that are
conservative by construction to its upper end. The shuffle null, which says it does not, is shown not to.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from reach.forecasting_systems import autoregressive
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.folds import trial_folds
from reach_analysis.forecasting.forecaster import Forecaster, fixed_lags
from reach_analysis.forecasting.nulls import (
    MakeForecaster,
    Targets,
    forecast_null,
    linear_processes,
    noise_filtered,
    phases_randomised,
    samples_shuffled,
    trial_permuted,
)
from reach_analysis.forecasting.selection import NestedLags, grid
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.permutation import p_value
from scipy.stats import binom

DATA_SETS = 1000
DRAWS = 19
"""Enough for p = 0.05: the data beats all of them."""
LOW, HIGH = binom.interval(0.95, DATA_SETS, 0.05)

Null = Callable[[TrialData, int], Targets]


def simple(data: TrialData) -> Forecaster:
    return fixed_lags(data, Lags(2), trial_folds(data.ids, 2))


def nested(data: TrialData) -> Forecaster:
    return NestedLags(data, grid((1, 3)), trial_folds(data.ids, 3))


def rejected(data: TrialData, null: Targets, make: MakeForecaster) -> bool:
    forecaster = make(data)
    observed, predicted = forecast_null(data, null, make, forecaster)
    value = agreement(
        Measure.SPEARMAN, data.target[forecaster.samples, None], forecaster.predict(data.target[:, None])
    )[0]
    return p_value(float(value), agreement(Measure.SPEARMAN, observed, predicted)) <= 0.05


def count(null: Null, make: MakeForecaster = simple, *, own: bool = False, phi: float = 0.8, n: int = 24) -> int:
    """Data sets of 8 trials of autoregressive noise, independent of their predictor, that are called significant."""
    hits = 0
    for seed in range(DATA_SETS):
        rng = np.random.default_rng([5, seed])
        x, y = autoregressive(rng, 8, n, phi), autoregressive(rng, 8, n, phi)
        data = trial_data(list(y if own else x), list(y), own=0 if own else None)
        hits += rejected(data, null(data, seed), make)
    return hits


def permutation(data: TrialData, seed: int) -> Targets:
    return trial_permuted(data, DRAWS, seed)


def phases(data: TrialData, seed: int) -> Targets:
    return phases_randomised(data, DRAWS, seed)


def values_and_phases(data: TrialData, seed: int) -> Targets:
    return phases_randomised(data, DRAWS, seed, "iaaft")


def noise(data: TrialData, seed: int) -> Targets:
    trials, n = len(data.lengths), int(data.lengths[0])
    return noise_filtered(data, lambda rng: autoregressive(rng, trials, n).ravel(), DRAWS, seed)


def linear(data: TrialData, seed: int) -> Targets:
    return linear_processes(data, DRAWS, seed)


def shuffle(data: TrialData, seed: int) -> Targets:
    return samples_shuffled(data, DRAWS, seed)


@pytest.mark.slow
@pytest.mark.parametrize("null", [permutation, phases, noise])
def test_independent_noise_is_called_a_signal_in_one_of_twenty(null: Null) -> None:
    assert LOW <= count(null) <= HIGH


@pytest.mark.slow
def test_surrogates_that_keep_values_hold_their_level_too() -> None:
    assert LOW <= count(values_and_phases) <= HIGH


@pytest.mark.slow
def test_choosing_lags_within_the_null_keeps_the_level() -> None:
    assert LOW <= count(permutation, nested) <= HIGH


@pytest.mark.slow
def test_filtered_noise_is_called_a_signal_in_one_of_twenty() -> None:
    """Forecast from its own past, where autocorrelation makes the score high."""
    assert LOW <= count(noise, own=True, n=12) <= HIGH


@pytest.mark.slow
def test_a_linear_process_is_rarely_called_more() -> None:
    assert count(linear, own=True, n=12) <= HIGH


@pytest.mark.slow
def test_shuffling_finds_signals_that_are_not_there() -> None:
    assert count(shuffle, phi=0.98, n=40) > 2 * HIGH
