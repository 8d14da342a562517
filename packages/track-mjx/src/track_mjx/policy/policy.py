"""Acting: normalise what is seen, draw the intention and the action, and remember the latent for the AR(1) prior."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from track_mjx.physics.fields import AnyArray
from track_mjx.policy import normalizer
from track_mjx.policy.networks import Networks, PolicyOutput, log_probability
from track_mjx.policy.normalizer import Statistics
from track_mjx.task.step import Observation


class ObservationStatistics(NamedTuple):
    """Running statistics of both parts of an observation."""

    reference: Statistics
    proprioception: Statistics


class Policy(NamedTuple):
    """All that acting needs.

    Attributes:
        parameters: of the networks.
        statistics: of the observations.
    """

    parameters: Any
    statistics: ObservationStatistics


class Acting(NamedTuple):
    """What a sampled action leaves behind for learning.

    Attributes:
        raw: the action before tanh.
        log_prob: its log density, of the action after tanh.
        noise: standard normal numbers that made the latent, replayed in learning.
        latent: the latent used.
    """

    raw: Array
    log_prob: Array
    noise: Array
    latent: Array


def normalized(statistics: ObservationStatistics, observation: Observation) -> Observation:
    """Bring both parts to mean 0 and standard deviation 1."""
    return Observation(*(normalizer.normalize(s, o) for s, o in zip(statistics, observation, strict=True)))


def update_statistics(statistics: ObservationStatistics, observation: Observation) -> ObservationStatistics:
    """Merge a batch of observations."""
    return ObservationStatistics(*(normalizer.update(s, o) for s, o in zip(statistics, observation, strict=True)))


def empty_statistics(observation: Observation) -> ObservationStatistics:
    """Statistics of nothing, for observations of this shape."""
    return ObservationStatistics(*(normalizer.empty(part.shape[-1]) for part in observation))


def sample(networks: Networks, policy: Policy, observation: Observation, key: Array) -> tuple[AnyArray, Acting]:
    """Draw latents and actions; return the actions in [-1, 1] and what learning needs."""
    latent_key, action_key = jax.random.split(key)
    batch = observation.reference.shape[:-1]
    noise = jax.random.normal(latent_key, (*batch, networks.config.latent))
    out = networks.policy(policy.parameters, normalized(policy.statistics, observation), noise)
    raw = out.location + out.scale * jax.random.normal(action_key, out.location.shape)
    acting = Acting(raw, log_probability(out.location, out.scale, raw), noise, out.intention.latent)
    return jnp.tanh(raw), acting


def act(
    networks: Networks, policy: Policy, observation: Observation, key: Array | None
) -> tuple[AnyArray, PolicyOutput]:
    """Act on the means (no key), or draw latents and actions; return actions in [-1, 1] and all the policy computed."""
    seen = normalized(policy.statistics, observation)
    if key is None:
        out = networks.policy(policy.parameters, seen, None)
        return jnp.tanh(out.location), out
    latent_key, action_key = jax.random.split(key)
    noise = jax.random.normal(latent_key, (*observation.reference.shape[:-1], networks.config.latent))
    out = networks.policy(policy.parameters, seen, noise)
    return jnp.tanh(out.location + out.scale * jax.random.normal(action_key, out.location.shape)), out
