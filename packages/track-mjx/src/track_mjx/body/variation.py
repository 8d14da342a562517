"""Bodies with other masses, friction, armature or strength: fields of a model times factors."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.rotations import Array

Fields = dict[str, Array]
"""Fields of a model by name, with the factors' axes first."""
_MUSCLE = int(mujoco.mjtGain.mjGAIN_MUSCLE)
_PEAK, _SCALE = 2, 3
"""Columns of a muscle's parameters: its peak force and, where that is negative, the scale it follows from."""


def _times(*names: str) -> Callable[[mujoco.MjModel, Array], Fields]:
    def fields(model: mujoco.MjModel, factor: Float[Array, "*batch"]) -> Fields:
        values = {name: np.asarray(getattr(model, name), np.float32) for name in names}
        return {name: v * factor.reshape(*factor.shape, *[1] * v.ndim) for name, v in values.items()}

    return fields


def strength(model: mujoco.MjModel, factor: Float[Array, "*batch"]) -> Fields:
    """All actuators times a factor."""
    return actuator_strength(model, factor[..., None])


QUANTITIES = {
    "mass": _times("body_mass", "body_subtreemass", "body_inertia"),
    "friction": _times("geom_friction", "pair_friction"),
    "armature": _times("dof_armature"),
    "strength": strength,
}
"""Quantity -> fields of a model whose quantity is multiplied by factors. The solver's inverse weights do not change."""


def actuator_strength(model: mujoco.MjModel, factor: Float[Array, "*batch _"]) -> Fields:
    """Return the fields of a model whose actuators have the forces times `factor` (..., actuator or 1).

    That is the peak force of muscles, gain and bias of others, and the range of forces.
    """
    muscle = model.actuator_gaintype == _MUSCLE
    fields: Fields = {"actuator_forcerange": model.actuator_forcerange.astype(np.float32) * factor[..., None]}
    for name in ("actuator_gainprm", "actuator_biasprm"):
        values = getattr(model, name).astype(np.float32)
        of_scale = values[:, _SCALE] / np.maximum(model.actuator_acc0, 1e-15)
        values[:, _PEAK] = np.where(muscle & (values[:, _PEAK] < 0), of_scale, values[:, _PEAK])
        columns = np.arange(values.shape[1])
        forces = np.where(muscle[:, None], columns == _PEAK, columns < 3).astype(np.float32)
        fields[name] = values * (1 + forces * (factor[..., None] - 1))
    return fields
