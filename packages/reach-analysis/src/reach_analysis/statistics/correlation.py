"""How well predictions agree with what was observed: Pearson and Spearman correlation, mean absolute error, RMSE.

Pearson's and Spearman's coefficients are never mixed up: each has a name of its own. MAE is a mean (pyEDM's figure of
that name is the largest signed error).
"""

from __future__ import annotations

import enum

import numpy as np
from jaxtyping import Float


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


def sums_of(one: Float[np.ndarray, "row column"], other: Float[np.ndarray, "row column"]) -> np.ndarray:
    """Number of rows, sums, sums of squares and sum of products of two sides, (6, column)."""
    products = [np.einsum("rc,rc->c", left, right) for left, right in ((one, one), (other, other), (one, other))]
    return np.stack([np.full(one.shape[1], float(len(one))), one.sum(axis=0), other.sum(axis=0), *products])


def pearson_of_sums(sums: Float[np.ndarray, "*batch 6 column"]) -> Float[np.ndarray, "*batch column"]:
    """Pearson correlation from what :func:`sums_of` gives; 0 where a side varies within the rounding error only."""
    n, o, p, oo, pp, op = np.moveaxis(sums, -2, 0)
    n = np.maximum(n, 1)
    spread = np.sqrt(np.maximum(oo - o**2 / n, 0) * np.maximum(pp - p**2 / n, 0))
    varies = spread > 1e-12 * np.sqrt(oo * pp)
    return np.where(varies, (op - o * p / n) / np.where(varies, spread, 1.0), 0.0)
