"""Systems with known truth: attractors, coupled maps, noise. For tests, calibration and speed figures."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from scipy.signal import lfilter


def lorenz(n: int, step_s: float = 0.05) -> np.ndarray:
    """(n, 3) states of the Lorenz system on its attractor."""
    solution = solve_ivp(
        lambda _, u: [10 * (u[1] - u[0]), u[0] * (28 - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]],
        (0, 20 + n * step_s), [1.0, 1.0, 1.0], t_eval=20 + step_s * np.arange(n), rtol=1e-9, atol=1e-9,
    )  # fmt: skip
    return solution.y.T


def coupled_logistic(n: int, x_on_y: float, y_on_x: float, start: tuple[float, float] = (0.4, 0.2)) -> np.ndarray:
    """(n, 2) logistic maps of Sugihara et al. (2012), figure 1, with the given couplings."""
    x, y = start
    rows = []
    for _ in range(n + 100):
        x, y = x * (3.8 - 3.8 * x - y_on_x * y), y * (3.5 - 3.5 * y - x_on_y * x)
        rows.append((x, y))
    return np.array(rows[100:])


def autoregressive(rng: np.random.Generator, n_trials: int, n: int, phi: float = 0.8) -> np.ndarray:
    """(n_trials, n) stationary first-order autoregressive noise."""
    return np.asarray(lfilter([1.0], [1.0, -phi], rng.normal(size=(n_trials, n + 100)), axis=1))[:, 100:]
