"""Tethered animals on belts and balls: paths against closed forms, and feet that stand still in the world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac.keypoint_files import write_sleap
from stac_mjx._common.errors import InputError
from stac_mjx.api import load_keypoints
from stac_mjx.calibration.known_offsets import KnownOffsets
from stac_mjx.config import FitConfig
from stac_mjx.inputs import match
from stac_mjx.keypoints.travel import integrated
from stac_mjx.results import register

RATE, STRIDE, SWING = 100.0, 0.1, 0.4
"""Hz, metres between two places of a foot, and the part of a stride it is in the air."""
WALKER = """<mujoco><worldbody><body name="trunk"><freejoint/><geom size="0.02"/>
  {feet}</body></worldbody></mujoco>"""
FOOT = """<body name="{0}" pos="0 {1} -0.1"><geom size="0.01"/>
  <joint type="slide" axis="1 0 0" range="-.2 .2"/><joint type="slide" axis="0 1 0" range="-.1 .1"/>
  <joint type="slide" axis="0 0 1" range="-.1 .1"/></body>"""
FEET = {"left": 0.04, "right": -0.04}


def test_the_length_of_a_path_is_the_integrated_signal() -> None:
    time = np.linspace(0, 20, 4001)
    path = integrated({"time_s": time, "forward": 0.2 + 0.1 * np.sin(time)})
    np.testing.assert_allclose(path[-1, 0], 0.2 * 20 + 0.1 * (1 - np.cos(20)), rtol=1e-6)
    assert not path[:, 1:].any()
    np.testing.assert_allclose(integrated({"time_s": time, "belt": 0.3 * time**2})[:, 0], 0.3 * time**2, atol=1e-12)


@pytest.mark.parametrize("sideways", [0.0, 0.05])
def test_a_constant_turn_is_a_circle_however_coarse_the_samples(sideways: float) -> None:
    time = np.linspace(0, 10, 11)
    turn, velocity = 2 * np.pi / 10, 0.3 + 1j * sideways
    path = integrated({"time_s": time} | {n: np.full(11, v) for n, v in zip(
        ("forward", "sideways", "turn"), (0.3, sideways, turn), strict=True)})  # fmt: skip
    expected = velocity * np.expm1(1j * turn * time) / (1j * turn)
    np.testing.assert_allclose(path[:, 0] + 1j * path[:, 1], expected, atol=1e-12)
    np.testing.assert_allclose(path[-1], [0, 0, 2 * np.pi], atol=1e-12)


def walk(turn: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the path of a walker, complex, the places of its feet in the world (frame, foot, xyz), and which stand."""
    time = np.arange(300) / RATE
    speed, heading = 0.15, turn * time
    at = speed * np.expm1(1j * heading) / (1j * turn)
    beat = speed * time[:, None] / STRIDE + [0.0, 0.5]
    step, phase = np.floor(beat), beat % 1
    stands = phase < 1 - SWING
    swung = np.clip((phase - (1 - SWING)) / SWING, 0, 1)
    middle = (step + swung + 0.3 - np.array([0.0, 0.5])) * STRIDE / speed  # when the trunk is above
    above = speed * np.expm1(1j * turn * middle) / (1j * turn)
    place = above + 1j * np.exp(1j * turn * middle) * np.array(list(FEET.values()))
    feet = np.stack([place.real, place.imag, 0.02 * np.sin(np.pi * swung)], axis=-1)
    return at, feet, stands


