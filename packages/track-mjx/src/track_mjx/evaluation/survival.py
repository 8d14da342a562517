"""How long clips are followed before an episode ends: the survival curve of paper B, section 2.2 and Fig. 2c.

The protocol is the paper's: "at a threshold deviation distance from the reference pose, we terminated the episode and
reset the environment by realigning the pose to the reference at that timestep"; the curve is "the fraction of episodes
which were not yet terminated" against the time since the episode began. An episode that reaches the end of its
recording has not failed there, so it counts as long as it could be watched and no longer: the curve is the
product-limit estimate (Kaplan and Meier 1958), equal to the plain fraction where no recording ends early.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Episodes(NamedTuple):
    """Episodes of played clips.

    Attributes:
        clip: row of the clip each belongs to.
        steps: control steps it lasted, the last one included.
        ended: it ended early; otherwise the clip did.
    """

    clip: Int[np.ndarray, " episode"]
    steps: Int[np.ndarray, " episode"]
    ended: Bool[np.ndarray, " episode"]


class Survival(NamedTuple):
    """A survival curve; entry k belongs to k control steps after the start of an episode.

    Attributes:
        unterminated: fraction of episodes that have not ended early.
        low, high: 95 % interval: Wilson's score with the sample size that Greenwood's variance stands for, the number
            watched where that variance is 0 (Rothman 1978); episodes count as independent of each other.
        watched: episodes that were watched this long.
    """

    unterminated: Float[np.ndarray, " step"]
    low: Float[np.ndarray, " step"]
    high: Float[np.ndarray, " step"]
    watched: Int[np.ndarray, " step"]


def episodes_of(ended: Bool[np.ndarray, "clip step"], n_steps: Int[np.ndarray, " clip"]) -> Episodes:
    """Cut clips into episodes.

    Args:
        ended: an episode ended early in this step.
        n_steps: steps of each clip that were played.
    """
    clips, steps, early = [], [], []
    for clip, n in enumerate(n_steps.tolist()):
        ends = (np.flatnonzero(ended[clip, :n]) + 1).tolist()
        borders = [0, *ends, *([] if ends and ends[-1] == n else [n])]
        for k, (begin, end) in enumerate(pairwise(borders)):
            clips.append(clip)
            steps.append(end - begin)
            early.append(k < len(ends))
    return Episodes(np.asarray(clips, np.int64), np.asarray(steps, np.int64), np.asarray(early, bool))


def survival(episodes: Episodes) -> Survival:
    """The survival curve from 0 steps to the longest episode."""
    longest = int(episodes.steps.max(initial=0))
    time = np.arange(longest + 1)
    watched = (episodes.steps[:, None] >= time).sum(0)
    fell = ((episodes.steps[:, None] == time) & episodes.ended[:, None]).sum(0)
    curve = np.cumprod(1 - fell / np.maximum(watched, 1))
    left = watched - fell
    hazard = np.divide(fell, watched * left, out=np.zeros(longest + 1), where=left > 0)
    # Greenwood: Var S = S^2 sum d / (n (n - d)), and a fraction S of a sample of size m has the variance S (1 - S) / m
    spread = curve * np.cumsum(hazard)
    size = np.divide(1 - curve, spread, out=watched.astype(np.float64), where=spread > 1e-12)
    low, high = wilson(curve, size)
    return Survival(curve, low, high, watched)


def wilson(
    part: Float[np.ndarray, " *n"], size: Float[np.ndarray, " *n"]
) -> tuple[Float[np.ndarray, " *n"], Float[np.ndarray, " *n"]]:
    """95 % interval of a fraction of a sample of this size (Wilson 1927)."""
    z2 = 1.959964**2
    size = np.maximum(size, 1e-9)
    centre = (part + z2 / (2 * size)) / (1 + z2 / size)
    half = np.sqrt(z2 * (part * (1 - part) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return np.clip(centre - half, 0, part), np.clip(centre + half, part, 1)


def half_life(curve: Survival, dt: float) -> float | None:
    """Time at which half of the episodes have ended, s; None where fewer end."""
    below = np.flatnonzero(curve.unterminated <= 0.5)
    return float(below[0] * dt) if len(below) else None
