"""Simplex projection: equal to pyEDM on one series, exact neighbours, and safe over trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyEDM
import pytest
from pandas import DataFrame
from reach_analysis._common.errors import DataError
from reach_analysis.forecasting.embedding import Embedding, Lags, Split, embed, fold_splits, trial_data, whole
from reach_analysis.forecasting.neighbours import nearest
from reach_analysis.forecasting.simplex import simplex, simplex_map
from reach_analysis.statistics.folds import trial_folds
from synthetic.systems import coupled_logistic, lorenz


def with_pyedm(frame: DataFrame, lags: Lags, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows predicted by pyEDM, its predictions, and the rows of its library."""
    rows = [1, len(frame)]
    arguments: dict[str, Any] = {"lib": rows, "pred": rows, "E": lags.E, "tau": lags.tau, "Tp": lags.Tp}
    run = pyEDM.Simplex(frame, **(arguments | options), returnObject=True)
    return np.array(run.pred_i), run.projection, np.array(run.lib_i)


def on_one_series(frame: DataFrame, columns: list[str], target: str, lags: Lags) -> Embedding:
    return embed(trial_data([frame[columns].to_numpy()], [frame[target].to_numpy()]), lags)


def compare(embedding: Embedding, found: tuple[np.ndarray, np.ndarray, np.ndarray], **options: int | None) -> int:
    """Hold our forecast against pyEDM's on the rows both predict; return how many those are."""
    rows, theirs, library = found
    split = Split(np.flatnonzero(np.isin(embedding.row, library)), np.flatnonzero(np.isin(embedding.row, rows)))
    ours = simplex(embedding, [split], exclusion=options.get("exclusion", 0), knn=options.get("knn"))
    np.testing.assert_allclose(
        ours.predicted, theirs[np.isin(rows, embedding.row[ours.state])], rtol=0, atol=1e-12 * np.ptp(ours.observed)
    )
    return len(ours.predicted)


@pytest.fixture(scope="module")
def attractor() -> DataFrame:
    return DataFrame(np.column_stack([np.arange(400), lorenz(400)]), columns=["t", "x", "y", "z"])


