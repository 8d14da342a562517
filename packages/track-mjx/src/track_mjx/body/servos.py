"""Motors and servos that replace the actuators of a body, and the moment arms of actuators.

A servo pulls its joint towards the commanded angle. The joint then behaves like a critically damped mass on a spring
of natural frequency ``f``: stiffness ``I w^2`` and damping ``2 I w`` with ``w = 2 pi f``. ``I`` is the inertia of the
bodies below the joint. If an end effector is among them, the inertia of the trunk above a planted foot is added: the
mass of the body at the distance of that foot, shared between half of the feet. Its force is not limited.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from track_mjx._common.errors import BodyError, ConfigError, counted, shorten
from track_mjx._common.mjcf import actuator_labels, quick_compile

_log = logging.getLogger(__name__)

_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
TINY = 1e-6
"""Moment arms shorter than this part of an actuator's longest are rounding errors."""


def moment_arms(model: mujoco.MjModel, data: mujoco.MjData) -> Float[np.ndarray, "actuator dof"]:
    """Return the derivative of each actuator's length by each dof, in the pose of the last `mj_fwdPosition`."""
    arms = np.zeros((model.nu, model.nv))
    mujoco.mju_sparse2dense(
        arms, data.actuator_moment.ravel(), data.moment_rownnz, data.moment_rowadr, data.moment_colind.ravel()
    )
    return arms


def set_actuators(spec: mujoco.MjSpec, mode: str, servo_hz: float, end_effectors: Sequence[str]) -> None:
    """Turn the actuators of a body into motors or servos, or keep them."""
    if mode == "torque":
        _motors(spec)
    elif mode == "servo":
        _servos(spec, servo_hz, end_effectors)


def position_servos(model: mujoco.MjModel) -> Bool[np.ndarray, " actuator"]:
    """Say which actuators pull towards a length: their force falls with it, and rises with their input."""
    affine = model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE
    return affine & (model.actuator_biasprm[:, 1] < 0) & (model.actuator_gainprm[:, 0] > 0)


def _motors(spec: mujoco.MjSpec) -> None:
    """Turn position servos into motors with their force range; those that integrate a speed lose their state.

    Other actuators stay as they are, which is logged for those that are not motors.
    """
    model = quick_compile(spec)
    servo, labels = position_servos(model), actuator_labels(model)
    others = [
        labels[actuator.id]
        for actuator in spec.actuators
        if not servo[actuator.id] and (actuator.biastype or actuator.dyntype)
    ]
    if others:
        _log.warning("arena.actuators=torque: not position servos, and kept as they are: %s", shorten(others))
    for actuator in spec.actuators:
        if not servo[actuator.id]:
            continue
        largest = float(np.abs(actuator.forcerange).max())
        if not largest > 0:
            raise ConfigError(f"arena.actuators=torque: actuator {labels[actuator.id]!r} has no force range")
        actuator.gainprm = [largest, *[0.0] * (len(actuator.gainprm) - 1)]
        actuator.biastype, actuator.biasprm = mujoco.mjtBias.mjBIAS_NONE, [0.0] * len(actuator.biasprm)
        actuator.ctrllimited, actuator.ctrlrange = True, [-1.0, 1.0]
        if actuator.dyntype == mujoco.mjtDyn.mjDYN_INTEGRATOR:
            actuator.dyntype, actuator.actlimited = mujoco.mjtDyn.mjDYN_NONE, False


def _servos(spec: mujoco.MjSpec, hz: float, end_effectors: Sequence[str]) -> None:
    """Replace all actuators and their tendons by one servo for each hinge that an actuator moves.

    Damping is put on the joint, because integrators treat joint damping implicitly.
    """
    model = quick_compile(spec)
    moved = moved_hinges(model)
    if not moved:
        raise BodyError("arena.actuators=servo: no actuator of the body moves a hinge")
    inertia = _inertias(model, end_effectors)
    _log.warning(
        "arena.actuators=servo: %s take the place of %s and %s of the body",
        counted(len(moved), "servo"), counted(model.nu, "actuator"), counted(model.ntendon, "tendon"),
    )  # fmt: skip
    joints = list(spec.joints)  # not in the order of the model; `id` is their number there
    for elements in (spec.actuators, spec.tendons, spec.keys):
        for element in list(elements):
            spec.delete(element)
    omega = 2 * np.pi * hz
    for joint in joints:
        if joint.id not in moved:
            continue
        number, dof = joint.id, int(model.jnt_dofadr[joint.id])
        joint.name = joint.name or f"joint_{number}"
        joint.damping = [float(model.dof_damping[dof] + 2 * inertia[dof] * omega), *[0.0] * (len(joint.damping) - 1)]
        stiffness = float(inertia[dof] * omega**2)
        low, high = model.jnt_range[number] if model.jnt_limited[number] else (-np.pi, np.pi)
        # all that a default class of the body may hold for its muscles is set
        spec.add_actuator(
            name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT, gear=[1.0, *[0.0] * 5],
            dyntype=mujoco.mjtDyn.mjDYN_NONE, gaintype=mujoco.mjtGain.mjGAIN_FIXED, gainprm=[stiffness, *[0.0] * 9],
            biastype=mujoco.mjtBias.mjBIAS_AFFINE, biasprm=[0.0, -stiffness, *[0.0] * 8], ctrllimited=True,
            ctrlrange=[float(low), float(high)], forcelimited=False, actlimited=False,
        )  # fmt: skip


def moved_hinges(model: mujoco.MjModel) -> list[int]:
    """Return the ids of the hinges that an actuator moves."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    arms = np.abs(moment_arms(model, data))
    pulled = (arms > TINY * arms.max(axis=1, keepdims=True, initial=0)).any(axis=0)
    return [j for j in range(model.njnt) if model.jnt_type[j] == _HINGE and pulled[model.jnt_dofadr[j]]]


def _inertias(model: mujoco.MjModel, end_effectors: Sequence[str]) -> Float[np.ndarray, " dof"]:
    """Return the inertia that each dof works against, in the reference pose."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    free = 1.0 / np.maximum(model.dof_invweight0, 1e-12)
    feet = [model.body(name).id for name in end_effectors]
    trees = {int(model.body_rootid[foot]) for foot in feet}  # ground and objects of the scene do not rest on the feet
    share = sum(float(model.body_subtreemass[tree]) for tree in trees) / max(1.0, len(feet) / 2)
    planted = np.zeros(model.nv)
    for foot in feet:
        body = foot
        while body:
            for joint in range(model.body_jntadr[body], model.body_jntadr[body] + model.body_jntnum[body]):
                if model.jnt_type[joint] == _HINGE:
                    reach = float(np.linalg.norm(data.xpos[foot] - data.xpos[body]))
                    dof = int(model.jnt_dofadr[joint])
                    planted[dof] = max(planted[dof], share * reach**2)
            body = int(model.body_parentid[body])
    return free + planted
