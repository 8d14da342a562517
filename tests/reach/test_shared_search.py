"""One search for many forecasts finds what a search for each of them finds, ties and short lists too."""

from __future__ import annotations

import numpy as np
import pytest
from reach_analysis._common.errors import DataError
from reach_analysis.forecasting import shared_search
from reach_analysis.forecasting.embedding import Lags, Split, TrialData, embed, fold_splits, trial_data
from reach_analysis.forecasting.neighbours import nearest
from reach_analysis.forecasting.shared_search import SharedSearch
from reach_analysis.statistics.folds import trial_folds


@pytest.fixture(scope="module", params=[1, 5], ids=["many ties", "few ties"])
def data(request: pytest.FixtureRequest) -> TrialData:
    """Trials of unequal length with gaps in predictors and target."""
    rng = np.random.default_rng(2)
    walks = [np.cumsum(rng.normal(size=(n, 2)), axis=0).round(request.param) for n in (30, 22, 30, 27, 30, 30, 16, 30)]
    walks[3][5:7] = np.nan
    targets = [rows[:, 0] * rows[:, 1] for rows in walks]
    targets[0][11] = np.nan
    return trial_data(walks, targets, [f"trial {letter}" for letter in "qazwsxed"])


@pytest.mark.parametrize("lags", [Lags(1), Lags(3, -2, 4), Lags(2, 1, -1)], ids=str)
@pytest.mark.parametrize("listed", [1, 3])
def test_lists_give_the_neighbours_of_every_library(
    data: TrialData, lags: Lags, listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_search, "LISTED", listed)
    folds = trial_folds(data.ids, 4)
    embedding, search = embed(data, lags), SharedSearch(data, folds).of(lags)
    fold = folds[embedding.trial]
    for predicted in ([0], [1, 3], [2]):
        for left_out in (None, 4, 7):  # a trial that is missing from the library, too
            library = ~np.isin(fold, predicted) & (embedding.trial != left_out)
            split = Split(np.flatnonzero(library), np.flatnonzero(np.isin(fold, predicted)))
            expected, found = nearest(embedding, split, 5), search(embedding, split, 5)
            np.testing.assert_array_equal(found.state, expected.state)
            np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-12)


def test_a_list_is_made_once() -> None:
    x = np.random.default_rng(0).normal(size=(4, 20))
    shared = SharedSearch(trial_data(list(x), list(x)), np.arange(4))
    assert shared.of(Lags(2, -1, 1)) is shared.of(Lags(2, -1, 3))
    assert shared.of(Lags(2, -2)) is not shared.of(Lags(2, -1))


def test_too_few_neighbours_are_an_error() -> None:
    data = trial_data([np.arange(5.0)] * 2, [np.arange(5.0)] * 2)
    search, embedding = SharedSearch(data, np.arange(2)).of(Lags(3)), embed(data, Lags(3))
    with pytest.raises(DataError, match="4 neighbours are needed and a state has 2"):
        search(embedding, fold_splits(embedding, np.arange(2))[0], 4)
