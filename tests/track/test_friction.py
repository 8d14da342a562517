"""Friction along and across segments, and motion in a plane, compared with plain MuJoCo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from track.clip_files import write_clips
from track_mjx._common.errors import BodyError, ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.arena import Arena, build_arena
from track_mjx.body.parts import lock_joints
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig

SEGMENTS = """
<mujoco><compiler angle="radian"/><worldbody>
<body name="head" pos="0 0 0.01">
  <joint name="root_x" type="slide" axis="1 0 0"/><joint name="root_y" type="slide" axis="0 1 0"/>
  <joint name="root_z" type="slide" axis="0 0 1"/><joint name="root_turn" axis="0 0 1"/>
  <inertial pos="0 0 0" mass="0.1" diaginertia="1e-4 1e-4 1e-4"/>
  <geom name="head" type="{shape}" size="0.01 0.02" euler="0 1.5707963 0"/>
  <body name="tail" pos="0.05 0 0"><joint name="bend" axis="0 0 1" range="-1 1" limited="true" stiffness="1"/>
    <inertial pos="0 0 0" mass="0.1" diaginertia="1e-4 1e-4 1e-4"/>
    <geom name="tail" type="{shape}" size="0.01 0.02" euler="0 1.5707963 0"/></body>
</body></worldbody>
<actuator><motor name="bend" joint="bend"/></actuator></mujoco>
"""
GRAVITY = 9.81


def segments(folder: Path, shape: str, **arena: Any) -> Arena:
    xml = SEGMENTS.replace("{shape}", shape)
    if shape == "box":
        xml = xml.replace("0.01 0.02", "0.01 0.02 0.01")
    clips = read_clips(write_clips(folder / "clips.h5", xml, end_effectors=("head", "tail"), root="head"))
    clips = lock_joints(clips, list(arena.get("lock_joints", [])))
    physics = PhysicsConfig(sim_dt_s=0.0005, solver="newton", iterations=50)
    return build_arena(clips, ArenaConfig(floor="on", floor_height_m=0.0, **arena), physics)


def deceleration(arena: Arena, turn: float, direction: float) -> float:
    """Of a body that is turned and slides in a direction, m/s2, by MuJoCo."""
    data = mujoco.MjData(arena.model)
    names = [arena.model.joint(i).name for i in range(arena.model.njnt)]
    data.qpos[names.index("root_turn")] = turn
    mujoco.mj_step(arena.model, data, 4000)  # it settles on the floor
    start = np.array([np.cos(direction), np.sin(direction)])
    data.qvel[:2] = start
    mujoco.mj_step(arena.model, data, 100)
    return float(1 - data.qvel[:2] @ start) / 0.05


@pytest.mark.parametrize("shape", ["capsule", "sphere"])
@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_segments_slide_as_coulomb_says_along_and_across(tmp_path: Path, shape: str, turn: float) -> None:
    arena = segments(tmp_path, shape, friction=[0.2, 0.8])
    assert deceleration(arena, turn, turn) == pytest.approx(0.2 * GRAVITY, rel=0.06)
    assert deceleration(arena, turn, turn + np.pi / 2) == pytest.approx(0.8 * GRAVITY, rel=0.06)
    alike = segments(tmp_path, shape, friction=[0.4, 0.4])
    assert deceleration(alike, turn, turn + np.pi / 2) == pytest.approx(0.4 * GRAVITY, rel=0.06)


def test_the_tangents_of_contacts_follow_the_segments(tmp_path: Path) -> None:
    arena = segments(tmp_path, "sphere", friction=[0.2, 0.8])
    data = mujoco.MjData(arena.model)
    data.qpos[2], data.qpos[3] = -0.001, 0.7
    mujoco.mj_forward(arena.model, data)
    assert data.ncon == 4
    for contact in data.contact:
        assert contact.friction[:2].tolist() == [0.2, 0.8]
        assert abs(contact.frame[3:6] @ [np.cos(0.7), np.sin(0.7), 0.0]) == pytest.approx(1.0)


def test_motion_in_the_plane_keeps_height_and_turns_about_the_vertical_alone(tmp_path: Path) -> None:
    arena = segments(tmp_path, "capsule", lock_joints=["root_z"])
    data = mujoco.MjData(arena.model)
    heights = data.model.nv, arena.model.body("head").pos[2]
    data.qvel[:], data.ctrl[:] = 1.0, 0.5
    mujoco.mj_step(arena.model, data, 500)
    assert heights == (4, 0.01)
    assert np.linalg.norm(data.qpos) > 0.1
    assert data.xpos[1:, 2] == pytest.approx([0.01, 0.01])
    assert data.xmat[1:, 8] == pytest.approx([1.0, 1.0])


def test_friction_changes_neither_mass_nor_what_touches(tmp_path: Path) -> None:
    before, after = segments(tmp_path, "sphere"), segments(tmp_path, "sphere", friction=[0.2, 0.8])
    np.testing.assert_array_equal(after.model.body_mass, before.model.body_mass)
    np.testing.assert_array_equal(after.model.body_inertia, before.model.body_inertia)
    assert after.contact_geoms == {"head": ("along_head",), "tail": ("along_tail",)}
    data = mujoco.MjData(after.model)
    data.qpos[2] = -0.001
    mujoco.mj_forward(after.model, data)
    assert {after.model.geom(int(geom)).name for contact in data.contact for geom in contact.geom} == {
        after.floor, "along_head", "along_tail",
    }  # fmt: skip
    assert (data.sensordata > 0).all(), "the sensors of contact see the capsules"


def test_friction_needs_two_numbers_a_floor_and_a_direction(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two coefficients, along and across"):
        segments(tmp_path, "sphere", friction=[0.2])
    with pytest.raises(ConfigError, match="nothing touches a floor"):
        segments(tmp_path, "sphere", friction=[0.2, 0.8], contacts="none")
    with pytest.raises(BodyError, match="'head' is neither a capsule nor a sphere"):
        segments(tmp_path, "box", friction=[0.2, 0.8])


def test_joints_of_a_root_that_slides_belong_to_the_root(tmp_path: Path) -> None:
    body = Anatomy(segments(tmp_path, "capsule"), 1.0, 0.01)
    assert body.joint_columns(None) == ([4], [4]), "the bend alone is posture"
    assert body.joint_columns(None, root=True)[0] == [0, 1, 2, 3, 4]
    assert body.joint_columns(["root_turn"]) == ([3], [3])
