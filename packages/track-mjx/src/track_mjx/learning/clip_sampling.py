"""Drawing clips by how often episodes on them end early, so that training sees more of what it fails on."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from track_mjx.physics.fields import AnyArray

_UNIFORM = 0.1
"""Share of episodes whose clips are drawn uniformly."""
_MEMORY = 0.98
"""Factor on earlier counts at each update: those of about 50 updates count."""


class Outcomes(NamedTuple):
    """Episodes by clip."""

    failed: AnyArray
    """(clip,) ended early."""
    ended: AnyArray
    """(clip,) ended at all."""


def no_outcomes(n_clips: int) -> Outcomes:
    """Return counts of zero."""
    return Outcomes(np.zeros(n_clips, np.float32), np.zeros(n_clips, np.float32))


def outcomes_of(
    clip: Int[AnyArray, " env"], terminated: Bool[AnyArray, " env"], done: Bool[AnyArray, " env"], n_clips: int
) -> Outcomes:
    """Count the episodes that end in a control step."""

    def count(which: Bool[AnyArray, " env"]) -> Float[Array, " clip"]:
        return jnp.zeros(n_clips).at[jnp.asarray(clip)].add(jnp.asarray(which, jnp.float32))

    return Outcomes(count(terminated), count(done))


def remembered(earlier: Outcomes, latest: Outcomes) -> Outcomes:
    """Return counts in which earlier updates fade."""
    return jax.tree.map(lambda a, b: np.asarray(_MEMORY * np.asarray(a) + np.asarray(b), np.float32), earlier, latest)


def weights(outcomes: Outcomes) -> Float[np.ndarray, " clip"]:
    """Return the probability of each clip: in proportion to the rate of failure, and a tenth uniform.

    Rates are those of a beta distribution with a uniform prior, so that clips that were not tried count one half.
    """
    rate = (np.asarray(outcomes.failed) + 1.0) / (np.asarray(outcomes.ended) + 2.0)
    return (_UNIFORM / len(rate) + (1 - _UNIFORM) * rate / rate.sum()).astype(np.float32)