@pytest.mark.parametrize("E", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("tau", [-1, -3, 2])
@pytest.mark.parametrize("Tp", [0, 1, 5, -2])
def test_equal_to_pyedm(attractor: DataFrame, E: int, tau: int, Tp: int) -> None:
    lags = Lags(E, tau, Tp)
    # For Tp < 0 pyEDM's library begins a row too early and takes the target of that row from the end of the series.
    found = with_pyedm(attractor, lags, columns="x", target="y", lib=[1 + max(0, -Tp), 400])
    assert compare(on_one_series(attractor, ["x"], "y", lags), found) > 340


def test_library_is_pyedms_for_lags_into_the_past(attractor: DataFrame) -> None:
    """With tau < 0 <= Tp pyEDM's library is every state with a target, so nothing needs to be passed."""
    lags = Lags(4, -2, 3)
    rows, theirs, _ = with_pyedm(attractor, lags, columns="x", target="x")
    embedding = on_one_series(attractor, ["x"], "x", lags)
    ours = simplex(embedding, whole(embedding), exclusion=0)
    np.testing.assert_allclose(ours.predicted, theirs[np.isin(rows, embedding.row)], atol=1e-11)


@pytest.mark.parametrize("radius", [1, 7, 40])
def test_equal_to_pyedm_with_exclusion_radius(attractor: DataFrame, radius: int) -> None:
    lags = Lags(3, -1, 1)
    found = with_pyedm(attractor, lags, columns="x", target="x", exclusionRadius=radius)
    assert compare(on_one_series(attractor, ["x"], "x", lags), found, exclusion=radius) == 397


def test_equal_to_pyedm_for_several_predictors_and_knn(attractor: DataFrame) -> None:
    lags = Lags(2, -3, 1)
    for knn in (None, 6):
        found = with_pyedm(attractor, lags, columns=["x", "y"], target="z", knn=knn or 0)
        assert compare(on_one_series(attractor, ["x", "y"], "z", lags), found, knn=knn) == 396


def test_equal_to_pyedm_for_disjoint_library(attractor: DataFrame) -> None:
    lags = Lags(3, -1, 1)
    found = with_pyedm(attractor, lags, columns="x", target="x", lib=[1, 200], pred=[201, 400])
    assert compare(on_one_series(attractor, ["x"], "x", lags), found) == 199


def test_ties_are_broken_as_in_pyedm() -> None:
    values = np.round(4 * coupled_logistic(300, 0.1, 0.0)[:, 0]) / 4  # a handful of values: ties everywhere
    frame = DataFrame({"t": np.arange(300), "x": values, "y": np.sin(np.arange(300.0))})
    for lags in (Lags(1), Lags(2), Lags(3, -2, 0)):
        found = with_pyedm(frame, lags, columns="x", target="y")
        assert compare(on_one_series(frame, ["x"], "y", lags), found) > 290


@pytest.fixture(scope="module")
def reaches() -> Embedding:
    rng = np.random.default_rng(3)
    trials = [np.cumsum(rng.normal(size=(n, 2)), axis=0).round(1) for n in (40, 25, 40, 33, 40)]
    return embed(trial_data(trials, [rows[:, 0] * rows[:, 1] for rows in trials]), Lags(3, -2, 2))


@pytest.mark.parametrize("exclusion", [None, 0, 3])
@pytest.mark.parametrize("k", [1, 4, 9])
def test_neighbours_are_the_nearest(reaches: Embedding, exclusion: int | None, k: int) -> None:
    """Against a sort of all distances, with many ties from rounding."""
    found = nearest(reaches, whole(reaches)[0], k, exclusion)
    rank = reaches.rank
    for row in range(len(reaches.targets)):
        others = []
        for other in range(len(reaches.targets)):
            away = abs(int(reaches.time[row] - reaches.time[other]))
            same = reaches.trial[row] == reaches.trial[other]
            if not (same and (exclusion is None or away <= exclusion)):
                squared = ((10 * reaches.vectors[row] - 10 * reaches.vectors[other]).round() ** 2).sum()
                others.append((squared, away, reaches.time[other], rank[reaches.trial[other]], other))
        expected = [other for *_, other in sorted(others)[:k]]
        squared = (10 * found.distance[row]) ** 2
        np.testing.assert_allclose(squared, [o[0] for o in sorted(others)[:k]], atol=1e-6)
        # Distances that are equal as whole numbers may differ in the last bit as floats; then their order is open.
        if len({o[0] for o in sorted(others)[: k + 1]}) == k + 1:
            assert found.state[row].tolist() == expected


def test_weights_follow_the_formula(reaches: Embedding) -> None:
    map_ = simplex_map(reaches, fold_splits(reaches, trial_folds(reaches.ids)))
    distance = np.linalg.norm(reaches.vectors[map_.state][:, None] - reaches.vectors[map_.neighbour], axis=2)
    weight = np.exp(-distance / np.maximum(distance[:, :1], 1e-6))
    np.testing.assert_allclose(map_.weight, weight / weight.sum(axis=1, keepdims=True), atol=1e-12)
    assert map_.neighbour.shape[1] == 4


def test_library_never_holds_the_predicted_trial(reaches: Embedding) -> None:
    folds = trial_folds(reaches.ids, 3, seed=1)
    map_ = simplex_map(reaches, fold_splits(reaches, folds))
    own = folds[reaches.trial[map_.state]]
    assert (folds[reaches.trial[map_.neighbour]] != own[:, None]).all()
    assert sorted(map_.state) == list(range(len(reaches.targets)))


def test_many_targets_at_once_equal_one_at_a_time(reaches: Embedding) -> None:
    map_ = simplex_map(reaches, fold_splits(reaches, trial_folds(reaches.ids)))
    many = np.random.default_rng(0).normal(size=(len(reaches.targets), 5))
    many[:, 0] = reaches.targets
    predicted = map_.apply(many)
    np.testing.assert_allclose(predicted[:, 0], map_.forecast().predicted, atol=1e-12)
    np.testing.assert_allclose(predicted, np.einsum("pk,pkc->pc", map_.weight, many[map_.neighbour]), atol=1e-12)


def test_order_of_trials_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    trials = [np.cumsum(rng.normal(size=(30, 2)), axis=0).round(0) for _ in range(8)]
    ids = [f"trial {letter}" for letter in "qazwsxed"]
    outcomes = []
    for order in (np.arange(8), rng.permutation(8)):
        data = trial_data([trials[i][:, :1] for i in order], [trials[i][:, 1] for i in order], [ids[i] for i in order])
        embedding = embed(data, Lags(2, -1, 1))
        forecast = simplex(embedding, fold_splits(embedding, trial_folds(embedding.ids, 4, seed=2)))
        keys = [(embedding.ids[embedding.trial[row]], embedding.time[row]) for row in forecast.state]
        outcomes.append(dict(zip(keys, forecast.predicted.tolist(), strict=True)))
    assert outcomes[0] == outcomes[1]


def test_one_trial_has_no_library_of_other_trials() -> None:
    embedding = embed(trial_data([np.arange(20.0)], [np.arange(20.0)]), Lags(2))
    with pytest.raises(DataError, match="for a single series set exclusion"):
        simplex(embedding, whole(embedding))


def test_too_few_neighbours_are_an_error() -> None:
    embedding = embed(trial_data([np.arange(5.0)] * 2, [np.arange(5.0)] * 2), Lags(3))
    with pytest.raises(DataError, match="4 neighbours are needed and a state has 2"):
        simplex(embedding, fold_splits(embedding, trial_folds(embedding.ids)))