def test_a_tethered_walker_walks_through_the_world_and_its_feet_stand(tmp_path: Path) -> None:
    """It faces +y at its tether, and its belt or ball moves as the true walk says."""
    feet = "".join(FOOT.format(name, y) for name, y in FEET.items())
    names = {"front": ("trunk", [0.1, 0, 0]), "back": ("trunk", [-0.1, 0, 0]), "top": ("trunk", [0, 0, 0.05])}
    body = bodies.body_of(tmp_path, WALKER.format(feet=feet), names | {name: (name, [0.0, 0.0, 0.0]) for name in FEET})
    turn = 0.5
    at, places, stands = walk(turn)
    time = np.arange(len(at)) / RATE
    trunk = at[:, None] + np.exp(1j * turn * time)[:, None] * [0.1, -0.1, 0]
    heights = np.broadcast_to([0.1, 0.1, 0.15], trunk.shape)
    world = np.concatenate([np.stack([np.real(trunk), np.imag(trunk), heights], -1), places], axis=1)
    fixed = np.exp(-1j * turn * time)[:, None] * (world[..., 0] + 1j * world[..., 1] - at[:, None]) * 1j
    tethered = np.stack([np.real(fixed), np.imag(fixed), world[..., 2]], -1)
    tethered += np.random.default_rng(0).normal(0, 2e-4, tethered.shape)
    recording = write_sleap(tmp_path / "walk.h5", tethered[:, None], body.marker_names, units="m", fps=RATE)
    table = "time_s,forward_mm_s,turn_deg_s\n" + "".join(f"{t},150,{np.degrees(turn)}\n" for t in np.linspace(0, 3, 61))
    (tmp_path / "ball.csv").write_text(table)
    keypoints = load_keypoints(recording, body=body, travel=str(tmp_path / "ball.csv"), heading_deg=90.0)
    clips = register(match(body, keypoints, FitConfig()), FitConfig(), known=KnownOffsets(body.marker_offset)).clips
    length = np.abs(np.diff(clips.qpos[:, 0] + 1j * clips.qpos[:, 1])).sum()
    root = clips.qpos[::20, 0] + 1j * clips.qpos[::20, 1]
    np.testing.assert_allclose(np.abs(root - root[0] - 1j * (at[::20] - at[0])).max(), 0, atol=2e-3)
    assert abs(length / (0.15 * 2.99) - 1) < 0.02  # noise lengthens it
    for foot, standing in zip(clips.marker_sites[:, -2:].swapaxes(0, 1), stands.T, strict=True):
        for stance in np.split(foot, np.flatnonzero(np.diff(standing)) + 1)[(not standing[0]) :: 2]:
            assert np.ptp(stance[:, :2], axis=0).max() < 0.1 * STRIDE


def test_trials_keep_their_place_on_the_path(tmp_path: Path) -> None:
    tracks = np.tile([[0.0, 0, 1], [1, 1, 2]], (100, 1, 1, 1))
    recording = write_sleap(tmp_path / "a.h5", tracks, ("a", "b"), units="m", fps=100.0)
    (tmp_path / "belt.csv").write_text("time_s,belt_mm\n0,0\n1,500\n")
    (tmp_path / "trials.csv").write_text("trial_id,start_s,stop_s\none,0.2,0.4\ntwo,0.6,0.7\n")
    keypoints = load_keypoints(recording, travel=str(tmp_path / "belt.csv"), trials=str(tmp_path / "trials.csv"))
    assert keypoints.travel is not None
    np.testing.assert_allclose(keypoints.travel[[0, 20], 0], [0.1, 0.3])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("time_s,belt_mm\n0,0\n0.5,20\n", "0 to 0.5 s do not cover the recording"),
        ("time_s,belt_mm\n0,0\n1,x\n", "row 3: belt_mm: expected a number, got 'x'"),
        ("time_s,belt_mm\n1,0\n0,1\n", "does not increase"),
        ("time_s,speed_mm_s\n0,0\n1,1\n", "unknown column 'speed_mm_s'"),
        ("time_s\n0\n1\n", "expected a column of movement"),
        ("time,belt_mm\n0,0\n1,1\n", "time_s"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, table: str, words: str) -> None:
    tracks = np.random.default_rng(0).normal(size=(100, 1, 2, 3))
    recording = write_sleap(tmp_path / "a.h5", tracks, ("a", "b"), units="m", fps=100.0)
    (tmp_path / "belt.csv").write_text(table)
    with pytest.raises(InputError, match=words):
        load_keypoints(recording, travel=str(tmp_path / "belt.csv"))
