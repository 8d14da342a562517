"""Collecting unrolls: policy and physics in turn, for engines inside and outside of compiled code.

One control step is two pure functions around the engine's: `think` (observe, act) and `judge` (reward, resets). An
engine that can be traced is run in one compiled scan; the native one between compiled calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from track_mjx.devices import Devices
from track_mjx.learning.ppo import Transition
from track_mjx.physics.divided import DividedEngine
from track_mjx.physics.fields import Arrayish, Engine, Fields
from track_mjx.policy.networks import Networks
from track_mjx.policy.policy import Acting, Policy, sample
from track_mjx.task.imitation import Clock, Imitation, Observation
from track_mjx.task.reference import Reference


class Episode(NamedTuple):
    """What every simulation carries besides its physics.

    Attributes:
        clock: of the task.
        latent: the last latent drawn.
        episode_reward: sum of rewards since the reset.
    """

    clock: Clock
    latent: Arrayish
    episode_reward: Arrayish


class Totals(NamedTuple):
    """Sums over an unroll, for the log.

    Attributes:
        metrics: sum of every term.
        reward: sum of rewards.
        episodes: episodes that ended.
        episode_steps, episode_reward: their lengths and returns, summed.
        reasons: (reason,) how many ended for each; 0 is the clip's end.
    """

    metrics: dict[str, Array]
    reward: Array
    episodes: Array
    episode_steps: Array
    episode_reward: Array
    reasons: Array


class Thought(NamedTuple):
    """What `think` hands on to `judge`."""

    observation: Observation
    acting: Acting
    action: Array


class Judged(NamedTuple):
    """What `judge` returns: the carry, the step for learning, its totals, and the poses of the resets."""

    episode: Episode
    transition: Transition
    totals: Totals
    done: Array
    qpos: Array
    qvel: Array


class Collector:
    """Runs unrolls of a task on an engine.

    Args:
        task: the task.
        networks: the policy.
        engine: the physics.
        unroll: control steps of each simulation.
        devices: among which the simulations are divided; None: one.
    """

    def __init__(
        self, task: Imitation, networks: Networks, engine: Engine, unroll: int, devices: Devices | None = None
    ) -> None:
        self.task, self.networks, self.unroll = task, networks, unroll
        self.devices = devices = devices or Devices()
        self.engine = DividedEngine(engine, devices) if engine.traceable and devices.mesh else engine
        self._think = jax.jit(self._think_once)
        self._judge = jax.jit(self._judge_once)
        self._observe = jax.jit(lambda *seen: devices.divided(task.observe(*seen)))
        self._start = jax.jit(lambda *drawn: devices.divided(task.start(*drawn)), static_argnums=2)
        self._scan = jax.jit(self._scanned)
        self._keys = jax.jit(lambda key: tuple(jax.random.split(key, 2 * unroll)))
        self._stack = jax.jit(lambda steps: jax.tree.map(lambda *x: jnp.stack(x), *steps))
        self._sum = jax.jit(lambda totals: devices.copied(jax.tree.map(lambda *x: sum(x[1:], x[0]), *totals)))

    def begin(self, reference: Reference, key: Array, n_envs: int) -> tuple[Any, Episode]:
        """Start all simulations anew; return physics and carry."""
        clock, qpos, qvel = self._start(reference, key, n_envs)
        spread, own, n_here = self.devices.spread, self.devices.own, self.devices.own_count(n_envs)
        every = np.ones(n_here, bool)
        if self.engine.traceable:
            state = jax.jit(self.engine.reset)(self.engine.init(n_envs), spread(every), qpos, qvel)
        else:
            state = self.engine.reset(self.engine.init(n_here), every, own(qpos), own(qvel))
        latent = np.zeros((n_here, self.networks.config.latent), np.float32)
        return state, Episode(clock, spread(latent), spread(np.zeros(n_here, np.float32)))

    def observation(self, reference: Reference, state: Any, episode: Episode) -> Observation:
        """What is seen now."""
        return self._observe(reference, self._fields(state), episode.clock)

    def _fields(self, state: Any) -> Fields:
        """What the task sees, where it computes."""
        fields = self.engine.fields(state)
        return fields if self.engine.traceable else self.devices.spread(fields)

    def collect(
        self, policy: Policy, reference: Reference, state: Any, episode: Episode, key: Array
    ) -> tuple[Any, Episode, tuple[Transition, Observation], Totals]:
        """Run one unroll; return physics, carry, the unroll with the observation after it, and sums for the log."""
        if self.engine.traceable:
            return self._scan(policy, reference, state, episode, key)
        keys = self._keys(key)
        transitions, totals, own = [], [], self.devices.own
        for step in range(self.unroll):
            thought, ctrl = self._think(policy, reference, self._fields(state), episode, keys[2 * step])
            state = self.engine.step(state, own(ctrl))
            judged = self._judge(reference, self._fields(state), episode, thought, keys[2 * step + 1])
            done = own(judged.done)
            if done.any():
                state = self.engine.reset(state, done, own(judged.qpos), own(judged.qvel))
            episode = judged.episode
            transitions.append(judged.transition)
            totals.append(judged.totals)
        last = self.observation(reference, state, episode)
        return state, episode, (self._stack(transitions), last), self._sum(totals)

    def _scanned(
        self, policy: Policy, reference: Reference, state: Any, episode: Episode, key: Array
    ) -> tuple[Any, Episode, tuple[Transition, Observation], Totals]:
        def step(carry: tuple[Any, Episode], keys: Array) -> tuple[tuple[Any, Episode], tuple[Transition, Totals]]:
            state, episode = carry
            thought, ctrl = self._think_once(policy, reference, self.engine.fields(state), episode, keys[0])
            state = self.engine.step(state, ctrl)
            judged = self._judge_once(reference, self.engine.fields(state), episode, thought, keys[1])
            state = self.engine.reset(state, judged.done, judged.qpos, judged.qvel)
            return (state, judged.episode), (judged.transition, judged.totals)

        keys = jax.random.split(key, 2 * self.unroll)
        keys = keys.reshape(self.unroll, 2, *keys.shape[1:])
        (state, episode), (transitions, totals) = jax.lax.scan(step, (state, episode), keys)
        last = self.task.observe(reference, self.engine.fields(state), episode.clock)
        totals = self.devices.copied(jax.tree.map(lambda x: x.sum(0), totals))
        return state, episode, (transitions, self.devices.divided(last)), totals

    def _think_once(
        self, policy: Policy, reference: Reference, fields: Fields, episode: Episode, key: Array
    ) -> tuple[Thought, Array]:
        observation = self.task.observe(reference, fields, episode.clock)
        action, acting = sample(self.networks, policy, observation, key)
        return self.devices.divided((Thought(observation, acting, action), self.task.ctrl(action)))

    def _judge_once(
        self, reference: Reference, fields: Fields, episode: Episode, thought: Thought, key: Array
    ) -> Judged:
        outcome = self.task.judge(reference, fields, episode.clock, thought.action, key)
        done = jnp.logical_or(outcome.terminated, outcome.truncated)
        age = episode.clock.history.age + 1
        returned = episode.episode_reward + outcome.reward
        transition = Transition(
            observation=thought.observation,
            raw=thought.acting.raw,
            log_prob=thought.acting.log_prob,
            noise=thought.acting.noise,
            previous_latent=episode.latent,
            first=age <= 1,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
        )
        n_reasons = len(self.task.reasons)
        which = jnp.where(done, outcome.reason, n_reasons)
        totals = Totals(
            metrics={name: value.sum() for name, value in outcome.metrics.items()},
            reward=outcome.reward.sum(),
            episodes=done.sum(),
            episode_steps=jnp.where(done, age, 0).sum(),
            episode_reward=jnp.where(done, returned, 0.0).sum(),
            reasons=(which[:, None] == jnp.arange(n_reasons)).sum(0),
        )
        episode = Episode(outcome.clock, thought.acting.latent, jnp.where(done, 0.0, returned))
        divided = self.devices.divided((episode, transition, done, outcome.qpos, outcome.qvel))
        return Judged(divided[0], divided[1], self.devices.copied(totals), *divided[2:])
