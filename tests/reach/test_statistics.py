"""Correlation, intervals, permutation, multiple tests: against scipy, closed forms, published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.statistics.correlation import Measure, agreement, ranks, resampled_agreement
from reach_analysis.statistics.estimates import Resampling, bootstrap
from reach_analysis.statistics.permutation import holm, p_value, trial_permutations
from scipy import stats

SMALL = st.integers(-4, 4).map(float)


@settings(deadline=None, max_examples=100)
@given(arrays(float, st.tuples(st.integers(3, 30), st.just(2)), elements=SMALL))
def test_measures_are_scipys_also_with_ties(pair: np.ndarray) -> None:
    observed, predicted = pair[:, :1], pair[:, 1:]
    np.testing.assert_array_equal(ranks(pair), stats.rankdata(pair, axis=0))
    error = predicted - observed
    assert agreement(Measure.MAE, observed, predicted)[0] == pytest.approx(np.abs(error).mean())
    assert agreement(Measure.RMSE, observed, predicted)[0] == pytest.approx(np.sqrt((error**2).mean()))
    if np.ptp(observed) and np.ptp(predicted):
        pearson = stats.pearsonr(observed[:, 0], predicted[:, 0])[0]
        spearman = stats.spearmanr(observed[:, 0], predicted[:, 0])[0]
        assert agreement(Measure.PEARSON, observed, predicted)[0] == pytest.approx(pearson, abs=1e-12)
        assert agreement(Measure.SPEARMAN, observed, predicted)[0] == pytest.approx(spearman, abs=1e-12)
    else:
        assert agreement(Measure.PEARSON, observed, predicted)[0] == 0
        assert agreement(Measure.SPEARMAN, observed, predicted)[0] == 0


def test_pearson_and_spearman_differ() -> None:
    x = np.arange(20.0)[:, None]
    assert agreement(Measure.SPEARMAN, x, np.exp(x))[0] == pytest.approx(1)
    assert agreement(Measure.PEARSON, x, np.exp(x))[0] < 0.7


@pytest.mark.parametrize("measure", list(Measure))
def test_resampled_measures_are_those_of_repeated_data(measure: Measure) -> None:
    rng = np.random.default_rng(0)
    trial = np.repeat(np.arange(6), [5, 3, 8, 4, 6, 7])
    observed, predicted = rng.normal(size=(2, len(trial))).round(1)
    weights = rng.multinomial(6, np.full(6, 1 / 6), size=40).astype(float)
    found = resampled_agreement(measure, observed, predicted, trial, weights)
    for value, counts in zip(found, weights.astype(int), strict=True):
        rows = np.repeat(np.arange(len(trial)), counts[trial])
        expected = agreement(measure, observed[rows, None], predicted[rows, None])[0]
        assert value == pytest.approx(expected, abs=1e-12)


def mean_of(values: np.ndarray):
    return lambda weights: weights @ values / weights.sum(axis=1)


def test_bca_is_scipys() -> None:
    values = np.random.default_rng(1).exponential(size=25)
    ours = bootstrap(mean_of(values), 25, Resampling(resamples=200_000))
    theirs = stats.bootstrap((values,), np.mean, n_resamples=100_000, method="BCa", rng=0, batch=10_000)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)
    percentile = bootstrap(mean_of(values), 25, Resampling(resamples=200_000, method="percentile"))
    assert percentile.low < ours.low  # a skewed sample: BCa moves up
    assert values.mean() in ours


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_cover(method: str) -> None:
    """Means of 30 normal values: 95 % of 600 intervals hold the true mean, less what n = 30 costs (about 1.5 %)."""
    rng = np.random.default_rng(2)
    resampling = Resampling(resamples=400, method=method)  # type: ignore[arg-type]
    hits = sum(0.0 in bootstrap(mean_of(rng.normal(size=30)), 30, resampling) for _ in range(600))
    assert 0.915 <= hits / 600 <= 0.965


def test_paired_intervals_see_what_unpaired_ones_miss() -> None:
    rng = np.random.default_rng(3)
    common = 5 * rng.normal(size=20)
    one, other = common + 0.1 * rng.normal(size=20) + 0.3, common + 0.1 * rng.normal(size=20)
    paired = bootstrap(lambda w: mean_of(one)(w) - mean_of(other)(w), 20)
    assert paired.low > 0.15
    assert paired.high < 0.45


def test_what_does_not_vary_has_an_interval_of_no_width() -> None:
    interval = bootstrap(mean_of(np.full(5, 2.0)), 5)
    assert (interval.low, interval.high) == (2.0, 2.0)


def test_bad_resampling_is_refused() -> None:
    with pytest.raises(DataError, match="at least 3 of them, got 2"):
        bootstrap(mean_of(np.arange(2.0)), 2)
    with pytest.raises(DataError, match="not finite"):
        bootstrap(mean_of(np.array([1.0, np.nan, 2.0])), 3)
    with pytest.raises(ConfigError, match=r"2 faults\n.*level.*\n.*at least 100, got 5"):
        Resampling(resamples=5, level=95.0)


def test_p_values_count_the_observed_arrangement() -> None:
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert p_value(0.5, null) == 1 / 5
    assert p_value(0.4, null) == 2 / 5
    assert p_value(0.0, null) == 1
    assert p_value(0.1, null, "less") == 2 / 5
    assert p_value(0.5, null, "two-sided") == 2 / 5
    assert p_value(0.25, null, "two-sided") == 1
    with pytest.raises(DataError, match="finite"):
        p_value(float("nan"), null)


def test_permutations_stay_within_strata_and_reach_all_arrangements() -> None:
    strata = np.array([0, 1, 0, 1, 0, 1])
    drawn = trial_permutations(strata, 2000, seed=1)
    assert (strata[drawn] == strata).all()
    assert (np.sort(drawn, axis=1) == np.arange(6)).all()
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 36
    assert stats.chisquare(counts).pvalue > 1e-3
    np.testing.assert_array_equal(drawn, trial_permutations(strata, 2000, seed=1))
    with pytest.raises(DataError, match=r"groups of \[3, 1, 1\].*Crop trials to a common length"):
        trial_permutations(np.array([0, 0, 0, 1, 2]), 10)


@settings(deadline=None, max_examples=50)
@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_adjusted_p_values(p_values: np.ndarray) -> None:
    # Holm by its definition: reject from the smallest on while p * (number left) stays below the level.
    for place, adjusted in enumerate(holm(p_values)):
        smaller = [p for at, p in enumerate(p_values) if (p, at) <= (p_values[place], place)]
        expected = max(p * (len(p_values) - rank) for rank, p in enumerate(sorted(smaller)))
        assert adjusted == pytest.approx(min(1, expected))
    with pytest.raises(DataError, match="got nan at test 1"):
        holm(np.array([0.1, np.nan]))
