"""Collecting unrolls: control steps in a row, for engines inside and outside of compiled code."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from track_mjx.devices import Devices
from track_mjx.learning.clip_sampling import Outcomes, outcomes_of
from track_mjx.learning.failures import Failure, failure_in, first_of
from track_mjx.learning.ppo import Transition
from track_mjx.physics.divided import DividedEngine
from track_mjx.physics.fields import AnyArray, Engine, PhysicsState, Start
from track_mjx.policy.control import Act, ControlStep
from track_mjx.policy.networks import Networks
from track_mjx.policy.policy import Acting, Held, Memory, Policy, sample
from track_mjx.task.reference import Reference
from track_mjx.task.step import NON_FINITE, EpisodeState, Observation, StepResult
from track_mjx.task.task import Task


class Carry(NamedTuple):
    """State of every simulation that is carried from step to step, besides its physics."""

    episode: EpisodeState
    latent: AnyArray
    """The last latent drawn."""
    episode_reward: AnyArray
    """Sum of rewards since the reset."""
    hidden: AnyArray
    """State of a recurrent decoder."""


class Totals(NamedTuple):
    """Sums over an unroll, for the log."""

    metrics: dict[str, Array]
    """Sum of every term."""
    reward: Array
    episodes: Array
    """Episodes that ended."""
    episode_steps: Array
    """Sum of their lengths."""
    episode_reward: Array
    """Sum of their returns."""
    reasons: Array
    """(reason,) how many ended for each; 0 is the end of the clip."""
    broken: dict[str, Array]
    """Steps in which the state (``state``) or a term was not finite, by name."""
    outcomes: Outcomes | None
    """By clip, where these decide which are drawn."""
    failure: Failure
    """The first step that was not finite; of several totals it is the first one's, not a sum."""


def added(totals: Totals) -> Totals:
    """Return the totals of an unroll from those of its steps, (step, ...)."""
    sums = jax.tree.map(lambda x: x.sum(0), totals._replace(failure=None))
    return sums._replace(failure=first_of(totals.failure))


class Outcome(NamedTuple):
    """Outcome of a control step of training."""

    carry: Carry
    """After the step and after resets."""
    transition: Transition
    totals: Totals
    done: Array
    start: Start
    """Physics of the simulations that ended, after the reset."""


