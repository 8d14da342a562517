"""A number with its unit, its count and its interval; what figures, tables and the report show.

Trials, or the animals or sessions above them, are the units of every interval. Means and ratios of sums have a
studentised bootstrap interval (Hall 1988), which draws the parts of each unit as well.
Other statistics have Student's t on the values without one trial (jackknife, Tukey 1958), on a scale that makes them
nearly symmetric. ``benchmarks/reach/coverage.py`` measures how often these intervals hold the true value. With fewer
than five trials none does so reliably, and none is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from reach_analysis._common.errors import ConfigError, raise_all
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.permutation import p_value

FEWEST_UNITS = 5
"""Trials below which no interval is given."""
MOST_GROUPS = 20
"""Groups of trials that a jackknife leaves out one at a time; with fewer trials each is a group."""
CRITICAL = (0.8, 3.0)
"""Least and largest critical value of the studentised bootstrap, in units of Student's: few trials make it wild."""
NAN = float("nan")


class Interval(NamedTuple):
    """The ends of an interval; NaN where there is none."""

    low: float
    high: float


NO_INTERVAL = Interval(NAN, NAN)


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
    """Number of units (trials, seeds)."""
    level: float = 0.95

    def row(self, name: str, stem: str | None = None) -> dict[str, float]:
        """Entries of a table: the value under `name`, the interval as ``STEM_low`` and ``STEM_high``."""
        joint = f"{name if stem is None else stem}_".lstrip("_")
        return {name: self.value, f"{joint}low": self.low, f"{joint}high": self.high}

    def within(self, least: float, most: float) -> Estimate:
        """The same with an interval that ends where values end."""
        return replace(self, low=float(np.maximum(self.low, least)), high=float(np.minimum(self.high, most)))


@runtime_checkable
class UnitsOf(Protocol):
    """Which unit each trial belongs to."""

    def nest(self, trials: Sequence[str], fewest: int) -> tuple[str, list[Int[np.ndarray, " trial"]]]:
        """Name and numbers of units of which there are at least `fewest`, and numbers of each level within them."""
        ...


@dataclass(frozen=True)
class Resampling:
    """How intervals of means and tests of differences are made."""

    resamples: int = 2000
    level: float = 0.95
    """Coverage, between 0 and 1."""
    seed: int = 0
    nest: tuple[tuple[int, ...], ...] = ()
    """Unit of each value, where several values are of one animal or session, then its part at each level within;
    empty: each value is a unit."""
    unit: str = "trials"
    """What the units are."""

    def of(self, levels: UnitsOf, trials: Sequence[str]) -> Resampling:
        """The same for values of these trials, over the units of `levels`."""
        unit, nest = levels.nest(trials, FEWEST_UNITS)
        return replace(self, nest=tuple(tuple(numbers.tolist()) for numbers in nest), unit=unit)

    @property
    def n_values(self) -> int:
        """Number of values that belong to units; 0 where each is one."""
        return len(self.nest[0]) if self.nest else 0

    def totals(self, values: Float[np.ndarray, " value"]) -> Float[np.ndarray, " unit"]:
        """Sum of the values of each unit."""
        return np.bincount(self.nest[0], values) if self.nest else values

    def redrawn(
        self, sums: Float[np.ndarray, " value"], counts: Float[np.ndarray, " value"]
    ) -> Float[np.ndarray, "kind draw unit"]:
        """Sums and counts of units drawn with replacement, of their parts drawn so, down to values that count."""
        rng, values, known = np.random.default_rng([*b"bootstrap", self.seed]), np.array([sums, counts]), counts > 0
        rows = np.flatnonzero(known)
        unit_of = np.array(self.nest[0])[rows] if self.nest else rows
        units = np.unique(unit_of)
        drawn = rng.integers(len(units), size=(self.resamples, len(units)))
        if not self.nest:
            return values[:, rows[drawn]]
        parts, out = [np.array(level) for level in self.nest[1:]], np.empty((2, *drawn.shape))
        for number, unit in enumerate(units):
            there = drawn == number
            once = np.ones(int(there.sum()), dtype=int)
            out[:, there] = _redrawn(rng, values, rows[unit_of == unit], parts, once)
        return out

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.level < 1:
            faults.append(f"level: expected 0 to 1, got {self.level}")
        if self.resamples < 100:
            faults.append(f"resamples must be at least 100, got {self.resamples}")
        raise_all(ConfigError, "resampling", faults)


