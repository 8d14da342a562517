"""The `stac-mjx` command: settings, the user's presets, multirun, and the files that a fit writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import h5py
import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac.bodies_for_tests import QUICK
from stac_mjx.check import check_file, errors_in
from stac_mjx.cli import closing_line, main
from stac_mjx.records import read_clips, read_offsets


def output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must succeed without a word on standard error, and return what it prints."""
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_runs_as_a_module() -> None:
    ended = subprocess.run([sys.executable, "-m", "stac_mjx", "--help"], check=True, capture_output=True, text=True)
    assert "usage: stac-mjx" in ended.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--cfg", "job", "solver.robust=huber", "seed=7"], ["solver.robust=huber", "seed=7", "--cfg", "job"]],
)
def test_cfg_job_shows_the_settings_and_does_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = output(["fit", f"out={tmp_path}/out", *arguments], capsys)
    assert "robust: huber" in text
    assert "\nseed: 7\n" in text
    assert "default_mjcf: embedded:mouse_arm.xml" in text
    assert list(tmp_path.iterdir()) == []


def test_maps_of_names_and_new_markers_need_no_plus_signs_to_be_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(
        [
            "fit",
            "--cfg",
            "job",
            "keypoints.rename={a:b, 'L:e f': g}",
            "keypoints.rename.c=d",
            "+body.markers.Paw.body=radius",
        ],
        capsys,
    )
    assert "rename:\n    a: b\n    L:e f: g\n    c: d\n" in text
    assert "    Paw:\n      body: radius\n" in text
    assert "    Wrist:\n      body: wrist_body\n" in text


def test_no_argument_overrides_hydra_files_into_the_working_folder(
    arm_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", f"keypoints.path={arm_recording}", "out=results", *QUICK]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_fit_writes_everything(arm_fit: Path) -> None:
    names = {path.name for path in arm_fit.iterdir()}
    assert names == {"clips.h5", "offsets.h5", "fit_summary.json", "config.yaml", "fit.log"}
    for name in ("clips.h5", "offsets.h5"):
        assert errors_in(check_file(arm_fit / name)) == []
    summary = json.loads((arm_fit / "fit_summary.json").read_text())
    wanted = (
        "frames keypoints mean_error_mm median_error_mm rmse_mm p95_mm per_keypoint_mm frames_at_limit failed_frames"
    )
    assert set(f"{wanted} wall_s frames_per_s peak_rss_mb versions".split()) <= set(summary)
    clips = read_clips(arm_fit / "clips.h5")
    assert (summary["frames"], summary["keypoints"]) == clips.residual.shape
    assert summary["mean_error_mm"] == pytest.approx(1000 * np.nanmean(clips.residual), rel=1e-3)
    assert summary["mean_error_mm"] < 0.2
    assert "frames: 10" in (arm_fit / "config.yaml").read_text()
    assert "mean error" in (arm_fit / "fit.log").read_text()
    assert clips.info.config_yaml == (arm_fit / "config.yaml").read_text()


def test_a_saved_configuration_repeats_the_fit(arm_fit: Path, tmp_path: Path) -> None:
    """config.yaml, given back through --config-dir, leads to the same poses."""
    saved = (arm_fit / "config.yaml").read_text()
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "study").mkdir()
    (folder / "study" / "again.yaml").write_text(f"# @package _global_\n{saved}")
    arguments = ["fit", "--config-dir", str(folder), "+study=again", f"out={tmp_path}/out"]
    assert main(arguments) == 0
    first, second = (read_clips(path / "clips.h5") for path in (arm_fit, tmp_path / "out"))
    np.testing.assert_array_equal(first.qpos, second.qpos)


