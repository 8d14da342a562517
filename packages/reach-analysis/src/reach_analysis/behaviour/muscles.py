"""Simulated muscles against EMG, trial by trial (paper A, section 3.5 and Fig. 2B-D).

**Lag**: positive when the simulation follows the EMG, negative when it leads: ``simulated(t + lag)`` looks most like
``recorded(t)``. **Onset**: when a trial first rises through a fraction of its own range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations

import numpy as np
from jaxtyping import Float

from reach_analysis._common.errors import ConfigError, DataError, MismatchError, shorten, unknown
from reach_analysis.config import EmgConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import Matched, TrialSeries, match, over_steps, resample
from reach_analysis.statistics.estimates import (
    Difference,
    Estimate,
    Resampling,
    common_places,
    mean_of,
    paired_difference,
    rms_of,
)

USUAL_ACTUATORS = {"biceps": ("*biceps*long*", "*biceps*"), "triceps": ("*triceps*lat*", "*triceps*")}
"""EMG channel -> actuators it is compared with, the first pattern that fits one; those of paper A, section 2.4."""

MUSCLES, ACTUATORS = "muscles", "actuators"

ROUNDING = 1e-6
"""Activation this far outside 0 to 1 is rounding."""

Trials = Float[np.ndarray, "trial time"]


@dataclass(frozen=True)
class MuscleFit:
    """One muscle of one condition against EMG."""

    condition: str
    """What was compared; `signal` is "act" or "ctrl"."""
    muscle: str
    actuator: str
    signal: str
    mae: Estimate
    """Mean absolute and root mean square error over all samples of all trials."""
    rmse: Estimate
    correlation: Estimate
    """Mean over trials of the correlation over time."""
    correlation_of_means: float
    """Correlation between the trial averages."""
    lag_s: float
    """Shift at which the two correlate best; see the module's text."""
    lag_at_edge: bool
    """Whether that is the largest shift tried, so that the true one may be larger."""
    onset_s: Estimate
    """Mean over trials of simulated minus recorded onset."""
    trials: tuple[str, ...]
    trial_mae: Float[np.ndarray, " trial"]
    """The values of each trial; NaN where it is unknown."""
    trial_correlation: Float[np.ndarray, " trial"]


def actuator_for(muscle: str, actuators: Sequence[str], chosen: Mapping[str, str]) -> str:
    """The actuator an EMG channel is compared with.

    Args:
        muscle: name of the EMG channel.
        actuators: names of the actuators.
        chosen: EMG channel -> actuator, or a pattern of it; for others the actuator of that name or, for biceps and
            triceps, the one paper A takes.
    """
    if muscle in chosen:
        patterns: Sequence[str] = (chosen[muscle],)
    else:
        patterns = (muscle, *USUAL_ACTUATORS.get(muscle.lower(), ()))
    for pattern in patterns:
        hits = [name for name in actuators if fnmatchcase(name.lower(), pattern.lower())]
        if len(hits) == 1:
            return hits[0]
        if len(hits) > 1:
            raise ConfigError(f"muscle {muscle!r}: {pattern!r} fits several actuators, {shorten(hits)}; choose one")
    raise ConfigError(
        f"muscle {muscle!r}: {unknown('actuator', patterns[0], list(actuators))}; choose one with "
        f"muscles={{{muscle}:NAME}}"
    )


def simulated(rollouts: Rollouts, signal: str, actuators: Sequence[str], rate_hz: float | None) -> TrialSeries:
    """Activation ("act") or control ("ctrl") of some actuators during each step.

    Activation is a state; its value during a step is the mean of the states around it.

    Args:
        rollouts: where from.
        signal: "act" or "ctrl".
        actuators: names.
        rate_hz: rate to resample to; None: the rate of the rollouts.
    """
    if signal not in ("act", "ctrl"):
        raise ConfigError(unknown("signal", signal, ["act", "ctrl"]))
    known = known_actuators(rollouts, signal)
    empty = [name for name in actuators if name in rollouts.names["actuator"] and name not in known]
    if empty:
        raise DataError(f"{rollouts.path}: {signal} is missing for {shorten(empty)}; muscles have it in every sample")
    series = rollouts.series(signal).select(list(actuators))
    if signal == "act":
        series = over_steps(series)
    return series if rate_hz is None else resample(series, rate_hz)


