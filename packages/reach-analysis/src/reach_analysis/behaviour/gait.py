"""Gait from contacts: stance without flicker, cycles, phase-normalised joints, duty factor, phase lags.

Paper B, section 4.6: a cycle lasts from the beginning of a stance of the left forepaw to the beginning of its next;
joint angles of each cycle are resampled to 100 points by cubic interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import CubicSpline

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.data.series import TrialSeries

Contact = Bool[np.ndarray, " _time"]


@dataclass(frozen=True)
class Cycles:
    """Gait cycles of one foot."""

    trial: Int[np.ndarray, " cycle"]
    """Number of the trial each cycle belongs to."""
    begin_s: Float[np.ndarray, " cycle"]
    """Touch-down and the next one, s."""
    end_s: Float[np.ndarray, " cycle"]

    def __len__(self) -> int:
        return len(self.trial)

    def take(self, rows: Bool[np.ndarray, " cycle"]) -> Cycles:
        """Some of the cycles."""
        return Cycles(self.trial[rows], self.begin_s[rows], self.end_s[rows])


def debounce(contact: Contact, shortest: int) -> Contact:
    """Remove contacts and gaps of fewer than `shortest` samples, the shortest first.

    Runs at the ends of the trial are left as they are: how long they last is not known.
    """
    if shortest < 1:
        raise ConfigError(f"the shortest stance must be at least one sample, got {shortest}")
    out = contact.copy()
    while True:
        edges = np.flatnonzero(np.diff(out.astype(np.int8))) + 1
        if len(edges) < 2:
            return out
        lengths = np.diff(edges)
        # where a gap and a contact are equally short, the gap goes: a foot that bounces has touched down already
        least = int((2 * lengths + out[edges[:-1]]).argmin())
        if lengths[least] >= shortest:
            return out
        out[edges[least] : edges[least + 1]] ^= True


def stances(contact: TrialSeries, shortest_s: float) -> list[Contact]:
    """Stance of one foot in each trial, without contacts and gaps shorter than `shortest_s`."""
    if len(contact.channels) != 1:
        raise DataError(f"{contact.name}: expected the contact of one foot, got {len(contact.channels)} channels")
    if shortest_s < 0:
        raise ConfigError(f"the shortest stance must not be negative, got {shortest_s:g} s")
    samples = max(1, int(np.ceil(shortest_s * contact.rate_hz - 1e-9)))
    return [debounce(rows[:, 0] > 0.5, samples) for rows in contact.values]


def planted(position: TrialSeries, fraction: float) -> TrialSeries:
    """Contact of a foot as its movement shows it: 1 where its speed over the ground is below `fraction` of the fastest.

    Args:
        position: x and y of the foot; gaps are NaN and count as no contact.
        fraction: of the 95th percentile of its speed in the trial.
    """

    def slow(rows: np.ndarray) -> np.ndarray:
        speed = np.linalg.norm(np.gradient(rows, axis=0), axis=1, keepdims=True)
        return (speed < fraction * np.nanpercentile(speed, 95)).astype(float)

    values = tuple(slow(rows) for rows in position.values)
    return replace(position, name="contact by speed", unit="1", channels=("contact",), values=values)


def touch_downs(stance: Contact) -> Int[np.ndarray, " event"]:
    """Samples at which a stance begins; a stance that is under way when the trial starts has no beginning."""
    return np.flatnonzero(~stance[:-1] & stance[1:]) + 1


def find_cycles(stance: Sequence[Contact], contact: TrialSeries, shortest_s: float, longest_s: float) -> Cycles:
    """Cycles of one foot from touch-down to touch-down, within bounds of duration."""
    if not 0 <= shortest_s < longest_s:
        raise ConfigError(f"cycles between {shortest_s:g} and {longest_s:g} s: there are none")
    trial, begin, end = [], [], []
    for number, (steps, start) in enumerate(zip(stance, contact.start_s, strict=True)):
        times = start + touch_downs(steps) / contact.rate_hz
        for first, second in pairwise(times):
            if shortest_s <= second - first <= longest_s:
                trial.append(number)
                begin.append(first)
                end.append(second)
    return Cycles(np.array(trial, dtype=int), np.array(begin, dtype=float), np.array(end, dtype=float))


def duty_factors(stance: Sequence[Contact], contact: TrialSeries, cycles: Cycles) -> Float[np.ndarray, " cycle"]:
    """Fraction of each cycle of a foot with this foot in contact."""
    out = np.empty(len(cycles))
    for number in range(len(cycles)):
        steps = stance[cycles.trial[number]]
        start = contact.start_s[cycles.trial[number]]
        first = round((cycles.begin_s[number] - start) * contact.rate_hz)
        last = round((cycles.end_s[number] - start) * contact.rate_hz)
        out[number] = steps[first:last].mean()
    return out


def phase_lags(stance: Sequence[Contact], contact: TrialSeries, cycles: Cycles) -> Float[np.ndarray, " cycle"]:
    """Phase within each cycle of the leading foot at which this foot touches down, 0 to 1; NaN where it does not."""
    out = np.full(len(cycles), np.nan)
    downs = [start + touch_downs(steps) / contact.rate_hz for steps, start in zip(stance, contact.start_s, strict=True)]
    for number in range(len(cycles)):
        times = downs[cycles.trial[number]]
        begin, end = cycles.begin_s[number], cycles.end_s[number]
        inside = times[(times >= begin - 1e-9) & (times < end - 1e-9)]
        if len(inside):
            out[number] = (inside[0] - begin) / (end - begin)
    return out


def circular_mean(phases: Float[np.ndarray, " cycle"]) -> tuple[float, float]:
    """Mean direction of phases, 0 to 1, and how much they agree, 0 to 1; NaN where there are none."""
    known = phases[np.isfinite(phases)]
    if not len(known):
        return float("nan"), float("nan")
    vector = np.exp(2j * np.pi * known).mean()
    return float(np.angle(vector) / (2 * np.pi) % 1.0), float(abs(vector))


def phase_normalised(
    series: TrialSeries, cycles: Cycles, points: int = 100
) -> Float[np.ndarray, "cycle point channel"]:
    """Values of each cycle at `points` phases from 0 to 100 %, both included, by cubic interpolation."""
    if points < 2:
        raise ConfigError(f"a cycle needs at least two points, got {points}")
    out = np.empty((len(cycles), points, len(series.channels)))
    for trial in np.unique(cycles.trial).tolist():
        rows, times = series.values[trial], series.times(trial)
        if len(rows) < 4 or not np.isfinite(rows).all():
            raise DataError(f"{series.name}: trial {series.trials[trial]!r} cannot be interpolated")
        spline = CubicSpline(times, rows, axis=0)
        for number in np.flatnonzero(cycles.trial == trial):
            begin, end = cycles.begin_s[number], cycles.end_s[number]
            if begin < times[0] - 1e-9 or end > times[-1] + 1.5 / series.rate_hz:
                raise DataError(f"{series.name}: a cycle of trial {series.trials[trial]!r} is outside it")
            out[number] = spline(np.linspace(begin, end, points))
    return out


def cycle_speeds(position: TrialSeries, cycles: Cycles) -> Float[np.ndarray, " cycle"]:
    """Mean horizontal speed of a body over each cycle, m/s."""
    out = np.empty(len(cycles))
    for number in range(len(cycles)):
        rows, times = position.values[cycles.trial[number]], position.times(int(cycles.trial[number]))
        ends = [np.array([np.interp(t, times, column) for column in rows.T]) for t in
                (cycles.begin_s[number], cycles.end_s[number])]  # fmt: skip
        out[number] = np.linalg.norm(ends[1] - ends[0]) / (cycles.end_s[number] - cycles.begin_s[number])
    return out
