"""Conformance kit: what every file of the contract has to pass, and files that are broken in one way each.

For the tests of any package: ``assert_conforms(path)`` for a file it wrote, and ``CLIPS_DAMAGE`` to make sure that a
reader or checker refuses what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from stac_mjx._common.hdf5.content import content_violations
from stac_mjx._common.hdf5.record import Record, Violation, label_violations, shape_violations
from stac_mjx.check import check_file, errors_in, format_violations

Break = Callable[[Any], object]


def edit(path: Path) -> Any:
    """Open a file for changes; untyped, because h5py cannot know what is at a path."""
    return h5py.File(path, "r+")


def flip_stored(path: Path, name: str) -> None:
    """Flip the bits of one byte in the middle of the first chunk of a data set."""
    with edit(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 0xFF
    path.write_bytes(content)


def record_violations(record: Record) -> list[Violation]:
    """What a check of the file of a record would report, the enclosed model aside."""
    return [*shape_violations(record), *label_violations(record)] or content_violations(record)


def assert_conforms(path: Path) -> None:
    """Fail with the list of all violations unless the file conforms to docs/schema, SHOULDs aside."""
    violations = check_file(path)
    assert not errors_in(violations), format_violations(path, violations)


def rewrite(path: str, change: Callable[[np.ndarray], np.ndarray]) -> Break:
    """Rewrite a data set with other values, type or shape, keeping its attributes and, where possible, its scales."""

    def damage(file: Any) -> None:
        old = file[path]
        scales, values = [axis[0] for axis in old.dims], change(old[()])
        kept = {k: v for k, v in old.attrs.items() if k != "DIMENSION_LIST"}
        for axis, scale in zip(old.dims, scales, strict=True):
            axis.detach_scale(scale)
        del file[path]
        new = file.create_dataset(path, data=values)
        new.attrs.update(kept)
        for axis, scale in zip(new.dims, scales, strict=False):
            axis.attach_scale(scale)

    return damage


def put(path: str, index: object, value: object) -> Break:
    """Overwrite some values."""
    return lambda file: file[path].__setitem__(index, value)


def remove(path: str) -> Break:
    return lambda file: file.__delitem__(path)


def add(values: np.ndarray) -> Break:
    return lambda file: file.__setitem__("mine", values)


def attribute(name: str, value: object, path: str = "/") -> Break:
    def damage(file: Any) -> None:
        del file[path].attrs[name]
        if value is not None:
            file[path].attrs[name] = value

    return damage


def set_text(path: str, change: Callable[[str], str]) -> Break:
    """Change the MJCF or another text, and the hash with it, so that nothing else is wrong."""

    def damage(file: Any) -> None:
        from stac_mjx._common.hdf5.info import model_sha256

        file[path][()] = change(file[path].asstr()[()])
        assets = {name: item[()].tobytes() for name, item in file["provenance/assets"].items()}
        file.attrs["model_sha256"] = model_sha256(file["provenance/mjcf_xml"].asstr()[()], assets)

    return damage


def link(target: object) -> Break:
    def damage(file: Any) -> None:
        del file["qvel"]
        file["qvel"] = target

    return damage


def _virtual(file: Any) -> None:
    shape = file["valid"].shape
    del file["valid"]
    layout = h5py.VirtualLayout(shape, "u1")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "valid", shape)
    file.create_virtual_dataset("valid", layout)


def _external_storage(file: Any) -> None:
    shape = file["valid"].shape
    del file["valid"]
    file.create_dataset("valid", shape=shape, dtype="u1", external=[("elsewhere.bin", 0, 1000)])


def _huge(file: Any) -> None:
    del file["residual"]
    file.create_dataset("residual", (1 << 25, 1 << 20), "f4", chunks=(1024, 1024), maxshape=(None, None))


def _lzf(file: Any) -> None:
    values = file["kp_confidence"][()]
    del file["kp_confidence"]
    file.create_dataset("kp_confidence", data=values, compression="lzf")


def _wrong_scale(file: Any) -> None:
    file["kp_body"].dims[0].detach_scale(file["kp_names"])
    file["kp_body"].dims[0].attach_scale(file["names_xpos"])


def _references(file: Any) -> None:
    file.create_dataset("mine", data=[file["qpos"].ref], dtype=h5py.ref_dtype)


def _mjcf(old: str, new: str) -> Break:
    return set_text("provenance/mjcf_xml", lambda xml: xml.replace(old, new, 1))


CLIPS_DAMAGE: dict[str, tuple[str, Break]] = {
    # what is missing, or of another type, shape or unit
    "missing_dataset": ("qpos: is missing", remove("qpos")),
    "missing_attribute": ("@rate_hz: is missing", attribute("rate_hz", None)),
    "missing_scale": ("space: the scale of this dimension is missing", remove("space")),
    "missing_mjcf": ("provenance/mjcf_xml: is missing", remove("provenance/mjcf_xml")),
    "missing_column_units": ("qpos@column_units", attribute("column_units", None, "qpos")),
    "wrong_dtype": ("xpos: expected type float32", rewrite("xpos", lambda a: a.astype("f8"))),
    "flattened_axes": ("kp_data: expected the axes", rewrite("kp_data", lambda a: a.reshape(len(a), -1))),
    "swapped_axes": ("kp_data: expected shape", rewrite("kp_data", lambda a: a.transpose(0, 2, 1))),
    "short_array": ("residual: expected shape", rewrite("residual", lambda a: a[:-1])),
    "wrong_unit": ("xpos@units", attribute("units", "mm", "xpos")),
    "attribute_of_wrong_type": ("@rate_hz: expected a number", attribute("rate_hz", "fast")),
    "rate_not_positive": ("@rate_hz: expected a finite number above 0", attribute("rate_hz", -200.0)),
    "bad_time_of_writing": ("@created_utc", attribute("created_utc", "yesterday")),
    "sources_with_folders": ("@source_files", attribute("source_files", '[{"name": "/home/me/a.h5", "sha256": ""}]')),
    "bad_json": ("provenance/environment_json: expected JSON", set_text("provenance/environment_json", lambda _: "{")),
    "wrong_flags": ("solver_status@flag_values", attribute("flag_meanings", "fine bad worse lost", "solver_status")),
    "quaternion_order": ("xquat@quaternion_order", attribute("quaternion_order", "xyzw", "xquat")),
    # axes and labels
    "scale_not_attached": (
        "xpos: axis 1: expected the scale 'names_xpos'",
        lambda f: f["xpos"].dims[1].detach_scale(f["names_xpos"]),
    ),
    "wrong_scale_attached": ("kp_body: axis 0: expected the scale 'kp_names'", _wrong_scale),
    "names_not_unique": ("kp_names: labels must be unique", put("kp_names", 1, "nose")),
    "empty_name": ("kp_names: has an empty label", put("kp_names", 1, "")),
    "clip_names_not_unique": ("clip_name: clip names must be unique", put("clip_name", 1, "walk_0")),
    "axes_of_space_renamed": ("space: expected the labels x, y, z", put("space", 0, "z'")),
    "index_not_counting": ("frame: expected 0, 1, 2", put("frame", 3, 17)),
    # values that contradict each other
    "clip_start_shifted": ("clip_start: clip 1 must start", put("clip_start", 1, 6)),
    "clip_length_too_long": ("clip_length: the lengths add up", put("clip_length", 2, 50)),
    "frame_clip_wrong": ("frame_clip: does not agree", put("frame_clip", 0, 1)),
    "time_at_physics_rate": ("time: frame 1", rewrite("time", lambda a: a / 5)),
    "pose_not_finite": ("qpos: 1 values are not finite", put("qpos", (2, 3), np.nan)),
    "infinite_keypoint": ("kp_data: 1 values are infinite", put("kp_data", (2, 3, 0), np.inf)),
    "confidence_above_one": ("kp_confidence: expected values of at most 1", put("kp_confidence", (0, 0), 7.0)),
    "unknown_flag": ("solver_status: expected only", put("solver_status", 0, 9)),
    "quaternion_not_unit": ("quaternions are not of unit length", put("xquat", (1, 2), 0.9)),
    "residual_wrong": ("residual: frame", put("residual", (4, 2), 1e-2)),
    "weight_of_missing_point": ("kp_confidence: frame 0", put("kp_confidence", (0, 1), 0.5)),
    # the model
    "mjcf_does_not_compile": ("does not compile", _mjcf("<worldbody>", "<worldbody><geom type='blob'/>")),
    "mjcf_asset_missing": ("names no file under provenance/assets", remove("provenance/assets/shell.stl")),
    "hash_wrong": ("@model_sha256", attribute("model_sha256", "0" * 64)),
    "joint_order_wrong": ("names_qpos: differs from the model", put("names_qpos", 11, "hip2")),
    "body_names_shifted": ("names_xpos: differs from the model", put("names_xpos", 1, "thorax")),
    "units_of_qpos_wrong": ("qpos@column_units", attribute("column_units", ["m"] * 13, "qpos")),
    "xpos_in_model_units": ("from its position in MuJoCo", rewrite("xpos", lambda a: a * 1000)),
    "xpos_of_other_pose": ("from its position in MuJoCo", rewrite("xpos", lambda a: a[::-1])),
    "length_unit_wrong": ("qpos@column_units", attribute("length_unit_m", 0.01)),
    "sites_in_wrong_order": ("marker_sites: frame", rewrite("marker_sites", lambda a: a[:, ::-1])),
    "unknown_end_effector": ("@end_effectors: unknown body", attribute("end_effectors", '["tibia"]')),
    "unknown_keypoint_body": ("kp_body: unknown body", put("kp_body", 0, "tibia")),
    "unknown_skeleton_point": ("@skeleton: unknown keypoint", attribute("skeleton", '[["nose", "tail"]]')),
    # what an untrusted file may contain
    "external_link": ("qvel: is a link to another file", link(h5py.ExternalLink("/etc/hostname", "/"))),
    "soft_link": ("qvel: is a soft link", link(h5py.SoftLink("/qpos"))),
    "virtual_dataset": ("valid: is a virtual data set", _virtual),
    "external_storage": ("valid: keeps its values in another file", _external_storage),
    "huge_shape": ("residual: expected shape", _huge),
    "cycle_of_groups": (
        "provenance/again: is another name",
        lambda f: f.__setitem__("provenance/again", f["provenance"]),
    ),
    "private_filter": ("kp_confidence: uses filters", _lzf),
    "order_not_kept": (
        "mine/: does not keep the order of creation",
        lambda f: f.create_group("mine", track_order=False),
    ),
    "complex_numbers": ("mine: is of type complex", add(np.ones(3, complex))),
    "bool_array": ("mine: is of type bool", add(np.ones(3, bool))),
    "object_references": ("mine: is of type object", _references),
}
"""Name -> what the report has to say, and how the file is broken; for files of :func:`examples.clips`."""
