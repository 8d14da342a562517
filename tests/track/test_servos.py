"""Servos that replace motors and muscles: their response in closed form, and the unchanged rest of the body."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from track.clip_files import ARM, WALKER, write_clips
from track_mjx._common.errors import BodyError
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.arena import Arena, build_arena
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig
from track_mjx.task.holding import holding_ranges

WHEEL = """
<mujoco><option gravity="0 0 0"/><worldbody><body name="wheel">
  <joint name="axle" axis="0 0 1"/><geom type="cylinder" size="0.1 0.01" mass="2" contype="0" conaffinity="0"/>
</body></worldbody>
<actuator><motor name="push" joint="axle" gear="3"/></actuator>
<keyframe><key name="start" ctrl="0.5"/></keyframe></mujoco>
"""


def with_servos(folder: Path, xml: str, root: str, feet: tuple[str, ...], hz: float = 10.0) -> Arena:
    clips = read_clips(write_clips(folder / "clips.h5", xml, end_effectors=feet, root=root))
    return build_arena(clips, ArenaConfig(actuators="servo", servo_hz=hz), PhysicsConfig(sim_dt_s=0.0005))


def test_a_servo_answers_like_a_critically_damped_spring(tmp_path: Path) -> None:
    hz, target = 5.0, 0.3
    model = with_servos(tmp_path, WHEEL, "wheel", (), hz).model
    assert [model.actuator(i).name for i in range(model.nu)] == ["axle"]
    data = mujoco.MjData(model)
    data.ctrl[:] = target
    times, angles = [], []
    while data.time < 0.3:
        mujoco.mj_step(model, data)
        times.append(data.time)
        angles.append(data.qpos[0])
    phase = 2 * np.pi * hz * np.array(times)
    np.testing.assert_allclose(angles, target * (1 - (1 + phase) * np.exp(-phase)), atol=0.01 * target)


def test_servos_replace_muscles_and_their_tendons(tmp_path: Path) -> None:
    arena = with_servos(tmp_path, ARM, "upper", ("hand",))
    model, body = arena.model, Anatomy(arena, 1.0, 0.01)
    assert (model.na, model.ntendon) == (0, 0)
    assert body.actuators == ("shoulder", "elbow")
    np.testing.assert_allclose(np.stack(body.ctrl_range).T, model.jnt_range, rtol=1e-6)
    # the hand's own inertia and, as it may stand on the ground, the body's mass at its distance: one foot bears it all
    own = 1 / model.dof_invweight0
    planted = model.body_mass.sum() * np.array([0.09, 0.04]) ** 2
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], (own + planted) * (2 * np.pi * 10) ** 2, rtol=1e-6)
    # the control that holds a pose is the pose itself
    ranges = holding_ranges(body, np.array([[0.01, -0.02], [0.01, -0.02]]))
    assert [sum(ranges[name]) / 2 for name in body.actuators] == pytest.approx([0.01, -0.02], abs=1e-5)


def test_what_does_not_stand_on_the_feet_has_no_part_in_the_servos(tmp_path: Path) -> None:
    """A table, and ground of a heavy shape as a height field is, made servos of legs a thousand times too stiff."""
    table = (
        '<body name="table" pos="5 0 0"><geom type="box" size="1 1 1" mass="400" contype="0" conaffinity="0"/></body>'
    )
    scenes = {"alone": WALKER, "table": WALKER.replace("</worldbody>", f"{table}</worldbody>")}
    gains = [
        with_servos(tmp_path, xml, "trunk", ("foot_L", "foot_R")).model.actuator_gainprm[:, 0]
        for xml in scenes.values()
    ]
    np.testing.assert_allclose(gains[0], gains[1], rtol=1e-12)


def test_joints_without_actuators_do_not_change(tmp_path: Path) -> None:
    arena = with_servos(tmp_path, WALKER, "trunk", ("foot_L", "foot_R"))
    body = Anatomy(arena, 1.0, 0.01)
    assert body.actuators == ("hip_L", "hip_R")
    ball = arena.model.joint("hind_ball")
    assert (ball.damping == 0.01).all()
    assert (arena.model.dof_damping[:6] == 0).all()


def test_missing_hinges_are_rejected(tmp_path: Path) -> None:
    sliding = WHEEL.replace('<joint name="axle" axis="0 0 1"/>', '<joint name="axle" type="slide"/>')
    with pytest.raises(BodyError, match="no actuator of the body moves a hinge"):
        with_servos(tmp_path, sliding, "wheel", ())


def test_servos_inherit_nothing_of_muscles_from_a_default_class(tmp_path: Path) -> None:
    default = '<default><muscle ctrllimited="true" ctrlrange="0 1"/></default>'
    bare = ARM.replace("<worldbody>", default + "<worldbody>")
    model = with_servos(tmp_path, bare, "upper", ("hand",)).model
    assert model.na == 0
    data = mujoco.MjData(model)
    data.ctrl[:] = -0.02  # a muscle's activation would stop at 0
    mujoco.mj_step(model, data, 4000)
    np.testing.assert_array_less(data.qpos, 0.75 * data.ctrl + 0.008)
