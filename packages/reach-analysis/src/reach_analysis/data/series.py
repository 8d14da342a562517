"""Trials x time x channel, with the time, rate, unit and names that go with the numbers.

**Time.** A sample stands for the interval that begins at its time and ends where the next one begins; its value is the
mean over that interval. So a control held for a step, a block average and a raw sample all carry the time at which they
begin, and averaging blocks does not move anything. Instants (the states of a simulation) become intervals by averaging
both ends (:func:`over_steps`) before they are compared with such series.

**Trials** have names and may differ in length. They are joined by name, never by position. Series of different rates
cannot be compared: one of them has to be resampled first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import DataError, MismatchError, raise_all, shorten, unknown

RATE_TOLERANCE = 1e-6
"""Relative difference up to which two rates are the same."""

GRID_TOLERANCE = 0.02
"""Fraction of a sample up to which two series count as sampled at the same times."""

Rows = Float[np.ndarray, "_time channel"]


@dataclass(frozen=True)
class TrialSeries:
    """Values of several channels over several trials, at one rate."""

    name: str
    """What the numbers are, as in "muscle activation"."""
    unit: str
    """Their unit; "1" where there is none."""
    rate_hz: float
    trials: tuple[str, ...]
    """Unique names."""
    channels: tuple[str, ...]
    """Unique names."""
    values: tuple[Rows, ...]
    """One array (time, channel) a trial; lengths may differ. NaN marks what is missing."""
    start_s: Float[np.ndarray, " trial"]
    """Time of each trial's first sample, s."""

    def __post_init__(self) -> None:
        problems = []
        if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
            problems.append(f"the rate must be a positive number of samples a second, got {self.rate_hz}")
        for kind, names in (("trial", self.trials), ("channel", self.channels)):
            if len(set(names)) < len(names):
                repeated = sorted({name for name in names if names.count(name) > 1})
                problems.append(f"{kind} names must be unique; repeated: {shorten(repeated)}")
        if not len(self.trials) == len(self.values) == len(self.start_s):
            problems.append(f"{len(self.trials)} trials, {len(self.values)} arrays, {len(self.start_s)} starts")
        if any(rows.ndim != 2 or rows.shape[1] != len(self.channels) for rows in self.values):
            problems.append(f"every array must have one column for each of the {len(self.channels)} channels")
        raise_all(DataError, self.name, problems)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples of each trial."""
        return tuple(len(rows) for rows in self.values)

    def times(self, trial: int) -> Float[np.ndarray, " time"]:
        """Time of each sample of one trial, s."""
        return self.start_s[trial] + np.arange(len(self.values[trial])) / self.rate_hz

    def select(self, channels: Sequence[str]) -> TrialSeries:
        """These channels, in this order.

        Raises:
            DataError: for a channel that is not there, with the nearest names.
        """
        columns = [index_of("channel", name, self.channels, self.name) for name in channels]
        return replace(self, channels=tuple(channels), values=tuple(rows[:, columns] for rows in self.values))

    def take(self, trials: Sequence[str]) -> TrialSeries:
        """These trials, in this order.

        Raises:
            DataError: for a trial that is not there, with the nearest names.
        """
        rows = [index_of("trial", name, self.trials, self.name) for name in trials]
        return replace(
            self, trials=tuple(trials), values=tuple(self.values[row] for row in rows), start_s=self.start_s[rows]
        )

    def with_samples(self) -> TrialSeries:
        """The trials that have at least one sample."""
        return self.take([name for name, length in zip(self.trials, self.lengths, strict=True) if length])

    def known(self) -> tuple[TrialSeries, list[str]]:
        """The channels that are finite in every sample, and the names of the others; all of them where none is."""
        rows, _ = self.rows()
        lacking = [name for name, column in zip(self.channels, rows.T, strict=True) if not np.isfinite(column).all()]
        if len(lacking) == len(self.channels):
            return self, []
        return self.select([name for name in self.channels if name not in lacking]), lacking

    @property
    def flaw(self) -> str:
        """Why the values as a whole say nothing: "Constant", "Not finite", or empty where they do say something."""
        rows, _ = self.rows()
        if not (len(rows) and (rows != rows[0]).any()):
            return "Constant"
        return "" if np.isfinite(rows).all() else "Not finite"

    def crop(self, start_s: float, stop_s: float) -> TrialSeries:
        """The samples whose intervals lie within `start_s` to `stop_s`; trials may come out shorter, or empty."""
        values, starts = [], []
        for rows, begin in zip(self.values, self.start_s, strict=True):
            first = max(0, int(np.ceil((start_s - begin) * self.rate_hz - GRID_TOLERANCE)))
            last = max(first, int(np.floor((stop_s - begin) * self.rate_hz + GRID_TOLERANCE)))
            values.append(rows[first:last])
            starts.append(begin + first / self.rate_hz)
        return replace(self, values=tuple(values), start_s=np.array(starts, dtype=float))

    def map(self, change: Callable[[Rows], Rows], name: str | None = None, unit: str | None = None) -> TrialSeries:
        """Apply `change` to each trial's array; it keeps times and channels."""
        values = tuple(change(rows) for rows in self.values)
        return replace(self, values=values, name=name or self.name, unit=unit or self.unit)

    def stacked(self) -> Float[np.ndarray, "trial time channel"]:
        """All trials as one array.

        Raises:
            MismatchError: when trials differ in length or in their start.
        """
        if len(set(self.lengths)) > 1:
            raise MismatchError(
                f"{self.name}: trials have {min(self.lengths)} to {max(self.lengths)} samples; crop them to a common "
                "window first"
            )
        if np.ptp(self.start_s) * self.rate_hz > GRID_TOLERANCE:
            raise MismatchError(f"{self.name}: trials start at {self.start_s.min()} to {self.start_s.max()} s")
        return np.stack(self.values)

    def padded(self) -> Float[np.ndarray, "trial time channel"]:
        """All trials as one array, with NaN after the end of the shorter ones."""
        out = np.full((len(self.trials), max(self.lengths, default=0), len(self.channels)), np.nan)
        for row, rows in enumerate(self.values):
            out[row, : len(rows)] = rows
        return out

    def rows(self) -> tuple[Float[np.ndarray, "sample channel"], Int[np.ndarray, " sample"]]:
        """All samples end to end, and the number of the trial each belongs to."""
        owner = np.repeat(np.arange(len(self.trials)), self.lengths)
        return np.concatenate(self.values), owner

    def most_varying(self, count: int) -> list[str]:
        """The channels with the largest standard deviation over all samples, in their order."""
        rows, _ = self.rows()
        chosen = np.sort(np.argsort(-rows.std(axis=0), kind="stable")[:count])
        return [self.channels[place] for place in chosen.tolist()]

    def split(self, rows: Float[np.ndarray, "sample other"], channels: Sequence[str]) -> TrialSeries:
        """Undo :meth:`rows` for values computed from them: cut them into trials again, under new channel names."""
        values = tuple(np.split(rows, np.cumsum(self.lengths)[:-1]))
        return replace(self, values=values, channels=tuple(channels))


