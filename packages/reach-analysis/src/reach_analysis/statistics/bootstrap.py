"""Intervals by resampling trials with replacement.

The trial is the unit: samples within a trial are not independent. A statistic is a function of how often each trial
counts, so that many resamples are computed at once; a paired comparison is the difference of two such functions under
the same counts. Predictions are not made again: intervals hold for the fitted forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from reach_analysis._common.errors import ConfigError, DataError, raise_all

Statistic = Callable[[Float[np.ndarray, "resample unit"]], Float[np.ndarray, " resample"]]
"""Value of a statistic for each row of counts (how often each unit was drawn)."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        resamples: number of resamples.
        level: coverage, between 0 and 1.
        method: percentile, or BCa (bias-corrected and accelerated; Efron 1987), which corrects for bias and skew.
        seed: of the resamples.
    """

    resamples: int = 2000
    level: float = 0.95
    method: Literal["percentile", "bca"] = "bca"
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.level < 1:
            faults.append(f"level must lie between 0 and 1, got {self.level}")
        if self.resamples < 100:
            faults.append(f"resamples must be at least 100, got {self.resamples}")
        raise_all(ConfigError, "resampling", faults)


@dataclass(frozen=True)
class Interval:
    """An interval for a statistic, with what it was made of."""

    low: float
    high: float
    level: float
    method: str
    units: int
    resamples: int

    def __contains__(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)


def bootstrap(statistic: Statistic, n_units: int, resampling: Resampling | None = None) -> Interval:
    """Interval for a statistic over `n_units` trials.

    Raises:
        DataError: for fewer than three trials, or a statistic that is not finite for some resample.
    """
    resampling = resampling or Resampling()
    if n_units < 3:
        raise DataError(f"an interval over trials needs at least 3 of them, got {n_units}")
    rng = np.random.default_rng([*b"bootstrap", resampling.seed])
    counts = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=resampling.resamples).astype(float)
    values = statistic(counts)
    tails = np.array([(1 - resampling.level) / 2, (1 + resampling.level) / 2])
    if resampling.method == "bca":
        jackknife = statistic(1.0 - np.eye(n_units))
        tails = _corrected(tails, values, float(statistic(np.ones((1, n_units)))[0]), jackknife)
    if not (np.isfinite(values).all() and np.isfinite(tails).all()):
        raise DataError("the statistic is not finite for some resamples of trials; use more trials")
    low, high = np.quantile(values, tails)
    return Interval(float(low), float(high), resampling.level, resampling.method, n_units, resampling.resamples)


def _corrected(
    tails: Float[np.ndarray, " two"], values: np.ndarray, estimate: float, jackknife: np.ndarray
) -> Float[np.ndarray, " two"]:
    """Quantiles of the BCa interval (Efron 1987); those of the percentile interval where nothing varies."""
    if np.ptp(values) == 0:
        return tails
    below = np.mean(values < estimate) + np.mean(values == estimate) / 2
    bias = norm.ppf(np.clip(below, 1 / (2 * len(values)), 1 - 1 / (2 * len(values))))
    away = jackknife.mean() - jackknife
    skew = (away**2).sum() ** 1.5
    acceleration = (away**3).sum() / (6 * skew) if skew > 0 else 0.0
    shifted = bias + norm.ppf(tails)
    return norm.cdf(bias + shifted / (1 - acceleration * shifted))
