"""Which trials serve as library for which: whole trials, never parts of one.

A trial's fold follows from its name and a seed, not from its position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from reach_analysis._common.errors import ConfigError
from reach_analysis.forecasting.embedding import Embedding


class Split(NamedTuple):
    """States that may be learnt from, and states to predict; both as rows of an embedding."""

    library: Int[np.ndarray, " library"]
    prediction: Int[np.ndarray, " prediction"]


def trial_folds(ids: Sequence[str], n_folds: int | None = None, seed: int = 0) -> Int[np.ndarray, " trial"]:
    """Deal trials to `n_folds` folds of equal size, give or take one; None makes each trial a fold of its own.

    Raises:
        ConfigError: when there are fewer than two folds or more folds than trials.
    """
    count = len(ids) if n_folds is None else n_folds
    if not 2 <= count <= len(ids):
        raise ConfigError(f"n_folds must lie between 2 and the number of trials, {len(ids)}; got {count}")
    by_name = np.argsort(np.array(ids))
    dealt = np.random.default_rng(seed).permutation(len(ids)) % count
    folds = np.empty(len(ids), dtype=int)
    folds[by_name] = dealt
    return folds


def folds_at_most(ids: Sequence[str], most: int, seed: int = 0) -> Int[np.ndarray, " trial"]:
    """Folds as by :func:`trial_folds`: `most` of them, or one a trial where there are fewer trials."""
    return trial_folds(ids, min(most, len(ids)), seed)


def fold_splits(embedding: Embedding, folds: Int[np.ndarray, " trial"]) -> list[Split]:
    """One split a fold: its states are predicted from the states of all other folds.

    Folds below 0 take no part, neither as library nor as prediction.
    """
    fold = folds[embedding.trial]
    splits = []
    for number in np.unique(folds[folds >= 0]):
        predicted = np.flatnonzero(fold == number)
        if len(predicted):
            splits.append(Split(np.flatnonzero((fold != number) & (fold >= 0)), predicted))
    return splits


def whole(embedding: Embedding) -> list[Split]:
    """Every state predicted from all others; how close in time those may be is the caller's `exclusion`."""
    rows = np.arange(len(embedding.targets))
    return [Split(rows, rows)]