def index_of(kind: str, name: str, names: Sequence[str], where: str) -> int:
    """Position of a name.

    Raises:
        DataError: when it is not there, with the nearest names.
    """
    if name not in names:
        raise DataError(f"{where}: {unknown(kind, name, names)}")
    return list(names).index(name)


def one_trial_each(name: str, values: Sequence[np.ndarray], rate_hz: float, channels: Sequence[str]) -> TrialSeries:
    """A series without a unit whose trials are numbered and start at 0; for simulations and examples."""
    arrays = tuple(np.asarray(rows, float) for rows in values)
    trials = tuple(str(number) for number in range(len(arrays)))
    return TrialSeries(name, "1", rate_hz, trials, tuple(channels), arrays, np.zeros(len(arrays)))


def over_steps(series: TrialSeries) -> TrialSeries:
    """Return intervals of instants: the mean of each state and the next; one sample fewer."""
    return series.map(lambda rows: (rows[:-1] + rows[1:]) / 2)


def resample(series: TrialSeries, rate_hz: float) -> TrialSeries:
    """Give each new interval the mean of the old values over it.

    For a whole ratio downwards this is the block average, upwards it repeats values; either way the time-average of the
    trial stays what it was. What does not fill a last interval is dropped.

    Raises:
        DataError: when the rate is not a positive number.
    """
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise DataError(f"{series.name}: cannot resample to {rate_hz} Hz; a positive number is needed")
    if same_rate(series.rate_hz, rate_hz):
        return series
    return replace(series.map(lambda rows: _interval_means(rows, rate_hz / series.rate_hz)), rate_hz=float(rate_hz))