def known_actuators(rollouts: Rollouts, signal: str) -> list[str]:
    """Actuators whose activation ("act") or control ("ctrl") is known in every sample."""
    known = []
    if rollouts.has(signal):
        series = rollouts.series(signal)
        rows, _ = series.rows()
        known = [name for name, column in zip(series.channels, rows.T, strict=True) if np.isfinite(column).all()]
    if not known:
        lacking = {"act": "activation (act), as muscles have; signal=ctrl looks at their control"}
        raise DataError(f"{rollouts.path}: the actuators of this body have no {lacking.get(signal, signal)}")
    return known


def kind_of_actuators(rollouts: Rollouts) -> str:
    """Name of the actuators: muscles where all activation is between 0 and 1, as MuJoCo keeps it for muscles."""
    if not rollouts.has("act"):
        return ACTUATORS
    rows, _ = rollouts.series("act").rows()
    within = (rows >= -ROUNDING) & (rows <= 1 + ROUNDING)
    return MUSCLES if within.all() else ACTUATORS


def active_muscles(rollouts: Rollouts, actuators: Sequence[str] = ()) -> tuple[TrialSeries, list[str]]:
    """Activation of muscles during each step, and the names of those left out because they never act.

    Args:
        rollouts: where from.
        actuators: muscles, by name; empty: all.
    """
    activation = simulated(rollouts, "act", actuators or rollouts.names["actuator"], None)
    rows, _ = activation.rows()
    still = [name for name, column in zip(activation.channels, rows.T, strict=True) if not column.max() > 0]
    return activation.select([name for name in activation.channels if name not in still]), still


def compare(
    condition: str, signal: str, simulation: TrialSeries, emg: TrialSeries, settings: EmgConfig
) -> tuple[list[MuscleFit], Matched]:
    """Compare each channel of a simulation with the channel of the EMG at the same place.

    Trials that end before the EMG does are compared as far as they go.
    """
    if len(simulation.channels) != len(emg.channels):
        raise MismatchError(f"{len(simulation.channels)} actuators against {len(emg.channels)} EMG channels")
    both = match(simulation, emg)
    fits = []
    for actuator, muscle in zip(simulation.channels, emg.channels, strict=True):
        ours = both.first.select([actuator]).padded()[..., 0]
        theirs = both.second.select([muscle]).padded()[..., 0]
        fits.append(_fit((condition, muscle, actuator, signal), ours, theirs, both.first, settings))
    return fits, both


def _fit(
    names: tuple[str, str, str, str], ours: Trials, theirs: Trials, series: TrialSeries, settings: EmgConfig
) -> MuscleFit:
    error = ours - theirs
    trial_mae, squares = np.nanmean(np.abs(error), axis=1), np.nanmean(error**2, axis=1)
    trial_r = np.array([correlation(one, two) for one, two in zip(ours, theirs, strict=True)])
    starts = [
        onset(one, settings.onset_fraction) - onset(two, settings.onset_fraction)
        for one, two in zip(ours, theirs, strict=True)
    ]
    onsets = np.array(starts) / series.rate_hz
    resampling = Resampling(settings.resamples, seed=settings.seed)
    samples, edge = best_lag(ours, theirs, round(settings.largest_lag_s * series.rate_hz))
    return MuscleFit(
        *names,
        mae=mean_of(trial_mae, "1", resampling),
        rmse=rms_of(squares, "1", resampling),
        correlation=mean_of(trial_r, "1", resampling),
        correlation_of_means=correlation(np.nanmean(ours, axis=0), np.nanmean(theirs, axis=0)),
        lag_s=samples / series.rate_hz,
        lag_at_edge=edge,
        onset_s=mean_of(onsets, "s", resampling),
        trials=series.trials,
        trial_mae=trial_mae,
        trial_correlation=trial_r,
    )


