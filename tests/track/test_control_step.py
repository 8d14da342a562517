"""Training and evaluation run the same control step: same rewards, same ends, whatever the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.clip_files import ARM, HINGE
from track.small_setups import ARM_TASK, arm, untrained
from track_mjx.learning.collect import Collector, LearningStep
from track_mjx.learning.setup import Setup
from track_mjx.policy.networks import Networks
from track_mjx.policy.play import PlayedStep, Player
from track_mjx.policy.policy import Acting, Policy
from track_mjx.policy.tape import Rollout
from track_mjx.task.registry import reward
from track_mjx.task.step import NON_FINITE, Step

CLIP = 2


class SameActions:
    """A policy without noise, for both: a fixed function of the observation."""

    networks: Networks

    def decide(self, policy: Policy, observation: Any, key: Any) -> tuple[Any, Any]:
        (n_envs, n), n_actions = observation.proprioception.shape, self.networks.n_actions
        action = jnp.sin(observation.proprioception @ jnp.linspace(-1, 1, n * n_actions).reshape(n, n_actions))
        nothing = jnp.zeros(n_envs)
        return action, Acting(action, nothing, jnp.zeros((n_envs, 3)), jnp.zeros((n_envs, 3)), jnp.zeros((n_envs, 0)))


class OurLearning(SameActions, LearningStep):
    pass


class OurPlayed(SameActions, PlayedStep):
    pass


def both(setup: Setup, n_steps: int) -> tuple[Any, Any, Rollout]:
    """One clip from its beginning: rewards and ends as training and as evaluation have them."""
    policy = untrained(setup)
    collector = Collector(OurLearning(setup.task, setup.networks, setup.engine()), n_steps)
    followed = setup.on_device(setup.followed, [CLIP])
    state, carry = collector.begin(followed, jax.random.key(1), 2)
    _, _, (transition, _), totals = collector.collect(policy, followed, state, carry, jax.random.key(2))
    player = Player(setup.task, setup.networks, setup.engine(), step=OurPlayed)
    twice = np.array([CLIP, CLIP])  # as many as are trained: MJX restarts both by one program
    return transition, totals, player.play(policy, setup.on_device(setup.followed), twice)


@pytest.mark.parametrize("engine", ["native", pytest.param("mjx", marks=pytest.mark.slow)])
def test_rewards_of_a_played_episode_are_those_of_training(tmp_path: Path, engine: str) -> None:
    setup = arm(tmp_path, {"start_at_beginning": 1.0}, {"xml": ARM if engine == "native" else HINGE})
    setup.config.physics.engine = engine
    n_steps = int(setup.reference.length[CLIP]) - 1
    transition, _, played = both(setup, n_steps)
    assert played.valid.shape == (2, n_steps)
    assert np.asarray(transition.reward)[:, 0] == pytest.approx(played.reward[0], rel=1e-5)
    assert np.asarray(transition.truncated)[:, 0].tolist() == [False] * (n_steps - 1) + [True]


@pytest.mark.usefixtures("clean_registry")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_term_that_is_not_finite_ends_the_episode_everywhere(tmp_path: Path, value: float) -> None:
    @reward
    def undefined_later(step: Step, *, after_s: float) -> jax.Array:
        """Not finite on finite states, late in a clip."""
        return jnp.where(step.time_s > after_s, value, 1.0)

    rewards = {**ARM_TASK["rewards"], "undefined_later": {"weight": 1.0, "after_s": 0.1}}
    setup = arm(tmp_path, {"start_at_beginning": 1.0, "rewards": rewards})
    last = int(0.1 / setup.task.body.ctrl_dt)
    transition, totals, played = both(setup, last + 1)
    assert np.asarray(transition.terminated)[:, 0].tolist() == [False] * last + [True]
    assert int(totals.reasons[NON_FINITE]) == 2
    assert np.isfinite(np.asarray(transition.reward)).all()
    assert setup.task.reasons[int(played.reason[0])] == "non_finite"
    assert int(played.valid[0].sum()) == last
    assert np.isfinite(played.reward).all()
    assert np.isfinite(played.metrics["undefined_later"]).all()
    assert played.reward[0, :last] == pytest.approx(np.asarray(transition.reward)[:last, 0], rel=1e-5)
