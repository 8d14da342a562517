"""Change how the root of a model moves.

Keyframes are dropped when joints change, because their qpos no longer fits.
"""

from __future__ import annotations

import mujoco
import numpy as np

from stac_mjx._common.errors import BodyError
from stac_mjx.body.mjcf import compile_spec


def set_root(spec: mujoco.MjSpec, assets: dict[str, bytes], root: str, where: str) -> None:
    """Change the root of a model according to ``body.root``; `body_problems` reports invalid values.

    Raises:
        BodyError: if the root of this model cannot be changed like that.
    """
    if root == "free":
        _free_root(spec, where)
    elif root == "upright":
        _upright_root(spec, assets, where)


def _free_root(spec: mujoco.MjSpec, where: str) -> None:
    """Add a free joint called ``root`` to a model with a fixed root; do nothing if there is a free joint already.

    The joint is added to the first body of the world that has joints on or below it.
    """
    if any(joint.type == mujoco.mjtJoint.mjJNT_FREE for joint in spec.joints):
        return
    moving = _moving(spec, "free", where)
    if moving.joints:
        raise BodyError(
            f"{where}: body.root=free: cannot free {moving.name!r}, it has joint {moving.joints[0].name!r}; "
            "use body.root=keep"
        )
    _drop_keys(spec)
    moving.add_freejoint(name="root" if "root" not in {joint.name for joint in spec.joints} else "free_root")


def _upright_root(spec: mujoco.MjSpec, assets: dict[str, bytes], where: str) -> None:
    """Let the root slide along the three axes of the world and turn about the vertical, without tilt.

    For animals that glide on a plane and whose keypoints do not determine which side is up. The joints are called
    ``root_x``, ``root_y``, ``root_z`` and ``root_turn``, and replace a free joint, if there is one.
    """
    moving = _moving(spec, "upright", where)
    others = [joint for joint in moving.joints if joint.type != mujoco.mjtJoint.mjJNT_FREE]
    if others:
        raise BodyError(
            f"{where}: body.root=upright: cannot set {moving.name!r} upright, it has joint {others[0].name!r}; "
            "use body.root=keep"
        )
    _, model = compile_spec(spec.copy(), assets, where)
    R_body_world = np.zeros(9)
    mujoco.mju_quat2Mat(R_body_world, model.body_quat[model.body_rootid[model.jnt_bodyid[0]]])
    axes = R_body_world.reshape(3, 3)  # rows: axes of the world in the frame of the body, as MuJoCo expects them
    _drop_keys(spec)
    for joint in list(moving.joints):
        spec.delete(joint)
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for suffix, kind, axis in (("x", slide, 0), ("y", slide, 1), ("z", slide, 2), ("turn", hinge, 2)):
        # set all values that a default of the model could change: a free joint has none of them either
        moving.add_joint(
            name=f"root_{suffix}", type=kind, axis=axes[axis].tolist(), pos=[0, 0, 0], limited=False, armature=0,
            frictionloss=0, damping=[0] * 3, stiffness=[0] * 3,
        )  # fmt: skip


def _moving(spec: mujoco.MjSpec, root: str, where: str) -> mujoco.MjsBody:
    """Return the first body of the world that has joints on or below it."""
    moving = [body for body in spec.worldbody.bodies if body.find_all("joint")]
    if not moving:
        raise BodyError(f"{where}: body.root={root} needs a model with joints; this one has none")
    return moving[0]


def _drop_keys(spec: mujoco.MjSpec) -> None:
    for key in list(spec.keys):
        spec.delete(key)
