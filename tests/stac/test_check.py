"""The checker: what it says, what it leaves alone, and that hostile files neither reach out nor use up the memory."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from contract import examples, kit
from stac_mjx._common.errors import BodyError
from stac_mjx._common.mjcf import compile_enclosed
from stac_mjx.check import Violation, check_file, errors_in, format_violations
from stac_mjx.records import write_clips, write_offsets


def test_all_violations_are_reported_at_once(clips_file: Path):
    with kit.edit(clips_file) as file:
        del file["qvel"]
        file["xpos"].attrs["units"] = "mm"
        file["residual"][3, 0] = 5
        file["clip_start"][1] = 8
        file.attrs["model_sha256"] = "0" * 64
        del file["offsets"]
    violations = check_file(clips_file)
    assert [d.where for d in errors_in(violations)] == ["qvel", "xpos@units", "clip_start", "residual", "@model_sha256"]
    assert violations[-1] == Violation("offsets", violations[-1].problem, "advice")
    assert format_violations(Path("clips.h5"), []) == "clips.h5: conforms to docs/schema"
    text = format_violations(Path("clips.h5"), violations)
    assert text.splitlines()[0] == "clips.h5: violates docs/schema in 5 places"
    assert text.splitlines()[-2] == "  advice:"


def test_a_missing_should_is_advice_only(tmp_path: Path):
    write_offsets(tmp_path / "a.h5", examples.offsets(offset_std=None))
    violations = check_file(tmp_path / "a.h5")
    assert [(d.where, d.severity) for d in violations] == [("offset_std", "advice")]
    assert not errors_in(violations)


def test_values_of_invalid_frames_do_not_count(tmp_path: Path):
    clips = examples.clips()
    for values in (clips.qpos, clips.xpos, clips.xquat, clips.marker_sites):
        values[-1] = np.nan
    write_clips(tmp_path / "a.h5", clips)
    assert check_file(tmp_path / "a.h5") == []


ROLLOUT_DAMAGE = {
    "substeps": (lambda f: f.attrs.__setitem__("n_substeps", 5), "@ctrl_dt_s"),
    "rate": (lambda f: f.attrs.__setitem__("rate_hz", 100.0), "@rate_hz"),
    "alignment": (lambda f: f.attrs.__setitem__("alignment", "none"), "@alignment"),
    "goes_on": (lambda f: f["valid"].__setitem__((0, 2), 0), "valid"),
    "late_end": (lambda f: f["terminated"].__setitem__((0, 2), 1), "terminated"),
    "time": (lambda f: f["step_time"].__setitem__(2, 0.011), "step_time"),
    "layer_width": (lambda f: f.__delitem__("activations/encoder/unit_0"), "activations/encoder/unit_0"),
    "stage": (lambda f: f["activations/decoder/layer_0"].attrs.pop("stage"), "activations/decoder/layer_0@stage"),
    "reference": (lambda f: f["reference/clip_start"].__setitem__(1, 7), "reference/clip_start"),
    "contact": (lambda f: f["contact/femur"].__setitem__((0, 0), 3), "contact/femur"),
    "actuators": (lambda f: f["actuator"].__setitem__(0, "knee_motor"), "actuator"),
    "pose": (lambda f: f["xpos"].__setitem__((0, 0), 1.0), "xpos"),
    "unknown_reason": (lambda f: f["termination_reason"].__setitem__(0, 9), "termination_reason"),
    "gap": (lambda f: f["latent_mean"].__setitem__((1, 2, 0), np.nan), "latent_mean"),
}


@pytest.mark.parametrize("name", ROLLOUT_DAMAGE)
def test_broken_rollouts_are_reported(tmp_path: Path, name):
    damage, where = ROLLOUT_DAMAGE[name]
    examples.write_rollouts(tmp_path / "a.h5")
    with kit.edit(tmp_path / "a.h5") as file:
        damage(file)
    assert where in [violation.where for violation in errors_in(check_file(tmp_path / "a.h5"))]


def test_steps_after_the_end_of_a_rollout_may_be_nan(tmp_path: Path):
    examples.write_rollouts(tmp_path / "a.h5", seeds=(4, 9))
    with kit.edit(tmp_path / "a.h5") as file:
        file["valid"][1, 0, 3:] = 0
        file["terminated"][1, 0, 2] = 1
        file["termination_reason"][1, 0] = 1
        for path in ("reward", "ctrl", "latent", "activations/encoder/layer_0"):
            file[path][1, 0, 3:] = np.nan
        for path in ("qpos", "qvel", "xpos", "actuator_length"):
            file[path][1, 0, 4:] = np.nan
        file["xquat"][1, 0, 4:] = np.nan
    assert check_file(tmp_path / "a.h5") == []
    with kit.edit(tmp_path / "a.h5") as file:
        file["qvel"][1, 0, 3] = np.nan
    assert [violation.where for violation in check_file(tmp_path / "a.h5")] == ["qvel"]


def test_one_dataset_without_the_seed_axis_is_reported(tmp_path: Path):
    examples.write_rollouts(tmp_path / "a.h5", seeds=(4, 9))
    with kit.edit(tmp_path / "a.h5") as file:
        values, attributes = file["reward"][0], dict(file["reward"].attrs)
        del file["reward"]
        reward = file.create_dataset("reward", data=values)
        reward.attrs["units"] = attributes["units"]
        for axis, dim in enumerate(("clip", "step_time")):
            reward.dims[axis].attach_scale(file[dim])
    assert [violation.where for violation in check_file(tmp_path / "a.h5")] == ["reward"]


def test_a_model_takes_nothing_from_the_disk_and_reserves_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shell.stl").write_bytes(b"something else")
    assert compile_enclosed(examples.MJCF, {"shell.stl": examples.tetrahedron()}).nmesh == 1
    with pytest.raises(BodyError, match="names no file under provenance/assets"):
        compile_enclosed(examples.MJCF, {})
    with pytest.raises(BodyError, match="namespace"):
        compile_enclosed('<mujoco><worldbody xmlns="a"/></mujoco>', {})
    assert compile_enclosed('<mujoco><size memory="900G"/></mujoco>', {}).narena <= 1 << 26


def test_every_data_set_may_be_swapped_for_any_other_without_a_crash(clips_file: Path, tmp_path: Path):
    """The checker reports any kind of object under a name and continues."""
    arrays = (np.zeros(()), np.zeros((2, 2, 2, 2)), np.zeros(0, "f4"))
    strange = (*arrays, np.array("text", h5py.string_dtype()), h5py.Empty("f4"))
    with h5py.File(clips_file) as file:
        paths = [path for path in file if isinstance(file[path], h5py.Dataset)]
        content = clips_file.read_bytes()
    for number, path in enumerate([*paths, "provenance/mjcf_xml", "events/lift_off", "provenance/assets/shell.stl"]):
        copy = tmp_path / "copy.h5"
        copy.write_bytes(content)
        with kit.edit(copy) as file:
            del file[path]
            file[path] = strange[number % len(strange)]
        assert errors_in(check_file(copy)), path
