"""Simulated muscles against EMG, trial by trial (paper A, section 3.5 and Fig. 2B-D).

**Lag**: positive when the simulation follows the EMG, negative when it leads: ``simulated(t + lag)`` looks most like
``recorded(t)``. **Onset**: when a trial first rises through a fraction of its own range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, MismatchError, shorten, unknown
from reach_analysis.config import EmgConfig
from reach_analysis.data.levels import Levels
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import Matched, TrialSeries, match, over_steps, resample
from reach_analysis.statistics.correlation import pearson_of_sums
from reach_analysis.statistics.estimates import (
    Difference,
    Estimate,
    Resampling,
    common_places,
    mean_of,
    paired_difference,
    rms_of,
)
from reach_analysis.statistics.permutation import arrangements, p_value

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
    simpler: dict[str, float]
    """What the errors and correlations are worth; see :func:`simpler_envelopes`."""
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
    """Name of the actuators: muscles where all known activation is between 0 and 1, as MuJoCo keeps it for muscles."""
    if not rollouts.has("act"):
        return ACTUATORS
    rows, _ = rollouts.series("act").rows()
    within = (rows >= -ROUNDING) & (rows <= 1 + ROUNDING)
    return MUSCLES if within.any() and (within | np.isnan(rows)).all() else ACTUATORS


def active_muscles(rollouts: Rollouts, actuators: Sequence[str] = ()) -> tuple[TrialSeries, list[str]]:
    """Activation of muscles during each step, and one note about each group of muscles that is left out.

    Trials that end before their first step are left out; without `actuators` all muscles are meant.
    """
    activation = over_steps(rollouts.series("act")).with_samples().select(actuators or rollouts.names["actuator"])
    rows, _ = activation.rows()
    columns = dict(zip(activation.channels, rows.T, strict=True))
    gaps = {name: int(np.isnan(column).sum()) for name, column in columns.items()}
    lacking = [f"{name} ({count} samples)" for name, count in gaps.items() if count]
    still = [name for name, column in columns.items() if not gaps[name] and not column.max(initial=0.0) > 0]
    kept = [name for name in activation.channels if not gaps[name] and name not in still]
    if not kept:
        raise DataError(
            f"{rollouts.path}: act: no muscle acts in every sample; missing: {shorten(lacking or ['none'])}"
        )
    notes = [f"Never active and left out: {', '.join(still)}."] if still else []
    notes += [f"Activation is missing, so these were left out: {', '.join(lacking)}."] if lacking else []
    return activation.select(kept), notes


def compare(
    condition: str,
    signal: str,
    simulation: TrialSeries,
    emg: TrialSeries,
    settings: EmgConfig,
    levels: Levels | None = None,
) -> tuple[list[MuscleFit], Matched]:
    """Compare each channel of a simulation with the channel of the EMG at the same place.

    Trials that end before the EMG does are compared as far as they go; those without a sample are left out.
    """
    if len(simulation.channels) != len(emg.channels):
        raise MismatchError(f"{len(simulation.channels)} actuators against {len(emg.channels)} EMG channels")
    both = match(simulation.with_samples(), emg)
    fits = []
    for actuator, muscle in zip(simulation.channels, emg.channels, strict=True):
        ours = both.first.select([actuator]).padded()[..., 0]
        theirs = both.second.select([muscle]).padded()[..., 0]
        fits.append(_fit((condition, muscle, actuator, signal), ours, theirs, both.first, settings, levels or Levels()))
    return fits, both


def _fit(
    names: tuple[str, str, str, str],
    ours: Trials,
    theirs: Trials,
    series: TrialSeries,
    settings: EmgConfig,
    levels: Levels,
) -> MuscleFit:
    error = ours - theirs
    trial_mae, squares = np.nanmean(np.abs(error), axis=1), np.nanmean(error**2, axis=1)
    trial_r = np.array([correlation(one, two) for one, two in zip(ours, theirs, strict=True)])
    starts = [
        onset(one, settings.onset_fraction) - onset(two, settings.onset_fraction)
        for one, two in zip(ours, theirs, strict=True)
    ]
    onsets = np.array(starts) / series.rate_hz
    resampling = Resampling(settings.resamples, seed=settings.seed).of(levels, series.trials)
    strata = levels.strata(series.trials)
    samples, edge = best_lag(ours, theirs, round(settings.largest_lag_s * series.rate_hz))
    return MuscleFit(
        *names,
        mae=mean_of(trial_mae, "1", resampling, least=0.0),
        rmse=rms_of(squares, "1", resampling),
        correlation=mean_of(trial_r, "1", resampling),
        correlation_of_means=correlation(np.nanmean(ours, axis=0), np.nanmean(theirs, axis=0)),
        lag_s=samples / series.rate_hz,
        lag_at_edge=edge,
        onset_s=_onset(onsets, resampling),
        simpler=simpler_envelopes(ours, theirs, settings.resamples, settings.seed, strata),
        trials=series.trials,
        trial_mae=trial_mae,
        trial_correlation=trial_r,
    )


FEWEST_ONSETS = 3
"""Trials with an onset on both sides below which no difference of onsets is given."""


def _onset(onsets: Float[np.ndarray, " trial"], resampling: Resampling) -> Estimate:
    """Mean difference of onsets over trials in which both sides have one."""
    mean = mean_of(onsets, "s", resampling)
    return mean if mean.n >= FEWEST_ONSETS else replace(mean, value=np.nan)


def simpler_envelopes(
    ours: Trials, theirs: Trials, draws: int, seed: int, strata: Int[np.ndarray, " trial"] | None = None
) -> dict[str, float]:
    """Errors and correlations of simpler stand-ins for the simulation, and p values under exchange of trials.

    ``*_exchanged``: the simulation with the EMG of every other trial; ``mae_constant``: the median of all EMG;
    ``*_mean_trial``: the mean EMG of the other trials; ``mae_scaled``: the simulation times one factor for all trials.
    ``mae_p`` and ``correlation_p``: probability of agreement as good if trials were exchanged, within `strata`; NaN for
    too few trials.
    """
    count = len(ours)
    strata = np.zeros(count, dtype=int) if strata is None else strata
    errors = np.array([mean_and_sem(np.abs(one - theirs).T)[0] for one in ours])
    alike = _correlations(ours, theirs)
    others = [mean_and_sem(np.delete(theirs, number, axis=0))[0] for number in range(count)] if count > 1 else []
    known = np.isfinite(ours) & np.isfinite(theirs)
    scale = float((ours * theirs)[known].sum() / max((ours[known] ** 2).sum(), 1e-300))
    apart = ~np.eye(count, dtype=bool)
    return {
        "mae_exchanged": _mean(errors[apart]), "correlation_exchanged": _mean(alike[apart]),
        "mae_constant": float(np.nanmean(np.abs(theirs - np.nanmedian(theirs)))),
        "mae_mean_trial": _mean([np.nanmean(np.abs(one - two)) for one, two in zip(theirs, others, strict=False)]),
        "correlation_mean_trial": _mean([correlation(one, two) for one, two in zip(theirs, others, strict=False)]),
        "scale": scale, "mae_scaled": float(np.nanmean(np.abs(scale * ours - theirs))),
        "mae_p": _exchange_p(-errors, draws, seed, strata), "correlation_p": _exchange_p(alike, draws, seed, strata),
    }  # fmt: skip


def _correlations(ours: Trials, theirs: Trials) -> Float[np.ndarray, "trial trial"]:
    """Correlation of each trial of one side with each of the other, as :func:`correlation`."""
    known, there = (np.isfinite(side).astype(float) for side in (ours, theirs))
    one, two = (np.where(np.isfinite(side), side - np.nanmean(side), 0.0) for side in (ours, theirs))
    parts = (known @ there.T, one @ there.T, known @ two.T, one**2 @ there.T, known @ (two**2).T, one @ two.T)
    flat = [np.array([np.ptp(row[np.isfinite(row)]) == 0 for row in side]) for side in (ours, theirs)]
    unknown = (parts[0] < 3) | flat[0][:, None] | flat[1][None]
    return np.where(unknown, np.nan, pearson_of_sums(np.stack(parts, axis=1)))


def _mean(values: Sequence[float] | np.ndarray) -> float:
    """Mean of what is known; NaN where nothing is."""
    known = np.asarray(values, dtype=float)[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _exchange_p(
    agreement: Float[np.ndarray, "trial trial"], draws: int, seed: int, strata: Int[np.ndarray, " trial"]
) -> float:
    """Probability of a mean agreement of own trials as high if trials were exchanged; NaN where it is unknown."""
    keep = np.isfinite(agreement).all(axis=1)
    agreement = agreement[np.ix_(keep, keep)]
    try:
        exchanged = arrangements(strata[keep], draws, seed)
    except DataError:  # too few trials
        return float("nan")
    rows = np.arange(len(agreement))
    null = np.array([agreement[rows, order].mean() for order in exchanged.orders])
    return p_value(float(agreement[rows, rows].mean()), null, complete=exchanged.complete)


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


def condition_differences(
    fits: Sequence[MuscleFit], resampling: Resampling, levels: Levels | None = None
) -> list[ConditionDifference]:
    """Compare every pair of conditions on every muscle and signal, over the trials both have."""
    out = []
    for first, second in combinations(fits, 2):
        if (first.muscle, first.signal) != (second.muscle, second.signal) or first.condition == second.condition:
            continue
        one, two = common_places(first.trials, second.trials)
        units = resampling.of(levels or Levels(), [first.trials[place] for place in one])
        mae = paired_difference(first.trial_mae[one], second.trial_mae[two], "1", units)
        agreement = paired_difference(first.trial_correlation[one], second.trial_correlation[two], "1", units)
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
