"""Episodes start with the actuators in the state that holds the pose, so that the body neither falls nor is pulled."""

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
    _, start = setup.task.start_at(setup.followed, np.array([0]), np.array([60]))
    angle = float(start.qpos[0, 0])
    engine = setup.engine()
    state = engine.reset(engine.init(1), np.ones(1, bool), start.qpos, 0 * start.qvel, start.act)
    control = 0.0 if meaning == "speed" else angle
    for _ in range(40):
        state = engine.step(state, np.full((1, 1), control, np.float32))
    assert abs(angle) > 0.05
    assert engine.read(state).qpos[0, 0] == pytest.approx(angle, abs=1e-3)


def test_muscles_start_with_the_activation_that_bears_the_pose(tmp_path: Path) -> None:
    """In poses that can be held, MuJoCo's accelerations nearly vanish, in the norm of Gauss's principle."""
    setup = arm(tmp_path)
    model, reference = setup.task.body.model, setup.followed
    still = np.zeros((len(reference.qpos), model.nv))
    lacking = strength(setup.task.body, np.asarray(reference.qpos, np.float64), still, still).lacking
    data, inertia, ratios = mujoco.MjData(model), np.zeros((model.nv, model.nv)), []
    for pose, act, lacks in zip(reference.qpos, reference.act, lacking, strict=True):
        size = []
        for activation in (act, 0 * act):
            data.qpos[:], data.qvel[:], data.act[:] = pose, 0, activation
            mujoco.mj_forward(model, data)
            mujoco.mj_fullM(model, data, inertia)
            size.append(np.sqrt(data.qacc @ inertia @ data.qacc))
        assert lacks < 0.5 or not act.any(), "no effort where none holds the pose"
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


def test_servos_of_speed_have_no_control_that_holds_a_pose(tmp_path: Path) -> None:
    setup = rod(tmp_path, ACTUATORS["speed"][0], action="reference")
    assert setup.config.task.action_range == {}, "its control is a speed, and stays what it is"
    with pytest.raises(ConfigError, match="no position servo"):
        rod(tmp_path, ACTUATORS["speed"][0], action="offset")


def test_a_servo_without_a_range_takes_that_of_its_joint(tmp_path: Path) -> None:
    setup = rod(tmp_path, '<position joint="shoulder" kp="0.1"/>')
    assert np.concatenate(setup.task.body.ctrl_range).tolist() == pytest.approx([-1.5, 1.5])
