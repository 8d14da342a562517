"""What moves the joints, where a config asks for something else than the body brings.

A servo pulls its joint towards the angle it is told. The joint then answers like a mass on a spring of natural
frequency ``f``, critically damped: stiffness ``I w^2`` and damping ``2 I w`` with ``w = 2 pi f``. The inertia ``I``
that the joint works against is that of what hangs on it, and, where an end effector hangs on it, that of the trunk
above a planted foot: the body's mass at the distance of that foot, shared between half of the feet. Nothing else
limits its force.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import BodyError, ConfigError
from track_mjx._common.mjcf import quick_compile
from track_mjx.body.moments import moment_arms

MODES = ("keep", "torque", "servo")
_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
_TINY = 1e-6
"""Moment arms below this part of an actuator's longest are rounding."""


def set_actuators(spec: mujoco.MjSpec, mode: str, servo_hz: float, end_effectors: Sequence[str]) -> None:
    """Turn the actuators of a body into motors or servos, where that is asked for.

    Raises:
        ConfigError: when there is no such mode, or what it needs is not there.
        BodyError: when no actuator moves a hinge.
    """
    if mode not in MODES:
        raise ConfigError(f"arena.actuators: expected {', '.join(MODES[:-1])} or {MODES[-1]}, got {mode!r}")
    if mode == "torque":
        _motors(spec)
    elif mode == "servo":
        _servos(spec, servo_hz, end_effectors)


def _motors(spec: mujoco.MjSpec) -> None:
    """Position servos become motors with the range of their forces."""
    for actuator in spec.actuators:
        if actuator.biastype != mujoco.mjtBias.mjBIAS_AFFINE:
            continue
        largest = float(np.abs(actuator.forcerange).max())
        if not largest > 0:
            raise ConfigError(f"arena.actuators=torque: actuator {actuator.name!r} has no range of forces")
        actuator.gainprm = [largest, *[0.0] * (len(actuator.gainprm) - 1)]
        actuator.biastype, actuator.biasprm = mujoco.mjtBias.mjBIAS_NONE, [0.0] * len(actuator.biasprm)
        actuator.ctrllimited, actuator.ctrlrange = True, [-1.0, 1.0]


def _servos(spec: mujoco.MjSpec, hz: float, end_effectors: Sequence[str]) -> None:
    """One servo for every hinge that some actuator moves, in the place of all actuators and their tendons.

    The joint itself is damped, because integrators take that implicitly.
    """
    model = quick_compile(spec)
    moved = _moved(model)
    if not moved:
        raise BodyError("arena.actuators=servo: no actuator of the body moves a hinge")
    inertia = _inertias(model, end_effectors)
    joints = list(spec.joints)  # in another order than the model's; each knows its number there
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
        spec.add_actuator(
            name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT, gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            gainprm=[stiffness, *[0.0] * 9], biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            biasprm=[0.0, -stiffness, *[0.0] * 8], ctrllimited=True, ctrlrange=[float(low), float(high)],
        )  # fmt: skip


def _moved(model: mujoco.MjModel) -> list[int]:
    """Numbers of the hinges that some actuator moves."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    arms = np.abs(moment_arms(model, data))
    pulled = (arms > _TINY * arms.max(axis=1, keepdims=True, initial=0)).any(axis=0)
    return [j for j in range(model.njnt) if model.jnt_type[j] == _HINGE and pulled[model.jnt_dofadr[j]]]


def _inertias(model: mujoco.MjModel, end_effectors: Sequence[str]) -> Float[np.ndarray, " dof"]:
    """Inertia that each degree of freedom works against, in the model's own pose."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    own = 1.0 / np.maximum(model.dof_invweight0, 1e-12)
    feet = [model.body(name).id for name in end_effectors]
    share = model.body_mass.sum() / max(1.0, len(feet) / 2)
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
    return own + planted