def test_ik_with_the_offsets_of_a_fit(arm_fit: Path, arm_recording: Path, tmp_path: Path) -> None:
    arguments = [f"offsets={arm_fit / 'offsets.h5'}", f"keypoints.path={arm_recording}", f"out={tmp_path}"]
    assert main(["ik", *arguments, "report=false"]) == 0
    assert not (tmp_path / "offsets.h5").exists()
    again, before = read_clips(tmp_path / "clips.h5"), read_clips(arm_fit / "clips.h5")
    np.testing.assert_allclose(again.qpos, before.qpos, atol=2e-3)
    np.testing.assert_array_equal(again.offsets, read_offsets(arm_fit / "offsets.h5").offsets)


@pytest.mark.parametrize("up", ["y", "-z"])
def test_ik_repeats_the_alignment_of_the_fit(up: str, arm_recording: Path, tmp_path: Path) -> None:
    """The transform of the recording comes with the offsets, whatever the settings of `ik` prepare it with."""
    fit, first, second = (tmp_path / name for name in ("fit", "first", "second"))
    settings = [f"keypoints.path={arm_recording}", "report=false"]
    aligned = ["alignment.mode=rigid", f"alignment.up={up}", "alignment.scale=1.1"]
    assert main(["fit", *settings, *aligned, *QUICK, f"out={fit}"]) == 0
    stored = read_offsets(fit / "offsets.h5")
    assert stored.keypoint_scale_factor == pytest.approx(1.1)
    assert stored.alignment_rotation is not None
    assert stored.alignment_translation is not None
    np.testing.assert_allclose(stored.alignment_rotation @ stored.alignment_rotation.T, np.eye(3), atol=1e-12)
    known = [f"offsets={fit / 'offsets.h5'}"]
    assert main(["ik", *settings, *known, f"out={first}"]) == 0
    assert main(["ik", *settings, *known, "alignment.up=x", "alignment.scale=0.9", f"out={second}"]) == 0
    expected = read_clips(fit / "clips.h5").kp_data
    for folder in (first, second):
        np.testing.assert_allclose(read_clips(folder / "clips.h5").kp_data, expected, atol=1e-8)
    with h5py.File(arm_recording) as file:
        recorded = np.asarray(file["tracks"])[:, 0]
    k, rotation, translation = stored.keypoint_scale_factor, stored.alignment_rotation, stored.alignment_translation
    np.testing.assert_allclose(k * recorded @ rotation.T + translation, expected, atol=1e-8)


def test_multirun_gives_each_job_a_folder_of_its_own_and_outlives_one_that_fails(
    arm_recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"keypoints.path={arm_recording}", f"out={tmp_path}/sweep", *QUICK]
    assert main(["fit", "--multirun", "body.scale=0,1", "seed=0,1", *settings]) == 2
    assert "stac-mjx fit: job 000_body.scale-0_seed-0 failed: " in capsys.readouterr().err
    folders = sorted((tmp_path / "sweep").glob("0*"))
    assert [path.name for path in folders] == ["002_body.scale-1_seed-0", "003_body.scale-1_seed-1"]
    for seed, folder in enumerate(folders):
        assert errors_in(check_file(folder / "clips.h5")) == []
        assert f"\nseed: {seed}\n" in (folder / "config.yaml").read_text()
        assert "mean error" in (folder / "fit.log").read_text()


PRESET = """
name: tiny_arm
default_mjcf: embedded:mouse_arm.xml
markers:
  Elbow: {body: ulna}
  Wrist: {body: wrist_body}
rate_hz: 200.0
"""


