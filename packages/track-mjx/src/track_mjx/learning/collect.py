"""Collecting unrolls: control steps in a row, for engines inside and outside of compiled code."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from track_mjx.compiled import ByContent, compiled
from track_mjx.devices import Devices
from track_mjx.learning.clip_sampling import Outcomes, outcomes_of
from track_mjx.learning.failures import Failure, failure_in, first_of
from track_mjx.learning.ppo import Transition
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


class LearningStep(ControlStep):
    """A control step of training.

    `lead` is that of the actions demonstrated by the reference, see `Task.demonstrated`; None: none are kept.
    """

    def __init__(
        self, task: Task, networks: Networks, engine: Engine, devices: Devices | None = None, lead: int | None = None
    ) -> None:
        super().__init__(task, networks, engine, devices)
        self._lead = lead

    @property
    def content(self) -> Hashable:
        """As of a control step, and the lead."""
        return super().content, self._lead

    def decide(self, policy: Policy, observation: Observation, memory: Memory) -> tuple[AnyArray, Any]:
        """Draw latents and actions."""
        return sample(self.networks, policy, observation, memory)

    def _demonstrated(self, reference: Reference, after: EpisodeState) -> Array:
        return self.task.demonstrated(reference, after._replace(frame=after.frame - 1), self._lead or 0)

    def finish(
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


class Collector(ByContent):
    """Runs unrolls of a task on an engine.

    Args:
        step: the control step.
        unroll: control steps of each simulation; decisions, where these are held.
    """

    def __init__(self, step: LearningStep, unroll: int) -> None:
        self.step, self.unroll = step, unroll
        self.networks, self.engine, self.devices = step.networks, step.engine, step.devices
        use, dt = step.networks.use, step.task.body.ctrl_dt
        self.hold, self.per_decision = use.hold_steps(dt), use.decision_steps(dt)
        """Control steps of a decision, and those of a transition."""
        self.n_steps = unroll * self.per_decision
        """Control steps of an unroll."""
        kind = Collector
        self._observe, self._start = compiled(kind._observed, self), compiled(kind._started, self, static_argnums=2)
        self._scan, self._keys = compiled(kind._scanned, self), compiled(kind._split, self)
        self._stack, self._sum = compiled(kind._stacked, self), compiled(kind._summed, self)

    @property
    def content(self) -> Hashable:
        """The control step, and how many of them there are."""
        return self.step, self.unroll

    def _observed(self, reference: Reference, physics: PhysicsState, episode: EpisodeState) -> Observation:
        return self.devices.divided(self.step.task.observe(reference, physics, episode))

    def _started(self, reference: Reference, key: Array, n_envs: int) -> tuple[EpisodeState, Start]:
        return self.devices.divided(self.step.task.start(reference, key, n_envs))

    def _split(self, key: Array) -> tuple[Array, ...]:
        return tuple(jax.random.split(key, 2 * self.n_steps))

    def _stacked(self, steps: list[Transition]) -> Transition:
        return self._decisions(jax.tree.map(lambda *x: jnp.stack(x), *steps))

    def _summed(self, steps: list[Totals]) -> Totals:
        return self.devices.copied(added(jax.tree.map(lambda *x: jnp.stack(x), *steps)))

    def begin(self, reference: Reference, key: Array, n_envs: int) -> tuple[Any, Carry]:
        """Start all simulations; return physics and carry."""
        episode, start = self._start(reference, key, n_envs)
        spread, own, n_here = self.devices.spread, self.devices.own, self.devices.own_count(n_envs)
        everyone = np.ones(n_here, bool)
        if self.engine.traceable:
            state = self.step.reset(self.engine.init(n_envs), spread(everyone), *start)
        else:
            state = self.step.reset(self.engine.init(n_here), everyone, *map(own, start))
        latent = np.zeros((n_here, self.networks.config.latent), np.float32)
        hidden = np.asarray(self.networks.memory(n_here))
        return state, Carry(episode, spread(latent), spread(np.zeros(n_here, np.float32)), spread(hidden))

    def observation(self, reference: Reference, state: Any, carry: Carry) -> Observation:
        """Return the present observation."""
        return self._observe(reference, self.step.read(state), carry.episode)

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
            state, _, act, outcome = self.step(
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
            state, act, outcome = self.step.traced(policy, reference, state, carry.episode, carry, keyed)
            state = self.engine.reset(state, outcome.done, *outcome.start)
            held = None if held is None else held._replace(last=act.details)
            return (state, outcome.carry, held), (outcome.transition, outcome.totals)

        keys = jax.random.split(key, 2 * self.n_steps)
        begin = (state, carry, self._nothing_held(carry))
        (state, carry, _), (transitions, totals) = jax.lax.scan(step, begin, jnp.arange(self.n_steps))
        transitions = self._decisions(transitions)
        last = self.step.task.observe(reference, self.engine.read(state), carry.episode)
        totals = self.devices.copied(added(totals))
        return state, carry, (transitions, self.devices.divided(last)), totals

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
