"""Moment arms: how far each actuator moves when a degree of freedom does."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float


def moment_arms(model: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "actuator dof"]:
    """Derivative of each actuator's length by each degree of freedom, in the pose of the last `mj_fwdPosition`."""
    arms = np.zeros((model.nu, model.nv))
    mujoco.mju_sparse2dense(
        arms, data.actuator_moment.ravel(), data.moment_rownnz, data.moment_rowadr, data.moment_colind.ravel()
    )
    return arms
