"""Sensors of a body, dropped actuators and locked joints, each against MuJoCo on the same body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
import pytest
from track.clip_files import ARM, WALKER, write_clips, write_walker_clips
from track.small_setups import WALKER_TASK, config
from track_mjx._common.errors import ConfigError
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.arena import Arena, build_arena
from track_mjx.body.parts import lock_joints
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig
from track_mjx.learning.setup import build
from track_mjx.physics.engine import make_engine

PENDULUM = """
<mujoco><worldbody><body name="upper"><joint name="first" axis="0 1 0" damping="0.001"/>
  <geom type="capsule" size="0.01" fromto="0 0 0 0.1 0 0" mass="0.1" contype="0" conaffinity="0"/>
  <body name="lower" pos="0.1 0 0"><joint name="second" axis="0 1 0" ref="10" damping="0.001"/>
    <geom type="capsule" size="0.01" fromto="0 0 0 0.1 0 0" mass="0.1" contype="0" conaffinity="0"/>
    <site name="tip" pos="0.1 0 0"/></body></body></worldbody>
<tendon><fixed name="both"><joint joint="first" coef="1"/><joint joint="second" coef="1"/></fixed></tendon>
<equality><joint joint1="second" active="false"/></equality>
<actuator><motor name="first" joint="first" gear="0.1"/><motor name="second" joint="second" gear="0.1"/>
  <motor name="both" tendon="both"/></actuator>
<sensor><velocimeter name="tip_speed" site="tip"/><jointpos name="angle" joint="second"/></sensor></mujoco>
"""
SENSORS = ["tip_*", "accelerometer", "gyro", "force", "torque"]


def pendulum(folder: Path, **arena: Any) -> Arena:
    path = write_clips(folder / "clips.h5", PENDULUM, end_effectors=("lower",), root="upper")
    return build_arena(read_clips(path), ArenaConfig(**arena), PhysicsConfig(sim_dt_s=0.0025, ctrl_dt_s=0.005))


@pytest.mark.parametrize("engine", ["native", "mjx"])
def test_sensors_read_what_mujoco_reads(tmp_path: Path, engine: str) -> None:
    arena = pendulum(tmp_path, sensors=SENSORS)
    model, body = arena.model, Anatomy(arena, 1.0, 0.005)
    names = ["tip_speed", "accelerometer", "gyro", "force_lower", "torque_lower"]
    assert [model.sensor(i).name for i in range(model.nsensor)] == names
    assert body.sensor_columns(["force_*", "gyro"]) == [*range(6, 9), *range(9, 12)]
    simulation = make_engine(PhysicsConfig(engine=engine, threads=1), model, arena.n_substeps)
    step = jax.jit(simulation.step) if simulation.traceable else simulation.step
    state, data = simulation.init(1), mujoco.MjData(model)
    ctrl = np.array([0.5, -0.3, 0.2], np.float32)
    for _ in range(3):
        state = step(state, ctrl[None])
        data.ctrl[:] = ctrl
        mujoco.mj_step(model, data, arena.n_substeps)
    of_last_step = np.repeat(model.sensor_needstage, model.sensor_dim) == int(mujoco.mjtStage.mjSTAGE_ACC)
    expected = data.sensordata.copy()  # forces and accelerations of the last physics step
    mujoco.mj_forward(model, data)
    expected[~of_last_step] = data.sensordata[~of_last_step]
    assert of_last_step.sum() == 9
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(np.asarray(simulation.read(state).sensordata)[0], expected, rtol=1e-4, atol=1e-4)


def test_observed_sensors_are_those_that_are_named(tmp_path: Path) -> None:
    settings = config(write_walker_clips(tmp_path / "clips.h5"), WALKER_TASK)
    settings.arena.sensors = ["gyro", "force"]
    before = build(settings, read_clips(settings.clips)).observation.proprioception.shape[1]
    settings.task.proprioception = {**settings.task.proprioception, "sensors": {"names": ["force_*"]}}
    setup = build(settings, read_clips(settings.clips))
    assert setup.observation.proprioception.shape[1] == before + 3 * len(setup.task.body.arena.end_effectors)
    settings.task.proprioception["sensors"] = {"names": ["forse_foot_L"]}
    with pytest.raises(ConfigError, match="force_foot_L"):
        build(settings, read_clips(settings.clips))


def test_dropped_actuators_leave_the_rest(tmp_path: Path) -> None:
    arena = pendulum(tmp_path, drop_actuators=["sec*", "wing_*"])
    assert [arena.model.actuator(i).name for i in range(arena.model.nu)] == ["first", "both"]
    unnamed = PENDULUM.replace('motor name="second"', "motor")
    path = write_clips(tmp_path / "unnamed.h5", unnamed, end_effectors=("lower",), root="upper")
    left = build_arena(read_clips(path), ArenaConfig(drop_actuators=["actuator_1"]), PhysicsConfig()).model
    assert [left.actuator(i).name for i in range(left.nu)] == ["first", "both"], "by its label"
    with pytest.raises(ConfigError, match=r"arena\.drop_actuators.*'second'"):
        pendulum(tmp_path, drop_actuators=["secnd"])


@pytest.mark.parametrize(
    ("xml", "root", "feet", "joint"),
    [(PENDULUM, "upper", "lower", "second"), (WALKER, "trunk", "foot_L", "hind_ball"), (ARM, "upper", "hand", "elbow")],
)
def test_a_locked_joint_moves_like_one_that_never_was(
    tmp_path: Path, xml: str, root: str, feet: str, joint: str
) -> None:
    """Poses with the joint at its reference angle give the same places for all bodies and the same inertia."""
    clips = read_clips(write_clips(tmp_path / "clips.h5", xml, end_effectors=(feet,), root=root))
    free, locked = clips.model(), lock_joints(clips, [joint])
    model = locked.model()
    assert model.njnt == free.njnt - 1
    assert (model.nq, model.nv) == (locked.qpos.shape[1], locked.qvel.shape[1])
    ours, theirs = mujoco.MjData(model), mujoco.MjData(free)
    theirs.qpos[:] = clips.qpos[7]
    number = free.joint(joint).id
    places = slice(free.jnt_qposadr[number], free.jnt_qposadr[number] + free.nq - model.nq)
    theirs.qpos[places] = free.qpos0[places]
    ours.qpos[:] = locked.qpos[7]
    for m, d in ((model, ours), (free, theirs)):
        mujoco.mj_forward(m, d)
    np.testing.assert_allclose(ours.xpos, theirs.xpos, atol=1e-6)
    np.testing.assert_allclose(ours.subtree_com[0], theirs.subtree_com[0], atol=1e-6)


def test_the_joint_of_a_free_root_is_not_locked(tmp_path: Path) -> None:
    clips = read_clips(write_walker_clips(tmp_path / "clips.h5"))
    with pytest.raises(ConfigError, match="'root' frees the root"):
        lock_joints(clips, ["*"])
    with pytest.raises(ConfigError, match="'hip_L'"):
        lock_joints(clips, ["hip_M"])
