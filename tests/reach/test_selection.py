"""Lags are chosen without the trials they predict; known systems show their dimension and nonlinearity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.assessment import nonlinearity
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.forecaster import Forecaster, NestedLags, fixed_lags, grid
from reach_analysis.forecasting.lag_sweep import sweep
from reach_analysis.forecasting.nulls import trial_permuted
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.synthetic.systems import autoregressive
from synthetic.systems import coupled_logistic, henon, lorenz


def own_past(trials: list[np.ndarray]) -> TrialData:
    return trial_data(trials, trials, own=0)


@pytest.fixture(scope="module")
def attractor() -> TrialData:
    return own_past(np.split(lorenz(600)[:, 0], 12))


@pytest.fixture(scope="module")
def nested(attractor: TrialData) -> NestedLags:
    return NestedLags(attractor, grid(range(1, 5), (-1, -2), (1,)), trial_folds(attractor.ids, 4))


def subset(data: TrialData, trials: np.ndarray) -> TrialData:
    rows = [np.flatnonzero(data.trial == trial) for trial in trials]
    return trial_data([data.predictors[r] for r in rows], [data.target[r] for r in rows], [data.ids[t] for t in trials])


def test_inner_scores_are_those_of_the_other_folds_alone(attractor: TrialData, nested: NestedLags) -> None:
    """Take a fold's trials away entirely, and cross-validate the rest."""
    found = nested.inner_scores(attractor.target[:, None])[:, :, 0]
    for fold in range(4):
        rest = np.flatnonzero(nested.folds != fold)
        others = subset(attractor, rest)
        usable = nested.common[np.isin(attractor.trial, rest)]
        for number, lags in enumerate(nested.candidates):
            forecaster = fixed_lags(others, lags, nested.folds[rest])
            keep = usable[forecaster.samples]
            predicted = forecaster.predict(others.target[:, None])[keep]
            expected = agreement(Measure.PEARSON, others.target[forecaster.samples, None][keep], predicted)[0]
            assert found[fold, number] == pytest.approx(expected, abs=1e-9)


def test_predictions_are_those_of_the_chosen_lags(attractor: TrialData, nested: NestedLags) -> None:
    predicted = nested.predict(attractor.target[:, None])[:, 0]
    fold = nested.folds[attractor.trial[nested.samples]]
    for number, lags in enumerate(nested.chosen(attractor.target)):
        forecaster = fixed_lags(attractor, lags, nested.folds)
        everything = dict(zip(forecaster.samples, forecaster.predict(attractor.target[:, None])[:, 0], strict=True))
        mine = [everything[sample] for sample in nested.samples[fold == number]]
        np.testing.assert_allclose(predicted[fold == number], mine, atol=1e-12)
    assert sorted(nested.samples) == np.flatnonzero(nested.common).tolist()
    assert isinstance(nested, Forecaster)


def test_pieces_are_in_the_order_of_the_predictions(attractor: TrialData, nested: NestedLags) -> None:
    pieces = nested.pieces(attractor.target)
    rows = [embedding.row[split.prediction] + embedding.lags.Tp for embedding, split, _ in pieces]
    np.testing.assert_array_equal(np.concatenate(rows), nested.samples)
    for embedding, split, _ in pieces:
        library = set(nested.folds[embedding.trial[split.library]])
        assert library.isdisjoint(nested.folds[embedding.trial[split.prediction]])


def test_the_predicted_fold_has_no_say(attractor: TrialData, nested: NestedLags) -> None:
    targets = np.repeat(attractor.target[:, None], 4, axis=1)
    rng = np.random.default_rng(0)
    for fold in range(4):
        rows = nested.folds[attractor.trial] == fold
        targets[rows, fold] = rng.normal(size=rows.sum())
    choice = nested.inner_scores(targets)
    clean = nested.inner_scores(attractor.target[:, None])[:, :, 0]
    for fold in range(4):
        # Centring the target moves the last bits.
        np.testing.assert_allclose(choice[fold, :, fold], clean[fold], atol=1e-9)
        assert not np.allclose(choice[(fold + 1) % 4, :, fold], clean[(fold + 1) % 4], atol=1e-3)


def test_each_column_has_its_own_choice(attractor: TrialData, nested: NestedLags) -> None:
    permuted = trial_permuted(attractor, 25, seed=1).values
    together = nested.predict(np.column_stack([attractor.target, permuted]))
    np.testing.assert_allclose(together[:, 0], nested.predict(attractor.target[:, None])[:, 0], atol=1e-12)
    np.testing.assert_allclose(together[:, 7], nested.predict(permuted[:, 6:7])[:, 0], atol=1e-12)


