"""Autoregressive noise, for speed figures and calibration."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter


def autoregressive(rng: np.random.Generator, n_trials: int, n: int, phi: float = 0.8) -> np.ndarray:
    """(n_trials, n) stationary first-order autoregressive noise."""
    return np.asarray(lfilter([1.0], [1.0, -phi], rng.normal(size=(n_trials, n + 100)), axis=1))[:, 100:]
