"""Proximal policy optimisation (Schulman et al. 2017) with an intention bottleneck (paper B, section 4.4.3).

Batches are (step, env, ...) of one unroll. Pure functions; all randomness comes from keys.

The latent is drawn once, while acting; learning replays its noise, so that before the first update the probability
ratio is 1. The prior of a latent is AR(1): N(alpha z, (1 - alpha^2) I) around the previous *sample* z of the same
episode, which is carried from unroll to unroll, and N(0, I) at an episode's first step. Its divergence is summed over
dimensions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from track_mjx.config import PpoConfig
from track_mjx.devices import Devices
from track_mjx.physics.fields import AnyArray
from track_mjx.policy.networks import Networks, PolicyOutput, action_entropy, log_probability
from track_mjx.policy.policy import ObservationStatistics, Policy, normalized, update_statistics
from track_mjx.task.step import Observation


class Transition(NamedTuple):
    """One control step of every simulation, for learning."""

    observation: Observation
    """Not normalised."""
    raw: AnyArray
    """Action before tanh."""
    log_prob: AnyArray
    """Its log density when it was drawn."""
    noise: AnyArray
    """That made the latent."""
    previous_latent: AnyArray
    """Latent of the step before; of any value where `first`."""
    first: AnyArray
    """The step is the first of its episode."""
    reward: AnyArray
    """Unscaled."""
    terminated: AnyArray
    """The episode ended early with this step."""
    truncated: AnyArray
    """It ended with its clip."""
    hidden: AnyArray | None = None
    """State of a recurrent policy before the step."""
    demonstrated: AnyArray | None = None
    """Action to reproduce, where the networks learn from demonstrations."""


class Learner(NamedTuple):
    """Everything that learning changes."""

    parameters: Any
    """Of the networks."""
    optimizer: Any
    """State of the optimiser."""
    statistics: ObservationStatistics
    """Of the observations."""

    @property
    def policy(self) -> Policy:
        """What acting needs."""
        return Policy(self.parameters, self.statistics)


class Sample(NamedTuple):
    """A part of a batch, flat, and what was computed from whole unrolls."""

    step: Transition
    """With normalised observations."""
    advantage: AnyArray
    value_target: AnyArray
    draw: AnyArray
    """Standard normal numbers at which the entropy of the action is taken."""


def optimizer(config: PpoConfig, networks: Networks) -> optax.GradientTransformation:
    """Clipped gradients through Adam; the step size is applied by `update`, so that it may change.

    Parts of the networks that are fixed take no step, and do not count in the length that is clipped.
    """
    learned = optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam())
    if not networks.fixed:
        return learned
    return optax.partition(
        {"learned": learned, "fixed": optax.set_to_zero()},
        lambda parameters: {part: "fixed" if part in networks.fixed else "learned" for part in parameters},
    )


def advantages(
    transition: Transition, values: Float[AnyArray, "step1 env"], config: PpoConfig
) -> tuple[Float[AnyArray, "step env"], Float[AnyArray, "step env"]]:
    """Generalised advantage estimates (Schulman et al. 2016) and value targets.

    A terminated step has no future. The future of a truncated one is unknown, since the clip ends there: it teaches
    nothing, and nothing is carried across it.

    `values` are those of the observations of an unroll and of the one after.
    """
    ended = jnp.logical_or(transition.terminated, transition.truncated)
    future = config.discount * jnp.where(transition.terminated, 0.0, values[1:])
    delta = config.reward_scale * transition.reward + future - values[:-1]
    delta = jnp.where(transition.truncated, 0.0, delta)
    decay = config.discount * config.gae_lambda * jnp.where(ended, 0.0, 1.0)

    def back(carry: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
        carry = step[0] + step[1] * carry
        return carry, carry

    _, advantage = jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)
    return advantage, advantage + values[:-1]


def normalized_advantages(
    advantage: Float[AnyArray, "*batch"], truncated: Bool[AnyArray, "*batch"]
) -> Float[AnyArray, "*batch"]:
    """Scale advantages to mean 0 and standard deviation 1 over the steps that were not truncated; those become 0."""
    count = jnp.maximum((~truncated).sum(), 1)
    mean = jnp.where(truncated, 0.0, advantage).sum() / count
    centred = jnp.where(truncated, 0.0, advantage - mean)
    return centred / (jnp.sqrt((centred**2).sum() / count) + 1e-8)


def prior_divergence(
    mean: Float[AnyArray, "*batch latent"],
    logvar: Float[AnyArray, "*batch latent"],
    previous: Float[AnyArray, "*batch latent"],
    first: Bool[AnyArray, "*batch"],
    alpha: float,
) -> Float[AnyArray, "*batch"]:
    """KL divergence of N(mean, exp(logvar)) from the AR(1) prior, summed over dimensions.

    The prior is N(alpha * previous, 1 - alpha^2), and N(0, 1) where `first`.
    """
    expected = jnp.where(first[..., None], 0.0, alpha * previous)
    variance = jnp.where(first[..., None], 1.0, 1.0 - alpha**2)
    terms = (jnp.exp(logvar) + (mean - expected) ** 2) / variance - 1.0 - logvar + jnp.log(variance)
    return 0.5 * terms.sum(-1)


def loss(
    networks: Networks, config: PpoConfig, parameters: Any, sample: Sample, kl_weight: Array
) -> tuple[AnyArray, dict[str, Any]]:
    """Loss of a minibatch, and its parts for the log; truncated steps teach neither policy nor critic."""
    step = sample.step
    out = _replayed(networks, config, parameters, step)
    ratio = jnp.exp(log_probability(out.location, out.scale, step.raw) - step.log_prob)
    advantage = sample.advantage
    if config.normalize_advantages:
        advantage = normalized_advantages(advantage, step.truncated)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    counted = jnp.where(step.truncated, 0.0, 1.0) / jnp.maximum((~step.truncated).sum(), 1)
    policy_loss = -(counted * jnp.minimum(ratio * advantage, clipped * advantage)).sum()
    if step.demonstrated is not None:
        policy_loss = ((jnp.tanh(out.location) - step.demonstrated) ** 2).sum(-1).mean()
    value = networks.value(parameters, step.observation)
    value_loss = 0.5 * (counted * (value - sample.value_target) ** 2).sum()
    entropy = action_entropy(out.location, out.scale, sample.draw).mean()
    divergence = jnp.zeros(())
    if networks.config.latent:
        mean, logvar, _ = out.intention
        divergence = prior_divergence(mean, logvar, step.previous_latent, step.first, config.prior_correlation).mean()
    total = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropy + kl_weight * divergence
    return total, {
        "loss": total,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl_prior": divergence,
        "ratio_max": jnp.abs(ratio - 1).max(),
        "clipped_fraction": (jnp.abs(ratio - 1) > config.clip).mean(),
        "action_std": out.scale.mean(),
    }


def _replayed(networks: Networks, config: PpoConfig, parameters: Any, step: Transition) -> PolicyOutput:
    """Run the policy on the noise that acted, a recurrent one on whole unrolls from the hidden state that acted."""
    if not networks.recurrent:
        return networks.policy(parameters, step.observation, step.noise)
    acted = (step.observation, step.noise, step.hidden, step.first)
    observation, noise, hidden, first = jax.tree.map(lambda x: x.reshape(config.unroll, -1, *x.shape[1:]), acted)
    out = networks.replayed(parameters, observation, noise, hidden[0], first)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)


def shuffled_rows(config: PpoConfig, seed: int, iteration: int) -> Int[np.ndarray, "minibatch sample"]:
    """Rows of the minibatches of all epochs, each epoch a new order; drawn on the host, where sorting is not needed.

    Row ``step * unrolls + unroll`` of the flat batch is a step of an unroll; steps or whole unrolls are permuted.
    """
    unrolls, size = config.collected_unrolls, config.minibatch_items
    items, steps = (unrolls, config.unroll) if config.shuffle == "unrolls" else (unrolls * config.unroll, 1)
    generator = np.random.Generator(np.random.Philox(key=[seed, iteration]))
    orders = [generator.permutation(items)[: size * config.minibatches] for _ in range(config.epochs)]
    rows = np.stack(orders).reshape(-1, 1, size) + unrolls * np.arange(steps)[:, None]
    return rows.reshape(len(rows), -1).astype(np.int32)


def update(
    networks: Networks,
    config: PpoConfig,
    devices: Devices,
    learner: Learner,
    batch: tuple[Transition, Observation],
    inputs: tuple,
) -> tuple[Learner, dict[str, Array]]:
    """All epochs of minibatch updates on one unroll, then the running statistics.

    Args:
        networks: policy and critic.
        config: settings.
        devices: among which the batch is divided.
        learner: before.
        batch: the unroll, and the observation after it.
        inputs: learning rate, weight of the prior, (minibatch, sample) rows of the flat batch, key.

    Returns:
        The learner, and the means of the loss parts over all minibatches; ``first_ratio_error`` is the largest
        deviation of the probability ratio from 1 before anything was changed.
    """
    transition, last = batch
    learning_rate, kl_weight, rows, key = inputs
    observation = normalized(learner.statistics, transition.observation)
    after = normalized(learner.statistics, last)
    values = networks.value(learner.parameters, observation)
    values = jnp.concatenate([values, networks.value(learner.parameters, after)[None]])
    advantage, target = advantages(transition, values, config)
    # drawn once for all epochs: a draw for each small minibatch took a seventh of the update
    draw = jax.random.normal(key, transition.raw.shape)
    whole = Sample(transition._replace(observation=observation), advantage, target, draw)
    # gathered once, and divided again for every minibatch, which is the same on any number of devices
    flat = jax.tree.map(lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]), devices.copied(whole))
    transform = optimizer(config, networks)
    grad = jax.grad(lambda p, s: loss(networks, config, p, s, kl_weight), has_aux=True)

    def minibatch(carry: tuple[Any, Any], rows: AnyArray) -> tuple[tuple[Any, Any], dict[str, Array]]:
        parameters, state = carry
        gradient, parts = grad(parameters, devices.divided(jax.tree.map(lambda x: x[rows], flat)))
        change, state = transform.update(gradient, state, parameters)
        parameters = jax.tree.map(lambda p, c: p - learning_rate * c, parameters, change)
        return (parameters, state), parts | {"gradient_norm": optax.tree.norm(gradient)}

    (parameters, state), parts = jax.lax.scan(minibatch, (learner.parameters, learner.optimizer), rows)
    losses = {name: values.mean() for name, values in parts.items()}
    losses["ratio_max"] = parts["ratio_max"].max()
    losses["first_ratio_error"] = parts["ratio_max"][0]
    statistics = update_statistics(learner.statistics, transition.observation)
    if networks.given is not None:  # the decoder was trained with these
        statistics = statistics._replace(proprioception=learner.statistics.proprioception)
    return devices.copied((Learner(parameters, state, statistics), losses))
