"""What a body may stand on: level planes, and everything else in its scene that collides."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

_PLANE, _BOX, _HFIELD = (int(getattr(mujoco.mjtGeom, f"mjGEOM_{name}")) for name in ("PLANE", "BOX", "HFIELD"))
_LEVEL, _SLOPE = 0.99, 0.5
"""Least vertical part of the normal of a level plane, and of a plane that bears an animal."""


class Ground(NamedTuple):
    """Geoms of a scene that are not the animal's."""

    floor: str
    """The geom that bears it: the highest level plane below it, else what is under it, a slope too; empty: none."""
    others: tuple[str, ...]
    """Names of the other ones that collide: walls, obstacles, objects that move."""


def find_ground(model: mujoco.MjModel, root: str, qpos: Float[np.ndarray, " qpos"]) -> Ground:
    """Sort the geoms outside of the tree of body `root`, with the animal in one of its poses."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    animal = model.body_rootid[model.body(root).id]
    outside = np.flatnonzero(model.body_rootid[model.geom_bodyid] != animal)
    colliding = [i for i in outside if model.geom_contype[i] or model.geom_conaffinity[i]]
    place = data.xpos[model.body(root).id]
    level = [i for i in outside if is_level_plane(model, data, int(i))]
    planes = [i for i in level if i in colliding] or level
    planes = [i for i in planes if data.geom_xpos[i, 2] < place[2]] or planes
    under = [i for i in colliding if _is_under(model, data, int(i), place)]
    best = max(planes or under, key=lambda i: data.geom_xpos[i, 2], default=None)
    return Ground(
        "" if best is None else model.geom(best).name, tuple(model.geom(i).name for i in colliding if i != best)
    )


def is_level_plane(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> bool:
    """Say whether a geom is a plane whose normal points up."""
    return bool(model.geom_type[geom] == _PLANE and data.geom_xmat[geom, 8] > _LEVEL)


def _is_under(model: mujoco.MjModel, data: mujoco.MjData, geom: int, place: Float[np.ndarray, " 3"]) -> bool:
    """Say whether a geom reaches below a place; shapes other than boxes and height fields by their bounding sphere."""
    away = place - data.geom_xpos[geom]
    kind = int(model.geom_type[geom])
    if kind == _PLANE:
        return bool(data.geom_xmat[geom, 8] > _SLOPE and away @ data.geom_xmat[geom, 2::3] > 0)
    if kind not in (_BOX, _HFIELD):
        return bool(away[2] > 0 and np.linalg.norm(away[:2]) < model.geom_rbound[geom])
    size = model.geom_size[geom] if kind == _BOX else model.hfield_size[model.geom_dataid[geom]][:2]
    local = data.geom_xmat[geom].reshape(3, 3).T @ away
    return bool(away[2] > 0 and (np.abs(local[:2]) < size[:2]).all())


def floor_height(model: mujoco.MjModel, floor: str) -> float:
    """Return the height of a level floor that does not move, in the model's unit; 0 for other ground, or none."""
    if not floor:
        return 0.0
    geom = model.geom(floor).id
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    flat = model.geom_type[geom] == _BOX or is_level_plane(model, data, geom)
    if model.body_weldid[model.geom_bodyid[geom]] or not flat:
        return 0.0
    above = model.geom_size[geom, 2] if model.geom_type[geom] == _BOX else 0.0
    return float(data.geom_xpos[geom, 2] + above)