def test_config_dir_adds_a_preset(arm_recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "body").mkdir()
    (tmp_path / "body" / "tiny.yaml").write_text(PRESET)
    settings = [f"keypoints.path={arm_recording}", f"out={tmp_path}/out", *QUICK]
    assert main(["fit", "--config-dir", str(tmp_path), "body=tiny", *settings]) == 0
    clips = read_clips(tmp_path / "out" / "clips.h5")
    assert (clips.info.model_name, clips.kp_names) == ("tiny_arm", ("Elbow", "Wrist"))
    capsys.readouterr()
    assert main(["fit", "--config-dir", str(tmp_path), "body=tinny", *settings]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


def test_a_preset_finds_its_model_in_its_own_folder_and_paths_may_hold_any_letter(
    arm_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, work = tmp_path / "mönkä lab", tmp_path / "work"
    (lab / "body").mkdir(parents=True)
    work.mkdir()
    (lab / "body" / "tiny.yaml").write_text(PRESET.replace("default_mjcf: embedded:mouse_arm.xml", "mjcf: arm.xml"))
    model = resources.files("stac_mjx") / "bodies" / "mouse_arm.xml"
    monkeypatch.chdir(work)
    for place in (lab / "body", lab):
        (place / "arm.xml").write_text(model.read_text())
        shutil.copy(arm_recording, lab / "größe.h5")
        settings = [f"keypoints.path={lab}/größe.h5", f"out={tmp_path}/aüs", *QUICK]
        assert main(["fit", "--config-dir", str(lab), "body=tiny", *settings]) == 0
        assert read_clips(tmp_path / "aüs" / "clips.h5").info.model_name == "tiny_arm"
        (place / "arm.xml").unlink()


def test_ik_needs_nothing_but_the_offsets(
    arm_recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The body in the offsets file is used, although no preset has it; another one is refused."""
    model = (resources.files("stac_mjx") / "bodies" / "mouse_arm.xml").read_text()
    (tmp_path / "arm.xml").write_text(model.replace('<joint name="elbow"', '<joint damping="1" name="elbow"', 1))
    (tmp_path / "other.xml").write_text(model)
    settings = [f"keypoints.path={arm_recording}", *QUICK[-1:]]
    fit = ["fit", *settings, *QUICK, f"body.mjcf={tmp_path}/arm.xml", "body.name=mine", "body.leave_out=[Shoulder]"]
    assert main([*fit, f"out={tmp_path}/fit"]) == 0
    known = f"offsets={tmp_path}/fit/offsets.h5"
    assert main(["ik", known, *settings, f"out={tmp_path}/ik"]) == 0
    first, again = (read_clips(tmp_path / folder / "clips.h5") for folder in ("fit", "ik"))
    assert again.info.model_sha256 == first.info.model_sha256
    assert (again.info.model_name, again.kp_names) == ("mine", ("Elbow", "Wrist"))
    np.testing.assert_allclose(again.qpos, first.qpos, atol=5e-3)
    capsys.readouterr()
    other = [known, *settings, f"body.mjcf={tmp_path}/other.xml", "body.name=mine", "body.leave_out=[Shoulder]"]
    assert main(["ik", *other, f"out={tmp_path}/other"]) == 2
    assert "body.override=true" in capsys.readouterr().err
    assert main(["ik", *other, "body.override=true", f"out={tmp_path}/other"]) == 0


@pytest.mark.slow
def test_fit_with_nothing_but_a_folder(tmp_path: Path) -> None:
    """The embedded reaches, all settings at their defaults, in a process of its own."""
    command = [sys.executable, "-m", "stac_mjx", "fit", f"out={tmp_path}"]
    ended = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    assert ended.returncode == 0, ended.stderr
    assert "46 synthetic reaches" in ended.stderr
    clips = read_clips(tmp_path / "clips.h5")
    assert len(clips.clip_name) == 46
    assert set(clips.events) == {"reach_onset"}
    assert 1000 * np.nanmean(clips.residual) < 0.12


def test_frames_without_keypoints_are_not_said_to_fail() -> None:
    figures = {"frames": 9, "keypoints": 3, "mean_error_mm": 1.0, "rmse_mm": 2.0, "failed_frames": 5, "wall_s": 1.0}
    line = closing_line(figures | {"solver_status": {"no_markers": 4}}, Path("out"))
    assert "1 frame failed, 4 without enough keypoints" in line


def test_a_model_of_another_animal_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "leg.xml").write_text(bodies.FINGER)
    assert main(["fit", f"body.mjcf={tmp_path / 'leg.xml'}", f"out={tmp_path / 'out'}"]) == 2
    said = capsys.readouterr().err
    assert "has no body of the preset 'mouse_arm'" in said
    assert "body=NAME" in said
