"""The package from Python: load, fit, inspect, save; the same results as the commands."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stac_mjx
from stac.bodies_for_tests import ARM_NAMES
from stac_mjx._common.errors import BodyError, ConfigError, InputError
from stac_mjx.body.body import Body
from stac_mjx.body.presets import body_preset
from stac_mjx.check import errors_in
from stac_mjx.config import AlignmentConfig, BodyConfig, FitConfig
from stac_mjx.inputs import embedded
from stac_mjx.keypoints import Keypoints
from stac_mjx.keypoints.alignment import Similarity, prepared
from stac_mjx.results import Registration

QUICK: dict[str, Any] = {"calibration": {"frames": 10, "max_rounds": 2}}


@pytest.fixture(scope="module")
def body() -> Body:
    return stac_mjx.load_body("mouse_arm")


@pytest.fixture(scope="module")
def keypoints(body: Body, arm_recording: Path) -> Keypoints:
    return stac_mjx.load_keypoints(arm_recording, body=body)


@pytest.fixture(scope="module")
def result(body: Body, keypoints: Keypoints) -> Registration:
    return stac_mjx.fit(body, keypoints, **QUICK)


def test_import_costs_nothing() -> None:
    script = "import sys, stac_mjx\nassert not {'jax', 'mujoco', 'numpy', 'h5py', 'hydra'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_exists_and_is_offered_for_completion() -> None:
    assert set(stac_mjx.__all__) <= set(dir(stac_mjx))
    assert all(getattr(stac_mjx, name).__doc__ for name in stac_mjx.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        stac_mjx.fitt  # noqa: B018


def test_ten_lines(tmp_path: Path, arm_recording: Path) -> None:
    body = stac_mjx.load_body("mouse_arm")
    keypoints = stac_mjx.load_keypoints(arm_recording, body=body, stop=40)
    result = stac_mjx.fit(body, keypoints, calibration={"frames": 10, "max_rounds": 2}, seed=3)
    assert "40 frames (1 clip) at 200 Hz, 3 keypoints, 4 degrees of freedom" in str(result)
    assert result.clips.qpos.shape == (40, 4)
    out = result.save(tmp_path / "results", report=False)
    assert stac_mjx.check_file(out / "clips.h5") == []
    assert errors_in(stac_mjx.check_file(out / "offsets.h5")) == []
    assert stac_mjx.read_clips(out / "clips.h5").info.random_seed == 3
    np.testing.assert_array_equal(stac_mjx.read_offsets(out / "offsets.h5").offsets, result.offsets.astype(np.float32))


def test_the_command_finds_the_same(result: Registration, arm_fit: Path, arm_recording: Path) -> None:
    np.testing.assert_array_equal(result.clips.qpos, stac_mjx.read_clips(arm_fit / "clips.h5").qpos)
    np.testing.assert_array_equal(result.clips.offsets, stac_mjx.read_offsets(arm_fit / "offsets.h5").offsets)
    for setting in ("default_mjcf: embedded:mouse_arm.xml", str(arm_recording), "frames: 10"):
        assert setting in result.clips.info.config_yaml


def test_summary_and_words(result: Registration, arm_fit: Path) -> None:
    saved = json.loads((arm_fit / "fit_summary.json").read_text())
    summary = result.summary()
    same = ("frames", "clips", "mean_error_mm", "rmse_mm", "per_keypoint_mm", "frames_at_limit", "calibration_rounds")
    assert {key: summary[key] for key in same} == {key: saved[key] for key in same}
    assert repr(result) == f"<Registration of 'mouse_arm': 60 frames, mean error {summary['mean_error_mm']:.3f} mm>"
    assert f"rmse {summary['rmse_mm']:.3f} mm" in str(result)
    assert "calibrated on 10 frames in 2 rounds" in str(result)


def test_ik_takes_offsets_in_every_form_and_serves_as_offsets_again(
    result: Registration, body: Body, keypoints: Keypoints, arm_fit: Path, tmp_path: Path
) -> None:
    known = stac_mjx.ik(body, keypoints, result)
    assert "offsets: given" in str(known)
    np.testing.assert_allclose(known.clips.qpos, result.clips.qpos, atol=2e-3)
    for form in (result.offsets, arm_fit / "offsets.h5", stac_mjx.read_offsets(arm_fit / "offsets.h5")):
        np.testing.assert_allclose(stac_mjx.ik(body, keypoints, form).clips.qpos, known.clips.qpos, atol=1e-5)
    np.testing.assert_array_equal(stac_mjx.ik(body, keypoints, known).clips.qpos, known.clips.qpos)
    assert not (known.save(tmp_path, report=False) / "offsets.h5").exists()


def test_offsets_of_an_ik_result_are_matched_by_name_and_body(
    result: Registration, body: Body, keypoints: Keypoints
) -> None:
    known = stac_mjx.ik(body, keypoints, result)
    order = [2, 0, 1]
    names = tuple(body.marker_names[k] for k in order)
    shuffled = replace(
        body, marker_names=names, marker_body=body.marker_body[order], marker_offset=body.marker_offset[order]
    )
    np.testing.assert_allclose(stac_mjx.ik(shuffled, keypoints, known).offsets, known.offsets[order])
    with pytest.raises(BodyError, match="mouse_arm"):
        stac_mjx.ik(replace(body, name="another"), keypoints, known)


def test_keypoints_made_by_hand(body: Body, arm_positions: np.ndarray) -> None:
    keypoints = stac_mjx.Keypoints(
        positions=1000 * arm_positions,
        confidence=np.ones(arm_positions.shape[:2]),
        names=ARM_NAMES,
        rate_hz=200.0,
        unit=None,
        clip_names=("a", "b"),
        clip_lengths=np.array([60, 60]),
    ).in_metres("mm")
    result = stac_mjx.fit(body, keypoints, **QUICK)
    assert result.summary()["clips"] == 2
    assert result.summary()["mean_error_mm"] < 0.2


def test_embedded_reaches_without_a_path_do_not_follow_the_seed(body: Body) -> None:
    keypoints = stac_mjx.load_keypoints(body=body)
    assert len(keypoints.clip_names) == 46
    assert keypoints.names == ARM_NAMES
    np.testing.assert_array_equal(embedded(body, FitConfig(seed=7)).keypoints.positions, keypoints.positions)


def test_what_was_assumed_is_logged_and_no_bar_shows_outside_a_terminal(
    body: Body, keypoints: Keypoints, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.WARNING, "stac_mjx"):
        result = stac_mjx.fit(body, replace(keypoints, rate_hz=None), progress=True, **QUICK)
    assert result.clips.info.rate_hz == 200.0
    assert "200 Hz, usual for body 'mouse_arm'" in caplog.text
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"calibrations": {}}, "did you mean 'calibration.frames'"),
        ({"calibration": {"frame": 3}}, "did you mean 'calibration.frames'"),
        ({"calibration": {"frames": "many"}}, "calibration.frames: Value 'many'"),
        ({"seed": -1}, "seed: expected at least 0"),
        ({"offsets": "offsets.h5"}, "offsets: .* to ik"),
        ({"out": "results"}, "out: .* to save"),
    ],
)
def test_bad_settings(settings: dict, words: str, body: Body, keypoints: Keypoints) -> None:
    with pytest.raises(ConfigError, match=words):
        stac_mjx.fit(body, keypoints, **settings)


def test_bad_bodies_recordings_and_offsets(
    body: Body, keypoints: Keypoints, arm_recording: Path, arm_fit: Path
) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mouse_arm'"):
        stac_mjx.load_body("mouse_arms")
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        stac_mjx.load_body("mouse_arm", scal=2)
    with pytest.raises(ConfigError, match="did you mean 'rate_hz'"):
        stac_mjx.load_keypoints(arm_recording, rate_h=100)
    with pytest.raises(InputError, match=r"shape \(3, 3\)"):
        stac_mjx.ik(body, keypoints, np.zeros((2, 3)))
    with pytest.raises(BodyError, match=r"body\.scale=1"):
        stac_mjx.ik(stac_mjx.load_body("mouse_arm", scale=1.5), keypoints, arm_fit / "offsets.h5")


def test_bodies_from_settings() -> None:
    settings = body_preset("mouse_arm")
    larger = stac_mjx.load_body(settings, scale=2.0)
    assert isinstance(larger.config, BodyConfig)
    assert (larger.scale, larger.config.scale, settings.scale) == (2.0, 2.0, 1.0)
    assert larger.size_m == pytest.approx(2 * stac_mjx.load_body(settings).size_m)


def test_similarities_compose_and_invert() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 3))
    first = prepared(AlignmentConfig(up="-y", scale=2.0))
    second = Similarity(np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.normal(size=3), np.asarray(0.3))
    np.testing.assert_allclose(second.after(first).apply(points), second.apply(first.apply(points)), atol=1e-12)
    np.testing.assert_allclose(second.inverse().apply(second.apply(points)), points, atol=1e-12)
