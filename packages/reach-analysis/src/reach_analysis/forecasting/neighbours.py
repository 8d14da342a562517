"""Exact nearest neighbours among states, with a rule for ties and for states that are too close in time.

**Exclusion.** A state never serves as its own neighbour. `exclusion=r` also leaves out states of the same trial up to r
samples away (pyEDM's exclusionRadius); `exclusion=None` leaves out the whole trial.

**Ties** are broken by distance in time within the trial, then by the earlier time, then by the name of the trial. On a
single series this is pyEDM's order; over trials it does not depend on the order of trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from threadpoolctl import ThreadpoolController

from reach_analysis._common.errors import DataError
from reach_analysis.forecasting.embedding import Embedding, Split

LEAF = 48
"""States in one leaf of the tree: many, as states have many dimensions."""
SCAN_BLOCK = 256
"""Rows of one block of the full scan, which keeps its distances in the cache."""


class Neighbours(NamedTuple):
    """The k nearest library states of each predicted state, nearest first; `state` counts rows of the embedding."""

    state: Int[np.ndarray, "prediction k"]
    distance: Float[np.ndarray, "prediction k"]


def nearest(embedding: Embedding, split: Split, k: int, exclusion: int | None = None) -> Neighbours:
    """Find the `k` nearest library states of each state to predict (Euclidean)."""
    margin = _most_excluded(embedding, split, exclusion)
    n_candidates = min(k + margin + 1, len(split.library))
    if not k <= n_candidates > 0:
        raise DataError(_too_few(k, len(split.library), exclusion))
    tree = KDTree(embedding.vectors[split.library], LEAF, balanced_tree=False, compact_nodes=False)
    queries = embedding.vectors[split.prediction]
    # KDTree drops the second axis when asked for a single neighbour.
    distance, result = (out.reshape(len(queries), n_candidates) for out in tree.query(queries, k=n_candidates))
    state = split.library[result]
    farthest = distance[:, -1].copy()
    if margin:
        distance[excluded(embedding, split.prediction[:, None], state, exclusion)] = np.inf
        distance, state = _sorted(distance, state)
    tied = np.flatnonzero((distance[:, 1 : k + 1] == distance[:, :k][:, : n_candidates - 1]).any(axis=1))
    if len(tied):
        distance[tied], state[tied] = _by_rule(embedding, split.prediction[tied], distance[tied], state[tied])
    if n_candidates < len(split.library):
        # Other states may have the distance of the last candidate: only a scan of the whole library finds them.
        cut = np.flatnonzero(distance[:, k - 1] >= farthest)
        if len(cut):
            distance[cut, :k], state[cut, :k] = _scan(embedding, split.library, split.prediction[cut], k, exclusion)
    if not np.isfinite(distance[:, k - 1]).all():
        raise DataError(_too_few(k, int(np.isfinite(distance).sum(axis=1).min()), exclusion))
    return Neighbours(state[:, :k], distance[:, :k])


def excluded(
    embedding: Embedding, one: Int[np.ndarray, "#rows #k"], other: Int[np.ndarray, "#rows #k"], exclusion: int | None
) -> Bool[np.ndarray, "rows k"]:
    """True where a state may not serve the other as neighbour."""
    same = embedding.trial[one] == embedding.trial[other]
    return same if exclusion is None else same & (abs(embedding.time[one] - embedding.time[other]) <= exclusion)


def _most_excluded(embedding: Embedding, split: Split, exclusion: int | None) -> int:
    """Bound on the library states that exclusion takes from any one prediction."""
    predicted = np.zeros(len(embedding.ids), dtype=bool)
    predicted[embedding.trial[split.prediction]] = True
    shared = predicted[embedding.trial[split.library]]
    if not shared.any():
        return 0
    most = int(np.bincount(embedding.trial[split.library][shared]).max())
    return most if exclusion is None else min(most, 2 * exclusion + 1)


def _sorted(
    distance: Float[np.ndarray, "row k"], state: Int[np.ndarray, "row k"]
) -> tuple[Float[np.ndarray, "row k"], Int[np.ndarray, "row k"]]:
    order = np.argsort(distance, axis=1, kind="stable")
    return np.take_along_axis(distance, order, axis=1), np.take_along_axis(state, order, axis=1)


def _by_rule(
    embedding: Embedding,
    predicted: Int[np.ndarray, " row"],
    distance: Float[np.ndarray, "row k"],
    state: Int[np.ndarray, "row k"],
) -> tuple[Float[np.ndarray, "row k"], Int[np.ndarray, "row k"]]:
    """Sort each row by the rule for ties."""
    time = embedding.time[state]
    away = abs(time - embedding.time[predicted][:, None])
    order = np.lexsort((embedding.rank[embedding.trial[state]], time, away, distance), axis=-1)
    return np.take_along_axis(distance, order, axis=1), np.take_along_axis(state, order, axis=1)


def _scan(
    embedding: Embedding,
    library: Int[np.ndarray, " library"],
    predicted: Int[np.ndarray, " row"],
    k: int,
    exclusion: int | None,
) -> tuple[Float[np.ndarray, "row k"], Int[np.ndarray, "row k"]]:
    """The k nearest by distances to every library state, sorted by the rule for ties."""
    distances = np.empty((len(predicted), k))
    states = np.empty((len(predicted), k), dtype=int)
    for begin in range(0, len(predicted), SCAN_BLOCK):
        rows = slice(begin, begin + SCAN_BLOCK)
        block = predicted[rows]
        gap = embedding.vectors[block][:, None] - embedding.vectors[library]
        distance = np.sqrt((gap**2).sum(axis=2))
        state = np.broadcast_to(library, distance.shape)
        distance[excluded(embedding, block[:, None], state, exclusion)] = np.inf
        distance, state = _by_rule(embedding, block, distance, state)
        distances[rows], states[rows] = distance[:, :k], state[:, :k]
    return distances, states


def _too_few(k: int, left: int, exclusion: int | None) -> str:
    what = "its own trial left out" if exclusion is None else f"{exclusion} samples to either side left out"
    return (
        f"{k} neighbours are needed and a state has {left} in the library ({what}); use more trials, smaller E or knn"
        + ("; for a single series set exclusion to a number of samples" if exclusion is None else "")
    )


@cache
def _controller() -> ThreadpoolController:
    """Find the linear algebra libraries that are loaded, once."""
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep linear algebra within the block to one thread."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
