"""The state of the physics as the task reads it, and the interface of an engine."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import mujoco
import numpy as np
from jaxtyping import Bool, Float

AnyArray: TypeAlias = jax.Array | np.ndarray
"""An array of JAX or of NumPy."""


class PhysicsState(NamedTuple):
    """State and derived quantities of all simulations after a control step; float32, MuJoCo's units and order.

    All belong to the state reached, contacts in `sensordata` included. Only `actuator_force`, `qfrc_actuator` and the
    sensors that measure forces and accelerations belong to the last physics step.
    """

    qpos: AnyArray
    qvel: AnyArray
    act: AnyArray
    ctrl: AnyArray
    xpos: AnyArray
    xquat: AnyArray
    actuator_length: AnyArray
    actuator_velocity: AnyArray
    actuator_force: AnyArray
    qfrc_actuator: AnyArray
    sensordata: AnyArray


class Start(NamedTuple):
    """State from which simulations restart."""

    qpos: AnyArray
    qvel: AnyArray
    act: AnyArray
    """State of the actuators that have one."""


def zero_physics(model: mujoco.MjModel, n_envs: int) -> PhysicsState:
    """Return a state with the right shapes, all zero."""
    shapes = {
        "qpos": (model.nq,), "qvel": (model.nv,), "act": (model.na,), "ctrl": (model.nu,), "xpos": (model.nbody, 3),
        "xquat": (model.nbody, 4), "actuator_length": (model.nu,), "actuator_velocity": (model.nu,),
        "actuator_force": (model.nu,), "qfrc_actuator": (model.nv,), "sensordata": (model.nsensordata,),
    }  # fmt: skip
    return PhysicsState(**{name: np.zeros((n_envs, *shapes[name]), np.float32) for name in PhysicsState._fields})


@runtime_checkable
class Engine(Protocol):
    """Many simulations of one model; they are held in a handle whose type is the engine's own."""

    name: str
    """Engine and version, as written to files."""
    traceable: bool
    """`step` and `reset` are pure and may be compiled; otherwise they change the handle in place."""

    def init(self, n_envs: int) -> Any:
        """Return `n_envs` simulations at the model's reference pose."""
        ...

    def step(self, state: Any, ctrl: Float[AnyArray, "env actuator"]) -> Any:
        """Advance all simulations by one control step."""
        ...

    def reset(
        self, state: Any, mask: Bool[AnyArray, " env"], qpos: AnyArray, qvel: AnyArray, act: AnyArray | None = None
    ) -> Any:
        """Restart the simulations in `mask` from these poses, velocities and activations (None: 0)."""
        ...

    def push(self, state: Any, force: Float[AnyArray, "env body 6"]) -> Any:
        """Apply forces and torques to bodies, in the world frame, from now on."""
        ...

    def read(self, state: Any) -> PhysicsState:
        """Return what the task reads."""
        ...

    def save(self, state: Any) -> dict[str, np.ndarray]:
        """Return all arrays needed to resume exactly."""
        ...

    def load(self, state: Any, saved: dict[str, np.ndarray]) -> Any:
        """Return the simulations as they were when `save` was called."""
        ...
