"""Delay embedding of trials: no vector and no target reaches across the border of a trial.

A state at sample t of a trial is the vector of every predictor at t, t + tau, ..., t + (E - 1) tau; what it should
predict is the target at t + Tp of the same trial (Takens 1981; paper A, section 2.8). As in pyEDM, tau is negative for
lags into the past. Samples of all trials are joined end to end in one array; another holds the length of each trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, raise_all, shorten


@dataclass(frozen=True)
class Lags:
    """How states are built and how far ahead they predict, in samples."""

    E: int
    """Embedding dimension: states hold E samples of every predictor."""
    tau: int = -1
    """Step from one lag to the next; negative reaches into the past."""
    Tp: int = 1
    """Prediction horizon; 0 maps the present onto the present."""

    def __post_init__(self) -> None:
        faults = []
        if self.E < 1:
            faults.append(f"E must be at least 1, got {self.E}")
        if self.tau == 0:
            faults.append("tau must not be 0; -1 takes neighbouring samples of the past")
        raise_all(ConfigError, "lags", faults)

    @property
    def offsets(self) -> Int[np.ndarray, " lag"]:
        """Position of each lag relative to the present."""
        return self.tau * np.arange(self.E)

    @property
    def reach(self) -> tuple[int, int]:
        """First and last sample that a state and its target touch, relative to the present."""
        touched = (*self.offsets.tolist(), self.Tp)
        return min(touched), max(touched)


@dataclass(frozen=True)
class TrialData:
    """Predictors and a target over trials, end to end."""

    predictors: Float[np.ndarray, "sample column"]
    """What states are built from; NaN marks what is missing."""
    target: Float[np.ndarray, " sample"]
    lengths: Int[np.ndarray, " trial"]
    ids: tuple[str, ...]
    """Name of each trial, unique. Folds and ties go by name, so the order of trials changes nothing."""
    own: int | None = None
    """Column of the predictors that is the target itself, up to shift and scale, if one is: surrogates of the target
    then replace that column too."""

    def __post_init__(self) -> None:
        faults = []
        if self.lengths.sum() != len(self.target):
            faults.append(f"trials hold {self.lengths.sum()} samples together, the target has {len(self.target)}")
        if self.predictors.shape[0] != len(self.target) or self.predictors.shape[1] < 1:
            faults.append(f"predictors have shape {self.predictors.shape}, expected ({len(self.target)}, 1 or more)")
        if len(self.ids) != len(self.lengths):
            faults.append(f"{len(self.ids)} trial names for {len(self.lengths)} trials")
        repeated = sorted({name for name in self.ids if self.ids.count(name) > 1})
        if repeated:
            faults.append(f"trial names must be unique; repeated: {shorten(repeated)}")
        if self.own is not None and not 0 <= self.own < self.predictors.shape[1]:
            faults.append(
                f"own must be a column of the predictors, 0 to {self.predictors.shape[1] - 1}; got {self.own}"
            )
        if (self.lengths < 1).any():
            faults.append("every trial needs at least one sample")
        raise_all(DataError, "trials for forecasting", faults)

    @property
    def trial(self) -> Int[np.ndarray, " sample"]:
        """Number of the trial each sample belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def starts(self) -> Int[np.ndarray, " trial"]:
        """Row of each trial's first sample."""
        return np.cumsum(self.lengths) - self.lengths

    def with_target(self, target: Float[np.ndarray, " sample"]) -> TrialData:
        """Another target; the target's own past among the predictors follows it, the other predictors stay."""
        if self.own is None:
            return replace(self, target=target)
        scale, shift = self._own_line
        predictors = self.predictors.copy()
        predictors[:, self.own] = scale * target + shift
        return replace(self, target=target, predictors=predictors)

    @cached_property
    def _own_line(self) -> Float[np.ndarray, "2"]:
        """Scale and shift from the target to its own past."""
        known = np.isfinite(self.target)
        return np.polyfit(self.target[known], self.predictors[known, self.own], 1)

    def standardised(self) -> TrialData:
        """Predictors with mean 0 and variance 1 over all samples, so that none outweighs the others in distances."""
        spread = np.nanstd(self.predictors, axis=0)
        if not (spread > 0).all():
            raise DataError(f"predictor columns {np.flatnonzero(~(spread > 0)).tolist()} do not vary")
        return replace(self, predictors=(self.predictors - np.nanmean(self.predictors, axis=0)) / spread)


