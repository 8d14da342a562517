"""One control step: observe, act, advance the physics, evaluate. Training, evaluation and benchmarks all run this one.

An engine that can be traced runs inside a compiled scan (`ControlStep.traced`). Otherwise the physics runs between two
compiled functions (`ControlStep.__call__`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array

from track_mjx.devices import Devices
from track_mjx.physics.fields import AnyArray, Engine, PhysicsState
from track_mjx.policy.policy import Policy
from track_mjx.task.reference import Reference
from track_mjx.task.step import EpisodeState, Observation, StepResult
from track_mjx.task.task import Task

Decide = Callable[[Any, Observation, Any], tuple[AnyArray, Any]]
"""From policy, observation and key to actions in [-1, 1] and what else the caller needs of the policy's computation."""


class Act(NamedTuple):
    """The policy's part of a control step."""

    observation: Observation
    action: AnyArray
    """In [-1, 1]."""
    details: Any
    """What `Decide` returned with the action."""
    start: tuple[AnyArray, AnyArray, AnyArray]
    """qpos, qvel and act before the step."""


Finish = Callable[[Reference, PhysicsState, Act, StepResult, Any, Any], Any]
"""From reference, physics after the step, act, result, the caller's own values and key to the outcome."""


class ControlStep:
    """One control step of a task on an engine.

    Args:
        task: the task.
        engine: the physics.
        decide: the policy.
        finish: called with the result of the step, inside compiled code; its value is the outcome of the step.
        devices: devices the simulations are divided among; None: one.
    """

    def __init__(
        self, task: Task, engine: Engine, decide: Decide, finish: Finish, devices: Devices | None = None
    ) -> None:
        self.task, self.engine, self.devices = task, engine, devices or Devices()
        self._decide, self._finish = decide, finish
        self._act_compiled, self._evaluate_compiled = jax.jit(self._act), jax.jit(self._evaluate)
        self._engine_step, self.reset = (
            (jax.jit(engine.step), jax.jit(engine.reset)) if engine.traceable else (engine.step, engine.reset)
        )

    def __call__(
        self,
        policy: Policy | None,
        reference: Reference,
        state: Any,
        episode: EpisodeState,
        carried: Any = None,
        keys: Any = None,
    ) -> tuple[Any, AnyArray, Act, Any]:
        """Advance all simulations; return physics, controls, act and outcome.

        Args:
            policy: parameters and statistics, handed to `decide`.
            reference: the clips.
            state: the engine's simulations.
            episode: before the step.
            carried: values of the caller, handed to `finish`.
            keys: a pair, for `decide` and for `finish`.
        """
        keys = (None, None) if keys is None else keys
        act, ctrl = self._act_compiled(policy, reference, self.read(state), episode, keys[0])
        state = self._engine_step(state, ctrl if self.engine.traceable else self.devices.own(ctrl))
        return state, ctrl, act, self._evaluate_compiled(reference, self.read(state), episode, act, carried, keys[1])

    def traced(
        self, policy: Policy | None, reference: Reference, state: Any, episode: EpisodeState, carried: Any, keys: Any
    ) -> tuple[Any, Act, Any]:
        """Advance all simulations within a compiled function; return physics, act and outcome."""
        act, ctrl = self._act(policy, reference, self.engine.read(state), episode, keys[0])
        state = self.engine.step(state, ctrl)
        return state, act, self._evaluate(reference, self.engine.read(state), episode, act, carried, keys[1])

    def read(self, state: Any) -> PhysicsState:
        """Return the physics on the devices that evaluate the task."""
        physics = self.engine.read(state)
        return physics if self.engine.traceable else self.devices.spread(physics)

    def _act(
        self, policy: Policy | None, reference: Reference, physics: PhysicsState, episode: EpisodeState, key: Any
    ) -> tuple[Act, Array]:
        observation = self.task.observe(reference, physics, episode)
        action, details = self._decide(policy, observation, key)
        start = (physics.qpos, physics.qvel, physics.act)
        ctrl = self.task.ctrl(reference, episode, action)
        return self.devices.divided((Act(observation, action, details, start), ctrl))

    def _evaluate(
        self, reference: Reference, physics: PhysicsState, episode: EpisodeState, act: Act, carried: Any, key: Any
    ) -> Any:
        result = self.task.step(reference, physics, episode, act.action)
        return self._finish(reference, physics, act, result, carried, key)
