"""Surrogates keep what they say and lose the rest; baselines and ceilings against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from reach_analysis._common.errors import DataError
from reach_analysis.forecasting.baselines import mean_trial, persistence, ridge
from reach_analysis.statistics import surrogates
from reach_analysis.statistics.ceiling import spearman_brown, trial_ceiling
from reach_analysis.synthetic.systems import autoregressive
from sklearn.linear_model import LinearRegression

LENGTHS = np.array([40, 31, 40, 1, 2, 31])


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    common = np.cumsum(rng.normal(size=LENGTHS.sum()))
    return np.column_stack([common, 0.5 * common + rng.normal(size=len(common))])


def by_trial(values: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(LENGTHS)[:-1])


def test_random_phases_keep_spectra_means_and_cross_spectra(values: np.ndarray) -> None:
    surrogate = surrogates.phase_randomised(values, LENGTHS, np.random.default_rng(1), 2)[1]
    for old, new in zip(by_trial(values), by_trial(surrogate), strict=True):
        before, after = np.fft.rfft(old, axis=0), np.fft.rfft(new, axis=0)
        np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-9)
        np.testing.assert_allclose(after[:, 0] * after[:, 1].conj(), before[:, 0] * before[:, 1].conj(), atol=1e-8)
        np.testing.assert_allclose(new.mean(axis=0), old.mean(axis=0), atol=1e-12)
    assert abs(np.corrcoef(np.diff(surrogate[:40, 0]), np.diff(values[:40, 0]))[0, 1]) < 0.5


def test_iterated_surrogates_keep_values_exactly_and_spectra_nearly(values: np.ndarray) -> None:
    surrogate = surrogates.iterated_amplitude(values, LENGTHS, np.random.default_rng(1), 2)[1]
    for old, new in zip(by_trial(values), by_trial(surrogate), strict=True):
        np.testing.assert_array_equal(np.sort(new, axis=0), np.sort(old, axis=0))
        before, after = np.abs(np.fft.rfft(old, axis=0)), np.abs(np.fft.rfft(new, axis=0))
        assert np.linalg.norm(after - before) < 0.1 * np.linalg.norm(before)
    assert not np.array_equal(surrogate[:40], values[:40])


def test_a_linear_process_has_the_autocorrelation_of_the_trials() -> None:
    trials = autoregressive(np.random.default_rng(0), 30, 50, 0.7)
    lengths = np.r_[np.full(28, 50), 40, 60]
    drawn = surrogates.linear_process(trials.ravel() + 3, lengths, np.random.default_rng(1), 20)
    assert drawn.shape == (1500, 20)
    assert drawn.mean() == pytest.approx(trials.mean() + 3, abs=0.2)
    assert drawn.std() == pytest.approx(trials.std(), rel=0.1)
    rows = np.arange(49)  # within the first trial, over all draws
    assert np.corrcoef(drawn[rows].ravel(), drawn[rows + 1].ravel())[0, 1] == pytest.approx(0.7, abs=0.07)
    with pytest.raises(DataError, match="too short, or do not vary"):
        surrogates.linear_process(np.ones(60), np.array([30, 30]), np.random.default_rng(0), 1)


def test_explosive_trials_still_give_stationary_processes() -> None:
    growth = np.tile(1.2 ** np.arange(30), 4)
    assert np.isfinite(surrogates.linear_process(growth, np.full(4, 30), np.random.default_rng(0), 5)).all()


def test_shuffling_keeps_rows_together_and_loses_autocorrelation(values: np.ndarray) -> None:
    surrogate = surrogates.shuffled(values, np.random.default_rng(1))
    assert sorted(map(tuple, surrogate)) == sorted(map(tuple, values))
    assert abs(np.corrcoef(surrogate[1:, 0], surrogate[:-1, 0])[0, 1]) < 0.3


SPLITS = [(np.arange(20, 60), np.arange(20)), (np.r_[0:20, 40:60], np.arange(20, 40))]
TIME = np.tile(np.arange(20), 3)
TRIAL = np.repeat(np.arange(3), 20)


def test_mean_trial_is_that_of_the_library() -> None:
    targets = np.random.default_rng(0).normal(size=60)
    predicted = mean_trial(targets, TIME + 5, SPLITS)
    np.testing.assert_allclose(predicted[:20], (targets[20:40] + targets[40:]) / 2)
    np.testing.assert_allclose(predicted[20:40], (targets[:20] + targets[40:]) / 2)
    assert np.isnan(predicted[40:]).all()
    longer = TIME.copy()
    longer[19] = 30  # no trial of the library is that long
    assert mean_trial(targets, longer, SPLITS)[19] == pytest.approx(targets[20:].mean())


def test_persistence_is_the_present() -> None:
    present = np.arange(60.0)
    present[3] = np.nan
    predicted = persistence(present, SPLITS)
    assert predicted[3] == pytest.approx(present[20:].mean())
    np.testing.assert_array_equal(np.delete(predicted[:40], 3), np.delete(present[:40], 3))


def test_ridge_finds_a_linear_law_and_learns_from_the_library_only() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 3)) * [1, 1000, 1e-3] + [0, 5000, 1]
    targets = vectors @ [1.0, 2e-3, 3e3] + 0.1 * rng.normal(size=60)
    predicted = ridge(vectors, targets, TRIAL, SPLITS)
    assert np.corrcoef(predicted[:40], targets[:40])[0, 1] > 0.99
    model = LinearRegression().fit(vectors[20:], targets[20:])
    np.testing.assert_allclose(predicted[:20], model.predict(vectors[:20]), atol=0.05)
    spoiled = targets.copy()
    spoiled[:20] = 1e6
    np.testing.assert_allclose(ridge(vectors, spoiled, TRIAL, SPLITS)[:20], predicted[:20], rtol=1e-6)


def test_ridge_shrinks_what_carries_nothing() -> None:
    rng = np.random.default_rng(1)
    vectors, targets = rng.normal(size=(60, 15)), rng.normal(size=60)
    free = LinearRegression().fit(vectors[20:], targets[20:]).predict(vectors[:20])
    assert ridge(vectors, targets, TRIAL, SPLITS)[:20].std() < 0.5 * free.std()


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_ceiling_is_the_correlation_with_the_true_time_course(noise: float, offset: float) -> None:
    """Also where trials differ by an offset, which the agreement of halves over time does not show."""
    rng = np.random.default_rng(2)
    course = np.sin(np.linspace(0, 6, 80))
    values = course + noise * rng.normal(size=(60, 80)) + offset * rng.normal(size=(60, 1))
    ceiling = trial_ceiling(values)
    truth = np.corrcoef(values.ravel(), np.tile(course, 60))[0, 1]
    assert ceiling.value == pytest.approx(truth, abs=0.03)
    assert ceiling.low < ceiling.value < ceiling.high
    mean = np.corrcoef(values.mean(axis=0), course)[0, 1]
    assert np.sqrt(ceiling.reliability) == pytest.approx(mean, abs=0.03)
    assert ceiling.odd_even == pytest.approx(ceiling.reliability, abs=0.1)


def test_ceiling_of_noise_is_low_and_of_shorter_trials_known() -> None:
    values = autoregressive(np.random.default_rng(3), 30, 60)
    assert trial_ceiling(values).value < 0.2
    course = np.tile(np.sin(np.arange(60.0) / 9), (6, 1)) + 0.01 * values[:6]
    course[0, 40:] = np.nan
    assert trial_ceiling(course).value > 0.99
    with pytest.raises(DataError, match="at least 4 trials, got 3"):
        trial_ceiling(values[:3])
    with pytest.raises(DataError, match="does not vary"):
        trial_ceiling(np.ones((6, 10)))


def test_spearman_brown() -> None:
    assert spearman_brown(0.5, 2.0) == pytest.approx(2 / 3)
    assert spearman_brown(spearman_brown(0.5, 3.0), 1 / 3) == pytest.approx(0.5)
    assert spearman_brown(-0.2, 2.0) == 0
