"""The command on real recordings of six kinds of animal: errors, files that conform, gaps marked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract.kit import assert_conforms
from stac_mjx.cli import main
from stac_mjx.records import ReferenceClips, read_clips

ARM = "mouse_arm/arm_muscle_nomesh.xml"
REACHES = "mouse_arm/recordings/reach_trials/*.h5"
RAT = "rat/rodent.xml"
RAT_GAPS = "rat/recordings/demo_with_nan_timeordered.h5"


def fit(
    out: Path, data: Path, body: str, model: str, recording: str, *more: str
) -> tuple[dict[str, Any], ReferenceClips]:
    """Run `stac-mjx fit`; return the summary and the clips, both files having passed the contract kit."""
    path = f"keypoints.path='{data / recording}'"
    code = main(["fit", f"body={body}", f"body.mjcf={data / model}", path, f"out={out}", "report=false", *more])
    assert code == 0
    assert_conforms(out / "clips.h5")
    assert_conforms(out / "offsets.h5")
    return json.loads((out / "fit_summary.json").read_text()), read_clips(out / "clips.h5")


def test_rat(data_dir: Path, tmp_path: Path) -> None:
    recording = "rat/recordings/test_rodent_mocap_1000_frames.mat"
    summary, clips = fit(tmp_path, data_dir, "rat", RAT, recording, "report=true")
    assert summary["frames"] == 1000
    assert summary["calibration_frames"] <= 250
    assert summary["mean_error_mm"] <= 1.33
    assert summary["rmse_mm"] <= 1.63
    assert summary["failed_frames"] == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000
    away = 1000 * np.linalg.norm(clips.kp_data - clips.marker_sites, axis=-1)
    np.testing.assert_allclose(summary["mean_error_mm"], away.mean(), rtol=1e-3)


def test_reaches_share_one_set_of_offsets(data_dir: Path, tmp_path: Path) -> None:
    summary, clips = fit(tmp_path, data_dir, "mouse_arm", ARM, REACHES)
    assert summary["clips"] == 34
    assert summary["mean_error_mm"] <= 0.60
    # the published velocities of these trials were cut off at 20 rad/s; the movement is faster
    assert np.abs(clips.qvel).max() > 20


def test_stick_insect(data_dir: Path, tmp_path: Path) -> None:
    model, recording = "stick/sungaya_inexpectata_box.xml", "stick/recordings/stick_walk_1500_frames.h5"
    assert fit(tmp_path, data_dir, "stick", model, recording)[0]["mean_error_mm"] <= 0.62


@pytest.mark.parametrize(
    ("body", "model", "recording", "limit_mm", "more"),
    [
        ("fly", "fly/fruitfly_force_free_nomesh.xml", "fly/recordings/fly_df3d_walk_1000_frames.h5", 0.06, ()),
        ("worm", "worm/celegans_primitives.xml", "worm/recordings/worm_foraging_posture_4800_frames.h5", 0.02, ()),
        (
            "mouse",
            "mouse/mouse_nomesh.xml",
            "mouse/recordings/mouse_walk_3600_zup.h5",
            2.2,
            ("keypoints.stop=200", "calibration.max_rounds=6"),
        ),
    ],
)
def test_other_animals(
    data_dir: Path, tmp_path: Path, body: str, model: str, recording: str, limit_mm: float, more: tuple[str, ...]
) -> None:
    summary, clips = fit(tmp_path, data_dir, body, model, recording, *more)
    assert summary["mean_error_mm"] <= limit_mm
    assert summary["failed_frames"] == 0
    for array in (clips.qpos, clips.qvel, clips.xpos, clips.xquat, clips.marker_sites):
        assert np.isfinite(array).all()
    if body == "worm":  # on its belly in every frame, without jumps of a turn
        np.testing.assert_allclose(np.abs(clips.xquat[:, 1, 1:3]), 0, atol=1e-3)
        assert np.abs(np.diff(clips.qpos[:, 3])).max() < np.pi


def test_gaps_are_bridged_marked_and_cost_little(data_dir: Path, tmp_path: Path) -> None:
    summary, clips = fit(tmp_path, data_dir, "rat", RAT, RAT_GAPS)
    for array in (clips.qpos, clips.qvel, clips.xpos, clips.xquat, clips.marker_sites):
        assert np.isfinite(array).all()
    hand = clips.kp_names.index("HandL")
    assert np.isnan(clips.kp_data[:, hand]).all(axis=1).sum() == 200
    assert (clips.kp_confidence[:, hand] == 0).sum() == 200
    assert np.isnan(clips.kp_data[:, clips.kp_names.index("Snout")]).all()
    assert any("Snout" in warning for warning in summary["warnings"])
    observed = np.isfinite(clips.residual)
    whole = observed[:, [k for k, name in enumerate(clips.kp_names) if name != "Snout"]].all(axis=1)
    error = 1000 * clips.residual
    # markers next to a gap fit no worse than in the frames without one
    assert np.nanmean(error[~whole][observed[~whole]]) <= 1.1 * error[whole][observed[whole]].mean() + 0.02