class Collector:
    """Runs unrolls of a task on an engine.

    Args:
        task: the task.
        networks: the policy.
        engine: the physics.
        unroll: control steps of each simulation.
        devices: devices the simulations are divided among; None: one.
        lead: of the actions demonstrated by the reference, see `Task.demonstrated`; None: none are kept.
    """

    def __init__(
        self,
        task: Task,
        networks: Networks,
        engine: Engine,
        unroll: int,
        devices: Devices | None = None,
        lead: int | None = None,
    ) -> None:
        self.task, self.networks, self.unroll, self._lead = task, networks, unroll, lead
        self.hold = networks.use.hold_steps(task.body.ctrl_dt)
        self.per_decision = networks.use.decision_steps(task.body.ctrl_dt)
        """Control steps of a transition."""
        self.n_steps = unroll * self.per_decision
        """Control steps of an unroll."""
        self.devices = devices = devices or Devices()
        self.engine = DividedEngine(engine, devices) if engine.traceable and devices.mesh else engine
        self._step = ControlStep(task, self.engine, self._decide, self._finish, devices)
        self._observe = jax.jit(lambda *state: devices.divided(task.observe(*state)))
        self._start = jax.jit(lambda *drawn: devices.divided(task.start(*drawn)), static_argnums=2)
        self._scan = jax.jit(self._scanned)
        self._keys = jax.jit(lambda key: tuple(jax.random.split(key, 2 * self.n_steps)))
        self._stack = jax.jit(lambda steps: self._decisions(jax.tree.map(lambda *x: jnp.stack(x), *steps)))
        self._sum = jax.jit(lambda steps: devices.copied(added(jax.tree.map(lambda *x: jnp.stack(x), *steps))))

    def begin(self, reference: Reference, key: Array, n_envs: int) -> tuple[Any, Carry]:
        """Start all simulations; return physics and carry."""
        episode, start = self._start(reference, key, n_envs)
        spread, own, n_here = self.devices.spread, self.devices.own, self.devices.own_count(n_envs)
        everyone = np.ones(n_here, bool)
        if self.engine.traceable:
            state = self._step.reset(self.engine.init(n_envs), spread(everyone), *start)
        else:
            state = self._step.reset(self.engine.init(n_here), everyone, *map(own, start))
        latent = np.zeros((n_here, self.networks.config.latent), np.float32)
        hidden = np.asarray(self.networks.memory(n_here))
        return state, Carry(episode, spread(latent), spread(np.zeros(n_here, np.float32)), spread(hidden))

    def observation(self, reference: Reference, state: Any, carry: Carry) -> Observation:
        """Return the present observation."""
        return self._observe(reference, self._step.read(state), carry.episode)

    def collect(
        self, policy: Policy, reference: Reference, state: Any, carry: Carry, key: Array
    ) -> tuple[Any, Carry, tuple[Transition, Observation], Totals]:
        """Run one unroll; return physics, carry, the unroll with the observation after it, and sums for the log."""
        if self.engine.traceable:
            return self._scan(policy, reference, state, carry, key)
        keys, held = self._keys(key), self._nothing_held(carry)
        transitions, totals, own = [], [], self.devices.own
        for i in range(self.n_steps):
            if held is not None:
                held = held._replace(fresh=np.bool_(i % self.hold == 0))
            memory = Memory((keys[2 * i], keys[2 * (i - i % self.hold)]), held, carry.hidden)
            state, _, act, outcome = self._step(
                policy, reference, state, carry.episode, carry, (memory, keys[2 * i + 1])
            )
            held = None if held is None else held._replace(last=act.details)
            done = own(outcome.done)
            if done.any():
                state = self.engine.reset(state, done, *map(own, outcome.start))
            carry = outcome.carry
            transitions.append(outcome.transition)
            totals.append(outcome.totals)
        last = self.observation(reference, state, carry)
        return state, carry, (self._stack(transitions), last), self._sum(totals)

    def _scanned(
        self, policy: Policy, reference: Reference, state: Any, carry: Carry, key: Array
    ) -> tuple[Any, Carry, tuple[Transition, Observation], Totals]:
        def step(
            carried: tuple[Any, Carry, Held | None], i: Array
        ) -> tuple[tuple[Any, Carry, Held | None], tuple[Transition, Totals]]:
            state, carry, held = carried
            held = None if held is None else held._replace(fresh=i % self.hold == 0)
            memory = Memory((keys[2 * i], keys[2 * (i - i % self.hold)]), held, carry.hidden)
            keyed = (memory, keys[2 * i + 1])
            state, act, outcome = self._step.traced(policy, reference, state, carry.episode, carry, keyed)
            state = self.engine.reset(state, outcome.done, *outcome.start)
            held = None if held is None else held._replace(last=act.details)
            return (state, outcome.carry, held), (outcome.transition, outcome.totals)

        keys = jax.random.split(key, 2 * self.n_steps)
        begin = (state, carry, self._nothing_held(carry))
        (state, carry, _), (transitions, totals) = jax.lax.scan(step, begin, jnp.arange(self.n_steps))
        transitions = self._decisions(transitions)
        last = self.task.observe(reference, self.engine.read(state), carry.episode)
        totals = self.devices.copied(added(totals))
        return state, carry, (transitions, self.devices.divided(last)), totals

    def _decide(self, policy: Policy, observation: Observation, memory: Memory) -> tuple[AnyArray, Any]:
        return sample(self.networks, policy, observation, memory)

    def _nothing_held(self, carry: Carry) -> Held | None:
        """Return the state before the first decision of an unroll; None where nothing is ever held."""
        if self.per_decision == 1:
            return None
        zero, nothing = jnp.zeros_like(carry.episode_reward), jnp.zeros_like(carry.latent)
        raw = zero[:, None] * jnp.zeros(self.networks.n_actions)
        return Held(np.bool_(True), Acting(raw, zero, nothing, nothing, carry.hidden))

    def _decisions(self, steps: Transition) -> Transition:
        """Turn the control steps of an unroll, (step, env, ...), into transitions of decisions.

        Rewards are averaged over the decision. After the end of an episode, the rest of the decision acts in the next
        one, and belongs to no transition.
        """
        if self.per_decision == 1:
            return steps
        steps = jax.tree.map(lambda x: x.reshape(self.unroll, self.per_decision, *x.shape[1:]), steps)
        ended = steps.terminated | steps.truncated
        counted = jnp.cumsum(ended, axis=1, dtype=jnp.int32) == ended.astype(jnp.int32)  # no earlier one has ended
        return jax.tree.map(lambda x: x[:, 0], steps)._replace(
            reward=jnp.where(counted, steps.reward, 0.0).mean(1),
            terminated=(steps.terminated & counted).any(1),
            truncated=(steps.truncated & counted).any(1),
        )

    def _demonstrated(self, reference: Reference, after: EpisodeState) -> Array:
        return self.task.demonstrated(reference, after._replace(frame=after.frame - 1), self._lead or 0)

    def _finish(
        self, reference: Reference, physics: PhysicsState, act: Act, result: StepResult, carry: Carry, key: Array
    ) -> Outcome:
        """Restart what has ended, and keep what learning and the log need."""
        result = self.task.limited(result)
        episode, start = self.task.restart(reference, result, key)
        done, age = result.done, result.episode.history.age
        returned = carry.episode_reward + result.reward
        transition = Transition(
            observation=act.observation,
            raw=act.details.raw,
            log_prob=act.details.log_prob,
            noise=act.details.noise,
            previous_latent=carry.latent,
            first=age <= 1,
            hidden=carry.hidden if self.networks.recurrent else None,
            reward=result.reward,
            terminated=result.terminated,
            truncated=result.truncated,
            demonstrated=None if self._lead is None else self._demonstrated(reference, result.episode),
        )
        n_reasons = len(self.task.reasons)
        which = jnp.where(done, result.reason, n_reasons)
        ended = result.episode
        failed = done & (result.reason == NON_FINITE)
        totals = Totals(
            metrics={name: value.sum() for name, value in result.metrics.items()},
            reward=result.reward.sum(),
            episodes=done.sum(),
            episode_steps=jnp.where(done, age, 0).sum(),
            episode_reward=jnp.where(done, returned, 0.0).sum(),
            reasons=(which[:, None] == jnp.arange(n_reasons)).sum(0),
            broken={name: value.sum() for name, value in result.broken.items()},
            outcomes=None
            if self.task.config.clip_sampling == "uniform"
            else outcomes_of(ended.clip, result.terminated, done, len(reference.length)),
            failure=failure_in(failed, ended.clip, ended.frame - 1, act.action, (*act.start, ended.goal)),
        )
        hidden = jnp.where(done[:, None], 0.0, act.details.hidden)
        carry = Carry(episode, act.details.latent, jnp.where(done, 0.0, returned), hidden)
        divided = self.devices.divided((carry, transition, done, start))
        return Outcome(divided[0], divided[1], self.devices.copied(totals), *divided[2:])
