"""Two small bodies whose forward kinematics can be written down: a reaching arm and a four-legged walker.

The MJCF and the closed form say the same, so that files made from them pass `stac-mjx check` too, without MuJoCo here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

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
    """An MJCF and what it amounts to."""

    name: str
    mjcf: str
    joints: tuple[str, ...]
    """Joint names; all are hinges or slides."""
    joint_units: tuple[str, ...]
    """Unit of each joint's coordinate."""
    bodies: tuple[str, ...]
    """Body names in MuJoCo's order."""
    actuators: tuple[str, ...]
    root: str
    """Body that stands for the animal's position."""
    end_effectors: tuple[str, ...]
    """Bodies that carry the task."""
    positions: Positions
    """Joint coordinates -> position of each body, m."""


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
    return Body(
        name="synthetic_arm",
        mjcf=mjcf,
        joints=("shoulder", "elbow"),
        joint_units=("rad", "rad"),
        bodies=("world", "humerus", "ulna", "hand"),
        actuators=tuple(MUSCLES),
        root="humerus",
        end_effectors=("hand",),
        positions=_arm_positions,
    )


def _arm_positions(qpos: np.ndarray) -> np.ndarray:
    shoulder, elbow = qpos[..., 0], qpos[..., 0] + qpos[..., 1]
    out = np.zeros((*qpos.shape[:-1], 4, 3))
    out[..., 2, 0], out[..., 2, 1] = UPPER_ARM_M * np.cos(shoulder), UPPER_ARM_M * np.sin(shoulder)
    out[..., 3, 0] = out[..., 2, 0] + FOREARM_M * np.cos(elbow)
    out[..., 3, 1] = out[..., 2, 1] + FOREARM_M * np.sin(elbow)
    return out


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
    return Body(
        name="synthetic_walker",
        mjcf=mjcf,
        joints=("forward", *(f"hip_{leg}" for leg in HIPS)),
        joint_units=("m", *("rad" for _ in HIPS)),
        bodies=("world", "trunk", *(f"{part}_{leg}" for leg in HIPS for part in ("leg", "foot"))),
        actuators=tuple(f"hip_{leg}" for leg in HIPS),
        root="trunk",
        end_effectors=tuple(f"foot_{leg}" for leg in HIPS),
        positions=_walker_positions,
    )


def _walker_positions(qpos: np.ndarray) -> np.ndarray:
    out = np.zeros((*qpos.shape[:-1], 2 + 2 * len(HIPS), 3))
    out[..., 1, 0], out[..., 1, 2] = qpos[..., 0], TRUNK_HEIGHT_M
    for number, (x, y) in enumerate(HIPS.values()):
        angle, hip, foot = qpos[..., 1 + number], 2 + 2 * number, 3 + 2 * number
        out[..., hip, :] = out[..., 1, :] + np.array([x, y, 0.0])
        out[..., foot, :] = out[..., hip, :]
        out[..., foot, 0] += LEG_M * np.sin(angle)
        out[..., foot, 2] -= LEG_M * np.cos(angle)
    return out