def mean_of(
    values: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None, least: float = -np.inf
) -> Estimate:
    """Mean over units with its interval, cut at the `least` possible value; values that are not known are left out."""
    return ratio_of(values, np.where(np.isfinite(values), 1.0, 0.0), unit, resampling, least)


def rms_of(squares: Float[np.ndarray, " unit"], unit: str, resampling: Resampling | None = None) -> Estimate:
    """Root of the mean of each unit's mean square, with its interval."""
    mean = mean_of(squares, unit, resampling, least=0.0)
    value, low, high = np.sqrt([mean.value, mean.low, mean.high]).tolist()
    return Estimate(value, low, high, unit, mean.n, mean.level)


def ratio_of(
    sums: Float[np.ndarray, " unit"],
    counts: Float[np.ndarray, " unit"],
    unit: str,
    resampling: Resampling | None = None,
    least: float = -np.inf,
) -> Estimate:
    """Sum over all units divided by their count, with its interval over units; units that count 0 are left out."""
    chosen = resampling or Resampling()
    sums, counts = np.where(counts > 0, sums, 0.0), np.maximum(counts, 0.0)
    totals = np.array([chosen.totals(sums), chosen.totals(counts)])
    totals = totals[:, totals[1] > 0]
    count = totals.shape[1]
    if not count:
        return Estimate(NAN, NAN, NAN, unit, 0, chosen.level)
    value, error = (float(part[0]) for part in _with_error(totals[:, None]))
    interval = NO_INTERVAL
    if count >= FEWEST_UNITS:
        drawn = chosen.redrawn(sums, counts)
        upper, lower = (error * reach for reach in _critical(drawn, value, error, chosen.level))
        interval = Interval(max(value - upper, min(least, value)), value + lower)
    return Estimate(value, *interval, unit, count, chosen.level)


def _redrawn(
    rng: np.random.Generator,
    values: Float[np.ndarray, "kind value"],
    rows: Int[np.ndarray, " _row"],
    levels: Sequence[Int[np.ndarray, " value"]],
    copies: Int[np.ndarray, " draw"],
) -> Float[np.ndarray, "kind draw"]:
    """Sum over `copies` draws of the values in `rows`: parts at each level, then values, with replacement."""
    groups = [rows[levels[0][rows] == part] for part in np.unique(levels[0][rows])] if levels else list(rows)
    times = rng.multinomial(copies * len(groups), np.full(len(groups), 1 / len(groups)))
    if not levels:
        return values[:, rows] @ times.T
    drawn = [_redrawn(rng, values, group, levels[1:], own) for group, own in zip(groups, times.T, strict=True)]
    return np.sum(drawn, axis=0)


