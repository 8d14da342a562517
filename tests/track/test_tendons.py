"""Tendons at a hinge: where they pull the other way, and their paths around the hinge."""

from __future__ import annotations

import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
from track.clip_files import ARM, write_clips
from track_mjx._common.errors import BodyError
from track_mjx.body.arena import build_arena
from track_mjx.body.servos import moment_arms
from track_mjx.body.tendons import lead_around_hinges, reversals
from track_mjx.cli import description
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, PhysicsConfig, TrainConfig

# two segments of a worm: muscles left and right of a hinge, led around the sphere of the joint or, on the right,
# through it, because its side site is inside; sites that pass each other beyond 68 degrees
WORM = """
<mujoco><compiler angle="radian"/><option gravity="0 0 0"/>
<worldbody><body name="front">
  <geom name="front" type="capsule" size="0.01" fromto="0.02 0 0 0.05 0 0"/>
  <site name="left_front" pos="0.023 0.034 0.005"/><site name="right_front" pos="0.023 -0.034 0.005"/>
  <body name="rear">
    <joint name="bend" axis="0 0 1" range="-1.7 1.7" limited="true" damping="0.01"/>
    <geom name="rear" type="capsule" size="0.01" fromto="-0.02 0 0 -0.05 0 0"/>
    <geom name="ball" type="sphere" size="0.0304588" mass="0" contype="0" conaffinity="0"/>
    <site name="left_side" pos="0 0.0304598 0"/><site name="right_side" pos="0 -0.03 0"/>
    <site name="left_rear" pos="-0.023 0.034 0.005"/><site name="right_rear" pos="-0.023 -0.034 0.005"/>
  </body></body></worldbody>
<tendon>
  <spatial name="left" width="0.002"><site site="left_front"/><geom geom="ball" sidesite="left_side"/>
    <site site="left_rear"/></spatial>
  <spatial name="right" width="0.003"><site site="right_front"/><geom geom="ball" sidesite="right_side"/>
    <site site="right_rear"/></spatial>
</tendon>
<actuator>
  <muscle name="pull_left" tendon="left" force="5" lengthrange="0.03 0.07"/>
  <muscle name="pull_right" tendon="right" force="5" lengthrange="0.03 0.07"/>
</actuator></mujoco>
"""
BARE = re.sub(r"<geom geom=[^>]*/>", "", WORM)
"""The same muscles, which wrap nothing."""


def model_of(folder: Path, xml: str, tendons: str) -> mujoco.MjModel:
    clips = read_clips(write_clips(folder / "clips.h5", xml, end_effectors=("rear",), root="front"))
    return build_arena(clips, ArenaConfig(tendons=tendons), PhysicsConfig()).model


def arms(model: mujoco.MjModel, angle: float) -> np.ndarray:
    data = mujoco.MjData(model)
    data.qpos[:] = angle
    mujoco.mj_fwdPosition(model, data)
    return moment_arms(model, data)[:, 0]


def test_tendons_that_pull_the_other_way_are_found(tmp_path: Path) -> None:
    model = model_of(tmp_path, WORM, "keep")
    found = {case.actuator: case.angle for case in reversals(model)}
    assert set(found) == {"pull_left", "pull_right"}
    for number, (name, angle) in enumerate(sorted(found.items())):
        assert name == model.actuator(number).name
        assert arms(model, angle)[number] * arms(model, 0.0)[number] < 0, "MuJoCo's moment arm changes its sign"


def test_around_hinges_muscles_bend_the_joint_both_ways(tmp_path: Path) -> None:
    model = model_of(tmp_path, WORM, "around_hinges")
    assert reversals(model) == []
    swept = np.array([arms(model, angle) for angle in np.linspace(-1.7, 1.7, 35)])
    assert (np.sign(swept) == np.sign(swept[17])).all()
    for muscle in (0, 1):
        data = mujoco.MjData(model)
        end = -1.7 * np.sign(swept[17, muscle])  # a muscle shortens its tendon
        data.qpos[0], data.ctrl[muscle] = -end, 1.0  # from the far end of the range
        mujoco.mj_step(model, data, 5000)
        assert data.qpos[0] == pytest.approx(end, abs=0.1), "to the limit, which is soft"


def test_around_hinges_keeps_names_masses_and_what_tendons_have(tmp_path: Path) -> None:
    kept, led = model_of(tmp_path, WORM, "keep"), model_of(tmp_path, WORM, "around_hinges")
    assert [led.tendon(i).name for i in range(2)] == ["left", "right"]
    np.testing.assert_array_equal(led.tendon_width, kept.tendon_width)
    np.testing.assert_array_equal(led.body_mass, kept.body_mass)
    np.testing.assert_array_equal(led.body_inertia, kept.body_inertia)
    lengths = []
    data = mujoco.MjData(led)
    for data.qpos[0] in np.linspace(-1.7, 1.7, 101):
        mujoco.mj_fwdPosition(led, data)
        lengths.append(data.ten_length.copy())
    expected = np.stack([np.min(lengths, 0), np.max(lengths, 0)], axis=1)
    np.testing.assert_allclose(led.actuator_lengthrange, expected, rtol=1e-6)


def test_a_body_without_such_tendons_is_refused_and_check_names_the_remedy(tmp_path: Path) -> None:
    clips = read_clips(write_clips(tmp_path / "arm.h5", ARM, end_effectors=("hand",), root="upper"))
    with pytest.raises(BodyError, match="no tendon of the body wraps a geom at a limited hinge"):
        build_arena(clips, ArenaConfig(tendons="around_hinges"), PhysicsConfig())
    bare = read_clips(write_clips(tmp_path / "bare.h5", BARE, end_effectors=("rear",), root="front"))
    assert reversals(bare.model())
    assert not any("pull the other way" in line for line in description(bare, TrainConfig())), "nothing to lead around"
    worm = read_clips(write_clips(tmp_path / "clips.h5", WORM, end_effectors=("rear",), root="front"))
    assert any("2 actuators of tendons pull the other way" in line for line in description(worm, TrainConfig()))


def test_all_muscles_of_the_public_worm_pull_one_way(data_dir: Path) -> None:
    spec = mujoco.MjSpec.from_file(str(data_dir / "worm" / "celegans_primitives.xml"))
    assert len(reversals(spec.compile())) == 88
    lead_around_hinges(spec)
    model = spec.compile()
    assert reversals(model) == []
    assert model.nu == 95
