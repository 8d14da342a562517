"""Muscle synergies: activation as a non-negative mixture of a few patterns, their number chosen by held-out variance.

More synergies always fit better what they were fitted to, so their number is chosen by bi-cross-validation (Owen and
Perry 2009): trials and muscles are both parted into folds, and activation of left-out muscles in left-out trials is
predicted from the other muscles of these trials and the other trials of these muscles.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from math import factorial
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.data.series import TrialSeries
from reach_analysis.processes import each_of
from reach_analysis.statistics.permutation import p_value

Samples = Float[np.ndarray, "sample muscle"]
ITERATIONS = 600
TOLERANCE = 1e-5
RINGING = 0.01
"""Part of the largest value down to which negative values count as the ringing of a filter, and become 0."""


@dataclass(frozen=True)
class Synergies:
    """A decomposition ``activation ~ weights @ patterns`` of each muscle's activation over its largest value."""

    patterns: Float[np.ndarray, "synergy muscle"]
    """Synergy x muscle; each has a largest entry of 1; sorted by what they account for, most first."""
    weights: TrialSeries
    """Time course of each synergy, trials x time x synergy."""
    accounted: float
    """Fraction of the (uncentred) variance accounted for, 1 - residual / total sum of squares."""
    scale: Float[np.ndarray, " muscle"]
    """Largest value of each muscle, which its activation was divided by."""


@dataclass(frozen=True)
class RankChoice:
    """How many synergies there are."""

    ranks: tuple[int, ...]
    held_out: Float[np.ndarray, " rank"]
    """Fraction of the uncentred variance of left-out activation predicted, by rank, mean over folds."""
    error: Float[np.ndarray, " rank"]
    """Standard error of that mean over folds of trials."""
    chosen: int
    """Smallest rank whose held-out variance is within one standard error of the best."""


def synergies(activation: TrialSeries, rank: int, seed: int = 0) -> Synergies:
    """Decompose muscle activation."""
    samples, scale = _normalised(activation)
    if not 1 <= rank <= samples.shape[1]:
        raise ConfigError(f"there can be 1 to {samples.shape[1]} synergies of as many muscles, got {rank}")
    weights, patterns = factorise(samples, rank, seed)
    size = patterns.max(axis=1, keepdims=True)
    patterns, weights = patterns / np.where(size > 0, size, 1), weights * size[:, 0]
    order = np.argsort(-(weights**2).sum(axis=0) * (patterns**2).sum(axis=1), kind="stable")
    patterns, weights = patterns[order], weights[:, order]
    names = [f"synergy {number + 1}" for number in range(rank)]
    return Synergies(patterns, activation.split(weights, names), accounted(samples, weights @ patterns), scale)


def choose_rank(
    activation: TrialSeries, largest: int, folds: Int[np.ndarray, " trial"], muscle_folds: int = 3, seed: int = 0
) -> RankChoice:
    """Choose the number of synergies by bi-cross-validation.

    Args:
        activation: trials x time x muscle.
        largest: largest number tried; at most the muscles that remain when a fold of them is left out.
        folds: fold of each trial.
        muscle_folds: folds the muscles are dealt to.
        seed: of the deal and of the factorisations.
    """
    samples, _ = _normalised(activation)
    n_muscles = samples.shape[1]
    if not 2 <= muscle_folds <= n_muscles or len(np.unique(folds)) < 2:
        raise ConfigError(f"bi-cross-validation needs at least two folds of trials and of {n_muscles} muscles")
    fold_of_muscle = np.random.default_rng(seed).permutation(n_muscles) % muscle_folds
    most = n_muscles - int(np.bincount(fold_of_muscle).max())
    ranks = tuple(range(1, min(largest, most) + 1))
    if not ranks:
        raise ConfigError(f"the largest number of synergies must be at least 1, got {largest}")
    owner = np.repeat(folds, activation.lengths)
    tried = [(owner == fold, rank) for fold in np.unique(folds).tolist() for rank in ranks]
    held_out_of = partial(_held_out, samples, fold_of_muscle, seed)
    table = np.array(list(each_of(held_out_of, tried, len(samples)))).reshape(-1, len(ranks))
    held_out = table.mean(axis=0)
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    best = int(held_out.argmax())
    chosen = ranks[int(np.argmax(held_out >= held_out[best] - error[best]))]
    return RankChoice(ranks, held_out, error, chosen)


