"""What raw EMG is worth: mains, clipping, flat stretches, spikes, drift and amplitude, by channel and trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import signal

from reach_analysis.config import ChainConfig
from reach_analysis.data.emg import filtered
from reach_analysis.data.series import TrialSeries

Samples = Float[np.ndarray, " time"]
Spectrum = tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, " frequency"]]
"""Frequencies in Hz, and the power at each."""
MAINS_HZ = (50.0, 60.0)
MOST_MAINS, MOST_DRIFT = 0.1, 0.5
"""Shares of the power above which mains and drift are named."""
OUTSTANDING = 2.0
"""Power at a line over that of the frequencies around it from which it counts as mains."""
CLIPPED, NEXT = 3, 0.05
"""A channel is clipped where at least so many samples have its largest (or smallest) value, and more than there are in
this part of its range next to it."""
LONGEST_FLAT_S = 0.05
"""Stretch of equal samples above which a channel counts as flat."""
SPIKE = 3.0
"""Times the 99.9th percentile of the magnitude in the band above which a sample is a spike."""
WEAK = 0.1
"""Part of the median amplitude of all channels and trials below which a trial is weak."""


def trial_quality(raw: TrialSeries, chain: ChainConfig) -> list[dict[str, Any]]:
    """One row a trial and channel.

    ``rms``: amplitude in the band of the chain, in the unit of the recording. ``mains``: part of the power in the band
    at 50 or 60 Hz (``mains_hz``, the stronger) and harmonics, above the power at the frequencies around them.
    ``clipped``: part of the samples at the largest or smallest value of a channel that is clipped there. ``flat_s``:
    longest run of equal samples. ``spikes``: samples far above all others of the channel. ``drift``: part of the power,
    without the mean, below the band. ``problems``: what of this is beyond its bound, in words.
    """
    band = filtered(raw, chain.band_hz, chain.order)
    every, within = np.concatenate(raw.values), np.abs(np.concatenate(band.values))
    ends = [_clipping(column) for column in every.T]
    large = SPIKE * np.percentile(within, 99.9, axis=0)
    rows: list[dict[str, Any]] = []
    for trial, samples, inside in zip(raw.trials, raw.values, band.values, strict=True):
        for place, channel in enumerate(raw.channels):
            own = samples[:, place]
            spectrum = spectrum_of(own, raw.rate_hz)
            mains_hz, mains = mains_share(spectrum, chain)
            rows.append({
                "trial": trial, "channel": channel, "rms": float(np.sqrt((inside[:, place] ** 2).mean())),
                "offset": float(own.mean()), "mains_hz": mains_hz, "mains": mains,
                "clipped": float(np.isin(own, ends[place]).mean()), "flat_s": (_longest_run(own) - 1) / raw.rate_hz,
                "spikes": int((np.abs(inside[:, place]) > large[place]).sum()),
                "drift": _share_below(spectrum, chain.band_hz[0]),
            })  # fmt: skip
    usual = float(np.median([row["rms"] for row in rows if row["rms"] > 0] or [0.0]))
    return [row | {"problems": ", ".join(_problems(row, usual, raw))} for row in rows]


def _problems(row: dict[str, Any], usual: float, raw: TrialSeries) -> list[str]:
    size = np.ptp(raw.values[raw.trials.index(row["trial"])][:, raw.channels.index(row["channel"])])
    if not size > 0:
        return ["dead"]
    bounds = {
        "weak": row["rms"] < WEAK * usual, "mains": row["mains"] > MOST_MAINS, "clipped": row["clipped"] > 0,
        "flat": row["flat_s"] > LONGEST_FLAT_S, "spikes": row["spikes"] > 0, "drift": row["drift"] > MOST_DRIFT,
    }  # fmt: skip
    return [name for name, beyond in bounds.items() if beyond]


def channel_quality(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a channel: medians over trials, the worst trial where one spoils it, and how often each problem is."""
    out = []
    for channel in dict.fromkeys(row["channel"] for row in rows):
        own = [row for row in rows if row["channel"] == channel]
        problems = [problem for row in own for problem in filter(None, row["problems"].split(", "))]
        out.append(
            {"channel": channel, "trials": len(own)}
            | {key: float(np.median([row[key] for row in own])) for key in ("rms", "offset", "mains", "drift")}
            | {key: max(row[key] for row in own) for key in ("clipped", "flat_s")}
            | {"spikes": sum(row["spikes"] for row in own)}
            | {"mains_hz": max(own, key=lambda row: row["mains"])["mains_hz"]}
            | {"problems": ", ".join(f"{name} ({problems.count(name)})" for name in dict.fromkeys(problems))}
        )
    return out


def quality_notes(channels: Sequence[dict[str, Any]]) -> list[str]:
    """A note about the channels with problems; the number of trials with each is in brackets."""
    poor = [f"{row['channel']}: {row['problems']}" for row in channels
            if row["problems"] not in ("", f"dead ({row['trials']})")]  # fmt: skip
    return [f"Quality of the recording (number of trials with each problem): {'; '.join(poor)}."] if poor else []


def mains_share(spectrum: Spectrum, chain: ChainConfig) -> tuple[float, float]:
    """The stronger mains frequency, and its part of the power in the band with all harmonics."""
    low, high = chain.band_hz
    frequency, power = spectrum
    total = power[(frequency >= low) & (frequency <= high)].sum()
    shares = {}
    for mains in MAINS_HZ:
        excess = 0.0
        for line in np.arange(mains, high, mains):
            near = np.abs(frequency - line)
            at, around = near <= 2.0, (near > 3.0) & (near <= 10.0)
            usual = at.sum() * np.median(power[around]) if around.any() else np.inf
            excess += float(power[at].sum() - usual) if power[at].sum() > OUTSTANDING * usual else 0.0
        shares[mains] = excess / total if total > 0 else 0.0
    stronger = max(shares, key=lambda mains: shares[mains])
    return stronger, shares[stronger]


def _share_below(spectrum: Spectrum, high_hz: float) -> float:
    frequency, power = spectrum
    total = power.sum()
    return float(power[frequency < high_hz].sum() / total) if total > 0 else 0.0


def spectrum_of(samples: Samples, rate_hz: float) -> Spectrum:
    """Power spectrum, in windows of a second without their mean, where there are so many samples."""
    window = min(len(samples), round(rate_hz))
    return signal.welch(samples, rate_hz, nperseg=window)


def _clipping(samples: Samples) -> list[float]:
    """The ends of a channel's range at which it is clipped."""
    low, high = float(samples.min()), float(samples.max())
    reach = NEXT * (high - low)
    counts = {
        low: ((samples == low).sum(), ((samples > low) & (samples <= low + reach)).sum()),
        high: ((samples == high).sum(), ((samples < high) & (samples >= high - reach)).sum()),
    }
    return [end for end, (at, near) in counts.items() if low < high and at >= CLIPPED and at > near]


def _longest_run(samples: Samples) -> int:
    changes = np.flatnonzero(np.diff(samples))
    return int(np.diff(np.concatenate([[-1], changes, [len(samples) - 1]])).max())
