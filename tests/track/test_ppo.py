"""Learning: ratios, advantages, the prior of the intention, running statistics, schedules."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from track.small_setups import untrained
from track_mjx.compiled import compiled
from track_mjx.config import NetworkConfig, PpoConfig
from track_mjx.devices import Devices
from track_mjx.learning import ppo
from track_mjx.learning.collect import Collector, LearningStep
from track_mjx.learning.setup import Setup
from track_mjx.policy import policy as normalizer
from track_mjx.policy.networks import Networks, action_entropy, log_probability
from track_mjx.policy.policy import Policy, normalized
from track_mjx.task.step import Observation


def transition(reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray) -> ppo.Transition:
    """An unroll of which only rewards and ends matter."""
    nothing = jnp.zeros((*reward.shape, 1))
    return ppo.Transition(
        Observation(nothing, nothing), nothing, nothing[..., 0], nothing, nothing, nothing[..., 0] > 0,
        jnp.asarray(reward), jnp.asarray(terminated), jnp.asarray(truncated),
    )  # fmt: skip


def loop_advantages(
    reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, values: np.ndarray, config: PpoConfig
) -> np.ndarray:
    """The definition, one simulation and one step at a time."""
    out = np.zeros_like(reward)
    for env in range(reward.shape[1]):
        carry = 0.0
        for t in reversed(range(reward.shape[0])):
            if truncated[t, env]:
                carry = 0.0
            else:
                future = 0.0 if terminated[t, env] else values[t + 1, env]
                delta = reward[t, env] + config.discount * future - values[t, env]
                carry = delta + (0.0 if terminated[t, env] else config.discount * config.gae_lambda * carry)
            out[t, env] = carry
    return out


def test_an_untrained_policy_may_stand_still_and_explores_as_much_as_it_is_told() -> None:
    seen = Observation(np.ones((50, 4), np.float32), np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32))

    def untrained(factor: float) -> tuple[np.ndarray, np.ndarray]:
        config = NetworkConfig(encoder=[32], decoder=[64, 64], critic=[5], latent=3, initial_std=0.2, min_std=0.0,
                               action_factor=factor)  # fmt: skip
        networks = Networks(config, 6)
        out = networks.policy(networks.init(jax.random.key(0), seen), seen, None)
        return np.asarray(out.location), np.asarray(out.scale)

    whole, small = untrained(1.0), untrained(0.01)
    assert np.abs(whole[0]).std() > 0.3, "as the papers' networks start"
    assert small[0] == pytest.approx(0.01 * whole[0], abs=1e-6)
    assert small[1] == pytest.approx(0.2, abs=0.01)


def test_an_untrained_intention_is_as_noisy_as_it_is_told() -> None:
    seen = Observation(np.ones((7, 4), np.float32), np.ones((7, 5), np.float32))
    noise = jax.random.normal(jax.random.key(1), (7, 3))
    spread = {}
    for std in (1.0, 0.1):
        networks = Networks(NetworkConfig(encoder=[32], decoder=[8], latent=3, initial_latent_std=std), 6)
        intention = networks.policy(networks.init(jax.random.key(0), seen), seen, noise).intention
        spread[std] = np.asarray(intention.latent - intention.mean)
        assert np.asarray(jnp.exp(0.5 * intention.logvar) * noise) == pytest.approx(spread[std], rel=1e-4, abs=1e-6)
    assert spread[0.1] == pytest.approx(0.1 * spread[1.0], rel=1e-3, abs=1e-6)


def test_advantages_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    reward, values = rng.normal(size=(12, 9)), rng.normal(size=(13, 9))
    terminated = rng.random((12, 9)) < 0.15
    truncated = (rng.random((12, 9)) < 0.15) & ~terminated
    config = PpoConfig(discount=0.9, gae_lambda=0.8)
    ours, target = ppo.advantages(transition(reward, terminated, truncated), jnp.asarray(values), config)
    assert np.asarray(ours) == pytest.approx(loop_advantages(reward, terminated, truncated, values, config), abs=1e-5)
    assert np.asarray(target) == pytest.approx(np.asarray(ours) + values[:-1], abs=1e-6)


def test_lambda_one_gives_discounted_returns() -> None:
    reward = np.ones((5, 1))
    off = np.zeros((5, 1), bool)
    config = PpoConfig(discount=0.5, gae_lambda=1.0)
    ours, _ = ppo.advantages(transition(reward, off, off), jnp.zeros((6, 1)), config)
    assert np.asarray(ours)[:, 0] == pytest.approx([1.9375, 1.875, 1.75, 1.5, 1.0])


def unrolls(setup: Setup) -> Generator[tuple[ppo.Transition, Observation], Policy | None]:
    """Unrolls of 16 simulations, one after another; each may be sent the policy of the next."""
    collector = Collector(LearningStep(setup.task, setup.networks, setup.engine()), 5)
    policy, reference = untrained(setup), setup.on_device(setup.followed)
    state, carry = collector.begin(reference, jax.random.key(1), 16)
    for i in itertools.count(2):
        state, carry, batch, _ = collector.collect(policy, reference, state, carry, jax.random.key(i))
        policy = (yield batch) or policy


def test_the_first_ratio_is_one(arm_setup: Setup) -> None:
    """Latents are drawn once and replayed: before the first change, learning sees the very probabilities of acting."""
    config, (parameters, statistics) = arm_setup.config.ppo, untrained(arm_setup)
    learner = ppo.Learner(parameters, ppo.optimizer(config, arm_setup.networks).init(parameters), statistics)
    collected, update = unrolls(arm_setup), compiled(ppo.update, arm_setup.networks, replace(config), Devices())
    for iteration in range(2):  # the second time with running statistics
        batch = next(collected) if iteration == 0 else collected.send(learner.policy)
        rows = ppo.shuffled_rows(config, 0, iteration)
        inputs = (jnp.float32(1e-3), jnp.float32(0.1), rows, jax.random.key(3))
        learner, losses = update(learner, batch, inputs)
        assert float(losses["first_ratio_error"]) < 1e-4, "rounding alone"
        assert float(losses["ratio_max"]) > 1e-3, "later minibatches do change"
    another = batch[0]._replace(noise=batch[0].noise + 1.0)
    _, losses = update(learner, (another, batch[1]), inputs)
    assert float(losses["first_ratio_error"]) > 1e-3, "another latent gives other probabilities"


def test_the_previous_latent_is_carried_from_unroll_to_unroll(arm_setup: Setup) -> None:
    (first, _), (second, _) = itertools.islice(unrolls(arm_setup), 2)
    parameters, statistics = untrained(arm_setup)
    output = arm_setup.networks.policy(parameters, normalized(statistics, first.observation), first.noise)
    latent = np.asarray(output.intention.latent)
    assert np.asarray(first.previous_latent)[1:] == pytest.approx(latent[:-1], abs=1e-5), "samples, not means"
    assert np.asarray(second.previous_latent)[0] == pytest.approx(latent[-1], abs=1e-5)
    assert np.asarray(first.first)[0].all()
    ended = np.asarray(first.terminated | first.truncated)
    assert np.array_equal(np.asarray(first.first)[1:], ended[:-1])
    assert np.array_equal(np.asarray(second.first)[0], ended[-1])


def test_prior_divergence_is_that_of_scipy_summed_over_dimensions_and_masked_at_resets() -> None:
    rng = np.random.default_rng(1)
    mean, logvar, previous = rng.normal(size=(3, 6, 4)).astype(np.float32)
    first = np.array([True, False, False, True, False, False])
    alpha = 0.95
    ours = np.asarray(ppo.prior_divergence(mean, logvar, previous, jnp.asarray(first), alpha))
    draws = rng.normal(size=(200_000, 4))
    for i in range(6):
        sample = mean[i] + np.exp(0.5 * logvar[i]) * draws
        centre = np.zeros(4) if first[i] else alpha * previous[i]
        width = 1.0 if first[i] else np.sqrt(1 - alpha**2)
        ratio = stats.norm.logpdf(sample, mean[i], np.exp(0.5 * logvar[i])) - stats.norm.logpdf(sample, centre, width)
        terms = ratio.sum(1)
        assert ours[i] == pytest.approx(terms.mean(), abs=6 * terms.std() / np.sqrt(len(terms)))
    assert np.asarray(ppo.prior_divergence(0 * mean, 0 * logvar, previous, jnp.ones(6, bool), alpha)) == pytest.approx(
        np.zeros(6)
    )


def test_log_probability_is_a_density_of_the_squashed_action() -> None:
    grid = np.linspace(-0.9999, 0.9999, 20_001)
    raw = np.arctanh(grid)[:, None]
    log_prob = np.asarray(log_probability(jnp.full_like(raw, 0.3), jnp.full_like(raw, 0.7), jnp.asarray(raw)))
    assert np.trapezoid(np.exp(log_prob), grid) == pytest.approx(1.0, abs=1e-3)
    draws = np.random.default_rng(0).normal(size=(100_000, 1)).astype(np.float32)
    entropy = np.asarray(action_entropy(jnp.full_like(draws, 0.3), jnp.full_like(draws, 0.7), jnp.asarray(draws)))
    assert entropy.mean() == pytest.approx(-np.trapezoid(np.exp(log_prob) * log_prob, grid), abs=0.01)
    far = log_probability(jnp.array([[5.0]]), jnp.array([[0.5]]), jnp.array([[12.0]]))
    assert np.isfinite(float(far[0])), "where tanh is 1 to the last digit"


def test_numbers_of_any_size_are_scaled_and_constants_are_silent() -> None:
    """Torques of an insect are below 1e-6 N m: only a spread that rounding explains makes a constant."""
    spread, mean = np.array([9e-13, 9e-7, 1.0, 1e3, 0.0, 1e-9]), np.array([0.0, 0.0, 5.0, 0.0, 7.0, 1.0])
    seen = (mean + spread * np.random.default_rng(0).normal(size=(5000, 6))).astype(np.float32)
    scaled = np.asarray(normalizer.normalize(normalizer.update(normalizer.empty(6), jnp.asarray(seen)), seen))
    assert scaled.std(0) == pytest.approx([1, 1, 1, 1, 0, 0], abs=0.01)


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.sampled_from([1, 7, 40]), min_size=1, max_size=5), shift=st.floats(-50, 50))
def test_running_statistics_are_those_of_everything_seen(sizes: list[int], shift: float) -> None:
    rng = np.random.default_rng(len(sizes))
    batches = [rng.normal(shift, 1 + i, size=(n, 3)).astype(np.float32) for i, n in enumerate(sizes)]
    statistics = normalizer.empty(3)
    for batch in batches:
        statistics = normalizer.update(statistics, jnp.asarray(batch))
    seen = np.concatenate(batches).astype(np.float64)
    assert float(statistics.count) == len(seen)
    assert np.asarray(statistics.mean) == pytest.approx(seen.mean(0), abs=1e-3)
    assert np.asarray(statistics.deviations) == pytest.approx(((seen - seen.mean(0)) ** 2).sum(0), rel=2e-3, abs=1e-2)


def test_normalising_leaves_what_is_not_known() -> None:
    batch = jnp.array([[2.0, 7.0], [4.0, 7.0], [6.0, 7.0]])
    assert np.array_equal(normalizer.normalize(normalizer.empty(2), batch), batch)


def test_minibatches_hold_every_step_once_an_epoch_and_repeat_with_the_seed() -> None:
    config = PpoConfig(n_envs=6, unroll=4, epochs=3, minibatches=5)
    rows = ppo.shuffled_rows(config, 1, 2)
    assert rows.shape == (15, 4)
    assert all(len(set(rows[5 * e : 5 * e + 5].ravel().tolist())) == 20 for e in range(3))
    assert np.array_equal(rows, ppo.shuffled_rows(config, 1, 2))
    assert not np.array_equal(rows, ppo.shuffled_rows(config, 1, 3))


@pytest.mark.parametrize(("n_envs", "rounds"), [(4, 3), (6, 2), (16, 1)])
def test_minibatches_of_whole_unrolls_are_filled_by_as_many_rounds_as_that_takes(n_envs: int, rounds: int) -> None:
    config = PpoConfig(n_envs=n_envs, unroll=4, epochs=3, minibatches=3, batch_size=4, shuffle="unrolls")
    assert (config.collected_rounds, config.minibatch_samples) == (rounds, 16)
    unrolls = config.collected_unrolls
    rows = ppo.shuffled_rows(config, 1, 2).reshape(3, 3, 4, 4)  # epoch, minibatch, step, unroll
    assert np.array_equal(rows // unrolls, np.broadcast_to(np.arange(4)[:, None], rows.shape)), "steps in their order"
    chosen = rows[:, :, 0] % unrolls
    assert np.array_equal(rows % unrolls, np.broadcast_to(chosen[:, :, None], rows.shape)), "an unroll stays together"
    assert all(len(set(epoch.ravel().tolist())) == 12 for epoch in chosen)
    steps = PpoConfig(n_envs=n_envs, unroll=4, epochs=1, minibatches=3, batch_size=4)
    assert ppo.shuffled_rows(steps, 1, 2).shape == (3, 16)


def test_networks_have_the_layers_of_the_paper() -> None:
    networks = Networks(NetworkConfig(encoder=[8, 6], decoder=[7], critic=[5], latent=3), 2)
    seen = Observation(jnp.ones((4, 10)), jnp.ones((4, 11)))
    parameters = networks.init(jax.random.key(0), seen)
    out = networks.policy(parameters, seen, None)
    assert {name: a.shape for name, a in out.activations.items()} == {
        "encoder/layer_0": (4, 8), "encoder/layer_1": (4, 6), "decoder/layer_0": (4, 7),
    }  # fmt: skip
    for layer in out.activations.values():  # normalised layers have mean 0 and variance 1 before anything is learned
        assert np.asarray(layer).mean(-1) == pytest.approx(np.zeros(4), abs=1e-5)
    kernel = parameters["encoder"]["params"]["hidden"]["dense_0"]["kernel"]
    assert np.abs(kernel).max() <= np.sqrt(3 / 10)
    assert np.array_equal(out.intention.latent, out.intention.mean)
    noisy = networks.policy(parameters, seen, jnp.ones((4, 3)))
    assert np.asarray(noisy.intention.latent) == pytest.approx(
        np.asarray(out.intention.mean + jnp.exp(0.5 * out.intention.logvar)), abs=1e-6
    )
    changed = seen._replace(proprioception=seen.proprioception + 1)
    assert np.array_equal(networks.policy(parameters, changed, None).intention.mean, out.intention.mean)
    plain = Networks(NetworkConfig(encoder=[], decoder=[7], critic=[5], latent=0), 2)
    assert plain.policy(plain.init(jax.random.key(0), seen), seen, None).intention.latent.shape == (4, 0)


def test_truncated_steps_neither_shift_nor_get_normalised_advantages() -> None:
    rng = np.random.default_rng(0)
    advantage, truncated = rng.normal(3.0, 2.0, 200).astype(np.float32), rng.random(200) < 0.3
    ours = np.asarray(ppo.normalized_advantages(advantage, truncated))
    rest = advantage[~truncated]
    assert ours[~truncated] == pytest.approx((rest - rest.mean()) / rest.std(), abs=1e-5)
    assert not ours[truncated].any()
    none = np.zeros(200, bool)
    plain = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    assert np.asarray(ppo.normalized_advantages(advantage, none)) == pytest.approx(plain, abs=1e-5)
    assert not np.asarray(ppo.normalized_advantages(advantage, ~none)).any()
