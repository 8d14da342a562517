"""Convergent cross mapping (Sugihara et al. 2012): does the history of one variable recover another?

If y drives x, the history of x holds y: states of x find y, and the better the more states the library has. So that
`x maps y` converges with the size of the library is evidence that y acts on x, not the reverse. Shared input, such as a
time course common to all trials, maps both ways; only a null that keeps it (trial permutation) separates the two.

Libraries are drawn at random, as whole trials or as single states, and every state is predicted from every library
without its own neighbourhood in time (`exclusion`). With single states, the same seed and exclusion 0 this is pyEDM
2.5.7 (whose stream of random numbers also starts afresh for every size and direction). Unlike simplex, its weights have
no floor: where neighbours are at distance 0, only they count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.distance import cdist

from reach_analysis._common.errors import ConfigError, DataError, raise_all
from reach_analysis.forecasting.embedding import Embedding
from reach_analysis.forecasting.neighbours import excluded
from reach_analysis.statistics.correlation import pearson_of_sums, sums_of

BLOCK = 1 << 20
"""Distances in one block of predicted states."""
DENSE = 2
"""How many times more listed states are looked through than are expected to hold enough members."""


@dataclass(frozen=True)
class Libraries:
    """Which libraries to draw."""

    sizes: tuple[int, ...]
    """Sizes to draw, in units, ascending."""
    samples: int = 30
    """Libraries drawn of each size."""
    seed: int = 0
    unit: Literal["trial", "state"] = "trial"
    """What is drawn: whole trials, or single states whatever their trial."""

    def __post_init__(self) -> None:
        faults = []
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)):
            faults.append(f"sizes must ascend, got {list(self.sizes)}")
        if self.samples < 1:
            faults.append(f"samples must be at least 1, got {self.samples}")
        raise_all(ConfigError, "libraries", faults)


@dataclass(frozen=True)
class CrossMap:
    """Skill of one cross mapping."""

    libraries: Libraries
    rho: Float[np.ndarray, "size draw target"]
    """Pearson correlation of predictions with each target, for every size and draw; NaN where a library had too few
    states for that, 0 where predictions do not vary."""
    states: int

    @property
    def skill(self) -> Float[np.ndarray, "size target"]:
        """Mean over draws."""
        return np.nanmean(self.rho, axis=1)


def cross_map(
    embedding: Embedding,
    libraries: Libraries,
    *,
    knn: int | None = None,
    exclusion: int | None = None,
    targets: Float[np.ndarray, "state target"] | None = None,
) -> CrossMap:
    """Predict every state's target from libraries of several sizes.

    Args:
        embedding: the states.
        libraries: sizes, number and kind of libraries.
        knn: neighbours of a state; None takes E + 1.
        exclusion: samples of the same trial to either side that may not serve as neighbours; None, the whole trial.
        targets: one column for each target to predict, such as permutations; None takes the embedding's.
    """
    columns = embedding.targets[:, None] if targets is None else targets
    embedding, columns = _in_order(embedding, columns - columns.mean(axis=0))
    libraries_of = [_draw(embedding, libraries, size) for size in libraries.sizes]
    k = embedding.lags.E + 1 if knn is None else knn
    sums = np.zeros((len(libraries.sizes), libraries.samples, 6, columns.shape[1]))
    for block in _blocks(embedding, k, exclusion):
        for number, members in enumerate(libraries_of):
            for draw, member in enumerate(members):
                result = _found(block, member, min(k, int(member.sum()) - 1))
                sums[number, draw] += _sums(result, columns[block.rows], columns)
    rho = np.where(sums[:, :, 0] < 3, np.nan, pearson_of_sums(sums))
    empty = np.isnan(rho).all(axis=(1, 2))
    if empty.any():
        raise DataError(
            f"no library of {libraries.sizes[int(empty.argmax())]} {libraries.unit}s holds enough states outside the "
            "neighbourhood of the predicted one; use larger libraries, or set exclusion for a single series"
        )
    return CrossMap(libraries, rho, len(embedding.targets))


class _Block(NamedTuple):
    """Some predicted states: distances to all states, infinite where left out, and the nearest ones in order."""

    rows: slice
    distance: np.ndarray
    order: np.ndarray
    ordered: np.ndarray


class _Found(NamedTuple):
    """Neighbours and weights of those rows of a block that have enough neighbours."""

    enough: np.ndarray
    state: np.ndarray
    weight: np.ndarray


def _in_order(
    embedding: Embedding, columns: Float[np.ndarray, "state target"]
) -> tuple[Embedding, Float[np.ndarray, "state target"]]:
    """Sort states by name of trial and time, so that neither draws nor ties depend on the order of trials."""
    order = np.lexsort((embedding.time, embedding.rank[embedding.trial]))
    arrays = {name: getattr(embedding, name)[order] for name in ("vectors", "targets", "trial", "time", "row")}
    return replace(embedding, **arrays), columns[order]


def _draw(embedding: Embedding, libraries: Libraries, size: int) -> Bool[np.ndarray, "draw state"]:
    """Libraries of one size, as masks over states."""
    by_state = libraries.unit == "state"
    unit = np.arange(len(embedding.targets)) if by_state else embedding.rank[embedding.trial]
    there = np.unique(unit)
    least = embedding.lags.E + 2 if by_state else 1
    if not least <= size <= len(there):
        raise ConfigError(f"library sizes: expected {least} to {len(there)} (number of {libraries.unit}s), got {size}")
    rng = np.random.default_rng(np.random.SeedSequence(libraries.seed))
    draws = [rng.choice(len(there), size=size, replace=False) for _ in range(libraries.samples)]
    return np.array([np.isin(unit, there[draw]) for draw in draws])


def _blocks(embedding: Embedding, k: int, exclusion: int | None) -> Iterator[_Block]:
    """Predicted states with their distances, and as many of the nearest as libraries of medium size need."""
    count = len(embedding.targets)
    states = np.arange(count)
    rows = max(1, BLOCK // count)
    listed = min(count, int(2 * np.sqrt(k * count)) + 1)
    for begin in range(0, count, rows):
        block = slice(begin, begin + rows)
        distance = cdist(embedding.vectors[block], embedding.vectors)
        distance[excluded(embedding, states[block, None], states[None], exclusion)] = np.inf
        near = np.sort(np.argpartition(distance, listed - 1, axis=1)[:, :listed], axis=1)
        values = np.take_along_axis(distance, near, axis=1)
        order = np.argsort(values, axis=1, kind="stable")
        yield _Block(
            block, distance, np.take_along_axis(near, order, axis=1), np.take_along_axis(values, order, axis=1)
        )


def _found(block: _Block, member: Bool[np.ndarray, " state"], k: int) -> _Found:
    """The `k` nearest members of each row; of equals the first state.

    Where the members are dense, most rows find them in their list of nearest states. The others, and all rows where
    members are few, look through all members.
    """
    count, size = len(member), int(member.sum())
    state = np.zeros((len(block.distance), max(k, 0)), dtype=int)
    distance = np.full(state.shape, np.inf)
    if k < 1:
        return _Found(np.zeros(len(state), dtype=bool), state[:0], distance[:0])
    left = np.ones(len(state), dtype=bool)
    if block.order.shape[1] * size >= DENSE * k * count:
        width = min(block.order.shape[1], DENSE * k * count // size + 8)
        inside = member[block.order[:, :width]]
        place = np.cumsum(inside, axis=1, dtype=np.int32)
        there = place[:, -1] >= k
        rows, columns = np.nonzero(inside & (place <= k) & there[:, None])
        state[there] = block.order[rows, columns].reshape(-1, k)
        distance[there] = block.ordered[rows, columns].reshape(-1, k)
        # Beyond the end of the list there may be states as near as its last one.
        left = ~(distance[:, -1] < block.ordered[:, -1])
    if left.any():
        members = np.flatnonzero(member)
        state[left], distance[left] = _scan(block.distance[np.ix_(left, members)], members, k)
    enough = np.isfinite(distance[:, -1])
    return _Found(enough, state[enough], _weights(distance[enough]))


def _scan(
    distance: Float[np.ndarray, "row member"], members: Int[np.ndarray, " member"], k: int
) -> tuple[Int[np.ndarray, "row k"], Float[np.ndarray, "row k"]]:
    """The k nearest members by looking at all of them k times."""
    rows = np.arange(len(distance))
    nearest, value = np.empty((len(distance), k), dtype=int), np.empty((len(distance), k))
    for place in range(k):
        result = distance.argmin(axis=1)
        nearest[:, place], value[:, place] = members[result], distance[rows, result]
        distance[rows, result] = np.inf
    return nearest, value


def _weights(distance: Float[np.ndarray, "row k"]) -> Float[np.ndarray, "row k"]:
    """Weights exp(-d_i / d_1), normalised; where d_1 is 0, equal weights of all neighbours at 0."""
    least = distance[:, :1]
    weight = np.where(least > 0, np.exp(-distance / np.where(least > 0, least, 1.0)), distance == 0)
    return weight / weight.sum(axis=1, keepdims=True)


def _sums(
    result: _Found, observed: Float[np.ndarray, "row target"], columns: Float[np.ndarray, "state target"]
) -> Float[np.ndarray, "6 target"]:
    """Sums of predictions and of what was observed."""
    return sums_of(np.einsum("rk,rkt->rt", result.weight, columns[result.state]), observed[result.enough])