def _interval_means(rows: Rows, ratio: float) -> Rows:
    """Means over intervals of 1/`ratio` samples; exact for values that are constant within a sample.

    An interval that touches a missing value is missing.
    """
    count = int(np.floor(len(rows) * ratio + 1e-9))
    if count == 0:
        return np.empty((0, rows.shape[1]))
    edges = np.arange(count + 1) / ratio
    whole = np.minimum(np.floor(edges + 1e-9).astype(int), len(rows))
    missing = np.isnan(rows)
    means = _integral(np.where(missing, 0.0, rows), edges, whole) * ratio
    if missing.any():
        means[_integral(missing.astype(float), edges, whole) > 1e-6] = np.nan
    return means


def _integral(rows: Rows, edges: Float[np.ndarray, " edge"], whole: Int[np.ndarray, " edge"]) -> Rows:
    """Integral of piecewise constant rows between neighbouring edges, in samples."""
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    padded = np.concatenate([rows, rows[-1:]])
    return np.diff(sums[whole] + (edges - whole)[:, None] * padded[whole], axis=0)


def same_rate(first_hz: float, second_hz: float) -> bool:
    """Return whether two rates are the same but for rounding."""
    return abs(first_hz - second_hz) <= RATE_TOLERANCE * max(abs(first_hz), abs(second_hz))


def require_same_rate(first: TrialSeries, second: TrialSeries) -> None:
    """Refuse two series of different rates.

    Raises:
        MismatchError: naming both rates and the remedy.
    """
    if not same_rate(first.rate_hz, second.rate_hz):
        raise MismatchError(
            f"{first.name} has {first.rate_hz:g} samples a second and {second.name} {second.rate_hz:g}. Resample one "
            "first (setting rate_hz), or correct the rate if one of them is wrong"
        )


@dataclass(frozen=True)
class Matched:
    """Two series over the same trials and the same times, sample by sample."""

    first: TrialSeries
    """The first series, cut to what both have."""
    second: TrialSeries
    only_first: tuple[str, ...]
    """Trials left out because the second series does not have them."""
    only_second: tuple[str, ...]


def match(first: TrialSeries, second: TrialSeries) -> Matched:
    """Join two series by trial name and cut both to the times they share.

    Raises:
        MismatchError: when rates differ, no trial or no time is shared, or samples fall between each other.
    """
    require_same_rate(first, second)
    common = [name for name in first.trials if name in set(second.trials)]
    if not common:
        raise MismatchError(
            f"{first.name} and {second.name} share no trial: {shorten(first.trials, 4)} against "
            f"{shorten(second.trials, 4)}"
        )
    one, two = first.take(common), second.take(common)
    offset = (two.start_s - one.start_s) * first.rate_hz
    off_grid = np.abs(offset - np.round(offset)) > GRID_TOLERANCE
    if off_grid.any():
        worst = int(np.argmax(np.abs(offset - np.round(offset))))
        raise MismatchError(
            f"trial {common[worst]!r}: samples of {first.name} start at {one.start_s[worst]:.6f} s, those of "
            f"{second.name} at {two.start_s[worst]:.6f} s: they fall between each other at {first.rate_hz:g} Hz"
        )
    shift = np.round(offset).astype(int)
    one, two = _overlap(one, shift), _overlap(two, -shift)
    lengths = np.minimum(one.lengths, two.lengths)
    if lengths.min() < 1:
        raise MismatchError(f"trial {common[int(lengths.argmin())]!r}: {first.name} and {second.name} share no time")
    return Matched(
        _first_samples(one, lengths),
        _first_samples(two, lengths),
        tuple(name for name in first.trials if name not in common),
        tuple(name for name in second.trials if name not in common),
    )


def _overlap(series: TrialSeries, shift: Int[np.ndarray, " trial"]) -> TrialSeries:
    """Drop the samples before the other series begins, `shift` samples later."""
    skip = np.maximum(shift, 0)
    values = tuple(rows[count:] for rows, count in zip(series.values, skip, strict=True))
    return replace(series, values=values, start_s=series.start_s + skip / series.rate_hz)


def _first_samples(series: TrialSeries, lengths: Int[np.ndarray, " trial"]) -> TrialSeries:
    return replace(series, values=tuple(rows[:count] for rows, count in zip(series.values, lengths, strict=True)))