def _held_out(samples: Samples, fold_of_muscle: np.ndarray, seed: int, tried: tuple[np.ndarray, int]) -> float:
    """Fraction of the activation of trials left out that a rank predicts, each fold of muscles from the others."""
    residual, total = 0.0, 0.0
    left_out, rank = tried
    for fold in np.unique(fold_of_muscle):
        hidden = fold_of_muscle == fold
        known_weights, patterns = factorise(samples[np.ix_(~left_out, ~hidden)], rank, seed)
        weights = _project(samples[np.ix_(left_out, ~hidden)], patterns)
        hidden_patterns = _project(samples[np.ix_(~left_out, hidden)].T, known_weights.T).T
        truth = samples[np.ix_(left_out, hidden)]
        residual += float(((truth - weights @ hidden_patterns) ** 2).sum())
        total += float((truth**2).sum())
    return 1 - residual / total if total > 0 else float("nan")


FEWEST_MUSCLES = 4
"""Muscles below which synergies of two sides are not matched: with fewer, chance does as well."""
Patterns = Float[np.ndarray, "synergy muscle"]


@dataclass(frozen=True)
class MatchedSynergies:
    """Synergies of two sides, pair by pair, over the same muscles."""

    partner: Int[np.ndarray, " synergy"]
    """Synergy of the second side that each of the first goes with."""
    cosine: Float[np.ndarray, " synergy"]
    """Cosine of the angle between the two patterns of each pair."""
    null: float
    """Mean cosine where the muscles of the second side are exchanged."""
    p: float
    """Probability of a mean cosine as high if they were."""


def match_synergies(first: Patterns, second: Patterns, draws: int = 1000, seed: int = 0) -> MatchedSynergies:
    """Pair synergies so that their mean cosine is largest, with a null of exchanged muscles (d'Avella et al. 2003)."""
    partner, cosine = _best_pairs(first, second)
    n_muscles = first.shape[1]
    complete = factorial(min(n_muscles, 20)) <= draws
    rng = np.random.default_rng([*b"synergies", seed])
    orders = permutations(range(n_muscles)) if complete else (rng.permutation(n_muscles) for _ in range(draws))
    null = np.array([_best_pairs(first, second[:, list(order)])[1].mean() for order in orders])
    return MatchedSynergies(partner, cosine, float(null.mean()), p_value(cosine.mean(), null, complete=complete))


def _best_pairs(first: Patterns, second: Patterns) -> tuple[Int[np.ndarray, " synergy"], Float[np.ndarray, " synergy"]]:
    one, two = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-12) for side in (first, second))
    cosines = one @ two.T
    rows, partner = linear_sum_assignment(-cosines)
    return partner, cosines[rows, partner]


def factorise(samples: Samples, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative weights (sample, rank) and patterns (rank, muscle) with the least squared residual found."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    init = "nndsvda" if rank <= min(samples.shape) else "random"
    settings: dict[str, Any] = {"init": init, "max_iter": ITERATIONS, "tol": TOLERANCE, "random_state": seed}
    model = NMF(n_components=rank, **settings)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        # the residual is flat long before the criterion is met; more rounds do not change a third digit
        warnings.simplefilter("ignore", ConvergenceWarning)
        weights = model.fit_transform(samples)
    return weights, model.components_


def _project(samples: Samples, patterns: Float[np.ndarray, "rank muscle"]) -> np.ndarray:
    """Non-negative weights of given patterns that fit best, by coordinate descent over all samples together."""
    gram, target = patterns @ patterns.T, samples @ patterns.T
    weights = np.maximum(target, 0.0) / np.maximum(np.diag(gram), 1e-12) / len(patterns)
    for _ in range(200):
        before = weights.copy()
        for k in range(len(patterns)):
            if gram[k, k] > 0:
                step = (target[:, k] - weights @ gram[:, k]) / gram[k, k]
                weights[:, k] = np.maximum(weights[:, k] + step, 0.0)
        if np.abs(weights - before).max() <= 1e-7 * max(1.0, float(np.abs(weights).max())):
            break
    return weights


def accounted(truth: Samples, result: Samples) -> float:
    """1 - residual / total sum of squares; not centred, as activation has a meaningful zero."""
    return float(1 - ((truth - result) ** 2).sum() / (truth**2).sum())


def _normalised(activation: TrialSeries) -> tuple[Samples, Float[np.ndarray, " muscle"]]:
    samples, _ = activation.rows()
    if not np.isfinite(samples).all():
        raise DataError(f"{activation.name}: {int((~np.isfinite(samples)).sum())} values are missing")
    if samples.min() < -RINGING * samples.max():
        raise DataError(f"{activation.name}: activation of muscles cannot be negative, got {samples.min():.3g}")
    scale = samples.max(axis=0)
    silent = [name for name, value in zip(activation.channels, scale, strict=True) if not value > 0]
    if silent:
        raise DataError(f"{activation.name}: never active: {', '.join(silent)}; leave these out")
    return np.maximum(samples, 0.0) / scale, scale
