"""A number with its unit, its count and its interval; what figures, tables and the report show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reach_analysis.statistics.bootstrap import Resampling, bootstrap
from reach_analysis.statistics.permutation import p_value

FEWEST_UNITS = 3
"""Trials below which no interval is given."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: the value.
        low, high: interval; NaN where there were too few units for one.
        unit: unit of the value; "1" where it has none.
        n: number of units (trials, cycles, seeds) it comes from.
        level: coverage of the interval.
    """

    value: float
    low: float
    high: float
    unit: str
    n: int
    level: float = 0.95

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        if not np.isfinite(self.low):
            return f"{self.value:.3g}{unit} (n = {self.n})"
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]{unit} (n = {self.n})"


def mean_of(values: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None) -> Estimate:
    """Mean over units with a bootstrap interval; units whose value is not known are left out."""
    known = values[np.isfinite(values)]
    return _estimate(known, unit, lambda counts: counts @ known / counts.sum(axis=1), resampling)


def median_of(values: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None) -> Estimate:
    """Median over units with a bootstrap interval (percentile: BCa does not hold for medians)."""
    known = np.sort(values[np.isfinite(values)])
    chosen = resampling or Resampling()
    plain = Resampling(chosen.resamples, chosen.level, "percentile", chosen.seed)

    def medians(counts: np.ndarray) -> np.ndarray:
        total = np.cumsum(counts, axis=1)
        half = total[:, -1:] / 2
        upper = known[np.argmax(total > half + 1e-9, axis=1)]
        lower = known[np.argmax(total >= half - 1e-9, axis=1)]
        return (lower + upper) / 2

    return _estimate(known, unit, medians, plain)


def rms_of(squares: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None) -> Estimate:
    """Root of the mean of each unit's mean square, with a bootstrap interval."""
    known = squares[np.isfinite(squares)]
    return _estimate(known, unit, lambda counts: np.sqrt(counts @ known / counts.sum(axis=1)), resampling)


def _estimate(
    known: np.ndarray,
    unit: str,
    statistic: Callable[[np.ndarray], np.ndarray],
    resampling: Resampling | None,
) -> Estimate:
    chosen = resampling or Resampling()
    if not len(known):
        return Estimate(float("nan"), float("nan"), float("nan"), unit, 0, chosen.level)
    value = float(statistic(np.ones((1, len(known))))[0])
    if len(known) < FEWEST_UNITS:
        return Estimate(value, float("nan"), float("nan"), unit, len(known), chosen.level)
    interval = bootstrap(statistic, len(known), chosen)
    return Estimate(value, interval.low, interval.high, unit, len(known), chosen.level)


@dataclass(frozen=True)
class Difference:
    """A paired difference over the same trials.

    Attributes:
        estimate: mean of first minus second.
        p: two-sided probability of a mean difference this large if the sign of each trial's difference were chance.
    """

    estimate: Estimate
    p: float


def paired_difference(
    first: Float[np.ndarray, " trial"],
    second: Float[np.ndarray, " trial"],
    unit: str,
    resampling: Resampling | None = None,
) -> Difference:
    """Mean difference of two values of the same trials: bootstrap interval and sign-flip test, trial by trial."""
    chosen = resampling or Resampling()
    difference = (first - second)[np.isfinite(first) & np.isfinite(second)]
    estimate = mean_of(difference, unit, chosen)
    if len(difference) < FEWEST_UNITS:
        return Difference(estimate, float("nan"))
    rng = np.random.default_rng(chosen.seed)
    signs = rng.choice([-1.0, 1.0], size=(chosen.resamples, len(difference)))
    return Difference(estimate, p_value(estimate.value, signs @ difference / len(difference), "two-sided"))
