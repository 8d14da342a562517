"""Survival of episodes: the product-limit estimate (Kaplan and Meier 1958) with a log-log interval.

The protocol is that of paper B, section 2.2 and Fig. 2c: "at a threshold deviation distance from the reference pose, we
terminated the episode and reset the environment by realigning the pose to the reference at that timestep"; the curve is
"the fraction of episodes which were not yet terminated" against the time since the episode began. An episode that
reaches the end of its clip has survived that long. It is censored there, not counted as an end.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .errors import ConfigError, DataError


class Episodes(NamedTuple):
    """Episodes of played clips."""

    clip: Int[np.ndarray, " episode"]
    """Row of the clip."""
    steps: Int[np.ndarray, " episode"]
    """Control steps it lasted, including the last one."""
    ended: Bool[np.ndarray, " episode"]
    """Whether it ended early; otherwise the clip ended."""


def episodes_of(ended: Bool[np.ndarray, "clip step"], n_steps: Int[np.ndarray, " clip"]) -> Episodes:
    """Cut clips, of which `n_steps` were played, into episodes; `ended` marks steps in which one ended early."""
    rows: list[tuple[int, int, bool]] = []
    for clip, n in enumerate(n_steps.tolist()):
        ends = (np.flatnonzero(ended[clip, :n]) + 1).tolist()
        borders = [0, *ends, *([] if ends and ends[-1] == n else [n])]
        rows += [(clip, end - begin, k < len(ends)) for k, (begin, end) in enumerate(pairwise(borders))]
    clips, steps, early = np.array(rows, np.int64).reshape(-1, 3).T
    return Episodes(clips, steps, early.astype(bool))


@dataclass(frozen=True)
class Survival:
    """A survival curve: a step function that is `survival[i]` from `time[i]` until the next time."""

    time: Float[np.ndarray, " step"]
    """0, each duration, and each requested time, ascending; in the unit of the durations."""
    survival: Float[np.ndarray, " step"]
    """Fraction that survives beyond each time."""
    low: Float[np.ndarray, " step"]
    """Lower end of the pointwise interval; see `kaplan_meier`."""
    high: Float[np.ndarray, " step"]
    at_risk: Int[np.ndarray, " step"]
    """Episodes that lasted at least until each time."""
    events: Int[np.ndarray, " step"]
    """Episodes that ended early at each time."""
    censored: Int[np.ndarray, " step"]
    """Episodes whose clip ended at each time."""

    def at(self, time: float) -> tuple[float, float, float]:
        """Return survival beyond `time` with its interval; NaN after the last episode, unless none survived."""
        if time < 0 or (time > self.time[-1] and self.survival[-1] > 0):
            return float("nan"), float("nan"), float("nan")
        step = int(np.searchsorted(self.time, time, side="right")) - 1
        return float(self.survival[step]), float(self.low[step]), float(self.high[step])

    @property
    def median(self) -> float:
        """First time at which at most half survive; NaN if more than half survive throughout."""
        below = np.flatnonzero(self.survival <= 0.5 + 1e-12)  # half of an even number is a product of fractions
        return float(self.time[below[0]]) if len(below) else float("nan")


def kaplan_meier(
    duration: Float[np.ndarray, " episode"],
    ended: Bool[np.ndarray, " episode"],
    level: float = 0.95,
    times: Sequence[float] | np.ndarray = (),
) -> Survival:
    """Estimate survival from durations, some of them censored.

    The interval is symmetric in log(-log S) with Greenwood's variance (Kalbfleisch and Prentice 1980). Before the first
    end it does not exist: there the binomial interval for n of n episodes is given (Clopper and Pearson 1934). Where
    nothing survives it does not exist either, and is NaN. The curve has a step at every duration and at `times`.
    """
    from scipy.stats import CensoredData, ecdf  # loads slowly

    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}")
    if not len(duration) or not (np.isfinite(duration) & (duration >= 0)).all():
        raise DataError("survival needs at least one episode, and durations that are finite and not negative")
    time = np.unique(np.concatenate([[0.0], duration, times]))
    step = np.searchsorted(time, duration)
    events = np.bincount(step[ended], minlength=len(time))
    censored = np.bincount(step[~ended], minlength=len(time))
    at_risk = len(duration) - np.concatenate([[0], np.cumsum(events + censored)[:-1]])
    estimate = ecdf(CensoredData.right_censored(duration, ~ended)).sf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        interval = estimate.confidence_interval(level, method="log-log")
    survival, low, high = (curve.evaluate(time) for curve in (estimate, interval.low, interval.high))
    whole = survival == 1
    low = np.where(whole, ((1 - level) / 2) ** (1 / np.maximum(at_risk, 1)), np.where(survival > 0, low, np.nan))
    high = np.where(whole, 1.0, np.where(survival > 0, high, np.nan))
    return Survival(time, survival, low, high, at_risk, events, censored)
