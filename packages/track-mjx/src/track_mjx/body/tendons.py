"""Tendons that pull a hinge the same way over its whole range.

A muscle at a hinge runs from a site before it to a site behind it. Two things can reverse its moment arm. On the
side that shortens, the sites pass each other when the hinge turns further than the angle between them as seen from the
hinge. On the side that lengthens, the straight line passes the hinge's axis, unless the tendon wraps something around
it; MuJoCo leads a tendon through a geom that encloses the side site, and around it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import mujoco
import numpy as np

from track_mjx._common.errors import BodyError
from track_mjx._common.mjcf import actuator_labels, joint_labels, quick_compile
from track_mjx.body.servos import TINY, moment_arms

_SITE = int(mujoco.mjtWrap.mjWRAP_SITE)
_GEOMS = (int(mujoco.mjtWrap.mjWRAP_SPHERE), int(mujoco.mjtWrap.mjWRAP_CYLINDER))
_SPARE = 0.9
"""Part of the largest distance from the hinge that a site may have, and of the tendon's that a cylinder may have."""
_COPIED = (
    "name", "limited", "range", "actfrclimited", "actfrcrange", "margin", "stiffness", "damping", "frictionloss",
    "armature", "springlength", "solref_limit", "solimp_limit", "solref_friction", "solimp_friction", "group", "width",
    "rgba", "material",
)  # fmt: skip
_POSES = 101
"""Angles at which a moment arm is looked at, over the range of a hinge."""


class Reversal(NamedTuple):
    """A tendon that pulls a hinge the other way than at the reference pose."""

    actuator: str
    joint: str
    angle: float
    """The angle nearest to the reference pose at which it does, rad."""


class _Passage(NamedTuple):
    """A wrapped geom of a tendon's path and the hinge that moves it."""

    place: int
    """In the path of the tendon."""
    joint: int
    sites: tuple[int, int]
    """Sites before and behind it."""


def reversals(model: mujoco.MjModel) -> list[Reversal]:
    """Return the tendon actuators whose moment arm at a hinge changes its sign within the hinge's range.

    Each hinge is turned alone; the others keep the reference pose.
    """
    data, found = mujoco.MjData(model), []
    by_tendon = model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON
    actuators, joints = actuator_labels(model), joint_labels(model)
    hinges = np.flatnonzero((model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE) & (model.jnt_limited > 0))
    for joint in hinges.tolist() if by_tendon.any() else ():
        place, angles = int(model.jnt_qposadr[joint]), _angles(model, joint)
        arms = np.array([_arms_at(model, data, place, angle)[:, model.jnt_dofadr[joint]] for angle in angles])
        middle = int(np.abs(np.array(angles) - model.qpos0[place]).argmin())
        arms[np.abs(arms) < TINY * np.abs(arms).max()] = 0.0
        turned = (np.sign(arms) * np.sign(arms[middle]) < 0) & by_tendon
        for actuator in np.flatnonzero(turned.any(0)):
            wrong = [angle for angle, turns in zip(angles, turned[:, actuator], strict=True) if turns]
            nearest = min(wrong, key=lambda angle: abs(angle - angles[middle]))
            found.append(Reversal(actuators[actuator], joints[joint], nearest))
    return found


def wrapped_hinges(model: mujoco.MjModel) -> set[tuple[str, str]]:
    """Return actuators and the hinges at which their tendons wrap a geom: what `lead_around_hinges` changes."""
    actuators, joints = actuator_labels(model), joint_labels(model)
    by_tendon = np.flatnonzero(model.actuator_trntype == mujoco.mjtTrn.mjTRN_TENDON)
    tendons = {actuators[actuator]: int(model.actuator_trnid[actuator, 0]) for actuator in by_tendon}
    return {(name, joints[passage.joint]) for name, n in tendons.items() for passage in _passages(model, n)}


def _angles(model: mujoco.MjModel, joint: int) -> list[float]:
    low, high = model.jnt_range[joint].tolist()
    return np.linspace(low, high, _POSES).tolist()


def _arms_at(model: mujoco.MjModel, data: mujoco.MjData, place: int, angle: float) -> np.ndarray:
    data.qpos[:] = model.qpos0
    data.qpos[place] = angle
    mujoco.mj_fwdPosition(model, data)
    return moment_arms(model, data)


def lead_around_hinges(spec: mujoco.MjSpec) -> None:
    """Let every tendon that wraps a geom of a hinged body wrap a cylinder around the hinge instead.

    The sites before and behind it move towards the axis, so far that they do not meet within the hinge's range. Muscles
    get the range of lengths that their tendons have over the ranges of these hinges. Names do not change.
    """
    if not list(spec.tendons):
        return
    model = quick_compile(spec)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    found = [(tendon, list(_passages(model, tendon.id))) for tendon in spec.tendons]  # numbers change with deletions
    found = [(tendon, passages) for tendon, passages in found if passages]
    if not found:
        raise BodyError("arena.tendons=around_hinges: no tendon of the body wraps a geom at a limited hinge")
    hinges = {tendon.name: [passage.joint for passage in passages] for tendon, passages in found}
    for tendon, passages in found:
        names = [f"{tendon.name}_{passage.place}" for passage in passages]
        wraps = {p.place: _cylinder(spec, model, data, p, name) for p, name in zip(passages, names, strict=True)}
        _replace(spec, tendon, wraps)
    _set_length_ranges(spec, hinges)