def trial_data(
    predictors: Sequence[np.ndarray],
    target: Sequence[np.ndarray],
    ids: Sequence[str] | None = None,
    own: int | None = None,
) -> TrialData:
    """Join trials end to end: `predictors` are (time, column) or (time,) arrays, `target` (time,) arrays."""
    names = tuple(ids) if ids is not None else tuple(f"{number:04d}" for number in range(len(target)))
    columns = [np.asarray(rows, float).reshape(len(rows), -1) for rows in predictors]
    if len(columns) != len(target):
        raise DataError(f"{len(columns)} trials of predictors, {len(target)} of the target")
    for name, rows, values in zip(names, columns, target, strict=True):
        if len(rows) != len(values):
            raise DataError(f"trial {name!r}: {len(rows)} samples of predictors, {len(values)} of the target")
    lengths = np.array([len(values) for values in target], dtype=int)
    return TrialData(np.concatenate(columns), np.concatenate(target).astype(float), lengths, names, own)


@dataclass(frozen=True)
class Embedding:
    """States and what follows them."""

    vectors: Float[np.ndarray, "state dimension"]
    """States; lag by lag, and within a lag in the order of the columns."""
    targets: Float[np.ndarray, " state"]
    """The target Tp samples after each state."""
    trial: Int[np.ndarray, " state"]
    time: Int[np.ndarray, " state"]
    """Sample of each state within its trial (its target is Tp later)."""
    row: Int[np.ndarray, " state"]
    """The same sample as a row of the data."""
    lags: Lags
    ids: tuple[str, ...]

    @property
    def rank(self) -> Int[np.ndarray, " trial"]:
        """Place of each trial among the sorted names."""
        return np.argsort(np.argsort(np.array(self.ids)))


def embed(data: TrialData, lags: Lags) -> Embedding:
    """Build every state that, with its target, is within one trial and touches no NaN."""
    length = np.repeat(data.lengths, data.lengths)
    time = np.arange(len(data.target)) - np.repeat(data.starts, data.lengths)
    first, last = lags.reach
    if data.own is not None and lags.offsets.max() >= lags.Tp:
        raise ConfigError(
            f"E={lags.E}, tau={lags.tau}, Tp={lags.Tp}: states of a series' own past would hold what they predict; "
            "take lags into the past (tau below 0) and Tp of 1 or more"
        )
    inside = np.flatnonzero((time + first >= 0) & (time + last < length))
    dimension = lags.E * data.predictors.shape[1]
    vectors = data.predictors[inside[:, None] + lags.offsets].reshape(len(inside), dimension)
    targets = data.target[inside + lags.Tp]
    whole = np.isfinite(vectors).all(axis=1) & np.isfinite(targets)
    rows = inside[whole]
    if not len(rows):
        raise DataError(
            f"no state is left at E={lags.E}, tau={lags.tau}, Tp={lags.Tp}: they span {last - first + 1} samples, the "
            f"longest trial has {data.lengths.max()}; {len(inside)} were dropped for NaN. Choose smaller lags"
        )
    return Embedding(vectors[whole], targets[whole], data.trial[rows], time[rows], rows, lags, data.ids)


class Split(NamedTuple):
    """States that may be learnt from, and states to predict; both as rows of an embedding."""

    library: Int[np.ndarray, " library"]
    prediction: Int[np.ndarray, " prediction"]


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
