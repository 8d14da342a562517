"""Two small bodies: a reaching arm and a four-legged walker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float
from stac_mjx._common.mjcf import actuator_labels, body_labels, qpos_labels, qpos_units

Positions = Callable[[Float[np.ndarray, "*batch joint"]], Float[np.ndarray, "*batch body 3"]]

UPPER_ARM_M, FOREARM_M = 0.010, 0.012
LEG_M, TRUNK_HEIGHT_M = 0.05, 0.06
HIPS = {
    "fore_left": (0.04, 0.02), "fore_right": (0.04, -0.02), "hind_left": (-0.04, 0.02), "hind_right": (-0.04, -0.02),
}  # fmt: skip
"""Leg -> where its hip sits on the trunk, x and y in metres."""

_MUSCLES_OF = {
    "elbow": ("triceps_long", "triceps_lateral", "biceps_long", "brachialis"),
    "shoulder": ("pectoralis", "latissimus", "deltoid_posterior", "deltoid_anterior", "deltoid_medial"),
}
MUSCLES = {muscle: joint for joint, muscles in _MUSCLES_OF.items() for muscle in muscles}
"""Muscle -> joint; the nine muscles of the mouse forelimb (paper A, section 2.4)."""


@dataclass(frozen=True)
class Body:
    """An MJCF in metres and what it amounts to; labels are in MuJoCo's order."""

    name: str
    mjcf: str
    joints: tuple[str, ...]
    """Joint names; all are hinges or slides."""
    joint_units: tuple[str, ...]
    """Unit of each joint's coordinate."""
    bodies: tuple[str, ...]
    actuators: tuple[str, ...]
    end_effectors: tuple[str, ...]
    """Bodies that carry the task."""
    positions: Positions
    """Joint coordinates -> position of each body, m."""

    @property
    def root(self) -> str:
        """Body that stands for the animal's position."""
        return self.bodies[1]


def _body(mjcf: str, end_effectors: tuple[str, ...]) -> Body:
    spec = mujoco.MjSpec.from_string(mjcf)
    model = spec.compile()
    data = mujoco.MjData(model)

    def positions(qpos: np.ndarray) -> np.ndarray:
        out = np.empty((*qpos.shape[:-1], model.nbody, 3))
        for index in np.ndindex(qpos.shape[:-1]):
            data.qpos[:] = qpos[index]
            mujoco.mj_kinematics(model, data)
            out[index] = data.xpos
        return out

    joints = qpos_labels(model), qpos_units(model, 1.0)
    return Body(spec.modelname, mjcf, *joints, body_labels(model), actuator_labels(model), end_effectors, positions)


def arm() -> Body:
    """A planar arm of two joints and nine muscles."""
    lengths = 'lengthrange="-1.5 1.5"'
    muscles = "\n".join(f'    <muscle name="{name}" joint="{joint}" {lengths}/>' for name, joint in MUSCLES.items())
    mjcf = f"""<mujoco model="synthetic_arm">
  <worldbody>
    <body name="humerus">
      <joint name="shoulder" type="hinge" axis="0 0 1"/>
      <geom type="capsule" size=".001" fromto="0 0 0 {UPPER_ARM_M} 0 0"/>
      <body name="ulna" pos="{UPPER_ARM_M} 0 0">
        <joint name="elbow" type="hinge" axis="0 0 1"/>
        <geom type="capsule" size=".001" fromto="0 0 0 {FOREARM_M} 0 0"/>
        <body name="hand" pos="{FOREARM_M} 0 0"><geom size=".001"/></body>
      </body>
    </body>
  </worldbody>
  <actuator>
{muscles}
  </actuator>
</mujoco>
"""
    return _body(mjcf, ("hand",))


def walker() -> Body:
    """A trunk on a slide with four legs that swing fore and aft."""
    legs = "\n".join(
        f"""      <body name="leg_{leg}" pos="{x} {y} 0">
        <joint name="hip_{leg}" type="hinge" axis="0 -1 0"/>
        <geom type="capsule" size=".004" fromto="0 0 0 0 0 {-LEG_M}"/>
        <body name="foot_{leg}" pos="0 0 {-LEG_M}"><geom size=".005"/></body>
      </body>"""
        for leg, (x, y) in HIPS.items()
    )
    motors = "\n".join(f'    <motor name="hip_{leg}" joint="hip_{leg}"/>' for leg in HIPS)
    mjcf = f"""<mujoco model="synthetic_walker">
  <worldbody>
    <body name="trunk" pos="0 0 {TRUNK_HEIGHT_M}">
      <joint name="forward" type="slide" axis="1 0 0"/>
      <geom type="box" size=".05 .02 .01"/>
{legs}
    </body>
  </worldbody>
  <actuator>
{motors}
  </actuator>
</mujoco>
"""
    return _body(mjcf, tuple(f"foot_{leg}" for leg in HIPS))
