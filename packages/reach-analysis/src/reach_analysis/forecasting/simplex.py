"""Simplex projection (Sugihara and May 1990): the average of what followed the nearest states of the library.

The forecast for a state with neighbours at distances d_1 <= ... <= d_k is the average of their targets under weights
exp(-d_i / d_1). Neighbours depend on predictors only, so a forecast is a linear map from library targets to
predictions. It is computed once and applied to any number of targets, such as a thousand permutations of them.
Weights, the floor under d_1 and k = E + 1 (also for several predictors) are those of pyEDM 2.5.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from reach_analysis.forecasting.embedding import Embedding, Split
from reach_analysis.forecasting.neighbours import nearest
from reach_analysis.forecasting.shared_search import Search

LEAST_DISTANCE = 1e-6
"""Floor under the nearest distance, in units of the predictors (pyEDM's)."""


@dataclass(frozen=True)
class Forecast:
    """Predictions and observations."""

    observed: Float[np.ndarray, " prediction"]
    """Target of each predicted state and its forecast."""
    predicted: Float[np.ndarray, " prediction"]
    state: Int[np.ndarray, " prediction"]
    """Row of the embedding that was predicted."""
    embedding: Embedding


@dataclass(frozen=True)
class NeighbourMap:
    """Predictions as weighted averages of library targets."""

    state: Int[np.ndarray, " prediction"]
    """Rows of the embedding that are predicted."""
    neighbour: Int[np.ndarray, "prediction k"]
    """Library states each prediction averages, nearest first."""
    weight: Float[np.ndarray, "prediction k"]
    """Their weights; each row sums to 1."""
    embedding: Embedding

    def forecast(self) -> Forecast:
        """Forecast the embedding's own targets."""
        targets = self.embedding.targets
        predicted = (self.weight * targets[self.neighbour]).sum(axis=1)
        return Forecast(targets[self.state], predicted, self.state, self.embedding)

    def apply(self, targets: Float[np.ndarray, "state column"]) -> Float[np.ndarray, "prediction column"]:
        """Forecast many targets of the same states together."""
        count, k = self.neighbour.shape
        edges = np.arange(0, count * k + 1, k)
        matrix = csr_array((self.weight.ravel(), self.neighbour.ravel(), edges), shape=(count, len(targets)))
        return matrix @ targets


def simplex_map(
    embedding: Embedding,
    splits: Sequence[Split],
    *,
    knn: int | None = None,
    exclusion: int | None = None,
    search: Search | None = None,
) -> NeighbourMap:
    """Find the neighbours and weights of every state to predict.

    Args:
        embedding: the states.
        splits: library and prediction, one entry a fold.
        knn: neighbours of a state; None takes E + 1.
        exclusion: samples of the same trial to either side that may not serve as neighbours; None, the whole trial.
        search: finds neighbours in place of ``nearest``; then `exclusion` says nothing.
    """
    k = embedding.lags.E + 1 if knn is None else knn
    look = search or partial(nearest, exclusion=exclusion)
    result = [look(embedding, split, k) for split in splits]
    distance = np.concatenate([neighbours.distance for neighbours in result])
    weight = simplex_weights(distance)
    return NeighbourMap(
        np.concatenate([split.prediction for split in splits]),
        np.concatenate([neighbours.state for neighbours in result]),
        weight / weight.sum(axis=1, keepdims=True),
        embedding,
    )


def simplex_weights(distance: Float[np.ndarray, "prediction k"]) -> Float[np.ndarray, "prediction k"]:
    """Weights exp(-d_i / d_1), not normalised; rows sorted by distance."""
    return np.exp(-distance / np.maximum(distance[:, :1], LEAST_DISTANCE))


def simplex(
    embedding: Embedding,
    splits: Sequence[Split],
    *,
    knn: int | None = None,
    exclusion: int | None = None,
    search: Search | None = None,
) -> Forecast:
    """Forecast by simplex projection; arguments and errors as for :func:`simplex_map`."""
    return simplex_map(embedding, splits, knn=knn, exclusion=exclusion, search=search).forecast()
