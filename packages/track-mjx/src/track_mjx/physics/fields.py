"""What the task sees of the physics, whichever engine runs: one record of arrays, batch first."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Bool, Float

Arrayish: TypeAlias = Any
"""An array of JAX or of NumPy; shapes in signatures are checked all the same."""


class Fields(NamedTuple):
    """State and derived quantities of all simulations after a control step; float32, MuJoCo's units and order.

    All belong to the state reached, `sensordata` (contacts) too; only `actuator_force` and `qfrc_actuator` are forces
    during the last physics step.
    """

    qpos: Arrayish
    qvel: Arrayish
    act: Arrayish
    ctrl: Arrayish
    xpos: Arrayish
    xquat: Arrayish
    actuator_length: Arrayish
    actuator_velocity: Arrayish
    actuator_force: Arrayish
    qfrc_actuator: Arrayish
    sensordata: Arrayish


def zero_fields(model: mujoco.MjModel, n_envs: int) -> Fields:
    """Fields of the right shapes, all zero."""
    shapes = {
        "qpos": (model.nq,), "qvel": (model.nv,), "act": (model.na,), "ctrl": (model.nu,), "xpos": (model.nbody, 3),
        "xquat": (model.nbody, 4), "actuator_length": (model.nu,), "actuator_velocity": (model.nu,),
        "actuator_force": (model.nu,), "qfrc_actuator": (model.nv,), "sensordata": (model.nsensordata,),
    }  # fmt: skip
    return Fields(**{name: np.zeros((n_envs, *shapes[name]), np.float32) for name in Fields._fields})


@runtime_checkable
class Engine(Protocol):
    """Many simulations of one model.

    Attributes:
        name: engine and version, as files carry it.
        traceable: `step` and `reset` are pure and may be called inside a compiled function; otherwise the state is a
            handle that they change.
    """

    name: str
    traceable: bool

    def init(self, n_envs: int) -> Any:
        """Return the state of `n_envs` simulations at the model's reference pose."""
        ...

    def step(self, state: Any, ctrl: Float[Arrayish, "env actuator"]) -> Any:
        """Advance all simulations by one control step."""
        ...

    def reset(self, state: Any, mask: Bool[Arrayish, " env"], qpos: Arrayish, qvel: Arrayish) -> Any:
        """Start the simulations in `mask` anew from these poses and velocities, at rest otherwise."""
        ...

    def fields(self, state: Any) -> Fields:
        """Return what the task sees."""
        ...

    def save(self, state: Any) -> dict[str, np.ndarray]:
        """Return all that is needed to go on exactly, as arrays."""
        ...

    def load(self, state: Any, saved: dict[str, np.ndarray]) -> Any:
        """Return a state that goes on exactly where `save` was called."""
        ...
