"""Correlation, intervals, permutation, multiple tests: against scipy, closed forms, published numbers."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.statistics.correlation import Measure, agreement, ranks
from reach_analysis.statistics.estimates import (
    FISHER,
    Resampling,
    jackknifed,
    mean_of,
    paired_difference,
    rank_correlation,
    ratio_of,
)
from reach_analysis.statistics.permutation import arrangements, holm, p_value, trial_permutations
from scipy import stats

COVERAGE: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/reach/coverage.py"))
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


def by_hand(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """Studentised bootstrap of the mean, one resample at a time."""
    rng, n = np.random.default_rng(seed), len(values)
    mean, error, drawn = values.mean(), stats.sem(values), []
    for _ in range(resamples):
        again = rng.choice(values, n)
        if np.ptp(again):
            drawn.append((again.mean() - mean) / stats.sem(again))
    usual = stats.t.ppf(0.975, n - 1)
    high, low = np.clip([np.quantile(drawn, 0.975), -np.quantile(drawn, 0.025)], 0.8 * usual, 3 * usual)
    return mean - high * error, mean + low * error


@pytest.mark.parametrize("n", [6, 25])
def test_intervals_of_means_are_studentised_bootstraps(n: int) -> None:
    values = np.random.default_rng(1).exponential(size=n)
    ours = mean_of(values, "1", Resampling(resamples=20_000))
    assert (ours.low, ours.high) == pytest.approx(by_hand(values, 8000, 2), abs=0.06 * np.ptp(values))
    assert ours.value - ours.low < ours.high - ours.value  # a skewed sample has a longer upper end
    assert mean_of(values, "1", least=0.0).low >= 0


def test_intervals_hold_their_level() -> None:
    """The intervals of benchmarks/reach/coverage.py, on fewer data sets: within 3 points of 95 %, and their error."""
    rows = COVERAGE["coverages"](COVERAGE["FAST"], data_sets=200)
    assert {row["trials"] for row in rows} == {5, 10, 46}
    for row in rows:
        assert 0.92 - 2.6 * np.sqrt(0.92 * 0.08 / 200) <= row["coverage"], row


def test_a_ratio_takes_trials_as_units() -> None:
    """Cycles of a trial are alike: counted as units, their interval would be a fourth as wide."""
    rng = np.random.default_rng(5)
    duty = rng.normal(0.6, 0.04, size=8)
    counts = rng.integers(10, 25, size=8).astype(float)
    found = ratio_of(duty * counts, counts, "1")
    assert found.value == pytest.approx((duty * counts).sum() / counts.sum())
    assert found.n == 8
    assert found.high - found.low > 0.03
    equal = ratio_of(3 * duty, np.full(8, 3.0), "1")
    assert (equal.low, equal.high) == pytest.approx((mean_of(duty, "1").low, mean_of(duty, "1").high))


def test_a_jackknife_of_a_mean_is_student_s_interval() -> None:
    values = np.random.default_rng(3).normal(size=12)
    without = (values.sum() - values) / 11
    found = jackknifed(values.mean(), without)
    usual = stats.t.interval(0.95, 11, values.mean(), stats.sem(values) * np.sqrt(12 / 11))
    assert found == pytest.approx(usual)
    wider = jackknifed(values.mean(), without + 0.01, biased=True)
    assert wider.low < found.low < values.mean() < wider.high
    fisher = jackknifed(0.9, np.array([0.85, 0.9, 0.95, 0.8, 0.99]), FISHER)
    assert -1 < fisher.low < 0.9 < fisher.high < 1


def test_rank_correlations_have_the_interval_of_bonett_and_wright() -> None:
    one = np.arange(10.0)
    other = np.array([1.0, 0, 2, 4, 3, 5, 7, 6, 9, 8])
    found = rank_correlation(one, other)
    rho = float(np.asarray(stats.spearmanr(one, other))[0])
    reach = 1.959964 * np.sqrt((1 + rho**2 / 2) / 7)
    assert (found.low, found.value, found.high) == pytest.approx(
        (np.tanh(np.arctanh(rho) - reach), rho, np.tanh(np.arctanh(rho) + reach))
    )


def test_paired_intervals_see_what_unpaired_ones_miss() -> None:
    rng = np.random.default_rng(3)
    common = 5 * rng.normal(size=20)
    one, other = common + 0.1 * rng.normal(size=20) + 0.3, common + 0.1 * rng.normal(size=20)
    paired = paired_difference(one, other, "1").estimate
    assert 0.15 < paired.low < paired.high < 0.45


def test_what_does_not_vary_has_an_interval_of_no_width_and_few_units_none() -> None:
    interval = mean_of(np.full(5, 2.0), "1")
    assert (interval.low, interval.high) == (2.0, 2.0)
    assert np.isnan(mean_of(np.arange(4.0), "1").low)
    assert np.isnan(jackknifed(1.0, np.arange(4.0)).low)
    with pytest.raises(ConfigError, match=r"2 faults\n.*level.*\n.*at least 100, got 5"):
        Resampling(resamples=5, level=95.0)


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 8), st.integers(0, 10_000))
def test_sign_flips_of_few_trials_are_counted_exactly(n: int, seed: int) -> None:
    """Sums in another order differ by rounding: the observed signs must count as themselves."""
    rng = np.random.default_rng(seed)
    difference = np.abs(rng.normal(1, 0.3, n)) if seed % 2 else rng.normal(0.3, 1, n)
    other = rng.normal(5, 1, n)
    first = other + difference
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
    size = abs((first - other).sum())
    exact = np.mean(np.abs(signs @ (first - other)) >= size * (1 - 1e-9))
    assert paired_difference(first, other, "1").p == pytest.approx(exact)
    assert paired_difference(other, first, "1").p == pytest.approx(exact)


def test_p_values_count_the_observed_arrangement() -> None:
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert p_value(0.5, null) == 1 / 5
    assert p_value(0.4, null) == 2 / 5
    assert p_value(0.0, null) == 1
    assert p_value(0.1, null, "less") == 2 / 5
    assert p_value(0.5, null, "two-sided") == 2 / 5
    assert p_value(0.25, null, "two-sided") == 1
    assert p_value(0.4 + 1e-12, null) == 2 / 5  # equal but for rounding
    assert p_value(0.4, null, complete=True) == 1 / 4
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
    every, complete = arrangements(strata, 36)
    assert complete
    np.testing.assert_array_equal(np.unique(every, axis=0), np.unique(drawn, axis=0))
    assert not arrangements(strata, 35).complete


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


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_of_runs_in_perfect_order_holds_their_coefficient(sign: int) -> None:
    """Five runs are often in order by chance, so the other end is that of the order with two neighbours exchanged."""
    one, exchanged = np.arange(5.0), np.array([1.0, 0, 2, 3, 4])
    found, near = rank_correlation(one, sign * one**3), rank_correlation(one, sign * exchanged)
    far = near.low if sign > 0 else near.high
    assert sorted((found.low, found.high)) == pytest.approx(sorted((float(sign), far)))
    assert found.low <= found.value <= found.high
