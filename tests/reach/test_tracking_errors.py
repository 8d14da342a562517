"""Errors of tracking: known deviations of every kind of joint, keypoints carried by their bodies, regions by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, ContractError, MismatchError
from reach_analysis.behaviour import tracking_errors as errors
from reach_analysis.data.clips import read_clips
from reach_analysis.data.rollouts import Rollouts, read_rollouts
from reach_analysis.data.series import TrialSeries
from scipy.spatial.transform import Rotation
from synthetic.bodies import FOREARM_M, UPPER_ARM_M
from synthetic.reach import ReachSettings, write_reaches

TEXT = h5py.string_dtype("utf-8")


class Posed(Rollouts):
    """Rollouts whose poses are given, to test distances without a file."""

    def series(self, path: str) -> TrialSeries:
        return self.attributes[path]

    def column_units(self, path: str) -> tuple[str, ...]:
        return self.attributes["units"]


def posed(names: tuple[str, ...], units: tuple[str, ...], pose: np.ndarray, reference: np.ndarray) -> Posed:
    def series(values: np.ndarray) -> TrialSeries:
        return TrialSeries("qpos", "per column", 100.0, ("a",), names, (values,), np.zeros(1))

    return Posed(
        path=Path("none"), attributes={"qpos": series(pose), "qpos_ref": series(reference), "units": units},
        rate_hz=100.0, reference_rate_hz=100.0, trials=("a",), clip_names=("a",), n_steps=np.array([1]),
        clip_start_s=np.zeros(1), names={}, layers=(), contacts=(), ended=(None,),
    )  # fmt: skip


def test_every_kind_of_joint_has_its_own_distance() -> None:
    names = ("root_x", "root_y", "root_z", "root_qw", "root_qx", "root_qy", "root_qz", "hip", "slide",
             "neck_qw", "neck_qx", "neck_qy", "neck_qz", "wheel")  # fmt: skip
    units = ("cm", "cm", "cm", "1", "1", "1", "1", "rad", "0.0024 m", "1", "1", "1", "1", "rad")
    rng = np.random.default_rng(0)
    base, turned, neck = Rotation.random(3, rng=rng)
    turn = Rotation.from_rotvec(np.deg2rad(30) * np.array([0, 0.6, 0.8]))

    def q(rotation: Rotation) -> np.ndarray:
        return rotation.as_quat(scalar_first=True)

    reference = np.concatenate([[1.0, 2.0, 3.0], q(base), [0.5, 1.0], q(neck), [0.1]])
    pose = np.concatenate(
        [[1.0, 2.3, 3.4], -q(base * turn), [0.5 - np.deg2rad(7), 1.5], q(neck), [0.1 + 2 * np.pi - 0.02]]
    )
    found = errors.joint_deviation(posed(names, units, pose[None], reference[None]))
    assert found.distance.channels == ("root position", "root orientation", "hip", "slide", "neck orientation", "wheel")
    assert found.units == ("mm", "deg", "deg", "mm", "deg", "deg")
    np.testing.assert_allclose(found.distance.values[0][0], [5.0, 30.0, 7.0, 1.2, 0.0, np.rad2deg(0.02)], atol=3e-6)
    assert not np.allclose(q(turned), q(base))


def test_joints_without_a_reference_are_left_out() -> None:
    reference = np.array([[0.1, np.nan]])
    found = errors.joint_deviation(posed(("hip", "ball"), ("rad", "rad"), np.array([[0.1, 3.0]]), reference))
    assert found.distance.channels == ("hip",)


def test_a_unit_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="'furlong' is not a unit"):
        errors.joint_deviation(posed(("hip",), ("furlong",), np.zeros((1, 1)), np.zeros((1, 1))))


def clips_file(path: Path, rollouts: Rollouts, rate_hz: float = 200.0, shift_m: float = 0.0) -> None:
    """Reference clips of the synthetic arm: two keypoints, registered without error, recorded `shift_m` off in z."""
    reference = rollouts.series("qpos_ref")
    offsets = np.array([[0.001, 0.0, 0.0], [0.0, 0.002, 0.0]])
    stride = round(rollouts.rate_hz / rate_hz)
    qpos = [rows[::stride] for rows in reference.values]
    every = np.concatenate(qpos)
    elbow = every[:, 0] + every[:, 1]
    bodies = np.zeros((len(every), 4, 3))
    bodies[:, 2, :2] = UPPER_ARM_M * np.stack([np.cos(every[:, 0]), np.sin(every[:, 0])], axis=1)
    bodies[:, 3, :2] = bodies[:, 2, :2] + FOREARM_M * np.stack([np.cos(elbow), np.sin(elbow)], axis=1)
    turn = Rotation.from_euler("z", elbow[:, None])
    sites = bodies[:, [2, 3]] + np.stack([turn.apply(offset) for offset in offsets], axis=1)
    lengths = np.array([len(rows) for rows in qpos])
    with h5py.File(path, "w") as file:
        file.attrs.update({"schema_name": "mimic.reference_clips", "schema_version": "1.0", "rate_hz": rate_hz})
        for name, texts in (
            ("clip_name", rollouts.clip_names), ("kp_names", ("Elbow", "Wrist")), ("kp_body", ("ulna", "hand")),
            ("names_xpos", ("world", "humerus", "ulna", "hand")),
        ):  # fmt: skip
            file.create_dataset(name, data=list(texts), dtype=TEXT)
        for name, array in {
            "clip_start": np.cumsum(lengths) - lengths, "clip_length": lengths, "xpos": bodies, "marker_sites": sites,
            "kp_data": sites + np.array([0, 0, shift_m]), "offsets": offsets, "valid": np.ones(len(every), np.uint8),
        }.items():  # fmt: skip
            file[name] = array


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Rollouts with orientations, and the clips they follow."""
    write_reaches(tmp_path / "rollouts.h5", ReachSettings(n_trials=3, duration_s=0.1, n_units=4))
    rollouts = read_rollouts(tmp_path / "rollouts.h5")
    clips_file(tmp_path / "clips.h5", rollouts, shift_m=0.003)
    file: Any
    with h5py.File(tmp_path / "rollouts.h5", "r+") as file:
        qpos = np.asarray(file["qpos"])
        angles = np.stack([0 * qpos[..., 0], qpos[..., 0], qpos.sum(-1), qpos.sum(-1)], axis=-1)
        quat = np.stack([np.cos(angles / 2), 0 * angles, 0 * angles, np.sin(angles / 2)], axis=-1)
        file.create_dataset("quat", data=["w", "x", "y", "z"], dtype=TEXT)
        file.create_dataset("xquat", data=quat.astype(np.float32)).attrs["units"] = "1"
    return tmp_path / "rollouts.h5", tmp_path / "clips.h5"


