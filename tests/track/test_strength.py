"""Strength: closed forms of a pendulum, and MuJoCo's forward dynamics."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from track.clip_files import movement, write_clips
from track.small_setups import arm, walker
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.arena import Arena
from track_mjx.body.strength import Strength, can_be_judged, strength
from track_mjx.cli import main

PENDULUM = """
<mujoco>
  <worldbody><body name="rod"><joint name="hinge" axis="0 1 0"/><geom type="sphere" pos="0.1 0 0" size="0.01" mass="1"/>
  </body></worldbody>
  <actuator><motor name="motor" joint="hinge" gear="0.5" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def body(xml: str) -> Anatomy:
    model = mujoco.MjModel.from_xml_string(xml)
    return Anatomy(Arena(model, "", "rod", (), "", {}, 1), 1.0, 0.01)


def held(judged: Anatomy, qpos: np.ndarray) -> Strength:
    still = np.zeros((len(qpos), judged.model.nv))
    return strength(judged, qpos, still, still)


def test_a_motor_holds_a_pendulum_up_to_its_torque() -> None:
    """Weight 1 kg at 0.1 m requires 0.981 cos(angle) N m; the motor has 0.5."""
    angle = np.array([0.0, 0.5, 1.2, 1.5, -np.pi])
    found = held(body(PENDULUM), angle[:, None])
    needed = -9.81 * 0.1 * np.cos(angle)
    assert found.lacking == pytest.approx(np.maximum(0, 1 - 0.5 / np.abs(needed)), abs=2e-3)
    assert found.effort[:, 0] == pytest.approx(np.minimum(np.abs(needed) / 0.5, 1), abs=2e-3)


def test_acceleration_and_velocity_need_torque_too() -> None:
    judged = body(PENDULUM.replace('axis="0 1 0"', 'axis="0 1 0" damping="0.1"'))
    down, inertia = np.full((1, 1), np.pi / 2), 1 * 0.1**2 + 0.4 * 1 * 0.01**2
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    faster = strength(judged, down, none, 20 * one)
    assert faster.effort[0, 0] == pytest.approx(20 * inertia / 0.5, abs=2e-3)
    moving = strength(judged, down, 2 * one, none)
    assert moving.effort[0, 0] == pytest.approx(0.2 / 0.5, abs=2e-3)


def test_muscles_at_the_computed_effort_make_the_movement(tmp_path: Path) -> None:
    """Activations equal to the computed effort give the required accelerations in MuJoCo, where nothing is lacking."""
    judged = arm(tmp_path).task.body
    model, data = judged.model, mujoco.MjData(judged.model)
    qpos, qvel = movement(model, 40, 100.0)
    qpos, qvel, qacc = 0.2 * qpos, 0.2 * qvel, np.zeros_like(qvel)
    found = strength(judged, qpos, qvel, qacc)
    enough = np.flatnonzero(found.lacking < 0.02)
    assert len(enough) > 10
    for frame in enough:
        data.qpos[:], data.qvel[:], data.act[:] = qpos[frame], qvel[frame], found.effort[frame]
        mujoco.mj_forward(model, data)
        made = data.qacc.copy()
        data.act[:] = 0
        mujoco.mj_forward(model, data)
        assert np.linalg.norm(made) < 0.1 * np.linalg.norm(data.qacc)


def test_a_free_body_and_joints_without_actuators_are_not_judged(tmp_path: Path) -> None:
    assert can_be_judged(arm(tmp_path).task.body)
    assert not can_be_judged(walker(tmp_path).task.body)
    extra = PENDULUM.replace("</body>", '<body><joint/><geom size="0.01"/></body></body>')
    assert not can_be_judged(body(extra))


def test_check_warns_of_poses_that_no_control_can_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for gear, found, warned in (("5", "100%", False), ("0.5", "0%", True)):
        xml = PENDULUM.replace('gear="0.5"', f'gear="{gear}"')
        path = write_clips(tmp_path / f"gear_{gear}.h5", xml, end_effectors=("rod",), root="rod")
        assert main(["check", f"clips={path}"]) == 0
        printed = capsys.readouterr().out
        assert f"strength: actuators can hold the pose in {found} of the frames" in printed
        assert ("WARNING: no controller can hold 100% of the poses (at full force there: motor" in printed) == warned
