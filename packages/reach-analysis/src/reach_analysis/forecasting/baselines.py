"""What a forecast has to beat: the mean trial, the present value, and a linear model of the same lags.

Each predicts the same states as the forecast, and learns from the same library only. States are given as plain arrays:
the trial each belongs to, the sample of its target within the trial, and its target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

PENALTIES = 10.0 ** np.arange(-6, 4)
"""Ridge penalties to choose from, relative to the variance of each predictor."""
INNER_FOLDS = 5


Splits = Sequence[tuple[Int[np.ndarray, " _library"], Int[np.ndarray, " _prediction"]]]
"""Rows of states to learn from and rows to predict, for every fold."""


def mean_trial(
    targets: Float[np.ndarray, " state"], target_time: Int[np.ndarray, " state"], splits: Splits
) -> Float[np.ndarray, " state"]:
    """Mean of the library's targets at the same sample of the trial; of all its targets where no trial is that long.

    NaN for states that no split predicts.
    """
    out = np.full(len(targets), np.nan)
    time = target_time - target_time.min()
    for library, prediction in splits:
        known = targets[library]
        count = np.bincount(time[library], minlength=time.max() + 1)
        total = np.bincount(time[library], known, minlength=time.max() + 1)
        template = np.where(count > 0, total / np.maximum(count, 1), known.mean())
        out[prediction] = template[time[prediction]]
    return out


def persistence(present: Float[np.ndarray, " state"], splits: Splits) -> Float[np.ndarray, " state"]:
    """The target's present value, as if nothing changed; the library's mean where it is missing.

    It knows the target's own past, which a forecast from other variables does not.
    """
    out = np.full(len(present), np.nan)
    for library, prediction in splits:
        now = present[prediction]
        out[prediction] = np.where(np.isfinite(now), now, np.nanmean(present[library]))
    return out


def ridge(
    vectors: Float[np.ndarray, "state dimension"],
    targets: Float[np.ndarray, " state"],
    trial: Int[np.ndarray, " state"],
    splits: Splits,
) -> Float[np.ndarray, " state"]:
    """Linear model of the state, with the penalty chosen by folds of trials within the library.

    Penalties are relative to each entry's variance in the library, so units do not matter. Products are summed per
    trial once; libraries and folds are sums of those.
    """
    design = np.column_stack([np.ones(len(targets)), vectors - vectors.mean(axis=0)])
    count = int(trial.max()) + 1
    products = np.zeros((count, design.shape[1], design.shape[1]))
    responses = np.zeros((count, design.shape[1]))
    for one in np.unique(trial):
        rows = trial == one
        products[one] = design[rows].T @ design[rows]
        responses[one] = design[rows].T @ targets[rows]
    out = np.full(len(targets), np.nan)
    for library, prediction in splits:
        trials = np.unique(trial[library])
        penalty = _choose(products[trials], responses[trials]) if len(trials) > 1 else PENALTIES[:1]
        solution = _solve(products[trials].sum(axis=0), responses[trials].sum(axis=0), penalty)[0]
        out[prediction] = design[prediction] @ solution
    return out


def _choose(
    products: Float[np.ndarray, "trial term term"], responses: Float[np.ndarray, "trial term"]
) -> Float[np.ndarray, " 1"]:
    """Penalty of least squared error over folds of trials (the error less what does not depend on the penalty)."""
    fold = np.arange(len(products)) % min(INNER_FOLDS, len(products))
    out = (fold == np.unique(fold)[:, None]).astype(float)
    product, response = np.tensordot(out, products, axes=1), out @ responses
    solution = _solve(np.tensordot(1 - out, products, axes=1), (1 - out) @ responses, PENALTIES)
    errors = np.einsum("fpi,fij,fpj->p", solution, product, solution) - 2 * np.einsum("fpi,fi->p", solution, response)
    return PENALTIES[[errors.argmin()]]


def _solve(
    product: Float[np.ndarray, "*fold term term"],
    response: Float[np.ndarray, "*fold term"],
    penalties: Float[np.ndarray, " penalty"],
) -> Float[np.ndarray, "*fold penalty term"]:
    """Coefficients under penalties on each but the intercept; of least norm where predictors do not vary."""
    total, n_terms = product[..., 0], product.shape[-1]
    centred = np.diagonal(product, axis1=-2, axis2=-1) - total**2 / total[..., :1]
    variance = np.eye(n_terms) * np.maximum(centred, 0.0)[..., None]
    systems = product[..., None, :, :] + penalties[:, None, None] * variance[..., None, :, :]
    inverse = np.linalg.pinv(systems, rcond=n_terms * np.finfo(float).eps, hermitian=True)
    return np.einsum("...pij,...j->...pi", inverse, response)