def test_keypoints_and_bodies_are_where_kinematics_puts_them(pair: tuple[Path, Path]) -> None:
    rollouts, clips = read_rollouts(pair[0]), read_clips(pair[1])
    keypoints, bodies = errors.keypoint_deviation(rollouts, clips), errors.body_deviation(rollouts, clips)
    pose, reference = rollouts.series("qpos").stacked()[:, ::2], rollouts.series("qpos_ref").stacked()[:, ::2]

    def points(qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shoulder, elbow = np.exp(1j * qpos[..., 0]), np.exp(1j * qpos.sum(-1))
        hand = UPPER_ARM_M * shoulder + FOREARM_M * elbow
        return hand, np.stack([UPPER_ARM_M * shoulder + 0.001 * elbow, hand + 0.002j * elbow], axis=-1)

    expected = 1e3 * np.abs(points(pose)[1] - points(reference)[1])
    assert expected.mean() > 0.05
    np.testing.assert_allclose(keypoints.distance.stacked(), expected, atol=2e-5)
    hand = bodies.distance.select(["hand"]).stacked()[..., 0]
    np.testing.assert_allclose(hand, 1e3 * np.abs(points(pose)[0] - points(reference)[0]), atol=2e-5)
    recorded = errors.keypoint_deviation(rollouts, clips, errors.RECORDED).distance.stacked()
    np.testing.assert_allclose(recorded, np.hypot(expected, 3.0), atol=2e-5)  # keypoints are 3 mm off in z
    assert keypoints.distance.rate_hz == 200.0
    assert errors.trial_means(keypoints, ["Wrist"]).shape == (3,)


def test_parts_of_clips_are_found_by_their_frames(pair: tuple[Path, Path]) -> None:
    clips = read_clips(pair[1])
    name = clips.names[1]
    np.testing.assert_array_equal(clips.read("xpos", f"{name}[4:9]"), clips.read("xpos", name)[4:9])
    assert clips.frames(f"{name}[4:900]") is None
    with pytest.raises(ContractError, match="unknown clip"):
        clips.read("xpos", "another[0:3]")


def test_registration_error_is_that_of_the_clips(pair: tuple[Path, Path]) -> None:
    found = errors.registration_deviation(read_clips(pair[1]))
    np.testing.assert_allclose(found.distance.stacked(), 3.0, atol=1e-9)


def changed(path: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a file with a change; the file itself stays open."""
    copy = path.with_name(f"changed_{path.name}")
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        change(file)
    return copy


def test_clips_of_another_recording_or_rate_are_refused(pair: tuple[Path, Path]) -> None:
    rollouts, clips = pair
    other = changed(clips, lambda file: file["clip_name"].__setitem__(0, "another"))
    with pytest.raises(MismatchError, match=r"does not hold the clips of rollouts.h5: synthetic_trial01"):
        errors.body_deviation(read_rollouts(rollouts), read_clips(other))
    shifted = changed(rollouts, lambda file: file["clip_start_time"].__setitem__(slice(None), 0.0011))
    with pytest.raises(MismatchError, match="no state of the rollout falls on"):
        errors.body_deviation(read_rollouts(shifted), read_clips(clips))
    bare = changed(rollouts, lambda file: file.__delitem__("xquat"))
    with pytest.raises(ContractError, match="xquat"):
        errors.keypoint_deviation(read_rollouts(bare), read_clips(clips))


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("clip_start", np.array([0.0, 20.0, 40.0]), "expected whole numbers"),
        ("clip_length", np.zeros((1, 1), int), "clip_length: expected shape"),
        ("clip_start", np.array([0, 1, 2]), "not stored end to end"),
        ("clip_length", np.array([20]), "clip_length: expected shape"),
        ("offsets", np.zeros((1, 2, 3)), r"offsets: expected shape \(2, 3\)"),
    ],
)
def test_clips_of_other_shapes_are_refused(pair: tuple[Path, Path], name: str, values: np.ndarray, said: str) -> None:
    with h5py.File(pair[1], "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(ContractError, match=said):
        read_clips(pair[1])


def test_frames_that_must_not_be_used_count_as_unknown(pair: tuple[Path, Path]) -> None:
    file: Any
    with h5py.File(pair[1], "r+") as file:
        file["valid"][2] = 0
    found = errors.keypoint_deviation(read_rollouts(pair[0]), read_clips(pair[1])).distance
    assert np.isnan(found.values[0][2]).all()
    assert np.isfinite(found.values[0][3]).all()


def test_rotation_is_that_of_scipy() -> None:
    turns = Rotation.random(20, rng=np.random.default_rng(1))
    vector = np.array([0.3, -1.0, 2.0])
    found = errors.rotate(turns.as_quat(scalar_first=True), vector)
    np.testing.assert_allclose(found, turns.apply(vector), atol=1e-12)


def test_regions_that_match_nothing_are_refused() -> None:
    assert errors.assign_regions(["elbow", "hip"], {"arm": ["ELB*"]}) == {"arm": ["elbow"]}
    with pytest.raises(ConfigError, match=r"region 'arm': 'wrist\*' matches none of elbow, hip"):
        errors.assign_regions(["elbow", "hip"], {"arm": ["elb*", "wrist*"]})


def test_means_over_trials_pass_over_what_is_unknown() -> None:
    rows = np.array([[1.0, np.nan], [3.0, np.nan]])
    series = TrialSeries("x", "mm", 10.0, ("a", "b"), ("p", "q"), (rows, np.full((1, 2), np.nan)), np.zeros(2))
    found = errors.trial_means(errors.Deviation(series, ("mm", "mm")), ["p", "q"])
    np.testing.assert_array_equal(found, [2.0, np.nan])
