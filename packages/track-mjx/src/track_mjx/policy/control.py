"""One control step: observe, act, advance the physics, evaluate. Training, evaluation and benchmarks all run this one.

An engine that can be traced runs inside a compiled scan (`ControlStep.traced`). Otherwise the physics runs between two
compiled functions (`ControlStep.__call__`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, NamedTuple

from jaxtyping import Array

from track_mjx.compiled import ByContent, compiled
from track_mjx.devices import Devices
from track_mjx.physics.divided import DividedEngine
from track_mjx.physics.fields import AnyArray, Engine, PhysicsState
from track_mjx.policy.networks import Networks
from track_mjx.policy.policy import Policy
from track_mjx.task.reference import Reference
from track_mjx.task.step import EpisodeState, Observation, StepResult
from track_mjx.task.task import Task


class Act(NamedTuple):
    """The policy's part of a control step."""

    observation: Observation
    action: AnyArray
    """In [-1, 1]."""
    details: Any
    """What `ControlStep.decide` returned with the action."""
    start: tuple[AnyArray, AnyArray, AnyArray]
    """qpos, qvel and act before the step."""


class ControlStep(ByContent):
    """One control step of a task on an engine; a subclass says how to act, and what is kept of the step."""

    def __init__(self, task: Task, networks: Networks, engine: Engine, devices: Devices | None = None) -> None:
        self.task, self.networks, self.devices = task, networks, devices or Devices()
        divided = engine.traceable and self.devices.mesh
        self.engine = DividedEngine(engine, self.devices) if divided else engine

    @property
    def content(self) -> Hashable:
        """Task, policy and devices, and an engine that is compiled with them."""
        return self.task, self.networks, self.devices, self.engine if self.engine.traceable else None

    @abstractmethod
    def decide(self, policy: Any, observation: Observation, memory: Any) -> tuple[AnyArray, Any]:
        """Return actions in [-1, 1], and what else is needed of the policy's computation."""

    @abstractmethod
    def finish(
        self, reference: Reference, physics: PhysicsState, act: Act, result: StepResult, carried: Any, key: Any
    ) -> Any:
        """Return the outcome of a step from its result, physics after it, and the caller's own values and key."""

    @cached_property
    def reset(self) -> Callable[..., Any]:
        """Restart simulations, as `Engine.reset`."""
        return self._of_engine("reset")

    @cached_property
    def _programs(self) -> tuple[Callable[..., Any], ...]:
        """Act, advance the physics, evaluate."""
        kind = type(self)
        return compiled(kind._act, self), self._of_engine("step"), compiled(kind._evaluate, self)

    def _of_engine(self, name: str) -> Callable[..., Any]:
        engine: Any = self.engine
        return compiled(getattr(type(engine), name), engine) if engine.traceable else getattr(engine, name)

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

        `carried` are values of the caller for `finish`; `keys` are a pair, for `decide` and `finish`.
        """
        keys = (None, None) if keys is None else keys
        acting, advance, evaluate = self._programs
        act, ctrl = acting(policy, reference, self.read(state), episode, keys[0])
        state = advance(state, ctrl if self.engine.traceable else self.devices.own(ctrl))
        return state, ctrl, act, evaluate(reference, self.read(state), episode, act, carried, keys[1])

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
        action, details = self.decide(policy, observation, key)
        start = (physics.qpos, physics.qvel, physics.act)
        ctrl = self.task.ctrl(reference, episode, action)
        return self.devices.divided((Act(observation, action, details, start), ctrl))

    def _evaluate(
        self, reference: Reference, physics: PhysicsState, episode: EpisodeState, act: Act, carried: Any, key: Any
    ) -> Any:
        result = self.task.step(reference, physics, episode, act.action)
        return self.finish(reference, physics, act, result, carried, key)
