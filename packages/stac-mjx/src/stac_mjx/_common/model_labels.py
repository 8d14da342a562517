"""Names and units of a MuJoCo model's coordinates and bodies, as files of the contract carry them."""

from __future__ import annotations

import mujoco

from stac_mjx._common.units import METRES_PER_UNIT

_POSITION = ("x", "y", "z")
_QUATERNION = ("qw", "qx", "qy", "qz")
_SPEED = ("vx", "vy", "vz")
_TURN = ("wx", "wy", "wz")

# by MuJoCo's number of the joint type: free, ball, slide, hinge
_QPOS_SUFFIXES = (_POSITION + _QUATERNION, _QUATERNION, ("",), ("",))
_QVEL_SUFFIXES = (_SPEED + _TURN, _TURN, ("",), ("",))


def unit_name(length_unit_m: float) -> str:
    """Return the name of a length unit given in metres; one without a name is written as a multiple of the metre."""
    for name, metres in METRES_PER_UNIT.items():
        if abs(length_unit_m / metres - 1) < 1e-9:
            return name
    return f"{length_unit_m:.9g} m"


def body_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of every body, ``world`` first; unnamed ones are called ``body_<id>``."""
    return tuple(model.body(i).name or f"body_{i}" for i in range(model.nbody))


def qpos_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of every element of qpos: the joint's, or ``<joint>_x .. _z, _qw .. _qz`` (free), ``_qw .. _qz`` (ball)."""
    return _labels(model, _QPOS_SUFFIXES)


def qvel_labels(model: mujoco.MjModel) -> tuple[str, ...]:
    """Name of every element of qvel: the joint's, or ``<joint>_vx .. _vz, _wx .. _wz`` (free), ``_wx ..`` (ball)."""
    return _labels(model, _QVEL_SUFFIXES)


def qpos_units(model: mujoco.MjModel, length_unit_m: float) -> tuple[str, ...]:
    """Unit of every element of qpos: the MJCF's length unit, ``rad``, or ``1`` for quaternions."""
    length = unit_name(length_unit_m)
    per_type = ((length,) * 3 + ("1",) * 4, ("1",) * 4, (length,), ("rad",))
    return tuple(unit for kind in model.jnt_type.tolist() for unit in per_type[kind])


def qvel_units(model: mujoco.MjModel, length_unit_m: float) -> tuple[str, ...]:
    """Unit of every element of qvel: the MJCF's length unit per second, or ``rad s-1``."""
    speed, turn = f"{unit_name(length_unit_m)} s-1", "rad s-1"
    per_type = ((speed,) * 3 + (turn,) * 3, (turn,) * 3, (speed,), (turn,))
    return tuple(unit for kind in model.jnt_type.tolist() for unit in per_type[kind])


def _labels(model: mujoco.MjModel, suffixes: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    labels: list[str] = []
    for joint, kind in enumerate(model.jnt_type.tolist()):
        name = model.joint(joint).name or f"joint_{joint}"
        labels += [f"{name}_{suffix}" if suffix else name for suffix in suffixes[kind]]
    return tuple(labels)
