"""Episodes start with the actuators in the state that continues the movement, so that the body is not thrown off it."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import ARM_TASK, arm, config, untrained
from track_mjx._common.errors import ConfigError
from track_mjx.body.strength import strength
from track_mjx.clips import read_clips
from track_mjx.learning.setup import Setup, build
from track_mjx.policy.play import Player, Realignment
from track_mjx.task.holding import moving_activations

ROD = """
<mujoco model="tiny_rod"><compiler angle="radian"/><option gravity="0 0 0"/><worldbody><body name="upper">
  <joint name="shoulder" axis="0 1 0" range="-1.5 1.5" limited="true" damping="0.001" armature="1e-5"/>
  <geom type="capsule" size="0.004" fromto="0 0 0 0.05 0 0" mass="0.01" contype="0" conaffinity="0"/></body>
</worldbody><actuator>{}</actuator></mujoco>
"""
SERVO = 'joint="shoulder" kp="0.1" kv="0.002"'
ACTUATORS = {
    "speed": (f'<intvelocity {SERVO} actrange="-1.5 1.5" ctrlrange="-5 5"/>', "speed"),
    "filtered": (f'<position {SERVO} timeconst="0.1" ctrlrange="-1.5 1.5"/>', "pose"),
    "plain": (f'<position {SERVO} ctrlrange="-1.5 1.5"/>', "pose"),
}


def rod(folder: Path, actuator: str, **task: object) -> Setup:
    path = write_clips(folder / "clips.h5", ROD.format(actuator), end_effectors=("upper",))
    return build(config(path, {**ARM_TASK, **task}), read_clips(path))


@pytest.mark.parametrize("name", ACTUATORS)
def test_a_servo_told_to_stay_stays_where_the_episode_starts(tmp_path: Path, name: str) -> None:
    actuator, meaning = ACTUATORS[name]
    setup = rod(tmp_path, actuator)
    qpos, rest = np.asarray(setup.followed.qpos[60:61]), np.zeros((1, 1))
    angle, act = float(qpos[0, 0]), moving_activations(setup.task.body, qpos, rest, rest)
    engine = setup.engine()
    state = engine.reset(engine.init(1), np.ones(1, bool), qpos, rest, act)
    control = 0.0 if meaning == "speed" else angle
    for _ in range(40):
        state = engine.step(state, np.full((1, 1), control, np.float32))
    assert abs(angle) > 0.05
    assert engine.read(state).qpos[0, 0] == pytest.approx(angle, abs=1e-3)


def test_a_filtered_servo_does_not_brake_the_movement_it_starts_in(tmp_path: Path) -> None:
    setup = rod(tmp_path, ACTUATORS["filtered"][0])
    model, reference = setup.task.body.model, setup.followed
    fastest = int(np.abs(reference.qvel[:, 0]).argmax())
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.act[:] = (getattr(reference, name)[fastest] for name in ("qpos", "qvel", "act"))
    mujoco.mj_forward(model, data)
    assert abs(data.qvel[0]) > 0.5
    assert data.actuator_force[0] == pytest.approx(0, abs=1e-6)


def test_muscles_start_with_the_activation_that_produces_the_movement(tmp_path: Path) -> None:
    """Accelerations in MuJoCo are those of the clips where the body is strong enough (norm of Gauss)."""
    setup = arm(tmp_path)
    model, reference = setup.task.body.model, setup.followed
    qpos, qvel = (np.asarray(part, np.float64) for part in (reference.qpos, reference.qvel))
    clips = [slice(start, start + n) for start, n in zip(reference.start, reference.length, strict=True)]
    qacc = np.concatenate([np.gradient(qvel[rows], setup.task.body.ctrl_dt, axis=0) for rows in clips])
    lacking = strength(setup.task.body, qpos, qvel, qacc).lacking
    data, inertia, ratios = mujoco.MjData(model), np.zeros((model.nv, model.nv)), []
    for pose, velocity, wanted, act, lacks in zip(qpos, qvel, qacc, reference.act, lacking, strict=True):
        size = []
        for activation in (act, 0 * act):
            data.qpos[:], data.qvel[:], data.act[:] = pose, velocity, activation
            mujoco.mj_forward(model, data)
            mujoco.mj_fullM(model, data, inertia)
            size.append(np.sqrt((data.qacc - wanted) @ inertia @ (data.qacc - wanted)))
        assert lacks < 0.5 or not act.any(), "no effort where none produces the movement"
        ratios += [size[0] / size[1]] if lacks < 0.01 else []
    assert len(ratios) > 50
    assert max(ratios) < 0.05


def test_realignment_sets_activations_too(tmp_path: Path) -> None:
    setup = rod(tmp_path, ACTUATORS["filtered"][0], terminations={"pose_error": {"limit_rad": 0.02}})
    player = Player(setup.task, setup.networks, setup.engine(all_fields=True))
    played = player.play(
        untrained(setup), setup.on_device(setup.followed), np.arange(2), seed=1, record=True, realign=Realignment()
    )
    assert played.recording is not None
    lengths = np.asarray(setup.followed.length)
    ends = [(c, k) for c, k in np.argwhere(played.ended_by > 0).tolist() if k + 1 < lengths[c] - 1]
    assert len(ends) > 3
    for clip, step in ends:
        row = int(setup.followed.start[clip]) + step + 1
        assert played.recording.states.act[clip, step + 1] == pytest.approx(setup.followed.act[row], abs=1e-6)


def test_servos_of_speed_have_no_control_that_holds_a_pose(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup = rod(tmp_path, ACTUATORS["speed"][0], action="reference")
    assert "no actuator is a position servo" in caplog.text
    assert setup.config.task.action_range == {}, "its control is a speed, and stays what it is"
    with pytest.raises(ConfigError, match="no position servo"):
        rod(tmp_path, ACTUATORS["speed"][0], action="offset")


def test_a_servo_without_a_range_takes_that_of_its_joint(tmp_path: Path) -> None:
    setup = rod(tmp_path, '<position joint="shoulder" kp="0.1"/>')
    assert np.concatenate(setup.task.body.ctrl_range).tolist() == pytest.approx([-1.5, 1.5])
