"""Systems with known truth: attractors and coupled maps."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp


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


def henon(n: int, start: tuple[float, float]) -> np.ndarray:
    """(n, 2) states of Hénon's map."""
    x, y = start
    rows = []
    for _ in range(n + 100):
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
        rows.append((x, y))
    return np.array(rows[100:])
