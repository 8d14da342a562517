"""A forecast as a function of the target: everything that depends on the predictors is worked out once.

Scores and their nulls then come from the same function, called with the recorded target and with permuted or artificial
ones, one a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from reach_analysis.forecasting.embedding import Embedding, Lags, TrialData, embed
from reach_analysis.forecasting.simplex import NeighbourMap, simplex_map
from reach_analysis.forecasting.smap import SMapMap, smap_map
from reach_analysis.statistics.folds import Split, fold_splits


class Piece(NamedTuple):
    """The states of one fold: library and prediction."""

    embedding: Embedding
    split: Split


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
    """Simplex projection or S-map with given lags."""

    map: NeighbourMap | SMapMap
    splits: tuple[Split, ...]

    @property
    def samples(self) -> Int[np.ndarray, " prediction"]:
        """Sample of the data that each prediction is about."""
        return target_rows(self.map.embedding)[self.map.state]

    def predict(self, targets: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, "prediction column"]:
        """Forecast each column from its own library."""
        return self.map.apply(targets[target_rows(self.map.embedding)])

    def pieces(self, target: Float[np.ndarray, " sample"]) -> list[Piece]:
        """States behind the predictions; the same for every target."""
        return [Piece(self.map.embedding, split) for split in self.splits]


def target_rows(embedding: Embedding) -> Int[np.ndarray, " state"]:
    """Row of the data that holds each state's target."""
    return embedding.row + embedding.lags.Tp


def fixed_lags(data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"]) -> FixedLags:
    """Work out simplex projection with given lags; errors as for ``embed`` and ``simplex_map``."""
    embedding = embed(data, lags)
    splits = fold_splits(embedding, folds)
    return FixedLags(simplex_map(embedding, splits), tuple(splits))


def local_linear(data: TrialData, lags: Lags, theta: float, folds: Int[np.ndarray, " trial"]) -> FixedLags:
    """Work out S-map with given lags and theta; errors as for ``embed`` and ``smap_map``."""
    embedding = embed(data, lags)
    splits = fold_splits(embedding, folds)
    return FixedLags(smap_map(embedding, splits, theta), tuple(splits))
