"""The real recordings, as far as facts.yaml and the recordings themselves know the answer."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import yaml
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints import load_keypoints, select


def facts(data_dir, species):
    return yaml.safe_load((data_dir / species / "facts.yaml").read_text(encoding="utf-8"))


def names_of(data_dir, species, keypoint_set):
    return facts(data_dir, species)["keypoint_sets"][keypoint_set]["names_in_file_order"]


def load(path, order=(), **options):
    return load_keypoints(KeypointsConfig(path=str(path), **options), order)


RECORDINGS = [
    ("rat", "test_rodent_mocap_1000_frames.mat", "stac23"),
    ("rat", "test_rodent_mocap_1000_frames.nwb", "stac23"),
    ("rat", "demo_with_nan_timeordered.h5", "stac23"),
    ("mouse", "test_mouse_mocap_3600_frames.h5", "stac34"),
    ("mouse", "mouse_walk_3600_zup.h5", "stac34"),
    ("mouse_arm", "mujoco_aligned_tracking.h5", "arm3"),
    ("fly", "fly_df3d_walk_1000_frames.h5", "tethered30"),
    ("fly", "fly_spotlight_walk_660_frames.h5", "tethered30"),
    ("fly", "fly_treadmill_999_frames.h5", "treadmill9"),
    ("worm", "worm_foraging_posture_4800_frames.h5", "cl25"),
    ("stick", "stick_walk_1500_frames.h5", "stick50"),
]


@pytest.mark.parametrize(("species", "name", "keypoint_set"), RECORDINGS, ids=[name for _, name, _ in RECORDINGS])
def test_recordings_hold_what_their_facts_say(data_dir, species, name, keypoint_set):
    (known,) = [entry for entry in facts(data_dir, species)["recordings"] if entry["file"] == f"recordings/{name}"]
    names = names_of(data_dir, species, keypoint_set)
    recording = load(data_dir / species / "recordings" / name, names)
    assert recording.positions.shape == (known["frames"], len(names), 3)
    assert set(recording.names) == set(names)
    if recording.rate_hz is not None and isinstance(known.get("fps"), float):
        assert recording.rate_hz == known["fps"]
    if recording.unit is not None:
        scale = {"mm": 0.001, "cm": 0.01, "m,": 1.0, "m": 1.0}[known["units"].split()[0]]
        for point, (low, high) in known.get("bbox_min_max_per_keypoint", {}).items():
            column = recording.positions[:, recording.names.index(point)]
            np.testing.assert_allclose(np.nanmin(column, axis=0), np.array(low) * scale, rtol=1e-4, atol=1e-8)
            np.testing.assert_allclose(np.nanmax(column, axis=0), np.array(high) * scale, rtol=1e-4, atol=1e-8)


def test_rat_nwb_equals_mat(data_dir):
    folder = data_dir / "rat" / "recordings"
    names = names_of(data_dir, "rat", "stac23")
    mat = load(folder / "test_rodent_mocap_1000_frames.mat", names)
    nwb = load(folder / "test_rodent_mocap_1000_frames.nwb", unit="mm")
    assert mat.names == nwb.names
    np.testing.assert_array_equal(mat.positions, nwb.positions)
    assert (mat.rate_hz, nwb.rate_hz) == (None, 30.0)
    with h5py.File(nwb.sources[0].path) as file:
        stored = np.asarray(file["processing/behavior/PoseEstimation/HandL/confidence"])
    np.testing.assert_array_equal(nwb.confidence[:, nwb.names.index("HandL")], stored)


def test_demo_with_nan_keeps_its_alphabetical_names(data_dir):
    folder = data_dir / "rat" / "recordings"
    shuffled = load(folder / "demo_with_nan.h5", names_of(data_dir, "rat", "stac23"), unit="cm")
    ordered = load(folder / "demo_with_nan_timeordered.h5")
    assert list(shuffled.names) == sorted(shuffled.names)
    assert ordered.clip_lengths.tolist() == [250, 250, 250, 250]
    assert any("never observed: Snout" in note for note in ordered.notes)
    rows = np.arange(1000).reshape(250, 4).T.ravel()
    np.testing.assert_array_equal(shuffled.positions[rows], ordered.positions)


def test_reach_trials_are_34_clips(data_dir):
    recording = load(data_dir / "mouse_arm" / "recordings" / "reach_trials" / "*.h5", rate_hz=200.0)
    assert recording.clip_lengths.tolist() == [100] * 34
    assert list(recording.names) == names_of(data_dir, "mouse_arm", "arm3")
    assert (recording.unit, recording.rate_hz, len(recording.sources)) == ("m", 200.0, 34)
    assert recording.clip_names[1].endswith("trial04_ik")
    with h5py.File(recording.sources[33].path) as file:
        np.testing.assert_array_equal(recording.positions[-100:].reshape(100, 9), np.asarray(file["kp_data"]))


def test_fly_table_equals_its_h5(data_dir):
    folder = data_dir / "fly" / "recordings"
    h5 = load(folder / "fly_treadmill_999_frames.h5")
    table = select(load(folder / "test_fly_treadmill_mocap_1000.csv"), h5.names)
    np.testing.assert_array_equal(table.positions.astype(np.float32), h5.positions)
    np.testing.assert_array_equal(table.confidence.astype(np.float32), h5.confidence)
    assert table.unit is None
    assert h5.unit is None


def test_stick_reference_equals_its_recording(data_dir):
    reference = load(data_dir / "stick" / "reference" / "1500f_stick_fit_offsets.h5")
    recording = load(data_dir / "stick" / "recordings" / "stick_walk_1500_frames.h5")
    assert reference.names == recording.names
    np.testing.assert_array_equal(reference.positions, recording.positions)
