"""S-map: a linear forecast per state, fitted with weights that fall off with distance (Sugihara 1994).

For a state x the coefficients minimise sum_i w_i^2 (y_i - b_0 - b . x_i)^2 over the library, w_i = exp(-theta d_i / D),
d_i the distance from x and D its mean over the library. theta = 0 is one linear model for all states; a forecast that
gains from theta > 0 shows a nonlinear system. Weights are those of pyEDM 2.5.7 (which squares them by weighting both
sides of the equations).

pyEDM solves each state by SVD. Here all states share one matrix product: the library is turned and scaled to unit
covariance, weighted means and covariances of all states come from ``weights @ products``, and small symmetric systems
remain, corrected by a step of iterative refinement on the true residuals where that matters. States whose neighbourhood
is too flat even so are solved by SVD as in pyEDM; `by_svd` counts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.embedding import Embedding, Split
from reach_analysis.forecasting.neighbours import excluded, one_blas_thread
from reach_analysis.forecasting.simplex import Forecast

BLOCK = 1 << 17
"""Distances in one block of states; a block stays in the cache."""
FLAT = 1e-10
"""Ratio of the least local variance to the mean square (in whitened coordinates) below which a state goes to SVD."""
REFINE = 1e-3
"""The same ratio, below which solutions are refined."""
COLLINEAR = 1e-10
"""Ratio of singular values below which the library itself counts as rank deficient."""


@dataclass(frozen=True)
class SMapForecast(Forecast):
    """A forecast by S-map."""

    theta: float
    """Localisation of the fits."""
    coefficients: Float[np.ndarray, "prediction _terms"]
    """Intercept, then one coefficient for each entry of the state."""
    by_svd: int
    """Predictions whose neighbourhood is too flat for the fast solution."""


class _Library(NamedTuple):
    """What all fits of one split share; `white` is (vectors - centre) @ inverse(factor)."""

    vectors: np.ndarray
    targets: np.ndarray
    centre: np.ndarray
    factor: np.ndarray
    white: np.ndarray
    products: np.ndarray
    target_products: np.ndarray
    full_rank: bool


class _Fit(NamedTuple):
    predicted: np.ndarray
    coefficients: np.ndarray
    svd: np.ndarray


def smap(
    embedding: Embedding,
    splits: Sequence[Split],
    thetas: Sequence[float],
    *,
    knn: int | None = None,
    exclusion: int | None = None,
) -> list[SMapForecast]:
    """Forecast by S-map, once for each of `thetas`, which share all distances.

    Args:
        embedding: the states.
        splits: library and prediction, one entry a fold.
        thetas: how local the fits are; 0 or more.
        knn: library states each fit uses; None takes all (pyEDM: all but the farthest where library and prediction do
            not overlap).
        exclusion: samples of the same trial to either side that are left out; None, the whole trial.
    """
    if not thetas or min(thetas) < 0:
        raise ConfigError(f"theta must be 0 or more, got {list(thetas)}")
    fits: list[list[_Fit]] = [[] for _ in thetas]
    with one_blas_thread():
        for split in splits:
            library = _prepare(embedding, split)
            for states, distance in _distances(embedding, split, knn, exclusion):
                decay = _decay(distance)
                for of_theta, theta in zip(fits, thetas, strict=True):
                    of_theta.append(_fit(library, states, decay, theta))
    state = np.concatenate([split.prediction for split in splits])
    return [
        SMapForecast(
            embedding.targets[state],
            np.concatenate([fit.predicted for fit in of_theta]),
            state,
            embedding,
            float(theta),
            np.concatenate([fit.coefficients for fit in of_theta]),
            int(sum(fit.svd.sum() for fit in of_theta)),
        )
        for theta, of_theta in zip(thetas, fits, strict=True)
    ]


def _prepare(embedding: Embedding, split: Split) -> _Library:
    """Whiten the library, and multiply out what weighted means and covariances need."""
    vectors, targets = embedding.vectors[split.library], embedding.targets[split.library]
    if len(targets) < 2:
        raise DataError(f"S-map needs a library, got {len(targets)} states; use more trials")
    centre = vectors.mean(axis=0)
    factor = np.linalg.qr(vectors - centre, mode="r") / np.sqrt(len(targets))
    singular = np.linalg.svd(factor, compute_uv=False)
    full_rank = len(targets) > vectors.shape[1] and bool(singular[-1] > COLLINEAR * singular[0])
    white = solve_triangular(factor.T, (vectors - centre).T, lower=True).T if full_rank else np.zeros_like(vectors)
    one, other = np.triu_indices(vectors.shape[1])
    ones = np.ones((len(targets), 1))
    varying = (targets - targets.mean())[:, None]
    return _Library(
        vectors, targets, centre, factor, white,
        np.concatenate([ones, white, white[:, one] * white[:, other]], axis=1),
        np.concatenate([varying, varying * white], axis=1),
        full_rank,
    )  # fmt: skip


def _distances(
    embedding: Embedding, split: Split, knn: int | None, exclusion: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of states (row, dimension) with their distances (row, library) from the library; infinite if left out."""
    rows = max(1, BLOCK // len(split.library))
    for begin in range(0, len(split.prediction), rows):
        block = split.prediction[begin : begin + rows]
        states = embedding.vectors[block]
        distance = cdist(states, embedding.vectors[split.library])
        distance[excluded(embedding, block[:, None], split.library[None], exclusion)] = np.inf
        if knn is not None and knn < len(split.library):
            distance[distance > np.partition(distance, knn - 1, axis=1)[:, knn - 1 : knn]] = np.inf
        if np.isinf(distance).all(axis=1).any():
            raise DataError("a state has no library left outside its own trial; for a single series set exclusion")
        yield states, distance


def _decay(distance: Float[np.ndarray, "row library"]) -> Float[np.ndarray, "row library"]:
    """Exponents of the squared weights at theta = 1; infinite where the library is left out."""
    finite = np.isfinite(distance)
    mean = np.where(finite, distance, 0.0).sum(axis=1, keepdims=True) / finite.sum(axis=1, keepdims=True)
    # counting from the nearest keeps weights from vanishing
    return (distance - distance.min(axis=1, keepdims=True)) * (2 / np.where(mean > 0, mean, 1.0))


def _fit(library: _Library, states: np.ndarray, decay: np.ndarray, theta: float) -> _Fit:
    """Fit and predict one block of states."""
    used = np.isfinite(decay)
    if theta == 0:  # exp(-0 inf) would be NaN; states that use the whole library have one fit
        used = used[:1] if used.all() else used
    weight = np.exp(-theta * decay) if theta else used.astype(float)
    if library.full_rank:
        intercept, slope, flat = _solve(library, weight)
        slope = solve_triangular(library.factor, slope.T).T
        intercept = intercept - slope @ library.centre
    else:
        intercept, slope = np.zeros(len(weight)), np.zeros((len(weight), states.shape[1]))
        flat = np.ones(len(weight), dtype=bool)
    for row in np.flatnonzero(flat):
        intercept[row], slope[row] = _solve_by_svd(library, np.sqrt(weight[row]), used[row])
    predicted = intercept + (slope * states).sum(axis=1)
    coefficients = np.broadcast_to(np.column_stack([intercept, slope]), (len(states), states.shape[1] + 1))
    return _Fit(predicted, coefficients, np.broadcast_to(flat, len(states)))


class _Local(NamedTuple):
    """Weighted moments of the library around each state, in whitened coordinates."""

    total: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    """Of the covariance; of no use where `flat`."""
    flatness: np.ndarray
    """Least variance over the mean square, where that is small; elsewhere a lower bound."""

    @property
    def flat(self) -> np.ndarray:
        """States whose neighbourhood is too flat to invert the covariance."""
        return ~(self.flatness > FLAT)

    def slope(self, product: Float[np.ndarray, "row dimension"]) -> Float[np.ndarray, "row dimension"]:
        """Slopes of each state from the covariance with its target."""
        return np.einsum("rij,rj->ri", self.inverse, product)


def _moments(library: _Library, weight: Float[np.ndarray, "row library"]) -> _Local:
    dimension = library.white.shape[1]
    moment = weight @ library.products
    total = moment[:, :1]
    mean = moment[:, 1 : dimension + 1] / total
    one, other = np.triu_indices(dimension)
    covariance = np.empty((len(weight), dimension, dimension))
    covariance[:, one, other] = covariance[:, other, one] = moment[:, dimension + 1 :] / total
    covariance -= mean[:, :, None] * mean[:, None, :]
    return _Local(total, mean, *_inverted(covariance, (mean**2).sum(axis=1)))


def _inverted(
    covariance: Float[np.ndarray, "row dimension dimension"], square: Float[np.ndarray, " row"]
) -> tuple[Float[np.ndarray, "row dimension dimension"], Float[np.ndarray, " row"]]:
    """Inverses and flatness; `square` is that of the mean.

    The norm of an inverse bounds the least variance from below. Only where that bound is small are the axes found.
    """
    try:
        inverse = np.linalg.inv(covariance)
    except np.linalg.LinAlgError:  # one of them is singular
        inverse = np.full(covariance.shape, np.inf)
    bound = 1 / np.sqrt((inverse**2).sum(axis=(1, 2)))
    flatness = bound / (np.trace(covariance, axis1=1, axis2=2) + square)
    near = np.flatnonzero(~(flatness > REFINE))
    if len(near):
        variance, axis = np.linalg.eigh(covariance[near])
        flatness[near] = variance[:, 0] / (variance[:, -1] + square[near])
        known = np.where(flatness[near, None] > FLAT, variance, 1.0)
        inverse[near] = (axis / known[:, None, :]) @ axis.transpose(0, 2, 1)
    return inverse, flatness


def _solve(
    library: _Library, weight: Float[np.ndarray, "row library"]
) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, "row dimension"], Bool[np.ndarray, " row"]]:
    """Intercepts and slopes in whitened coordinates, and which of them are not to be trusted."""
    local = _moments(library, weight)
    product = weight @ library.target_products / local.total
    level = product[:, 0]
    slope = local.slope(product[:, 1:] - level[:, None] * local.mean)
    if local.flatness.min() < REFINE:
        fitted = (level - (slope * local.mean).sum(axis=1))[:, None] + slope @ library.white.T
        residual = weight * (library.target_products[:, 0] - fitted) / local.total
        rest = residual.sum(axis=1)
        slope = slope + local.slope(residual @ library.white - rest[:, None] * local.mean)
        level = level + rest
    return library.targets.mean() + level - (slope * local.mean).sum(axis=1), slope, local.flat


def _solve_by_svd(
    library: _Library, weight: Float[np.ndarray, " library"], used: Bool[np.ndarray, " library"]
) -> tuple[float, Float[np.ndarray, " dimension"]]:
    """Least squares of least norm, as pyEDM solves it."""
    design = np.column_stack([weight, weight[:, None] * library.vectors])[used]
    solution = np.linalg.lstsq(design, (weight * library.targets)[used], rcond=None)[0]
    return float(solution[0]), solution[1:]