def _with_error(
    totals: Float[np.ndarray, "kind draw unit"],
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """Ratio of the sums to the counts of units, and its standard error."""
    (sums, counts), units = totals, totals.shape[-1]
    total = counts.sum(axis=-1)
    ratio = sums.sum(axis=-1) / total
    squares = ((sums - ratio[..., None] * counts) ** 2).sum(axis=-1)
    return ratio, np.sqrt(squares * units / max(units - 1, 1)) / total


def _critical(
    drawn: Float[np.ndarray, "kind draw unit"], value: float, error: float, level: float
) -> tuple[float, float]:
    """Standard errors to go below and above the value: quantiles of the studentised bootstrap, within `CRITICAL`."""
    ratios, errors = _with_error(drawn)
    varied = errors > 1e-9 * error
    usual = float(stats.t.ppf((1 + level) / 2, drawn.shape[-1] - 1))
    if not varied.any():
        return usual, usual
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile((ratios[varied] - value) / errors[varied], tails)
    below, above = np.clip([high, -low], CRITICAL[0] * usual, CRITICAL[1] * usual)
    return float(below), float(above)


def groups_of(n_trials: int, units: Int[np.ndarray, " trial"] | None = None) -> Int[np.ndarray, " trial"]:
    """Group of each trial for a jackknife: whole units, numbered from 0 without gaps, or single trials."""
    numbers = np.arange(n_trials) if units is None else np.unique(units, return_inverse=True)[1]
    return numbers % min(int(numbers.max(initial=0)) + 1, MOST_GROUPS)


class Scale(NamedTuple):
    """A scale on which a statistic is nearly symmetric, and the way back."""

    to: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


PLAIN = Scale(lambda values: values, lambda values: values)
LOGARITHM = Scale(lambda values: np.log(np.maximum(values, 1e-300)), np.exp)
FISHER = Scale(lambda values: np.arctanh(np.clip(values, -1 + 1e-12, 1 - 1e-12)), np.tanh)
LOGIT = Scale(lambda values: np.log(np.maximum(values, 1e-12) / np.maximum(1 - values, 1e-12)),
              lambda values: 1 / (1 + np.exp(-values)))  # fmt: skip


def jackknifed(
    value: float,
    without: Float[np.ndarray, " group"],
    scale: Scale = PLAIN,
    *,
    biased: bool = False,
    level: float = 0.95,
) -> Interval:
    """Interval from the values without each group of units (Student's t); none for too few or unknown values.

    Args:
        value: the statistic of all units.
        without: the statistic without each group.
        scale: where it is nearly symmetric.
        biased: whether few units bias it. Then the interval spans the value and the value less the jackknife's estimate
            of its bias, and a sixth of the squared bias is added to the variance, as not all of it is known.
        level: coverage.
    """
    groups = len(without)
    if groups < FEWEST_UNITS or not (np.isfinite(value) and np.isfinite(without).all()):
        return NO_INTERVAL
    centre, left = scale.to(np.array(value)), scale.to(without)
    # without the factor (groups - 1) / groups, so that intervals of few groups are not too narrow
    factor = (groups - 1) / groups if biased else 1.0
    spread = np.sqrt(factor * ((left - left.mean()) ** 2).sum())
    reach = stats.t.ppf((1 + level) / 2, groups - 1)
    ends = [centre - reach * spread, centre + reach * spread]
    if biased:
        bias = (groups - 1) * (left.mean() - centre)
        wide = reach * np.sqrt(spread**2 + bias**2 / 6)
        ends = [min(ends[0], centre - bias - wide), max(ends[1], centre - bias + wide)]
    low, high = scale.back(np.array(ends))
    return Interval(float(low), float(high))


def student_mean(values: Float[np.ndarray, " unit"], unit: str, level: float = 0.95) -> Estimate:
    """Mean over few units with Student's t interval, NaN for a single one; unknown values are left out."""
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else NAN
    reach = NAN
    if len(known) > 1:
        reach = float(stats.t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Estimate(mean, mean - reach, mean + reach, unit, len(known), level)


def rank_correlation(
    one: Float[np.ndarray, " unit"], other: Float[np.ndarray, " unit"], level: float = 0.95
) -> Estimate:
    """Spearman's coefficient with its interval on Fisher's scale (Bonett and Wright 2000).

    Where all units are in order that scale is infinite. As few units often are, the interval then reaches from the
    coefficient to the far end of the interval around the one with two neighbours exchanged.
    """
    value, n = float(agreement(Measure.SPEARMAN, one[:, None], other[:, None])[0]), len(one)
    interval = NO_INTERVAL
    if n >= FEWEST_UNITS:
        centre = float(np.clip(value, *(np.array([-1, 1]) * (1 - 12 / (n * (n**2 - 1))))))
        reach = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + centre**2 / 2) / (n - 3))
        ends = FISHER.back(FISHER.to(np.array(centre)) + np.array([-reach, reach]))
        low, high = ends.tolist()
        interval = Interval(-1.0 if value < centre - 1e-9 else low, 1.0 if value > centre + 1e-9 else high)
    return Estimate(value, *interval, "1", n, level)


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
    """Mean difference of two values of the same trials with its interval and a sign-flip test, unit by unit.

    The test lists all signs where they are no more than the resamples, so that p is exact.
    """
    chosen = resampling or Resampling()
    difference = first - second
    estimate = mean_of(difference, unit, chosen)
    known = np.isfinite(difference)
    counts = chosen.totals(known.astype(float))
    difference = chosen.totals(np.where(known, difference, 0.0))[counts > 0]
    if len(difference) < 3:
        return Difference(estimate, NAN)
    complete = 2 ** min(len(difference), 60) <= chosen.resamples
    if complete:
        signs = np.array(list(product([1.0, -1.0], repeat=len(difference))))
    else:
        signs = np.random.default_rng(chosen.seed).choice([-1.0, 1.0], size=(chosen.resamples, len(difference)))
    observed, *null = np.concatenate([np.ones((1, len(difference))), signs]) @ difference / len(difference)
    return Difference(estimate, p_value(float(observed), np.array(null), "two-sided", complete=complete))
