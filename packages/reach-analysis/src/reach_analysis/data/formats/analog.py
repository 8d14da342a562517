"""What a file of any format holds: channels with names, units and rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float


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
