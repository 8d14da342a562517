"""Acting: normalise the observation, draw the intention and the action, keep the latent for the AR(1) prior."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from track_mjx.physics.fields import AnyArray
from track_mjx.policy.networks import Networks, PolicyOutput, log_probability
from track_mjx.task.step import Observation

CLIP = 10.0
"""Normalised observations are clipped to this magnitude."""
_TINY = 1e-15
"""Standard deviation below which an observation is a constant, whatever its mean."""


class Statistics(NamedTuple):
    """Running mean and variance by Welford's algorithm, merged batch by batch (Chan et al. 1983)."""

    count: Array
    """() number of observations."""
    mean: Array
    """(n,)."""
    deviations: Array
    """(n,) sum of squared deviations from the mean."""


class ObservationStatistics(NamedTuple):
    """Running statistics of both parts of an observation."""

    reference: Statistics
    proprioception: Statistics


class Policy(NamedTuple):
    """Everything that acting needs."""

    parameters: Any
    """Of the networks."""
    statistics: ObservationStatistics


class Acting(NamedTuple):
    """What learning needs of a sampled action."""

    raw: AnyArray
    """The action before tanh."""
    log_prob: AnyArray
    """Log density of the action after tanh."""
    noise: AnyArray
    """Standard normal numbers behind the latent; learning replays them."""
    latent: AnyArray
    hidden: AnyArray | None
    """State of a recurrent decoder after the step."""


def empty(n: int) -> Statistics:
    """Return statistics of no observation."""
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


def scale_of(statistics: Statistics) -> Float[Array, " n"]:
    """Factors that give observations a standard deviation of 1, by the statistics so far; 0 for constants."""
    variance = statistics.deviations / jnp.maximum(statistics.count, 1.0)
    known = statistics.count > 1
    deviation = jnp.where(known, jnp.sqrt(variance), 1.0)
    # relative to the numbers themselves, because units may be small: torques of an insect are below 1e-6 N m
    least = 1e-6 * jnp.abs(statistics.mean) + _TINY
    return jnp.where(deviation > least, 1.0 / jnp.maximum(deviation, least), 0.0)


def normalize(statistics: Statistics, batch: Float[AnyArray, "*batch n"]) -> Float[AnyArray, "*batch n"]:
    """Scale observations to mean 0 and standard deviation 1 by the statistics so far; constants become 0."""
    return jnp.clip((batch - statistics.mean) * scale_of(statistics), -CLIP, CLIP)


def normalized(statistics: ObservationStatistics, observation: Observation) -> Observation:
    """Normalise both parts."""
    return Observation(*(normalize(s, o) for s, o in zip(statistics, observation, strict=True)))


def update_statistics(statistics: ObservationStatistics, observation: Observation) -> ObservationStatistics:
    """Merge a batch of observations."""
    return ObservationStatistics(*(update(s, o) for s, o in zip(statistics, observation, strict=True)))


def empty_statistics(observation: Observation) -> ObservationStatistics:
    """Return statistics of no observation, for observations of this shape."""
    return ObservationStatistics(*(empty(part.shape[-1]) for part in observation))


class Held(NamedTuple):
    """An earlier decision that may still hold."""

    fresh: AnyArray | np.bool_
    """() a new decision is made in this step."""
    last: Any
    """Of the step before: `Acting` in training, `PolicyOutput` in playing."""


class Memory(NamedTuple):
    """What acting needs besides the present observation."""

    keys: tuple[Array, Array] | None = None
    """Of this control step, and of the step in which the present decision began, from which the noise of the latent is
    drawn; None: the policy acts on its means."""
    held: Held | None = None
    """None where every control step has a decision of its own."""
    hidden: AnyArray | None = None
    """State of a recurrent decoder; None: the episode starts."""


MEANS = Memory()
"""The policy acts on its means, and the episode starts."""


def sample(networks: Networks, policy: Policy, observation: Observation, memory: Memory) -> tuple[AnyArray, Acting]:
    """Draw latents and actions; return the actions of the body in [-1, 1] and what learning needs."""
    seen, held = normalized(policy.statistics, observation), memory.held
    raw, noise, out = _draw(networks, policy, seen, memory)
    acting = Acting(raw, log_probability(out.location, out.scale, raw), noise, out.intention.latent, out.hidden)
    if held is not None:
        acting = _kept(held, acting, held.last)
    action, _, hidden = networks.decoded(jnp.tanh(acting.raw), seen, out.hidden)
    return action, acting._replace(hidden=hidden)


def act(
    networks: Networks, policy: Policy, observation: Observation, memory: Memory = MEANS
) -> tuple[AnyArray, PolicyOutput]:
    """Use the means (no keys), or draw latents and actions; return actions in [-1, 1] and the policy's output."""
    seen, held = normalized(policy.statistics, observation), memory.held
    if memory.keys is None:
        out = networks.policy(policy.parameters, seen, None, memory.hidden)
    else:
        raw, _, out = _draw(networks, policy, seen, memory)
        out = out._replace(decision=jnp.tanh(raw))
    if held is not None:
        out = _kept(held, out, held.last._replace(decoder={}))
    action, layers, hidden = networks.decoded(out.decision, seen, out.hidden)
    return action, out._replace(decoder=layers, hidden=hidden)


def _kept(held: Held, new: Any, last: Any) -> Any:
    """Return the last decision where it still holds, with the hidden state of the new one."""
    kept = jax.tree.map(lambda new, old: jnp.where(held.fresh, new, old), new, last)
    return kept._replace(hidden=new.hidden)


def _draw(
    networks: Networks, policy: Policy, seen: Observation, memory: Memory
) -> tuple[AnyArray, AnyArray, PolicyOutput]:
    """Actions before tanh, the noise of the latents, and the policy's output, for normalised observations."""
    assert memory.keys is not None
    (_, action_key), (latent_key, _) = map(jax.random.split, memory.keys)
    noise = jax.random.normal(latent_key, (*seen.reference.shape[:-1], networks.config.latent))
    out = networks.policy(policy.parameters, seen, noise, memory.hidden)
    return out.location + out.scale * jax.random.normal(action_key, out.location.shape), noise, out
