"""Raw EMG of known activation: noise in the band of EMG, its amplitude set by the activation, at 30 kHz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from reach_analysis.data.emg import butterworth
from reach_analysis.data.series import TrialSeries


@dataclass(frozen=True)
class EmgSettings:
    """What is drawn."""

    rate_hz: float = 30_000.0
    band_hz: tuple[float, float] = (60.0, 700.0)
    """Band of the noise that the activation modulates."""
    lead_s: float = 0.15
    """Recording before the reach starts."""
    tail_s: float = 0.15
    """Recording after the activation ends."""
    noise: float = 0.02
    """Amplitude of noise without activation, of the amplitude at full activation."""
    drift: float = 0.5
    """Amplitude of a slow drift of the baseline."""
    full_scale_v: float = 2e-4
    """Mean rectified amplitude at full activation, V."""
    frame_rate_hz: float = 200.0
    """Frames a second the trial table counts in."""
    seed: int = 0


def make_emg(activation: TrialSeries, settings: EmgSettings) -> TrialSeries:
    """Raw EMG whose mean rectified amplitude follows `activation`.

    Time 0 is the start of each row; the reach starts `lead_s` later. Before and after the
    activation the muscle keeps its first and last value.
    """
    rng = np.random.default_rng(settings.seed)
    sections = butterworth(settings.band_hz, 4, settings.rate_hz)
    values = []
    for rows in activation.values:
        duration = settings.lead_s + len(rows) / activation.rate_hz + settings.tail_s
        time = np.arange(round(duration * settings.rate_hz)) / settings.rate_hz
        middle = (np.arange(len(rows)) + 0.5) / activation.rate_hz + settings.lead_s
        level = np.stack([np.interp(time, middle, column) for column in rows.T], axis=1)
        white = rng.normal(size=(len(time) + 3000, rows.shape[1]))
        carrier = signal.sosfilt(sections, white, axis=0)[3000:]
        carrier /= np.sqrt(2 / np.pi) * _noise_deviation(sections)
        drift = settings.drift * np.sin(2 * np.pi * (3 * time[:, None] + rng.uniform(size=rows.shape[1])))
        values.append(settings.full_scale_v * ((level + settings.noise) * carrier + drift))
    start = np.zeros(len(values))
    return TrialSeries("EMG", "V", settings.rate_hz, activation.trials, activation.channels, tuple(values), start)


def _noise_deviation(sections: np.ndarray) -> float:
    """Standard deviation of white noise after a filter."""
    impulse = np.zeros(1 << 15)
    impulse[0] = 1.0
    return float(np.linalg.norm(signal.sosfilt(sections, impulse)))
