"""How long clips are followed before an episode ends (paper B, section 2.2 and Fig. 2c).

The protocol is the paper's: "at a threshold deviation distance from the reference pose, we terminated the episode and
reset the environment by realigning the pose to the reference at that timestep"; the curve is "the fraction of episodes
which were not yet terminated" against the time since the episode began.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from track_mjx._common.survival import Survival, kaplan_meier


class Episodes(NamedTuple):
    """Episodes of played clips."""

    clip: Int[np.ndarray, " episode"]
    """Row of the clip."""
    steps: Int[np.ndarray, " episode"]
    """Control steps it lasted, including the last one."""
    ended: Bool[np.ndarray, " episode"]
    """Whether it ended early; otherwise the clip ended."""


def episodes_of(ended: Bool[np.ndarray, "clip step"], n_steps: Int[np.ndarray, " clip"]) -> Episodes:
    """Cut clips into episodes.

    Args:
        ended: whether an episode ended early in this step.
        n_steps: number of steps played of each clip.
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
    """Estimate survival at each control step, from 0 to the longest episode; times are in control steps."""
    longest = int(episodes.steps.max(initial=0))
    return kaplan_meier(episodes.steps.astype(np.float64), episodes.ended, times=np.arange(longest + 1))
