"""S-map: equal to pyEDM, to plain weighted least squares, and to a linear system where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyEDM
import pytest
from pandas import DataFrame
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.embedding import Embedding, Lags, Split, embed, fold_splits, trial_data, whole
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.synthetic.systems import autoregressive
from synthetic.systems import lorenz

THETAS = (0.0, 0.3, 2.0, 8.0)


def with_pyedm(frame: DataFrame, **options: Any) -> Any:
    everything: dict[str, Any] = {"lib": [1, len(frame)], "pred": [1, len(frame)]}
    return pyEDM.SMap(frame, columns="x", **(everything | options), returnObject=True)


@pytest.fixture(scope="module")
def attractor() -> DataFrame:
    return DataFrame(np.column_stack([np.arange(250), lorenz(250)]), columns=["t", "x", "y", "z"])


@pytest.mark.parametrize("E", [1, 2, 4, 8])
@pytest.mark.parametrize("tau", [-1, -3])
@pytest.mark.parametrize("Tp", [0, 1, 4])
def test_equal_to_pyedm(attractor: DataFrame, E: int, tau: int, Tp: int) -> None:
    embedding = embed(trial_data([attractor["x"].to_numpy()], [attractor["y"].to_numpy()]), Lags(E, tau, Tp))
    span = float(np.ptp(embedding.targets))
    for ours, theta in zip(smap(embedding, whole(embedding), THETAS, exclusion=0), THETAS, strict=True):
        theirs = with_pyedm(attractor, target="y", E=E, tau=tau, Tp=Tp, theta=theta)
        shared = np.isin(theirs.pred_i, embedding.row)
        np.testing.assert_allclose(ours.predicted, theirs.projection[shared], rtol=0, atol=1e-9 * span)
        if E <= 2:
            np.testing.assert_allclose(ours.coefficients, theirs.coefficients[shared], rtol=0, atol=1e-7)
        assert ours.by_svd == 0


@pytest.mark.parametrize(("radius", "knn"), [(0, 40), (5, None), (5, 40)])
def test_equal_to_pyedm_with_fewer_neighbours(attractor: DataFrame, radius: int, knn: int | None) -> None:
    embedding = embed(trial_data([attractor["x"].to_numpy()], [attractor["x"].to_numpy()]), Lags(3))
    ours = smap(embedding, whole(embedding), [2.0], knn=knn, exclusion=radius)[0]
    neighbours = knn or len(embedding.targets) - 1 - 2 * radius
    theirs = with_pyedm(attractor, target="x", E=3, theta=2.0, exclusionRadius=radius, knn=neighbours)
    rows = slice(0, len(ours.predicted)) if knn else slice(radius, len(ours.predicted) - radius)
    np.testing.assert_allclose(ours.predicted[rows], theirs.projection[:-1][rows], rtol=0, atol=1e-8)


def test_equal_to_pyedm_for_a_disjoint_library(attractor: DataFrame) -> None:
    """By default pyEDM leaves out the farthest state of the library."""
    embedding = embed(trial_data([attractor["x"].to_numpy()], [attractor["x"].to_numpy()]), Lags(3))
    theirs = with_pyedm(attractor, target="x", E=3, theta=2.0, lib=[1, 120], pred=[121, 250])
    split = Split(np.flatnonzero(np.isin(embedding.row, theirs.lib_i)), np.flatnonzero(embedding.row >= 120))
    ours = smap(embedding, [split], [2.0], knn=len(split.library) - 1, exclusion=0)[0]
    np.testing.assert_allclose(ours.predicted, theirs.projection[:-1], rtol=0, atol=1e-9)


def by_hand(embedding: Embedding, split: Split, theta: float) -> np.ndarray:
    """Predictions from the formula, by weighted least squares."""
    predicted = []
    for row in split.prediction:
        distance = np.linalg.norm(embedding.vectors[split.library] - embedding.vectors[row], axis=1)
        weight = np.exp(-theta * distance / distance.mean())
        design = np.column_stack([np.ones(len(weight)), embedding.vectors[split.library]])
        solution = np.linalg.lstsq(weight[:, None] * design, weight * embedding.targets[split.library], rcond=None)[0]
        predicted.append(solution @ [1, *embedding.vectors[row]])
    return np.array(predicted)


@pytest.mark.parametrize("theta", [0.0, 1.0, 20.0])
def test_equal_to_weighted_least_squares_over_trials(theta: float) -> None:
    rng = np.random.default_rng(0)
    trials = [np.cumsum(rng.normal(size=(n, 2)), axis=0) for n in (30, 25, 33, 28)]
    embedding = embed(trial_data(trials, [np.sin(rows).sum(axis=1) for rows in trials]), Lags(2, -2, 1))
    splits = fold_splits(embedding, trial_folds(embedding.ids, 2))
    ours = smap(embedding, splits, [theta])[0]
    expected = np.concatenate([by_hand(embedding, split, theta) for split in splits])
    np.testing.assert_allclose(ours.predicted, expected, rtol=0, atol=1e-8)


def test_collinear_states_are_solved_by_svd() -> None:
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.normal(size=(4, 30)), axis=1)
    embedding = embed(trial_data([np.column_stack([r, 2 * r]) for r in x], list(np.sin(x))), Lags(2))
    splits = fold_splits(embedding, trial_folds(embedding.ids))
    ours = smap(embedding, splits, [0.0, 3.0])
    for forecast, theta in zip(ours, [0.0, 3.0], strict=True):
        expected = np.concatenate([by_hand(embedding, split, theta) for split in splits])
        np.testing.assert_allclose(forecast.predicted, expected, rtol=0, atol=1e-9)
        assert forecast.by_svd == len(forecast.predicted)


def test_isolated_neighbourhoods_are_solved_by_svd() -> None:
    """A huge theta leaves fewer states with weight than there are coefficients."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 30))
    embedding = embed(trial_data(list(x), list(x)), Lags(4))
    splits = fold_splits(embedding, trial_folds(embedding.ids))
    forecast = smap(embedding, splits, [200.0])[0]
    assert forecast.by_svd > 0
    assert np.isfinite(forecast.predicted).all()


def test_a_linear_system_is_recovered_and_gains_nothing_from_theta() -> None:
    x = autoregressive(np.random.default_rng(3), 20, 60, phi=0.7)
    embedding = embed(trial_data(list(x), list(x)), Lags(2))
    splits = fold_splits(embedding, trial_folds(embedding.ids, 5))
    errors = [np.mean((f.predicted - f.observed) ** 2) for f in smap(embedding, splits, [0.0, 1.0, 4.0])]
    assert errors[0] < errors[1] < errors[2]
    coefficients = smap(embedding, splits, [0.0])[0].coefficients.mean(axis=0)
    np.testing.assert_allclose(coefficients, [0, 0.7, 0], atol=0.1)


def test_bad_input_is_refused() -> None:
    embedding = embed(trial_data([np.arange(20.0) ** 2], [np.arange(20.0)]), Lags(2))
    with pytest.raises(ConfigError, match=r"theta must be 0 or more, got \[-1.0\]"):
        smap(embedding, whole(embedding), [-1.0], exclusion=0)
    with pytest.raises(DataError, match="no library left outside its own trial"):
        smap(embedding, whole(embedding), [1.0])
