"""What a file of any format holds: channels with names, units and rates."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.signal import detrend

TIME = re.compile(r"(time|times|timestamps?|seconds?|t)([\s_(\[].*)?$|.*time series", re.IGNORECASE)
"""Names of what holds the time of each sample; others end with a unit of time."""
CLOCKS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "min": 60.0}
"""Units of time, in s."""
VOLTS = {"v": 1.0, "volt": 1.0, "volts": 1.0, "mv": 1e-3, "uv": 1e-6, "µv": 1e-6, "μv": 1e-6, "nv": 1e-9}
"""Units of channels that may be EMG, in lower case, in V."""


@dataclass(frozen=True)
class Analog:
    """Channels of one file."""

    path: Path
    names: tuple[str, ...]
    units: tuple[str, ...]
    """Unit of each channel; empty where the file does not say it."""
    rates_hz: tuple[float, ...]
    """Rate of each channel; NaN where the file does not hold it."""
    values: tuple[Float[np.ndarray, " time"], ...]


def numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Names, with their number where they repeat."""
    return tuple(
        name if names.count(name) == 1 else f"{name} {list(names[: place + 1]).count(name)}"
        for place, name in enumerate(names)
    )


def unit_of(name: str, known: Container[str] = VOLTS) -> str:
    """Unit at the end of a name: in brackets (``EMG [mV]``), or one of the `known`, as in ``time_ms``; else empty."""
    if match := re.search(r"[\[(](\S+)[\])]\s*$", name):
        return match[1]
    _, *rest = re.split(r"[\s_]+", name.strip())
    return rest[-1] if rest and rest[-1].lower() in known else ""


def is_time(name: str) -> bool:
    """Whether a name is that of times."""
    return bool(TIME.match(name) or unit_of(name, CLOCKS).lower() in CLOCKS)


def clock_rate(times: Float[np.ndarray, " time"], name: str = "") -> float:
    """Samples a second of times, in the unit at the end of their `name`, else s; NaN where they do not rise evenly.

    Times may be rounded to so few digits that they repeat.
    """
    steps = np.diff(times)
    if len(steps) < 3 or steps.min() < 0 or not times[-1] > times[0]:
        return np.nan
    scale = CLOCKS.get(unit_of(name, CLOCKS).lower(), 1.0)
    if steps.min() > 0 and steps.max() < 1.5 * steps.mean():
        return len(steps) / (times[-1] - times[0]) / scale
    digits = next((digits for digits in range(7) if np.allclose(times, np.round(times, digits), rtol=0, atol=1e-9)), 9)
    if np.abs(detrend(times)).max() > 0.6 * 10.0**-digits:
        return np.nan
    return 1 / np.polyfit(np.arange(len(times)), times - times[0], 1)[0] / scale
