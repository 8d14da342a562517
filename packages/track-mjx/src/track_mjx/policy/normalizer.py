"""Running mean and variance of observations by Welford's algorithm, merged batch by batch (Chan et al. 1983)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from track_mjx.physics.fields import AnyArray

CLIP = 10.0
"""Normalised observations are cut here."""


class Statistics(NamedTuple):
    """Mean, sum of squared deviations and count of everything seen; `count` in units of whole batches' steps.

    Attributes:
        count: () number of observations.
        mean: (n,).
        deviations: (n,) sum of squared deviations from the mean.
    """

    count: Array
    mean: Array
    deviations: Array


def empty(n: int) -> Statistics:
    """Statistics of nothing."""
    return Statistics(jnp.zeros(()), jnp.zeros(n), jnp.zeros(n))


def update(statistics: Statistics, batch: Float[AnyArray, "*batch n"]) -> Statistics:
    """Merge a batch into the statistics."""
    flat = batch.reshape(-1, batch.shape[-1])
    count = jnp.asarray(flat.shape[0], jnp.float32)
    mean = flat.mean(0)
    deviations = ((flat - mean) ** 2).sum(0)
    total = statistics.count + count
    shift = mean - statistics.mean
    return Statistics(
        total,
        statistics.mean + shift * (count / total),
        statistics.deviations + deviations + shift**2 * (statistics.count * (count / total)),
    )


def normalize(statistics: Statistics, batch: Float[AnyArray, "*batch n"]) -> Float[AnyArray, "*batch n"]:
    """Bring observations to mean 0 and standard deviation 1, as far as is known; constants become 0."""
    variance = statistics.deviations / jnp.maximum(statistics.count, 1.0)
    known = statistics.count > 1
    deviation = jnp.where(known, jnp.sqrt(variance), 1.0)
    scale = jnp.where(deviation > 1e-6, 1.0 / jnp.maximum(deviation, 1e-6), 0.0)
    return jnp.clip((batch - statistics.mean) * scale, -CLIP, CLIP)
