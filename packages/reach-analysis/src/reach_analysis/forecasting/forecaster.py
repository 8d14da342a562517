"""A forecast as a function of the target: everything that depends on the predictors is computed once.

Scores and their nulls then come from the same function, called with the recorded target and with permuted or artificial
ones, one a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.embedding import Embedding, Lags, Split, TrialData, embed, fold_splits
from reach_analysis.forecasting.shared_search import Search, SharedSearch
from reach_analysis.forecasting.simplex import NeighbourMap, simplex_map
from reach_analysis.statistics.correlation import pearson_of_sums, sums_of


class Piece(NamedTuple):
    """The states of one fold: library and prediction."""

    embedding: Embedding
    split: Split
    search: Search | None
    """Finds neighbours in this library, and in parts of it."""


@runtime_checkable
class Forecaster(Protocol):
    """Predicts the same samples for any target."""

    @property
    def samples(self) -> Int[np.ndarray, " prediction"]:
        """Sample of the data that each prediction is about."""
        ...

    def predict(self, targets: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, "prediction column"]:
        """Forecast each column from its own library."""
        ...

    def pieces(self, target: Float[np.ndarray, " sample"]) -> list[Piece]:
        """States behind the predictions for one target, fold by fold, in the order of `samples`."""
        ...


@dataclass(frozen=True)
class FixedLags:
    """Simplex projection with given lags."""

    map: NeighbourMap
    splits: tuple[Split, ...]
    search: Search | None = None

    @property
    def samples(self) -> Int[np.ndarray, " prediction"]:
        """Sample of the data that each prediction is about."""
        return target_rows(self.map.embedding)[self.map.state]

    def predict(self, targets: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, "prediction column"]:
        """Forecast each column from its own library."""
        return self.map.apply(targets[target_rows(self.map.embedding)])

    def pieces(self, target: Float[np.ndarray, " sample"]) -> list[Piece]:
        """States behind the predictions; the same for every target."""
        return [Piece(self.map.embedding, split, self.search) for split in self.splits]


def target_rows(embedding: Embedding) -> Int[np.ndarray, " state"]:
    """Row of the data that holds each state's target."""
    return embedding.row + embedding.lags.Tp


def fixed_lags(
    data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], shared: SharedSearch | None = None
) -> FixedLags:
    """Work out simplex projection with given lags; errors as for ``embed`` and ``simplex_map``."""
    embedding = embed(data, lags)
    splits = fold_splits(embedding, folds)
    search = shared and shared.of(lags)
    return FixedLags(simplex_map(embedding, splits, search=search), tuple(splits), search)


def grid(E: Iterable[int], tau: Iterable[int] = (-1,), Tp: Iterable[int] = (1,)) -> tuple[Lags, ...]:
    """Every combination of E, tau and Tp; tau changes nothing at E = 1, so one is kept there."""
    known_names: dict[tuple[int, int, int], Lags] = {}
    for one, step, ahead in product(E, tau, Tp):
        known_names.setdefault((one, step if one > 1 else -1, ahead), Lags(one, step, ahead))
    return tuple(known_names.values())


