"""How well predictions agree with what was observed: Pearson and Spearman correlation, mean absolute error, RMSE.

Pearson's and Spearman's coefficients are never mixed up: each has a name of its own. MAE is a mean (pyEDM's figure of
that name is the largest signed error). Every measure also comes for resampled trials: predictions stay, trials are
counted as often as they were drawn, and ranks are those of the resampled data.
"""

from __future__ import annotations

import enum

import numpy as np
from jaxtyping import Float, Int

CHUNK = 1 << 21
"""Numbers in one block of resamples."""


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
    order = np.argsort(values, axis=0)
    ranked = np.empty(values.shape)
    np.put_along_axis(ranked, order, np.arange(1.0, len(values) + 1)[:, None], axis=0)
    ordered = np.take_along_axis(values, order, axis=0)
    for column in np.flatnonzero((ordered[1:] == ordered[:-1]).any(axis=0)):
        _, group, count = np.unique(values[:, column], return_inverse=True, return_counts=True)
        ranked[:, column] = (np.cumsum(count) - (count - 1) / 2)[group]
    return ranked


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
        case Measure.PEARSON | Measure.SPEARMAN:
            rows = max(1, CHUNK // len(observed))
            blocks = [weights[begin : begin + rows, trial] for begin in range(0, len(weights), rows)]
            by_rank = measure is Measure.SPEARMAN
            sides = (observed - observed.mean(), predicted - predicted.mean())
            one, other = (_Ranked(side) if by_rank else side for side in sides)
            return np.concatenate([_weighted_pearson(_values(one, w), _values(other, w), w) for w in blocks])
        case Measure.MAE:
            return _weighted_mean(np.abs(predicted - observed), trial, weights)
        case Measure.RMSE:
            return np.sqrt(_weighted_mean((predicted - observed) ** 2, trial, weights))


class _Ranked:
    """Values whose ranks depend on how often each counts."""

    def __init__(self, values: Float[np.ndarray, " row"]) -> None:
        self.order = np.argsort(values, kind="stable")
        _, self.group, count = np.unique(values, return_inverse=True, return_counts=True)
        self.first = np.cumsum(count) - count

    def ranks(self, weights: Float[np.ndarray, "resample row"]) -> Float[np.ndarray, "resample row"]:
        """Mid-ranks from 0 upward."""
        together = np.add.reduceat(weights[:, self.order], self.first, axis=1)
        return (np.cumsum(together, axis=1) - together / 2)[:, self.group]


def _values(side: _Ranked | np.ndarray, weights: np.ndarray) -> np.ndarray:
    return side.ranks(weights) if isinstance(side, _Ranked) else side


def _weighted_pearson(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = weights.sum(axis=1, keepdims=True)
    one = one - (weights * one).sum(axis=1, keepdims=True) / total
    other = other - (weights * other).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * one**2).sum(axis=1) * (weights * other**2).sum(axis=1))
    return np.where(spread > 0, (weights * one * other).sum(axis=1) / np.where(spread > 0, spread, 1.0), 0.0)


def _weighted_mean(
    values: Float[np.ndarray, " row"], trial: Int[np.ndarray, " row"], weights: Float[np.ndarray, "resample trial"]
) -> Float[np.ndarray, " resample"]:
    count = np.bincount(trial, minlength=weights.shape[1])
    return weights @ np.bincount(trial, values, minlength=weights.shape[1]) / (weights @ count)