def _passages(model: mujoco.MjModel, tendon: int) -> Iterator[_Passage]:
    """Find the wrapped geoms of a tendon that lie between two sites, on a body with one limited hinge."""
    first, count = int(model.tendon_adr[tendon]), int(model.tendon_num[tendon])
    for place in range(1, count - 1):
        kinds = model.wrap_type[first + place - 1 : first + place + 2]
        if kinds[1] not in _GEOMS or kinds[0] != _SITE or kinds[2] != _SITE:
            continue
        body = int(model.geom_bodyid[model.wrap_objid[first + place]])
        joint = int(model.body_jntadr[body])
        hinge = int(model.body_jntnum[body]) == 1 and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE
        if hinge and model.jnt_limited[joint]:
            sites = (int(model.wrap_objid[first + place - 1]), int(model.wrap_objid[first + place + 1]))
            yield _Passage(place, joint, sites)


def _cylinder(
    spec: mujoco.MjSpec, model: mujoco.MjModel, data: mujoco.MjData, passage: _Passage, name: str
) -> tuple[str, str]:
    """Move the sites of a passage, and add a cylinder and a side site; return the names of these."""
    body, joint = int(model.jnt_bodyid[passage.joint]), passage.joint
    axis, anchor = data.xaxis[joint], data.xanchor[joint]
    arms = [data.site_xpos[site] - anchor for site in passage.sites]
    flat = [arm - axis * (arm @ axis) for arm in arms]
    along = flat[1] - flat[0]
    along /= np.linalg.norm(along)
    outwards = flat[0] - along * (flat[0] @ along)
    distance = np.linalg.norm(outwards)
    outwards /= distance
    furthest = float(np.abs(model.jnt_range[joint] - model.qpos0[model.jnt_qposadr[joint]]).max())
    half = min(abs(float(arm @ along)) for arm in flat)
    distance = min(distance, _SPARE * half / np.tan(min(furthest, 0.99 * np.pi) / 2))
    for site, arm in zip(passage.sites, flat, strict=True):
        _move(spec, model, data, site, outwards * (distance - arm @ outwards))
    turn = data.xmat[body].reshape(3, 3).T
    quaternion, place = np.empty(4), turn @ (anchor - data.xpos[body])
    mujoco.mju_quatZ2Vec(quaternion, turn @ axis)
    radius, owner = 0.5 * distance, spec.body(model.body(body).name)
    owner.add_geom(
        name=f"around_{name}", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[radius, radius, 0], pos=place,
        quat=quaternion, mass=0, contype=0, conaffinity=0, group=4,
    )  # fmt: skip
    owner.add_site(name=f"side_{name}", pos=place + turn @ outwards * 2 * radius)
    return f"around_{name}", f"side_{name}"


def _move(spec: mujoco.MjSpec, model: mujoco.MjModel, data: mujoco.MjData, site: int, by: np.ndarray) -> None:
    body = int(model.site_bodyid[site])
    element = spec.site(model.site(site).name)
    element.pos = element.pos + data.xmat[body].reshape(3, 3).T @ by


def _replace(spec: mujoco.MjSpec, old: mujoco.MjsTendon, wraps: Mapping[int, tuple[str, str]]) -> None:
    """Put a tendon with other wraps in the place of one, because a path cannot be changed."""
    values = {name: getattr(old, name) for name in _COPIED}
    values = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in values.items()}
    path = [(wrap.type, wrap.target, wrap.sidesite, wrap.divisor, wrap.coef) for wrap in old.path]
    spec.delete(old)
    new = spec.add_tendon(**values)
    for place, (kind, target, side, divisor, coefficient) in enumerate(path):
        if place in wraps:
            new.wrap_geom(*wraps[place])
        elif kind == mujoco.mjtWrap.mjWRAP_SITE:
            new.wrap_site(target.name)
        elif kind == mujoco.mjtWrap.mjWRAP_PULLEY:
            new.wrap_pulley(divisor)
        elif kind == mujoco.mjtWrap.mjWRAP_JOINT:
            new.wrap_joint(target.name, coefficient)
        else:
            new.wrap_geom(target.name, side.name if side else "")


def _set_length_ranges(spec: mujoco.MjSpec, hinges: Mapping[str, list[int]]) -> None:
    """Give the muscles of tendons the lengths that result when hinges turn over their ranges."""
    model = quick_compile(spec)
    data = mujoco.MjData(model)
    ranges = {name: _length_range(model, data, model.tendon(name).id, joints) for name, joints in hinges.items()}
    for actuator in spec.actuators:
        if actuator.trntype == mujoco.mjtTrn.mjTRN_TENDON and actuator.target in ranges:
            actuator.lengthrange = ranges[actuator.target]


def _length_range(model: mujoco.MjModel, data: mujoco.MjData, tendon: int, joints: Sequence[int]) -> list[float]:
    """Shortest and longest length; each hinge is turned alone, and their contributions add up."""
    shortest = longest = float(model.tendon_length0[tendon])
    for joint in joints:
        lengths = []
        for angle in _angles(model, joint):
            _arms_at(model, data, int(model.jnt_qposadr[joint]), angle)
            lengths.append(float(data.ten_length[tendon]) - float(model.tendon_length0[tendon]))
        shortest, longest = shortest + min(lengths), longest + max(lengths)
    return [shortest, longest]