def dimensions(data: TrialData, lags: tuple[Lags, ...]) -> list[int]:
    return [chosen.E for chosen in NestedLags(data, lags, trial_folds(data.ids, 5)).chosen(data.target)]


def test_dimension_of_known_systems_is_found() -> None:
    """A logistic map has one dimension, Hénon's map two; Lorenz's system three."""
    rng = np.random.default_rng(0)
    logistic = [coupled_logistic(60, 0.0, 0.0, (start, 0.2))[:, 0] for start in rng.uniform(0.2, 0.8, 10)]
    assert dimensions(own_past(logistic), grid(range(1, 6))) == [1] * 5
    two = [henon(60, tuple(rng.uniform(-0.1, 0.1, 2)))[:, 0] for _ in range(10)]
    assert dimensions(own_past(two), grid(range(1, 6))) == [2] * 5
    three = dimensions(own_past(np.split(lorenz(1200)[:, 0], 12)), grid(range(1, 8), (-2,), (3,)))
    assert np.median(three) == 3
    assert set(three) <= {3, 4}


def test_dimension_one_has_no_lag() -> None:
    assert grid((1, 2), (-1, -3), (1, 2)) == (
        Lags(1, -1, 1), Lags(1, -1, 2), Lags(2, -1, 1), Lags(2, -1, 2), Lags(2, -3, 1), Lags(2, -3, 2),
    )  # fmt: skip


def test_sweeps_compare_candidates_on_the_same_samples(attractor: TrialData) -> None:
    folds = trial_folds(attractor.ids, 4)
    permuted = trial_permuted(attractor, 30, seed=1).values
    candidates = grid((1, 3), (-2,), (1, 5))
    points = sweep(attractor, candidates, folds, null_targets=permuted)
    assert [point.lags for point in points] == list(candidates)
    common = 12 * (50 - 5 - 4)  # E=3, tau=-2, Tp=5 leaves out nine samples of each trial
    for point in points:
        first, last = point.lags.reach
        assert point.predictions == 12 * (50 - (last - first))
        assert point.common_predictions == common
        assert point.nulls[Measure.SPEARMAN].shape == (30,)
        assert point.nulls[Measure.SPEARMAN].max() < point.scores[Measure.SPEARMAN]
        assert point.scores[Measure.MAE] < point.scores[Measure.RMSE]
        assert point.trials == 12
        if point.predictions == common:
            assert point.common_scores == point.scores
    far, near = (next(p for p in points if p.lags == Lags(3, -2, Tp)) for Tp in (5, 1))
    assert near.common_scores[Measure.PEARSON] > far.common_scores[Measure.PEARSON]


def test_nonlinearity_is_found_where_it_is() -> None:
    rng = np.random.default_rng(0)
    chaotic = own_past([coupled_logistic(40, 0.0, 0.0, (start, 0.2))[:, 0] for start in rng.uniform(0.2, 0.8, 8)])
    linear = own_past(list(autoregressive(rng, 8, 40)))
    folds = trial_folds(chaotic.ids, 4)
    thetas = (0.0, 0.5, 2.0, 8.0)
    found = nonlinearity(chaotic, Lags(2), folds, thetas=thetas, surrogates=19)
    assert found.gain > 0.5
    assert found.p_value == pytest.approx(1 / 20)
    assert found.scores[Measure.PEARSON][-1] > 0.95 > found.scores[Measure.PEARSON][0] + 0.2
    absent = nonlinearity(linear, Lags(2), folds, thetas=thetas, surrogates=19)
    assert absent.gain < 0.05
    assert absent.p_value > 0.05


def test_impossible_selections_are_refused(attractor: TrialData) -> None:
    folds = trial_folds(attractor.ids, 4)
    with pytest.raises(ConfigError, match="got none"):
        NestedLags(attractor, (), folds)
    with pytest.raises(ConfigError, match="at least 3 folds"):
        NestedLags(attractor, (Lags(1),), trial_folds(attractor.ids, 2))
    attractor = replace(attractor, own=None)  # so that a lag into the past is allowed
    far = (Lags(1, -1, 45), Lags(1, -1, -45))
    with pytest.raises(DataError, match="no sample can be predicted by every candidate"):
        NestedLags(attractor, far, folds).predict(attractor.target[:, None])
    with pytest.raises(DataError, match="no sample can be predicted by every candidate"):
        sweep(attractor, far, folds)
    with pytest.raises(ConfigError, match="ascend from 0"):
        nonlinearity(attractor, Lags(2), folds, thetas=(1.0, 2.0))
