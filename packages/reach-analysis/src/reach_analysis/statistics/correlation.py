"""How well predictions agree with what was observed: Pearson and Spearman correlation, mean absolute error, RMSE.

Pearson's and Spearman's coefficients are never mixed up: each has a name of its own. MAE is a mean (pyEDM's figure of
that name is the largest signed error). Every measure also comes for resampled trials: predictions stay, trials are
counted as often as they were drawn, and ranks are those of the resampled data.
"""

from __future__ import annotations

import enum

import numpy as np
from jaxtyping import Float, Int

CHUNK = 1 << 17
"""Numbers in one block of resamples; a block stays in the cache."""


class Measure(enum.StrEnum):
    """A measure of agreement between observed and predicted values."""

    PEARSON = "pearson"
    SPEARMAN = "spearman"
    MAE = "mae"
    RMSE = "rmse"

    @property
    def better_high(self) -> bool:
        """Whether larger values are better."""
        return self in (Measure.PEARSON, Measure.SPEARMAN)

    def unit(self, unit: str) -> str:
        """Unit of the measure for a target in `unit`."""
        return "1" if self.better_high else unit


def ranks(values: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Ranks within each column from 1; equal values share the mean of their ranks."""
    by_column = np.ascontiguousarray(values.T)
    count = len(values)
    place = np.argsort(by_column, axis=1)
    place += count * np.arange(len(by_column))[:, None]
    ranked = np.empty(by_column.shape)
    ranked.reshape(-1)[place] = np.arange(1.0, count + 1)
    ordered = by_column.reshape(-1)[place]
    for column in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        _, group, size = np.unique(by_column[column], return_inverse=True, return_counts=True)
        ranked[column] = (np.cumsum(size) - (size - 1) / 2)[group]
    return ranked.T


def agreement(
    measure: Measure, observed: Float[np.ndarray, "row #column"], predicted: Float[np.ndarray, "row #column"]
) -> Float[np.ndarray, " column"]:
    """Agreement of each column; correlations are 0 where one side does not vary."""
    match measure:
        case Measure.PEARSON:
            return _pearson(observed, predicted)
        case Measure.SPEARMAN:
            return _pearson(ranks(observed), ranks(predicted))
        case Measure.MAE:
            return np.abs(predicted - observed).mean(axis=0)
        case Measure.RMSE:
            return np.sqrt(((predicted - observed) ** 2).mean(axis=0))


def _pearson(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    spread = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return np.where(spread > 0, (one * other).sum(axis=0) / np.where(spread > 0, spread, 1.0), 0.0)


def resampled_agreement(
    measure: Measure,
    observed: Float[np.ndarray, " row"],
    predicted: Float[np.ndarray, " row"],
    trial: Int[np.ndarray, " row"],
    weights: Float[np.ndarray, "resample trial"],
) -> Float[np.ndarray, " resample"]:
    """Agreement when trial t counts ``weights[:, t]`` times."""
    match measure:
        case Measure.PEARSON:
            one, other = observed - observed.mean(), predicted - predicted.mean()
            parts = (np.ones_like(one), one, other, one**2, other**2, one * other)
            return pearson_of_sums(np.stack([weights @ np.bincount(trial, p, weights.shape[1]) for p in parts]))
        case Measure.SPEARMAN:
            rows = max(1, CHUNK // len(observed))
            sides = (_Ranked(observed), _Ranked(predicted))
            blocks = (weights[begin : begin + rows, trial] for begin in range(0, len(weights), rows))
            return np.concatenate([_weighted_spearman(*sides, block) for block in blocks])
        case Measure.MAE:
            return _weighted_mean(np.abs(predicted - observed), trial, weights)
        case Measure.RMSE:
            return np.sqrt(_weighted_mean((predicted - observed) ** 2, trial, weights))


class _Ranked:
    """Values whose ranks depend on how often each counts."""

    def __init__(self, values: Float[np.ndarray, " row"]) -> None:
        self.order = np.argsort(values, kind="stable")
        self.place = np.argsort(self.order)
        _, self.group, count = np.unique(values, return_inverse=True, return_counts=True)
        self.first = np.cumsum(count) - count
        self.tied = len(count) < len(values)

    def ranks(self, weights: Float[np.ndarray, "resample row"]) -> Float[np.ndarray, "resample row"]:
        """Mid-ranks from 0 upward."""
        together = weights[:, self.order]
        if self.tied:
            together = np.add.reduceat(together, self.first, axis=1)
        ranked = np.cumsum(together, axis=1)
        together /= 2
        ranked -= together
        return ranked[:, self.group if self.tied else self.place]


def _weighted_spearman(one: _Ranked, other: _Ranked, weights: Float[np.ndarray, "resample row"]) -> np.ndarray:
    first, second = one.ranks(weights), other.ranks(weights)
    by_first, by_second = weights * first, weights * second
    pairs = ((by_first, first), (by_second, second), (by_first, second))
    products = [np.einsum("rn,rn->r", left, right) for left, right in pairs]
    return pearson_of_sums(np.stack([weights.sum(axis=1), by_first.sum(axis=1), by_second.sum(axis=1), *products]))


def sums_of(one: Float[np.ndarray, "row column"], other: Float[np.ndarray, "row column"]) -> np.ndarray:
    """Number of rows, sums, sums of squares and sum of products of two sides, (6, column)."""
    return np.stack([part.sum(axis=0) for part in (np.ones_like(one), one, other, one**2, other**2, one * other)])


def pearson_of_sums(sums: Float[np.ndarray, "*batch 6 column"]) -> Float[np.ndarray, "*batch column"]:
    """Pearson correlation from what :func:`sums_of` gives; 0 where a side varies within the rounding error only."""
    n, o, p, oo, pp, op = np.moveaxis(sums, -2, 0)
    n = np.maximum(n, 1)
    spread = np.sqrt(np.maximum(oo - o**2 / n, 0) * np.maximum(pp - p**2 / n, 0))
    varies = spread > 1e-12 * np.sqrt(oo * pp)
    return np.where(varies, (op - o * p / n) / np.where(varies, spread, 1.0), 0.0)


def _weighted_mean(
    values: Float[np.ndarray, " row"], trial: Int[np.ndarray, " row"], weights: Float[np.ndarray, "resample trial"]
) -> Float[np.ndarray, " resample"]:
    count = np.bincount(trial, minlength=weights.shape[1])
    return weights @ np.bincount(trial, values, weights.shape[1]) / (weights @ count)
