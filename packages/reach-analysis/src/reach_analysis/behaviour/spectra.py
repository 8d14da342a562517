"""High-frequency power of actions: how much a controller chatters (paper A, section 2.6 and Fig. 2A).

The paper asks for "10-1000 Hz" of actions at 400 Hz, which hold nothing above 200 Hz; bands are checked here against
the rate, and may end at half of it by leaving the upper edge open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.fft import dct, idct

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.data.series import TrialSeries


@dataclass(frozen=True)
class BandPower:
    """Power in a band."""

    low_hz: float
    """The band; the upper edge is at most half the rate."""
    high_hz: float
    trials: tuple[str, ...]
    channels: tuple[str, ...]
    power: Float[np.ndarray, "trial channel"]
    """Mean square within the band of each trial and channel, in squared units of the signal."""
    fraction: Float[np.ndarray, "trial channel"]
    """The same, as a fraction of the signal's variance; NaN where it does not vary."""
    resolution_hz: float
    """Width of one bin of the shortest trial."""


def check_band(low_hz: float, high_hz: float | None, rate_hz: float) -> tuple[float, float]:
    """The band, with an open upper edge closed at half the rate."""
    nyquist = rate_hz / 2
    high = nyquist if high_hz is None else high_hz
    nothing_above = f"signals sampled {rate_hz:g} times a second hold nothing above {nyquist:g} Hz (Nyquist)"
    if high > nyquist * (1 + 1e-9):
        raise ConfigError(
            f"band {low_hz:g}-{high:g} Hz: {nothing_above}; give a lower upper edge, or none for all there is"
        )
    if low_hz >= high and high_hz is None:
        raise ConfigError(f"low_hz: no band above {low_hz:g} Hz: {nothing_above}; set a lower edge")
    if not 0 <= low_hz < high:
        raise ConfigError(f"band {low_hz:g}-{high:g} Hz is empty")
    return float(low_hz), float(min(high, nyquist))


def spectrum(rows: Float[np.ndarray, "time channel"], rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """One-sided power spectral density of one trial, its mean taken away, from the trial and its mirror image.

    The cosine transform has no window: every sample counts alike, and the trial's ends do not jump.

    Returns:
        Frequencies in Hz, and density (frequency, channel) in squared units per Hz; its integral is the variance.
    """
    width = rate_hz / (2 * len(rows))
    return width * np.arange(len(rows)), _cosines(rows) ** 2 / (len(rows) * width)


def _cosines(rows: Float[np.ndarray, "time channel"]) -> Float[np.ndarray, "frequency channel"]:
    transformed: Any = dct(rows - rows.mean(axis=0), axis=0, norm="ortho")
    return transformed


def power_by_thirds(series: TrialSeries, low_hz: float, high_hz: float) -> Float[np.ndarray, " third"]:
    """Fraction of the power within a band in the first, middle and last third of the trials, mean over trials.

    NaN where there is no power.
    """
    shares = []
    for rows in series.values:
        frequency = series.rate_hz / (2 * len(rows)) * np.arange(len(rows))
        inside = (frequency >= low_hz) & (frequency <= high_hz)
        within: Any = idct(_cosines(rows) * inside[:, None], axis=0, norm="ortho")
        squares = (within**2).sum(axis=1)
        parts = np.array([part.sum() for part in np.array_split(squares, 3)])
        shares.append(parts / parts.sum() if parts.sum() > 0 else np.full(3, np.nan))
    known = [share for share in shares if np.isfinite(share).all()]
    return np.mean(known, axis=0) if known else np.full(3, np.nan)


def long_enough(series: TrialSeries, low_hz: float) -> list[str]:
    """Trials that hold two periods of a band's lower edge, by name."""
    shortest = max(8.0, 2 * series.rate_hz / low_hz if low_hz > 0 else 8.0)
    return [name for name, length in zip(series.trials, series.lengths, strict=True) if length >= shortest]


def band_power(series: TrialSeries, low_hz: float, high_hz: float | None = None) -> BandPower:
    """Power of every trial and channel within a band.

    A bin counts with the part of it inside the band, so that the power does not jump with the edges.
    """
    low, high = check_band(low_hz, high_hz, series.rate_hz)
    power = np.empty((len(series.trials), len(series.channels)))
    total = np.empty_like(power)
    for number, rows in enumerate(series.values):
        trial = series.trials[number]
        if not np.isfinite(rows).all():
            raise DataError(f"{series.name}: trial {trial!r} holds values that are not finite")
        if len(rows) < 8 or (low > 0 and len(rows) / series.rate_hz < 2 / low):
            raise DataError(
                f"{series.name}: trial {trial!r} lasts {1e3 * len(rows) / series.rate_hz:.4g} ms, less than two "
                f"periods of {low:g} Hz: it cannot separate frequencies above from those below"
            )
        frequency, density = spectrum(rows, series.rate_hz)
        width = frequency[1] - frequency[0]
        lower, upper = np.maximum(frequency - width / 2, 0.0), np.minimum(frequency + width / 2, series.rate_hz / 2)
        inside = np.clip(np.minimum(upper, high) - np.maximum(lower, low), 0.0, None)
        power[number] = inside @ density
        total[number] = (upper - lower) @ density
    shortest = min(series.lengths)
    with np.errstate(invalid="ignore"):
        fraction = np.where(total > 0, power / total, np.nan)
    return BandPower(low, high, series.trials, series.channels, power, fraction, series.rate_hz / (2 * shortest))


def mean_spectrum(series: TrialSeries) -> tuple[np.ndarray, np.ndarray]:
    """Density averaged over trials and channels, on the frequencies of the shortest trial."""
    shortest = min(series.lengths, default=0)
    if shortest < 2:
        raise DataError(f"{series.name}: no trial is long enough for a spectrum")
    densities = [spectrum(rows[:shortest], series.rate_hz) for rows in series.values]
    return densities[0][0], np.mean([density.mean(axis=1) for _, density in densities], axis=0)
