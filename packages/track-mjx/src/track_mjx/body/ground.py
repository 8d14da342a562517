"""Where the ground lies: the level on which the end effectors of a recording stand."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float

FRAMES = 400
"""Most frames looked at, spread over the recording."""

PERCENTILE = 10.0
"""Of the lowest point in every frame, this percentile is the ground: some foot stands in nearly every frame."""


def ground_height(model: mujoco.MjModel, geoms: Sequence[str], qpos: Float[np.ndarray, "frame qpos"]) -> float:
    """Height on which these geoms stand, in the model's unit."""
    ids = [model.geom(name).id for name in geoms]
    data = mujoco.MjData(model)
    lowest = []
    for frame in np.unique(np.linspace(0, len(qpos) - 1, FRAMES).astype(np.int64)):
        data.qpos[:] = qpos[frame]
        mujoco.mj_kinematics(model, data)
        lowest.append(min(lowest_point(model, data, geom) for geom in ids))
    return float(np.percentile(lowest, PERCENTILE))


def lowest_point(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> float:
    """Smallest height of a geom's surface; for a shape without a formula, that of the sphere around it."""
    height = float(data.geom_xpos[geom, 2])
    up = data.geom_xmat[geom].reshape(3, 3)[2]
    size = model.geom_size[geom]
    kind = mujoco.mjtGeom(int(model.geom_type[geom]))
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return height - float(size[0])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return height - float(size[0] + abs(up[2]) * size[1])
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return height - float(np.sqrt(max(0.0, 1 - up[2] ** 2)) * size[0] + abs(up[2]) * size[1])
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return height - float(np.linalg.norm(up * size))
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return height - float(np.abs(up) @ size)
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        first, n = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        return height + float((model.mesh_vert[first : first + n] @ up).min())
    return height - float(model.geom_rbound[geom])
