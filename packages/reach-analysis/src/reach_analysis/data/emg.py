"""From raw EMG to envelopes that can be compared with simulated muscle activation (paper A, section 2.2).

Band-pass, rectification, envelope, window around the reach, block average, a fixed number of samples, division by a
percentile over all trials. Each step is a function of a series; `chain` holds the settings of all,
and is saved with the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import signal

from reach_analysis._common.errors import ConfigError, DataError, MismatchError, raise_all, shorten
from reach_analysis.config import ChainConfig
from reach_analysis.data.recordings import MARGIN_S, TrialTable
from reach_analysis.data.series import TrialSeries, resample


@dataclass(frozen=True)
class Emg:
    """Envelopes and how they came about."""

    envelope: TrialSeries
    """Normalised envelopes; time 0 is the start of the reach."""
    scale: dict[str, float]
    """Muscle -> what was divided by, in the unit of the recording."""
    unit: str
    raw_rate_hz: float
    left_out: dict[str, str]
    """Trial -> why it is not there."""
    chain: ChainConfig


def check_chain(chain: ChainConfig, raw_rate_hz: float) -> None:
    """Refuse settings that contradict each other or the rate of the recording.

    Raises:
        ConfigError: listing all that is wrong.
    """
    if len(chain.band_hz) != 2 or len(chain.window_s) not in (0, 2):
        raise ConfigError(f"band_hz and window_s have two edges each, got {chain.band_hz} and {chain.window_s}")
    faults = []
    for edges in (chain.band_hz, (chain.envelope_hz,), *([(chain.notch_hz,)] if chain.notch_hz else [])):
        try:
            require_band(edges, raw_rate_hz)
        except ConfigError as error:
            faults.append(str(error))
    begin, end = chain.window_s or (0.0, np.inf)
    if not end > begin:
        faults.append(f"the window {begin:g} to {end:g} s is empty")
    ratio = raw_rate_hz / chain.rate_hz if chain.rate_hz > 0 else 0.0
    # a synchronised clock is a little off; means over fractions of samples are exact
    if ratio < 1 - CLOCK or (chain.samples and abs(ratio - round(ratio)) > CLOCK * ratio):
        faults.append(
            f"{raw_rate_hz:g} samples a second do not fall into whole blocks of {chain.rate_hz:g} a second "
            f"({ratio:g} samples a block); are the rates of recording and result right? If so, "
            "chain.samples=null takes the whole window in place of a number of samples"
        )
    if chain.samples is not None and chain.samples > np.round((end - begin) * chain.rate_hz):
        faults.append(
            f"{chain.samples} samples at {chain.rate_hz:g} Hz last {1e3 * chain.samples / chain.rate_hz:g} ms, but the "
            f"window lasts {1e3 * (end - begin):g} ms: samples would be stretched over another time"
        )
    if not 0 < chain.percentile <= 100:
        faults.append(f"percentile: expected 0 to 100, got {chain.percentile:g}")
    raise_all(ConfigError, "EMG chain", faults)


def process(raw: TrialSeries, table: TrialTable, chain: ChainConfig, *, mvc: TrialSeries | None = None) -> Emg:
    """Run the whole chain.

    Args:
        raw: trials whose time 0 is the start of each recorded row.
        table: when each reach starts, on the same clock.
        chain: settings.
        mvc: maximal contractions of the same channels, whose largest envelope becomes 1; None: the percentile.

    Raises:
        ConfigError: for settings that contradict the recording.
        MismatchError: when recording and table share no trial, or windows are outside the recorded rows.
        DataError: when a trial cannot be filtered or an envelope has no amplitude.
    """
    check_chain(chain, raw.rate_hz)
    left_out = dict(table.left_out)
    common = [name for name in raw.trials if name in table.trials]
    if not common:
        raise MismatchError(
            f"{raw.name} and {table.source} share no trial: {shorten(raw.trials, 4)} against {shorten(table.trials, 4)}"
        )
    left_out |= {name: f"is not in {table.source}" for name in raw.trials if name not in (*table.trials, *left_out)}
    raw = raw.take(common)
    rows = [table.trials.index(name) for name in common]
    start, end = table.start_s[rows], table.end_s[rows]
    if chain.window_s:
        _require_inside(raw, start, chain, table)
        end = start + chain.window_s[1]
    edges = start, (chain.window_s or [0.0])[0], end
    blocks = first_samples(resample(windows(envelope_of(raw, chain), *edges), chain.rate_hz), chain.samples)
    _require_amplitude(windows(raw, *edges), blocks)
    blocks, rest = without_rest(blocks, chain.baseline)
    normalised, scale = normalise(blocks, chain.percentile, _largest(mvc, chain, rest))
    return Emg(replace(normalised, name="EMG envelope"), scale, raw.unit, raw.rate_hz, left_out, chain)


def without_rest(series: TrialSeries, percentile: float | None) -> tuple[TrialSeries, Float[np.ndarray, " channel"]]:
    """Subtract a percentile of each channel over all samples of all its trials; below it the envelope is 0."""
    if percentile is None:
        return series, np.zeros(len(series.channels))
    rest = np.percentile(series.rows()[0], percentile, axis=0)
    return series.map(lambda rows: np.maximum(rows - rest, 0.0)), rest


def _largest(mvc: TrialSeries | None, chain: ChainConfig, rest: np.ndarray) -> Float[np.ndarray, " channel"] | None:
    """Largest envelope of each channel above its rest in maximal contractions, where filters have settled."""
    if mvc is None:
        return None
    edges = mvc.start_s, MARGIN_S, mvc.start_s + np.array(mvc.lengths) / mvc.rate_hz - MARGIN_S
    blocks = resample(windows(envelope_of(mvc, chain), *edges), chain.rate_hz)
    _require_amplitude(windows(mvc, *edges), blocks)
    return blocks.rows()[0].max(axis=0) - rest


def windows(
    series: TrialSeries, zero_s: Float[np.ndarray, " trial"], begin_s: float, end_s: Float[np.ndarray, " trial"]
) -> TrialSeries:
    """Cut each trial from `begin_s` after its own time zero to its `end_s`; times count from its time zero.

    The grid of samples starts at the window's begin, up to half a raw sample.
    """
    first = np.round((zero_s + begin_s - series.start_s) * series.rate_hz).astype(int)
    counts = np.ceil((end_s - zero_s - begin_s) * series.rate_hz - 1e-6).astype(int)
    values = tuple(rows[max(0, k) : k + n] for rows, k, n in zip(series.values, first, counts, strict=True))
    return replace(series, values=values, start_s=np.full(len(values), float(begin_s)))


def first_samples(series: TrialSeries, count: int | None) -> TrialSeries:
    """Keep the first `count` samples of each trial.

    Raises:
        DataError: when a trial has fewer.
    """
    if count is None:
        return series
    short = [name for name, length in zip(series.trials, series.lengths, strict=True) if length < count]
    if short:
        raise DataError(f"{series.name}: fewer than {count} samples in trials {shorten(short)}")
    return series.map(lambda rows: rows[:count])


def normalise(
    series: TrialSeries, percentile: float, largest: Float[np.ndarray, " channel"] | None = None
) -> tuple[TrialSeries, dict[str, float]]:
    """Divide each channel by a percentile over all samples of all its trials, or by its `largest` value elsewhere.

    Raises:
        DataError: for a channel whose percentile is not positive.
    """
    rows, _ = series.rows()
    scale = np.percentile(rows, percentile, axis=0) if largest is None else largest
    flat = [name for name, value in zip(series.channels, scale, strict=True) if not value > 0]
    if flat:
        raise DataError(f"{series.name}: no amplitude to divide by in {shorten(flat)}; was the electrode connected?")
    return (
        series.map(lambda values: values / scale, unit="1"),
        dict(zip(series.channels, scale.tolist(), strict=True)),
    )


def _require_amplitude(raw: TrialSeries, envelope: TrialSeries) -> None:
    """Refuse envelopes of windows in which an electrode was off, stuck at one number, or only drifted along a line.

    They are rounding, or what the filters ring from before the window.
    """
    dead = []
    for trial, recorded, rows in zip(raw.trials, raw.values, envelope.values, strict=True):
        least = LEAST_AMPLITUDE * np.abs(recorded).max(axis=0)
        lost = (rows.max(axis=0) <= least) | (np.ptp(np.diff(recorded, axis=0), axis=0) <= least)
        dead += [f"{channel} in trial {trial!r}" for channel, own in zip(raw.channels, lost, strict=True) if own]
    if dead:
        raise DataError(f"{raw.name}: no amplitude to divide by in {shorten(dead, 4)}; was the electrode connected?")


def _require_inside(raw: TrialSeries, start_s: np.ndarray, chain: ChainConfig, table: TrialTable) -> None:
    """Refuse windows that reach outside what was recorded: usually a rate is wrong."""
    faults = []
    last = chain.window_s[0] + (chain.samples / chain.rate_hz if chain.samples else 1 / chain.rate_hz)
    for name, begin, rows, zero in zip(raw.trials, raw.start_s, raw.values, start_s, strict=True):
        end = begin + len(rows) / raw.rate_hz
        if zero + chain.window_s[0] < begin - 1e-9 or zero + last > end + 1e-9:
            faults.append(
                f"trial {name!r}: the window {zero + chain.window_s[0]:.4g} to {zero + last:.4g} s is outside the "
                f"recorded {begin:.4g} to {end:.4g} s"
            )
    if faults:
        rates = f"the EMG is read at {raw.rate_hz:g} samples a second, {table.rate_note}; is one of these wrong?"
        shown: Sequence[str] = faults if len(faults) <= 5 else [*faults[:5], f"and {len(faults) - 5} trials more"]
        raise_all(MismatchError, f"{raw.name} and {table.source}", [*shown, rates])


CLOCK = 1e-3
"""Part by which the rate of a recording may differ from a whole multiple of the rate of envelopes."""
NOTCH_HZ = 2.0
"""Width of a notch at -3 dB, one way."""
LEAST_AMPLITUDE = 1e-9
"""Part of the largest raw value of a trial below which an envelope is rounding."""

Sections = Float[np.ndarray, "section 6"]


def butterworth(cutoffs_hz: Sequence[float], order: int, rate_hz: float) -> Sections:
    """Second-order sections of a Butterworth filter: low-pass for one cut-off, band-pass for two.

    A band-pass of order n has 2 n poles, as everywhere in the field (scipy, MATLAB).

    Raises:
        ConfigError: when a cut-off is not between 0 and half the rate, or the band is empty.
    """
    require_band(cutoffs_hz, rate_hz)
    if order < 1:
        raise ConfigError(f"the order of a filter must be at least 1, got {order}")
    kind = "lowpass" if len(cutoffs_hz) == 1 else "bandpass"
    band = cutoffs_hz[0] if len(cutoffs_hz) == 1 else list(cutoffs_hz)
    return np.asarray(signal.butter(order, band, btype=kind, fs=rate_hz, output="sos"))


def require_band(edges_hz: Sequence[float], rate_hz: float) -> None:
    """Refuse a band that signals at this rate cannot have.

    Raises:
        ConfigError: naming the rate, half of it, and the band.
    """
    nyquist = rate_hz / 2
    if len(edges_hz) not in (1, 2):
        raise ConfigError(f"a band has one or two edges, got {list(edges_hz)}")
    if not all(np.isfinite(edge) and edge > 0 for edge in edges_hz):
        raise ConfigError(f"band edges must be positive frequencies, got {list(edges_hz)} Hz")
    if max(edges_hz) >= nyquist:
        example = f", as band_hz=[{edges_hz[0]:g},{0.9 * nyquist:g}]" if edges_hz[0] < 0.9 * nyquist else ""
        raise ConfigError(
            f"{max(edges_hz):g} Hz cannot be in signals sampled {rate_hz:g} times a second: the highest frequency they "
            f"hold is {nyquist:g} Hz (Nyquist); choose a band below it{example}"
        )
    if len(edges_hz) == 2 and edges_hz[0] >= edges_hz[1]:
        raise ConfigError(f"the band {edges_hz[0]:g}-{edges_hz[1]:g} Hz is empty")


def filtered(series: TrialSeries, cutoffs_hz: Sequence[float], order: int = 4) -> TrialSeries:
    """Filter each trial forwards and backwards: a low-pass for one cut-off, a band-pass for two.

    Raises:
        ConfigError: as for :func:`butterworth`.
        DataError: when a trial is too short for the filter or holds values that are not finite.
    """
    sections = butterworth(cutoffs_hz, order, series.rate_hz)
    shortest = 3 * (2 * len(sections) + 1) + 1
    for trial, rows in zip(series.trials, series.values, strict=True):
        if len(rows) < shortest:
            raise DataError(f"{series.name}: trial {trial!r} has {len(rows)} samples; filtering needs {shortest}")
        if not np.isfinite(rows).all():
            counts = zip(series.channels, (~np.isfinite(rows)).sum(axis=0), strict=True)
            held = shorten([f"{count} in {name}" for name, count in counts if count], 4)
            raise DataError(f"{series.name}: trial {trial!r} holds missing values: {held}; leave out it or the channel")
    return series.map(lambda rows: signal.sosfiltfilt(sections, rows, axis=0))


def notched(series: TrialSeries, mains_hz: float, highest_hz: float) -> TrialSeries:
    """Remove the mains frequency and its harmonics up to `highest_hz`, forwards and backwards."""
    for frequency in np.arange(mains_hz, min(highest_hz, series.rate_hz / 2 - 1), mains_hz):
        b, a = signal.iirnotch(frequency, frequency / NOTCH_HZ, fs=series.rate_hz)
        series = series.map(lambda rows, b=b, a=a: signal.filtfilt(b, a, rows, axis=0))
    return series


def envelope_of(raw: TrialSeries, chain: ChainConfig) -> TrialSeries:
    """Band-pass, full-wave rectification and low-pass, at the rate of the recording.

    The low-pass swings below 0 next to a burst; an envelope has no such values, so they become 0.
    """
    if chain.notch_hz:
        raw = notched(raw, chain.notch_hz, chain.band_hz[1])
    rectified = filtered(raw, chain.band_hz, chain.order).map(np.abs)
    return filtered(rectified, (chain.envelope_hz,), chain.order).map(lambda rows: np.maximum(rows, 0.0))
