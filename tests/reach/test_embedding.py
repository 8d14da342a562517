"""Delay embedding: no state and no target crosses the border of a trial, and nothing valid is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.embedding import Lags, TrialData, embed, fold_splits, trial_data
from reach_analysis.statistics.folds import blocked_folds, trial_folds

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def labelled(lengths: list[int]) -> TrialData:
    """Two predictors and a target whose values say where they belong: 100 trial + time, negated, plus a half."""
    values = [100.0 * trial + np.arange(n) for trial, n in enumerate(lengths)]
    return trial_data([np.column_stack([v, -v]) for v in values], [v + 0.5 for v in values])


@settings(deadline=None, max_examples=200)
@given(LENGTHS, st.integers(1, 4), st.integers(-3, 3).filter(bool), st.integers(-3, 4))
def test_states_lie_within_a_trial_and_none_is_lost(lengths: list[int], E: int, tau: int, Tp: int) -> None:
    lags = Lags(E, tau, Tp)
    expected = []
    for trial, n in enumerate(lengths):
        for t in range(n):
            touched = [t + lag * tau for lag in range(E)]
            if all(0 <= s < n for s in [*touched, t + Tp]):
                row = [sign * (100.0 * trial + s) for s in touched for sign in (1, -1)]
                expected.append((row, 100.0 * trial + t + Tp + 0.5, trial, t))
    data = labelled(lengths)
    if not expected:
        with pytest.raises(DataError, match="no state is left"):
            embed(data, lags)
        return
    found = embed(data, lags)
    vectors, targets, trials, times = zip(*expected, strict=True)
    np.testing.assert_array_equal(found.vectors, vectors)
    np.testing.assert_array_equal(found.targets, targets)
    np.testing.assert_array_equal(found.trial, trials)
    np.testing.assert_array_equal(found.time, times)
    np.testing.assert_array_equal(data.target[found.row], 100 * found.trial + found.time + 0.5)


def test_missing_samples_are_counted_and_touch_no_state() -> None:
    data = labelled([10, 10])
    predictors, target = data.predictors.copy(), data.target.copy()
    predictors[4, 1] = np.nan
    target[13] = np.nan
    found = embed(TrialData(predictors, target, data.lengths, data.ids), Lags(2, -2, 1))
    # Sample 4 serves the states at 4 and 6, the target at 13 the state at 12 (second trial, sample 2).
    assert sorted(set(range(2, 9)) - set(found.time[found.trial == 0])) == [4, 6]
    assert sorted(set(range(2, 9)) - set(found.time[found.trial == 1])) == [2]
    assert len(found.targets) == 11  # of 20, three at each border, three next to what is missing
    assert np.isfinite(found.vectors).all()
    assert np.isfinite(found.targets).all()


def test_standardised_predictors_have_unit_variance() -> None:
    data = labelled([6, 7]).standardised()
    np.testing.assert_allclose(data.predictors.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(data.predictors.std(axis=0), 1)
    with pytest.raises(DataError, match=r"predictor columns \[0\] do not vary"):
        trial_data([np.ones(5)], [np.arange(5.0)]).standardised()


@pytest.mark.parametrize(("E", "tau", "message"), [(0, -1, "E must be at least 1, got 0"), (2, 0, "tau must not be 0")])
def test_impossible_lags_are_refused(E: int, tau: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Lags(E, tau)


@pytest.mark.parametrize("lags", [Lags(3, 1, 1), Lags(3, 1, 2), Lags(3, -1, 0), Lags(3, -1, -2), Lags(1, -1, 0)])
def test_an_own_past_that_holds_the_target_is_refused(lags: Lags) -> None:
    """White noise would be forecast from "its own past" with r = 0.99."""
    noise = list(np.random.default_rng(0).normal(size=(4, 20)))
    with pytest.raises(ConfigError, match="would hold what they predict"):
        embed(trial_data(noise, noise, own=0), lags)
    assert len(embed(trial_data(noise, noise), lags).targets), "other predictors may"


def test_faults_of_trials_are_named_together() -> None:
    with pytest.raises(DataError, match="trial 'b': 3 samples of predictors, 4 of the target"):
        trial_data([np.zeros(3), np.zeros(3)], [np.zeros(3), np.zeros(4)], ["a", "b"])
    with pytest.raises(DataError, match=r"2 faults\n.*9 samples together, the target has 8\n.*unique; repeated: a"):
        TrialData(np.zeros((8, 1)), np.zeros(8), np.array([4, 5]), ("a", "a"))


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 30), st.data())
def test_folds_are_even_and_go_by_name(n_trials: int, data: st.DataObject) -> None:
    n_folds = data.draw(st.integers(2, n_trials))
    ids = [f"t{number}" for number in range(n_trials)]
    folds = trial_folds(ids, n_folds, seed=4)
    assert np.ptp(np.bincount(folds, minlength=n_folds)) <= 1
    order = np.random.default_rng(0).permutation(n_trials)
    np.testing.assert_array_equal(trial_folds([ids[i] for i in order], n_folds, seed=4), folds[order])


@given(st.integers(2, 30), st.integers(2, 8))
def test_folds_of_blocks_are_even_and_of_neighbours(count: int, most: int) -> None:
    folds = blocked_folds(count, most)
    assert len(np.unique(folds)) == min(count, most)
    assert (np.diff(folds) >= 0).all()
    assert np.ptp(np.bincount(folds)) <= 1


def test_splits_share_no_trial_and_predict_each_state_once() -> None:
    embedding = embed(labelled([9, 5, 7, 8]), Lags(2))
    folds = trial_folds(embedding.ids, 2, seed=1)
    folds[1] = -1
    predicted = []
    for library, prediction in fold_splits(embedding, folds):
        assert not set(embedding.trial[library]) & set(embedding.trial[prediction])
        assert 1 not in embedding.trial[library]
        predicted += prediction.tolist()
    assert sorted(predicted) == np.flatnonzero(embedding.trial != 1).tolist()


@pytest.mark.parametrize("n_folds", [1, 5])
def test_impossible_numbers_of_folds_are_refused(n_folds: int) -> None:
    with pytest.raises(ConfigError, match=f"2 to 4 .*got {n_folds}"):
        trial_folds("abcd", n_folds)
