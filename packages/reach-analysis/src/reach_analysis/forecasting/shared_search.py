"""One neighbour search for many forecasts from the same predictors, whatever their target, horizon and library.

Folds, nested folds, trials left out for intervals and targets change what a library holds, but no distance.
So the nearest states of other folds are listed once for each E and tau, more of them than one forecast needs. A
forecast takes the first of the list that its library holds. States whose list is too short for that are searched again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from reach_analysis.forecasting.embedding import Embedding, Lags, Split, TrialData, embed, fold_splits
from reach_analysis.forecasting.neighbours import Neighbours, nearest

LISTED = 3
"""Length of the lists, in neighbours of a forecast (E + 1)."""

Search = Callable[[Embedding, Split, int], Neighbours]
"""The nearest states of the library of each state to predict, so many of them."""


@dataclass(frozen=True)
class NeighbourList:
    """For the state at each sample of the data, the nearest states of other folds in the order of ``nearest``."""

    row: Int[np.ndarray, "sample place"]
    """Sample of the data at which each of them is; -1 beyond the end of the list."""
    distance: Float[np.ndarray, "sample place"]

    def __call__(self, embedding: Embedding, split: Split, k: int) -> Neighbours:
        """As ``nearest``, for a library without states of the predicted folds."""
        place = np.full(len(self.row) + 1, -1)  # the last entry is that of row -1
        place[embedding.row[split.library]] = split.library
        sample = embedding.row[split.prediction]
        state = place[self.row[sample]]
        inside = state >= 0
        number = np.cumsum(inside, axis=1, dtype=np.int32)
        enough = number[:, -1] >= k
        first = inside & (number <= k) & enough[:, None]
        out = Neighbours(np.empty((len(sample), k), dtype=int), np.empty((len(sample), k)))
        out.state[enough] = state[first].reshape(-1, k)
        out.distance[enough] = self.distance[sample][first].reshape(-1, k)
        if not enough.all():
            rest = nearest(embedding, Split(split.library, split.prediction[~enough]), k)
            out.state[~enough], out.distance[~enough] = rest
        return out


@dataclass(frozen=True, eq=False)
class SharedSearch:
    """Lists of the same predictors and folds, each made when it is first asked for."""

    data: TrialData
    """Its predictors count, not its target."""
    folds: Int[np.ndarray, " trial"]
    _lists: dict[tuple[int, int], NeighbourList] = field(default_factory=dict, init=False, repr=False)

    def of(self, lags: Lags) -> NeighbourList:
        """The list for the E and tau of these lags."""
        key = lags.E, lags.tau
        if key not in self._lists:
            self._lists[key] = self._listed(Lags(*key, Tp=0))
        return self._lists[key]

    def _listed(self, lags: Lags) -> NeighbourList:
        states = embed(replace(self.data, target=np.zeros(len(self.data.target)), own=None), lags)
        width = LISTED * (lags.E + 1)
        out = NeighbourList(
            np.full((len(self.data.target), width), -1), np.full((len(self.data.target), width), np.inf)
        )
        for split in fold_splits(states, self.folds):
            count = min(width, len(split.library))
            if count:
                found, rows = nearest(states, split, count), states.row[split.prediction]
                out.row[rows, :count], out.distance[rows, :count] = states.row[found.state], found.distance
        return out
