"""How well anything could do that knows no more than the mean trial: reliability by split halves.

If every trial were a common time course plus independent noise of its own, the correlation of a single trial with the
true time course would be the square root of the single-trial reliability: no forecast from the time course could do
better. A forecast above it uses something particular to the trial. (What a perfect forecast could reach given the noise
of the measurement cannot be told without measuring the same trial twice; for that there is :func:`reliability`.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reach_analysis.errors import DataError


@dataclass(frozen=True)
class Ceiling:
    """A noise ceiling for single trials.

    Attributes:
        value: largest correlation of single trials with a common time course; 0 where halves do not agree.
        reliability: correlation of two means over half the trials each, raised to means over all trials.
        low, high: 2.5 and 97.5 % quantiles of `value` over random halves (not an interval for new trials).
        odd_even: `value` for odd against even trials.
        trials: trials it was made of.
    """

    value: float
    reliability: float
    low: float
    high: float
    odd_even: float
    trials: int


def spearman_brown(reliability: float, factor: float) -> float:
    """Reliability of a measurement `factor` times as long (Spearman 1910; Brown 1910); 0 for none."""
    return factor * reliability / (1 + (factor - 1) * reliability) if reliability > 0 else 0.0


def reliability(one: Float[np.ndarray, " sample"], other: Float[np.ndarray, " sample"]) -> float:
    """Reliability of the mean of two measurements of the same thing: Pearson's correlation after Spearman-Brown.

    Raises:
        DataError: when one of them does not vary.
    """
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        raise DataError("reliability needs two measurements that vary")
    return spearman_brown(float(np.corrcoef(one, other)[0, 1]), 2.0)


def trial_ceiling(values: Float[np.ndarray, "trial time"], splits: int = 200, seed: int = 0) -> Ceiling:
    """Ceiling from the agreement of halves of the trials; NaN marks what lies beyond the end of a shorter trial.

    The value is the median over random halves. With an odd number of trials one is left out of each split.

    Raises:
        DataError: for fewer than four trials, or when the mean trial does not vary.
    """
    n_trials = len(values)
    if n_trials < 4:
        raise DataError(f"a split-half ceiling needs at least 4 trials, got {n_trials}")
    half = n_trials // 2
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(n_trials), (splits, 1)), axis=1)
    halves = np.array([_agreement(values, order[:half], order[half : 2 * half]) for order in orders])
    odd_even = _agreement(values, np.arange(0, 2 * half, 2), np.arange(1, 2 * half, 2))
    found = np.array([_single(agreement, half) for agreement in halves])
    low, high = np.quantile(found, [0.025, 0.975])
    middle = float(np.median(halves))
    return Ceiling(
        _single(middle, half),
        spearman_brown(middle, n_trials / half),
        float(low),
        float(high),
        _single(odd_even, half),
        n_trials,
    )


def _agreement(values: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of the mean trials of two halves, over the samples that both have."""
    there = np.isfinite(values)
    both = there[one].any(axis=0) & there[other].any(axis=0)
    first, second = (np.nanmean(values[rows][:, both], axis=0) for rows in (one, other))
    if both.sum() < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        raise DataError("the mean trial does not vary over samples that both halves have")
    return float(np.corrcoef(first, second)[0, 1])


def _single(agreement: float, half: int) -> float:
    """Correlation of one trial with the true time course, from that of two means over `half` trials."""
    return float(np.sqrt(spearman_brown(agreement, 1 / half)))
