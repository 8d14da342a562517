"""How well anything could do that knows no more than the time within the trial: split-half ceilings.

If every trial were a common time course plus deviations of its own, no forecast from the time course could correlate
with the samples of all trials better than the true time course does: by sqrt(variance of the time course / variance of
all samples). The mean over some trials is too noisy an estimate of it; the covariance of the means over two halves of
the trials is an unbiased one of its variance. A forecast above this ceiling uses something particular to the trial.

Reliability, after Spearman and Brown, says how well the mean over all trials is known. What a perfect forecast could
reach given the noise of the measurement cannot be known without measuring the same trial twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import DataError


@dataclass(frozen=True)
class Ceiling:
    """What a common time course could reach."""

    value: float
    """Largest Pearson correlation of all samples with a time course common to all trials; 0 where halves of the trials
    do not agree."""
    low: float
    """2.5 and 97.5 % quantiles over random halves (not an interval for new trials)."""
    high: float
    reliability: float
    """Of the mean over all trials; median over random halves."""
    odd_even: float
    """The same from odd against even trials."""
    trials: int


def spearman_brown(reliability: float, factor: float) -> float:
    """Reliability of a measurement `factor` times as long (Spearman 1910; Brown 1910); 0 for none."""
    return factor * reliability / (1 + (factor - 1) * reliability) if reliability > 0 else 0.0


def trial_ceiling(values: Float[np.ndarray, "trial time"], splits: int = 200, seed: int = 0) -> Ceiling:
    """Ceiling from the agreement of halves of the trials; NaN marks samples after the end of a shorter trial.

    With an odd number of trials one is left out of each split.
    """
    n_trials = len(values)
    if n_trials < 4:
        raise DataError(f"a split-half ceiling needs at least 4 trials, got {n_trials}")
    half = n_trials // 2
    rng = np.random.default_rng([*b"ceiling", seed])
    orders = rng.permuted(np.tile(np.arange(n_trials), (splits, 1)), axis=1)
    halves = [_halves(values, order[:half], order[half : 2 * half]) for order in orders]
    shares = np.array([np.mean(one * other) for one, other in halves]) / np.nanvar(values)
    low, middle, high = (float(np.sqrt(max(share, 0.0))) for share in np.quantile(shares, [0.025, 0.5, 0.975]))
    agreement = float(np.median([_correlation(one, other) for one, other in halves]))
    odd_even = _correlation(*_halves(values, np.arange(0, 2 * half, 2), np.arange(1, 2 * half, 2)))
    longer = n_trials / half
    return Ceiling(middle, low, high, spearman_brown(agreement, longer), spearman_brown(odd_even, longer), n_trials)


def _halves(
    values: Float[np.ndarray, "trial time"], one: Int[np.ndarray, " half"], other: Int[np.ndarray, " half"]
) -> tuple[Float[np.ndarray, " shared"], Float[np.ndarray, " shared"]]:
    """Mean trials of two halves less their means, over the samples that both have."""
    there = np.isfinite(values)
    both = there[one].any(axis=0) & there[other].any(axis=0)
    first, second = (np.nanmean(values[rows][:, both], axis=0) for rows in (one, other))
    if both.sum() < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        raise DataError("the mean trial does not vary over samples that both halves have")
    return first - first.mean(), second - second.mean()


def _correlation(one: Float[np.ndarray, " shared"], other: Float[np.ndarray, " shared"]) -> float:
    """Pearson's correlation of two series without mean."""
    return float((one @ other) / np.sqrt((one @ one) * (other @ other)))
