"""Which trials serve as library for which: whole trials, never parts of one.

A trial's fold follows from its name and a seed, not from its position.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from reach_analysis._common.errors import ConfigError


def trial_folds(ids: Sequence[str], n_folds: int | None = None, seed: int = 0) -> Int[np.ndarray, " trial"]:
    """Assign trials to `n_folds` folds whose sizes differ by at most one; None: one fold for each trial."""
    if len(ids) < 2:
        raise ConfigError(f"cross-validation needs at least 2 trials, got {len(ids)}")
    count = len(ids) if n_folds is None else n_folds
    if not 2 <= count <= len(ids):
        raise ConfigError(f"n_folds: expected 2 to {len(ids)} (number of trials), got {count}")
    by_name = np.argsort(np.array(ids))
    dealt = np.random.default_rng(seed).permutation(len(ids)) % count
    folds = np.empty(len(ids), dtype=int)
    folds[by_name] = dealt
    return folds


def folds_at_most(ids: Sequence[str], most: int, seed: int = 0) -> Int[np.ndarray, " trial"]:
    """Folds as by :func:`trial_folds`: `most` of them, or one a trial where there are fewer trials."""
    return trial_folds(ids, min(most, len(ids)), seed)


def blocked_folds(count: int, most: int) -> Int[np.ndarray, " block"]:
    """Folds of neighbours in time, for blocks of one recording: few of them have neighbours in another fold."""
    return np.arange(count) * min(most, count) // count