@dataclass(frozen=True)
class NestedLags:
    """Simplex projection whose lags are chosen by nested folds, separately for each target."""

    data: TrialData
    """Predictors and lengths (its target is only used for which samples it has)."""
    candidates: tuple[Lags, ...]
    folds: Int[np.ndarray, " trial"]
    shared: SharedSearch | None = None
    """Of these predictors and folds; None: it makes its own."""

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ConfigError("lags are chosen from candidates; got none")
        if len(np.unique(self.folds)) < 3 or (self.folds < 0).any():
            raise ConfigError("nested folds need at least 3 folds and every trial in one of them")

    @cached_property
    def embeddings(self) -> tuple[Embedding, ...]:
        """States of each candidate."""
        return tuple(embed(self.data, lags) for lags in self.candidates)

    @cached_property
    def _searches(self) -> list[Search]:
        shared = self.shared or SharedSearch(self.data, self.folds)
        return [shared.of(lags) for lags in self.candidates]

    @cached_property
    def common(self) -> Bool[np.ndarray, " sample"]:
        """Samples that every candidate can predict."""
        can = [np.isin(np.arange(len(self.data.target)), target_rows(embedding)) for embedding in self.embeddings]
        common = np.logical_and.reduce(can)
        if not common.any():
            raise DataError("no sample can be predicted by every candidate; take smaller E, tau or Tp")
        return common

    @property
    def samples(self) -> Int[np.ndarray, " prediction"]:
        """Sample of the data that each prediction is about, fold by fold."""
        return np.concatenate([self._samples(fold) for fold in self._numbers])

    @property
    def _numbers(self) -> list[int]:
        return np.unique(self.folds).tolist()

    def _samples(self, fold: int) -> Int[np.ndarray, " prediction"]:
        return np.flatnonzero(self.common & (self.folds[self.data.trial] == fold))

    def _split(self, embedding: Embedding, folds: Sequence[int]) -> Split:
        """States of all other folds, and the states about the common samples of these folds, in order."""
        fold = self.folds[embedding.trial]
        wanted = self.common[target_rows(embedding)]
        library = np.flatnonzero(~np.isin(fold, folds))
        return Split(library, np.concatenate([np.flatnonzero(wanted & (fold == number)) for number in folds]))

    def _map(self, number: int, folds: Sequence[int]) -> NeighbourMap:
        """The map of a candidate that predicts some folds from all others."""
        embedding = self.embeddings[number]
        return simplex_map(embedding, [self._split(embedding, folds)], search=self._searches[number])

    @cached_property
    def _inner(self) -> dict[tuple[int, int, int], NeighbourMap]:
        """For a pair of folds and a candidate: the map that predicts both folds from all others."""
        return {
            (*pair, number): self._map(number, pair)
            for pair in combinations(self._numbers, 2)
            for number in range(len(self.candidates))
        }

    @cached_property
    def _outer(self) -> dict[tuple[int, int], NeighbourMap]:
        """For a fold and a candidate: the map that predicts the fold from all others."""
        return {
            (fold, number): self._map(number, (fold,))
            for fold in self._numbers
            for number in range(len(self.candidates))
        }

    def inner_scores(self, targets: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, "fold candidate column"]:
        """Pearson correlation of each candidate on the folds other than the one to predict."""
        place = {fold: row for row, fold in enumerate(self._numbers)}
        sums = np.zeros((len(place), len(self.candidates), 6, targets.shape[1]))
        centred = targets - np.nanmean(targets, axis=0)
        for number, embedding in enumerate(self.embeddings):
            about = centred[target_rows(embedding)]
            for one, other in combinations(self._numbers, 2):
                map_ = self._inner[one, other, number]
                predicted, observed = map_.apply(about), about[map_.state]
                fold = self.folds[embedding.trial[map_.state]]
                for scored, judged_for in ((one, other), (other, one)):
                    sums[place[judged_for], number] += sums_of(observed[fold == scored], predicted[fold == scored])
        return pearson_of_sums(sums)

    def choose(self, targets: Float[np.ndarray, "sample column"]) -> Int[np.ndarray, "fold column"]:
        """Number of the candidate chosen for each fold and target; of equals the first."""
        return self.inner_scores(targets).argmax(axis=1)

    def chosen(self, target: Float[np.ndarray, " sample"]) -> list[Lags]:
        """Lags chosen for each fold."""
        return [self.candidates[number] for number in self.choose(target[:, None])[:, 0]]

    def predict(self, targets: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, "prediction column"]:
        """Choose lags for each fold and column, and forecast with them."""
        choice = self.choose(targets)
        blocks = []
        for row, fold in enumerate(self._numbers):
            block = np.empty((len(self._samples(fold)), targets.shape[1]))
            for number in np.unique(choice[row]):
                columns = np.flatnonzero(choice[row] == number)
                map_ = self._outer[fold, int(number)]
                block[:, columns] = map_.apply(targets[:, columns][target_rows(map_.embedding)])
            blocks.append(block)
        return np.concatenate(blocks)

    def pieces(self, target: Float[np.ndarray, " sample"]) -> list[Piece]:
        """States behind the predictions for one target, fold by fold."""
        numbers = self.choose(target[:, None])[:, 0].tolist()
        return [
            Piece(self.embeddings[number], self._split(self.embeddings[number], (fold,)), self._searches[number])
            for fold, number in zip(self._numbers, numbers, strict=True)
        ]
