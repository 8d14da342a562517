"""Records of clips and offsets: what is derived, what is refused, and what is read of a file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from contract import examples, kit
from contract.kit import record_violations
from stac_mjx._common.errors import ContractError, InputError
from stac_mjx._common.hdf5.info import Source, model_sha256
from stac_mjx._common.hdf5.schema import load_schema
from stac_mjx._common.mjcf import unit_name
from stac_mjx.check import check_file
from stac_mjx.records import (
    SOLVER_STATUS,
    Offsets,
    ReferenceClips,
    clips_record,
    offsets_record,
    read_clips,
    read_offsets,
    write_clips,
    write_offsets,
)


def test_derived_fields_follow_the_clips():
    clips = examples.clips((7, 3, 5))
    assert clips.n_frames == 15
    np.testing.assert_array_equal(clips.clip_start, [0, 7, 10])
    np.testing.assert_array_equal(clips.frame_clip, [0] * 7 + [1] * 3 + [2] * 5)
    np.testing.assert_allclose(clips.time[5:12], np.array([5, 6, 0, 1, 2, 0, 1]) / 200)
    assert clips.frames("walk_1") == clips.frames(1) == slice(7, 10)
    np.testing.assert_allclose(
        clips.residual[3], np.linalg.norm(clips.kp_data[3] - clips.marker_sites[3], axis=-1), rtol=1e-6
    )
    assert np.isnan(clips.residual[0, 1])


def test_residual_of_a_long_recording_is_computed_in_portions():
    rng = np.random.default_rng(0)
    points, sites = rng.normal(size=(2, 20_000, 2, 3))
    clips = examples.changed(examples.clips(), kp_data=points, marker_sites=sites)
    np.testing.assert_allclose(clips.residual, np.linalg.norm(points - sites, axis=-1), rtol=1e-6)


@pytest.mark.parametrize("lengths", [(1,), (1, 1), (2, 30)])
def test_short_and_single_clips_are_written_and_read(tmp_path: Path, lengths):
    write_clips(tmp_path / "a.h5", examples.clips(lengths))
    read = read_clips(tmp_path / "a.h5")
    np.testing.assert_array_equal(read.clip_length, lengths)
    np.testing.assert_allclose(read.xpos, examples.clips(lengths).xpos, rtol=1e-6)


def test_a_subset_of_clips_is_read_in_the_order_asked_for(clips_file: Path):
    every, some = read_clips(clips_file), read_clips(clips_file, ["walk_2", 0])
    assert some.clip_name == ("walk_2", "walk_0")
    assert some.trial_id == ("trial 2", "trial 0")
    np.testing.assert_array_equal(some.clip_length, [5, 7])
    np.testing.assert_array_equal(some.events["lift_off"], [0.005, np.nan])
    for name in ("qpos", "kp_data", "valid", "at_joint_limit"):
        whole = getattr(every, name)
        np.testing.assert_array_equal(getattr(some, name), np.concatenate([whole[10:15], whole[:7]]))


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (["wlak_1"], "unknown clip 'wlak_1'; did you mean 'walk_1'"),
        ([7], "clip 7: expected a number from 0 to 2"),
        ([-1], "clip -1: expected a number from 0 to 2"),
        ([], "expected at least one clip"),
    ],
)
def test_clips_that_do_not_exist_are_named(clips_file: Path, clips, message):
    with pytest.raises(InputError, match=message):
        read_clips(clips_file, clips)


BAD_CLIPS = {
    "three": (
        lambda c: {"qpos": c.qpos[:, :-1], "xquat": c.xquat[:-1], "kp_names": ("a", "a", "b", "c")},
        r"(?s)qpos: expected shape.*xquat.*kp_names",
    ),
    "qpos": (lambda c: {"qpos": c.qpos[:, :-1]}, r"qpos: expected shape \(frame 15, names_qpos 13\), got \(15, 12\)"),
    "frames": (lambda c: {"clip_length": np.array([7, 3, 6])}, "expected shape"),
    "lengths": (lambda c: {"clip_length": np.array([7.0, 3, 5])}, "clip_length: expected a list of whole numbers"),
    "empty_clip": (lambda c: {"clip_length": np.array([15, 0, 0])}, "whole numbers of at least 1"),
    "labels": (lambda c: {"kp_names": ("nose", "nose", "a", "b")}, "kp_names: labels must be unique; repeated: nose"),
    "units": (lambda c: {"qpos_units": ("mm",)}, "expected one unit for each of the 13 columns, got 1"),
    "rate": (lambda c: {"info": examples.info(rate_hz=None)}, "info.rate_hz: expected frames per second"),
}


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_records_that_do_not_fit_together_are_refused(tmp_path: Path, name):
    change, message = BAD_CLIPS[name]
    clips = examples.clips()
    with pytest.raises(ContractError, match=message):
        write_clips(tmp_path / "a.h5", examples.changed(clips, **change(clips)))
    assert list(tmp_path.iterdir()) == []


BAD_VALUES = {
    "names": (lambda c: {"clip_name": ("a", "a", "b")}, "clip_name"),
    "nan": (lambda c: {"qpos": np.where(np.arange(15)[:, None] == 2, np.nan, c.qpos)}, "qpos"),
    "weights": (lambda c: {"kp_confidence": c.kp_confidence * 3}, "kp_confidence"),
    "status": (lambda c: {"solver_status": c.solver_status + 4}, "solver_status"),
    "skeleton": (lambda c: {"info": examples.info(skeleton=(("nose", "bakc"),))}, "@skeleton"),
    "quaternion": (lambda c: {"xquat": c.xquat * 2}, "xquat"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_the_check_of_a_record_is_the_check_of_its_file(tmp_path: Path, name):
    change, where = BAD_VALUES[name]
    clips = examples.changed(examples.clips(), **change(examples.clips()))
    violations = record_violations(clips_record(clips))
    assert where in [violation.where for violation in violations]
    write_clips(tmp_path / "a.h5", clips)
    assert set(map(str, violations)) <= set(map(str, check_file(tmp_path / "a.h5")))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"offsets": examples.OFFSETS[:2]}, "offsets"),
        ({"scale_factor": 0.0}, "scale_factor"),
        ({"offset_initial": examples.OFFSETS * np.nan}, "offset_initial"),
        ({"mean_error_history": np.zeros(2)}, "mean_error_history"),
        ({"regularised": np.array([0, 1, 2, 0])}, "regularised"),
    ],
)
def test_offsets_that_do_not_fit_together_are_reported(fields, where):
    assert where in [v.where for v in record_violations(offsets_record(examples.changed(examples.offsets(), **fields)))]


def test_offsets_may_leave_out_what_is_not_known_and_hold_only_names_of_source_files(tmp_path: Path):
    source = Source(Path("/home/someone/private/walk.h5"), "ab" * 32)
    info = examples.info(rate_hz=None, random_seed=None, source_files=(source,))
    offsets = examples.offsets(offset_std=None, fit_frames=None, mean_error_history=None, info=info)
    write_offsets(tmp_path / "a.h5", offsets)
    read = read_offsets(tmp_path / "a.h5")
    assert read.offset_std is read.fit_frames is read.mean_error_history is read.info.rate_hz is read.info.random_seed
    assert b"someone" not in (tmp_path / "a.h5").read_bytes()
    assert read.info.source_files == (Source(Path("walk.h5"), "ab" * 32),)


# --- files that are not what was asked for


def test_files_that_are_no_hdf5_are_refused(tmp_path: Path, clips_file: Path):
    whole = clips_file.read_bytes()
    contents = {"empty": b"", "text": b"frame,x,y,z\n1,2,3,4\n", "short": whole[: len(whole) // 2], "stub": whole[:16]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "nothing.h5"):
        with pytest.raises(InputError, match=name):
            read_clips(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_clips(tmp_path)


def test_other_kinds_are_refused(tmp_path: Path, clips_file: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = np.zeros((3, 1, 2, 3))
    with pytest.raises(ContractError, match="schema_name and schema_version are missing"):
        read_clips(tmp_path / "a.h5")
    with pytest.raises(ContractError, match=r"expected a mimic\.offsets file, got a mimic\.reference_clips file"):
        read_offsets(clips_file)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("schema_version", "new", "schema_version: expected MAJOR.MINOR"),
        ("schema_name", "mimic.reference_clip", "did you mean 'mimic.reference_clips'"),
        ("schema_name", 3, "schema_name and schema_version are missing"),
    ],
)
def test_other_versions_and_kinds_are_refused(clips_file: Path, name, value, message):
    with kit.edit(clips_file) as file:
        file.attrs[name] = value
    with pytest.raises(ContractError, match=message):
        read_clips(clips_file)


def test_reading_follows_no_link_and_lists_what_is_wrong(clips_file: Path):
    with kit.edit(clips_file) as file:
        del file["qvel"], file["valid"]
        file["qvel"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(ContractError, match="qvel: is a link to another file") as error:
        read_clips(clips_file)
    assert "valid: is missing" in str(error.value)
    with kit.edit(clips_file) as file:
        del file["clip_start"]
        file["clip_start"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(ContractError, match="clip_start: is a link to another file"):
        read_clips(clips_file, [0])


@pytest.mark.parametrize("path", ["clip_start", "clip_length"])
@pytest.mark.parametrize("value", [-3, 14, 1 << 40])
def test_clip_borders_outside_the_file_are_refused(clips_file: Path, path, value):
    with kit.edit(clips_file) as file:
        file[path][1] = value
    for clips in (None, [1], [0]):
        with pytest.raises(ContractError, match=r"clip_start|clip_length"):
            read_clips(clips_file, clips)


def test_damaged_values_are_a_contract_error(tmp_path: Path):
    write_clips(tmp_path / "a.h5", examples.clips((3000,)))
    kit.flip_stored(tmp_path / "a.h5", "xpos")
    with pytest.raises(ContractError, match="xpos: the values are damaged"):
        read_clips(tmp_path / "a.h5")


# --- names, units, hash


def test_length_units_are_named():
    assert [unit_name(unit) for unit in (1.0, 0.1, 0.01, 1e-3, 1e-6)] == ["m", "dm", "cm", "mm", "um"]
    assert unit_name(0.0024) == "0.0024 m"


def test_the_hash_covers_names_and_content_of_assets():
    different = [{}, {"a": b"b"}, {"ab": b""}, {"a": b"b", "c": b"d"}]
    hashes = {model_sha256("<mujoco/>", assets) for assets in different} | {model_sha256("<mujoco />", {})}
    assert len(hashes) == 5
    assert model_sha256("x", {"a": b"1", "b": b"2"}) == model_sha256("x", {"b": b"2", "a": b"1"})


def test_solver_status_is_that_of_the_page():
    rule = load_schema("mimic.reference_clips").dataset("solver_status")
    assert rule is not None
    assert rule.flag_meanings == SOLVER_STATUS


def test_fields_of_the_records_are_the_data_sets_of_the_pages():
    for record, kind in ((ReferenceClips, "mimic.reference_clips"), (Offsets, "mimic.offsets")):
        schema = load_schema(kind)
        there = {name for name in dir(record) if not name.startswith("_")} | set(record.__dataclass_fields__)
        expected = {path for path in schema.datasets if not path.startswith(("provenance/", "events/", "labels/"))}
        assert len(expected) > 5
        assert expected <= there
