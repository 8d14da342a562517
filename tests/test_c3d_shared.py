"""A C3D with markers and EMG serves both packages: clips of one and trials of the other have the same names."""

from pathlib import Path

import numpy as np
from reach_analysis.config import EnvelopesConfig
from reach_analysis.studies.recordings import read_recording
from stac.keypoint_files import NAMES, write_c3d
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints import load_keypoints


def test_clips_and_trials_of_emg_are_those_of_the_same_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    emg = {name: rng.normal(size=(200 * 2, 2)) for name in ("walk_2", "walk_10")}
    for name, channels in emg.items():
        write_c3d(tmp_path / f"{name}.c3d", rng.normal(size=(200, len(NAMES), 3)), analog=channels)
    keypoints = load_keypoints(KeypointsConfig(path=str(tmp_path / "*.c3d")))
    raw = read_recording(None, EnvelopesConfig(emg=str(tmp_path / "*.c3d"))).raw
    assert sorted(raw.trials) == sorted(keypoints.clip_names) == sorted(emg)
    assert raw.rate_hz == 2 * float(keypoints.rate_hz or 0)
    for name, rows in zip(raw.trials, raw.values, strict=True):
        np.testing.assert_allclose(rows, emg[name], rtol=1e-5)
