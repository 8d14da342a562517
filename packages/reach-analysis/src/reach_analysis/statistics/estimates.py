"""A number with its unit, its count and its interval; what figures, tables and the report show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, t

from reach_analysis._common.errors import ConfigError, DataError, raise_all
from reach_analysis.statistics.permutation import p_value

FEWEST_UNITS = 3
"""Trials below which no interval is given."""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval."""

    value: float
    low: float
    """Interval; NaN where there were too few units for one."""
    high: float
    unit: str
    """Unit of the value; "1" where it has none."""
    n: int
    """Number of units (trials, cycles, seeds)."""
    level: float = 0.95

    def row(self, name: str, stem: str | None = None) -> dict[str, float]:
        """Entries of a table: the value under `name`, the interval as ``STEM_low`` and ``STEM_high``."""
        joint = f"{name if stem is None else stem}_".lstrip("_")
        return {name: self.value, f"{joint}low": self.low, f"{joint}high": self.high}


def mean_of(values: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None) -> Estimate:
    """Mean over units with a bootstrap interval; units whose value is not known are left out."""
    known = values[np.isfinite(values)]
    return _estimate(known, unit, lambda counts: counts @ known / counts.sum(axis=1), resampling)


def student_mean(values: Float[np.ndarray, " unit"], unit: str, level: float = 0.95) -> Estimate:
    """Mean over few units with Student's t interval, NaN for a single one; unknown values are left out."""
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else float("nan")
    reach = float("nan")
    if len(known) > 1:
        reach = float(t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Estimate(mean, mean - reach, mean + reach, unit, len(known), level)


def rms_of(squares: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None) -> Estimate:
    """Root of the mean of each unit's mean square, with a bootstrap interval."""
    known = squares[np.isfinite(squares)]
    return _estimate(known, unit, lambda counts: np.sqrt(counts @ known / counts.sum(axis=1)), resampling)


def _estimate(
    known: np.ndarray, unit: str, statistic: Callable[[np.ndarray], np.ndarray], resampling: Resampling | None
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
    """A paired difference over the same trials."""

    estimate: Estimate
    """Mean of first minus second."""
    p: float
    """Two-sided probability of a mean difference this large if the sign of each trial's difference were chance."""


def common_places(*trials: Sequence[str]) -> list[list[int]]:
    """Places of the trials that all have, one list for each, in the order of the first."""
    common = [name for name in trials[0] if all(name in others for others in trials[1:])]
    return [[names.index(name) for name in common] for names in trials]


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


Statistic = Callable[[Float[np.ndarray, "resample unit"]], Float[np.ndarray, " resample"]]
"""Value of a statistic for each row of counts (how often each unit was drawn)."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are made."""

    resamples: int = 2000
    level: float = 0.95
    """Coverage, between 0 and 1."""
    method: Literal["percentile", "bca"] = "bca"
    """Percentile, or BCa (bias-corrected and accelerated; Efron 1987), which corrects for bias and skew."""
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.level < 1:
            faults.append(f"level: expected 0 to 1, got {self.level}")
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
    """Interval for a statistic over `n_units` trials."""
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
