"""Friction of segments with the floor that differs along and across them, as of a worm on agar (paper B, section 4.1).

MuJoCo turns the tangents of a contact between a capsule and a plane into the direction of the capsule, so that a
contact pair holds one coefficient along it and one across. Other shapes have no such direction: they get a capsule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np

from track_mjx._common.errors import BodyError, ConfigError
from track_mjx._common.mjcf import quick_compile

_CAPSULE, _SPHERE = mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE
_PREFIX = "along_"
"""Of the names of the capsules that stand for spheres."""
_TURNING = (0.005, 0.0001, 0.0001)
"""MuJoCo's own coefficients of torsion and rolling."""


def set_friction(
    spec: mujoco.MjSpec, floor: str, contact_geoms: Mapping[str, tuple[str, ...]], friction: Sequence[float]
) -> dict[str, tuple[str, ...]]:
    """Give contacts with the floor two coefficients of sliding friction: along the segment and across it.

    A sphere is replaced in its contacts by a capsule of its radius along its segment, without mass.

    Returns:
        The geoms that touch the floor now.
    """
    if not friction:
        return dict(contact_geoms)
    if len(friction) != 2 or min(friction) < 0:
        raise ConfigError(f"arena.friction: expected two coefficients, along and across, got {list(friction)}")
    if not floor or not contact_geoms:
        raise ConfigError("arena.friction: nothing touches a floor; see arena.floor and arena.contacts")
    model = quick_compile(spec)
    geoms = {geom.name: geom for geom in spec.geoms}
    touching = {
        body: tuple(_capsule(spec, model, geoms[name]) for name in names) for body, names in contact_geoms.items()
    }
    replaced = {name for names in (*contact_geoms.values(), *touching.values()) for name in names}
    for pair in [pair for pair in spec.pairs if {pair.geomname1, pair.geomname2} & replaced]:
        spec.delete(pair)
    for name in dict.fromkeys(name for names in touching.values() for name in names):
        spec.add_pair(geomname1=floor, geomname2=name, condim=3, friction=[*friction, *_TURNING])
    return touching


def _capsule(spec: mujoco.MjSpec, model: mujoco.MjModel, geom: mujoco.MjsGeom) -> str:
    """Return the capsule by which a geom touches the floor, and leave its contacts to pairs."""
    number = model.geom(geom.name).id
    if geom.type not in (_CAPSULE, _SPHERE):
        raise BodyError(f"arena.friction: geom {geom.name!r} is neither a capsule nor a sphere")
    geom.contype = geom.conaffinity = 0
    if geom.type == _CAPSULE:
        return geom.name
    body = int(model.geom_bodyid[number])
    along = _direction(model, body)
    quaternion, length = np.empty(4), float(np.linalg.norm(along))
    mujoco.mju_quatZ2Vec(quaternion, along / length)
    spec.body(model.body(body).name).add_geom(
        name=_PREFIX + geom.name, type=_CAPSULE, size=[model.geom_size[number, 0], 0.5 * length, 0],
        pos=model.geom_pos[number], quat=quaternion, mass=0, contype=0, conaffinity=0, group=4,
    )  # fmt: skip
    return _PREFIX + geom.name


def _direction(model: mujoco.MjModel, body: int) -> np.ndarray:
    """Return the vector from a body to its first child, or to it from its parent, in the body's frame."""
    children = np.flatnonzero(model.body_parentid == body)
    if len(children):
        return model.body_pos[children[0]].copy()
    turned = np.empty(3)
    mujoco.mju_negQuat(inverse := np.empty(4), model.body_quat[body])
    mujoco.mju_rotVecQuat(turned, model.body_pos[body], inverse)
    return turned