def correlation(one: Float[np.ndarray, " time"], two: Float[np.ndarray, " time"]) -> float:
    """Pearson correlation over what both know; NaN where either does not vary."""
    known = np.isfinite(one) & np.isfinite(two)
    one, two = one[known], two[known]
    if len(one) < 3:
        return float("nan")
    one, two = one - one.mean(), two - two.mean()
    spread = np.sqrt((one**2).sum() * (two**2).sum())
    return float((one * two).sum() / spread) if spread > 0 else float("nan")


def best_lag(ours: Trials, theirs: Trials, largest: int) -> tuple[int, bool]:
    """Shift in samples at which trials correlate best, and whether it is the largest one tried.

    For each shift the samples that overlap are taken, trial by trial, each trial's own mean removed on both sides, and
    pooled into one correlation; samples of different trials never meet.
    """
    length = ours.shape[1]
    if not 0 <= largest <= length // 2:
        raise ConfigError(f"shifts of up to {largest} samples do not fit trials of {length} samples; at most half")
    shifts = np.arange(-largest, largest + 1)
    values = np.array([_pooled(ours, theirs, int(shift)) for shift in shifts])
    if not np.isfinite(values).any():
        return 0, True
    # of equally good shifts the smallest counts
    order = np.lexsort((np.abs(shifts), -np.where(np.isfinite(values), values, -np.inf)))
    best = int(shifts[order[0]])
    return best, largest > 0 and abs(best) == largest


def _pooled(ours: Trials, theirs: Trials, shift: int) -> float:
    length = ours.shape[1]
    one = ours[:, max(shift, 0) : length + min(shift, 0)]
    two = theirs[:, max(-shift, 0) : length + min(-shift, 0)]
    known = np.isfinite(one) & np.isfinite(two)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    one = np.where(known, one - np.where(known, one, 0).sum(axis=1, keepdims=True) / count, 0)
    two = np.where(known, two - np.where(known, two, 0).sum(axis=1, keepdims=True) / count, 0)
    spread = np.sqrt((one**2).sum() * (two**2).sum())
    return float((one * two).sum() / spread) if spread > 0 else float("nan")


def onset(values: Float[np.ndarray, " time"], fraction: float) -> float:
    """Sample (interpolated) at which a trial first rises through `fraction` of its range; NaN if it starts above."""
    if not 0 < fraction < 1:
        raise ConfigError(f"onset_fraction: expected 0 to 1, got {fraction:g}")
    known = values[np.isfinite(values)]
    if len(known) < 2 or np.ptp(known) == 0:
        return float("nan")
    level = known.min() + fraction * np.ptp(known)
    above = np.flatnonzero((known[1:] >= level) & (known[:-1] < level))
    if known[0] >= level or not len(above):
        return float("nan")
    before = int(above[0])
    return before + float((level - known[before]) / (known[before + 1] - known[before]))


@dataclass(frozen=True)
class ConditionDifference:
    """Two conditions against the same EMG, trial by trial."""

    muscle: str
    signal: str
    first: str
    """Conditions; differences are first minus second."""
    second: str
    mae: Difference
    """Mean differences over trials both have."""
    correlation: Difference


def condition_differences(fits: Sequence[MuscleFit], resampling: Resampling) -> list[ConditionDifference]:
    """Compare every pair of conditions on every muscle and signal, over the trials both have."""
    out = []
    for first, second in combinations(fits, 2):
        if (first.muscle, first.signal) != (second.muscle, second.signal) or first.condition == second.condition:
            continue
        one, two = common_places(first.trials, second.trials)
        mae = paired_difference(first.trial_mae[one], second.trial_mae[two], "1", resampling)
        agreement = paired_difference(first.trial_correlation[one], second.trial_correlation[two], "1", resampling)
        out.append(ConditionDifference(first.muscle, first.signal, first.condition, second.condition, mae, agreement))
    return out


def mean_and_sem(trials: Trials) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Average over trials and its standard error at each time; NaN where fewer than two trials last that long."""
    if not len(trials):
        raise DataError("an average needs at least one trial")
    count = np.isfinite(trials).sum(axis=0)
    mean = np.where(count > 0, np.nansum(trials, axis=0) / np.maximum(count, 1), np.nan)
    squares = np.nansum((trials - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
    return mean, np.where(count > 1, np.sqrt(squares / np.maximum(count, 1)), np.nan)
