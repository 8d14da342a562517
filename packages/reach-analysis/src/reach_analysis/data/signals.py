"""Filters and rectification of trials: each takes a series and returns one, with its times, names and unit kept.

Butterworth filters are second-order sections, run forwards and backwards, which shifts nothing in time and squares the
magnitude response: at its cut-off such a filter lets one half of the amplitude through, not 0.71.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import signal

from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.data.series import TrialSeries

Sections = Float[np.ndarray, "section 6"]


def butterworth(cutoffs_hz: Sequence[float], order: int, rate_hz: float) -> Sections:
    """Second-order sections of a Butterworth filter: low-pass for one cut-off, band-pass for two.

    A band-pass of order n has 2 n poles, as everywhere in the field (scipy, MATLAB).

    Raises:
        ConfigError: when a cut-off does not lie between 0 and half the rate, or the band is empty.
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
        raise ConfigError(
            f"{max(edges_hz):g} Hz cannot be in signals sampled {rate_hz:g} times a second: the highest frequency they "
            f"hold is {nyquist:g} Hz (Nyquist); choose a band below it"
        )
    if len(edges_hz) == 2 and edges_hz[0] >= edges_hz[1]:
        raise ConfigError(f"the band {edges_hz[0]:g}-{edges_hz[1]:g} Hz is empty")


def filtered(series: TrialSeries, sections: Sections, name: str) -> TrialSeries:
    """Filter each trial forwards and backwards.

    Raises:
        DataError: when a trial is too short for the filter or holds values that are not finite.
    """
    shortest = 3 * (2 * len(sections) + 1) + 1
    for trial, rows in zip(series.trials, series.values, strict=True):
        if len(rows) < shortest:
            raise DataError(f"{series.name}: trial {trial!r} has {len(rows)} samples; filtering needs {shortest}")
        if not np.isfinite(rows).all():
            raise DataError(f"{series.name}: trial {trial!r} holds {int((~np.isfinite(rows)).sum())} missing values")
    return series.map(lambda rows: signal.sosfiltfilt(sections, rows, axis=0), name=name)


def band_pass(series: TrialSeries, low_hz: float, high_hz: float, order: int = 4) -> TrialSeries:
    """Keep what lies between two frequencies."""
    return filtered(
        series, butterworth((low_hz, high_hz), order, series.rate_hz), f"{series.name}, {low_hz:g}-{high_hz:g} Hz"
    )


def low_pass(series: TrialSeries, cutoff_hz: float, order: int = 4) -> TrialSeries:
    """Keep what lies below a frequency."""
    return filtered(series, butterworth((cutoff_hz,), order, series.rate_hz), f"{series.name}, below {cutoff_hz:g} Hz")


def rectify(series: TrialSeries) -> TrialSeries:
    """Full-wave rectification."""
    return series.map(np.abs, name=f"rectified {series.name}")
