"""Kaplan-Meier survival with Greenwood's variance and a log-log interval.

Episodes that end because the clip ends have survived that long: they are censored, not counted as falls (paper B,
Fig. 2c).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm

from reach_analysis._common.errors import ConfigError, DataError


@dataclass(frozen=True)
class Survival:
    """A survival curve: a step function that is `survival[i]` from `time[i]` until the next time.

    Attributes:
        time: 0, then every duration at which an episode ended or was censored, ascending; in the unit of the durations.
        survival: fraction that survives beyond each time.
        low, high: pointwise interval; 1 before the first event, NaN where nothing survives.
        at_risk: episodes still running just before each time.
        events, censored: episodes that ended, or were last seen, at each time.
        level: coverage of the interval.
    """

    time: Float[np.ndarray, " step"]
    survival: Float[np.ndarray, " step"]
    low: Float[np.ndarray, " step"]
    high: Float[np.ndarray, " step"]
    at_risk: Int[np.ndarray, " step"]
    events: Int[np.ndarray, " step"]
    censored: Int[np.ndarray, " step"]
    level: float

    def at(self, time: float) -> tuple[float, float, float]:
        """Survival beyond `time` with its interval; NaN after the last episode was seen, unless none survived."""
        if time < 0 or (time > self.time[-1] and self.survival[-1] > 0):
            return float("nan"), float("nan"), float("nan")
        step = int(np.searchsorted(self.time, time, side="right")) - 1
        return float(self.survival[step]), float(self.low[step]), float(self.high[step])

    @property
    def median(self) -> float:
        """First time at which at most half survive; NaN when more than half do throughout."""
        below = np.flatnonzero(self.survival <= 0.5)
        return float(self.time[below[0]]) if len(below) else float("nan")


def kaplan_meier(
    duration: Float[np.ndarray, " episode"], ended: Bool[np.ndarray, " episode"], level: float = 0.95
) -> Survival:
    """Estimate survival from durations, some of them censored (Kaplan and Meier 1958).

    The interval is symmetric in log(-log S) (Kalbfleisch and Prentice 1980), with Greenwood's variance. Where nothing
    has ended yet there is no such interval, and that of the binomial stands in: n of n episodes (Clopper and Pearson
    1934).

    Args:
        duration: how long each episode was seen, 0 or more.
        ended: whether it ended then; otherwise it was last seen running.
        level: coverage of the interval.

    Raises:
        ConfigError: for a level outside 0 to 1.
        DataError: for no episodes, or durations that are negative or not finite.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1, got {level}")
    if not len(duration) or not (np.isfinite(duration) & (duration >= 0)).all():
        raise DataError("survival needs at least one episode, and durations that are finite and not negative")
    time, step = np.unique(np.concatenate([[0.0], duration]), return_inverse=True)
    step = step[1:]
    events = np.bincount(step[ended], minlength=len(time))
    censored = np.bincount(step[~ended], minlength=len(time))
    at_risk = len(duration) - np.concatenate([[0], np.cumsum(events + censored)[:-1]])
    survival = np.cumprod(1 - events / at_risk)
    left = at_risk - events
    variance = np.cumsum(np.where(left > 0, events / (at_risk * np.maximum(left, 1)), 0.0))
    inside = (survival > 0) & (survival < 1)
    log_survival = np.log(np.where(inside, survival, 0.5))
    reach = norm.ppf((1 + level) / 2) * np.sqrt(variance) / np.abs(log_survival)
    edge = np.where(survival > 0, 1.0, np.nan)
    low = np.where(inside, np.exp(log_survival * np.exp(reach)), edge * ((1 - level) / 2) ** (1 / at_risk))
    high = np.where(inside, np.exp(log_survival * np.exp(-reach)), edge)
    return Survival(time, survival, low, high, at_risk, events, censored, level)
