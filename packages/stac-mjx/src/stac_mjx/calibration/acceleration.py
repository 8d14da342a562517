"""Anderson acceleration: fewer rounds for an alternation that creeps along directions its data determine weakly.

An alternation repeats x <- g(x) until nothing moves. Where it is slow, its last steps tell where it is heading: the
next x is the combination of the last results g(x_i) whose steps g(x_i) - x_i cancel best (Walker and Ni 2011, Anderson
acceleration for fixed-point iterations, SIAM Journal on Numerical Analysis 49:1715). Near a solution this is a
quasi-Newton method, for the price of a least-squares problem of a few unknowns.
"""

from __future__ import annotations

from collections import deque

import numpy as np

DEPTH = 4
"""Earlier rounds that are combined with the last one."""
SMALLEST = 1e-3
"""Differences between steps that are smaller than this part of the largest, in any combination, are left out: noise."""


class Anderson:
    """Remembers the last rounds of an alternation and proposes what to go on from."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._rounds: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=depth + 1)

    def propose(self, x: np.ndarray, result: np.ndarray) -> np.ndarray:
        """What to try next, of the shape of `x`, after a round led from `x` to `result`; the first time `result`."""
        self._rounds.append((x.ravel().copy(), result.ravel().copy()))
        if len(self._rounds) == 1:
            return result
        results = np.array([g for _, g in self._rounds])
        steps = results - [x for x, _ in self._rounds]
        share = np.linalg.lstsq(np.diff(steps, axis=0).T, steps[-1], rcond=SMALLEST)[0]
        return (results[-1] - np.diff(results, axis=0).T @ share).reshape(x.shape)

    def forget(self) -> None:
        """Start anew, after a proposal that made things worse."""
        self._rounds.clear()
