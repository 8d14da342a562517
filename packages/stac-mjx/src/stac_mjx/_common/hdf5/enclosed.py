"""Checks of a record against the MJCF it encloses: names, units, poses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import mujoco
import numpy as np

from ..errors import BodyError, shorten
from ..mjcf import body_labels, compile_enclosed, qpos_labels, qpos_units, qvel_labels, qvel_units
from ..rotations import rotate
from .content import bodies_named, validity
from .info import model_sha256
from .record import Record, Violation

# frames whose poses are recomputed: so many stretches, spread over the file, of so many frames
_N_STRETCHES, _STRETCH = 8, 8
# largest error of a body's position, as a part of the body's length
_TOLERANCE = 1e-5
_ANGLE_TOLERANCE = 1e-3
# float32 coordinates keep seven digits of their distance from the origin
_FLOAT32_DIGITS = 8 * float(np.finfo(np.float32).eps)


def model_violations(record: Record, assets: Mapping[str, bytes]) -> Iterator[Violation]:
    """Report where names, units and poses disagree with the enclosed MJCF."""
    texts, checks = record.strings.get("provenance/mjcf_xml"), record.schema.checks
    if not texts:
        return
    stored, actual = record.attributes.get("model_sha256"), model_sha256(texts[0], assets)
    if "model_hash" in checks and isinstance(stored, str) and stored != actual:
        yield Violation("@model_sha256", f"got {stored}, but MJCF and assets give {actual}")
    try:
        model = compile_enclosed(texts[0], assets)
    except BodyError as error:
        yield Violation("provenance/mjcf_xml", str(error))
        return
    if "bodies_exist" in checks:
        yield from bodies_named(record, body_labels(model))
    names = list(_names(record, model)) if "names_follow_model" in checks else []
    yield from names
    length_unit_m = record.attributes.get("length_unit_m")
    if names or not isinstance(length_unit_m, float | int) or not length_unit_m > 0:
        return
    if "units_follow_model" in checks:
        yield from _units(record, model, float(length_unit_m))
    if "poses_follow_model" in checks:
        yield from _poses(record, model, float(length_unit_m))
    if "sites_follow_offsets" in checks:
        yield from _sites(record)


def _names(record: Record, model: mujoco.MjModel) -> Iterator[Violation]:
    expected = {"names_qpos": qpos_labels(model), "names_qvel": qvel_labels(model), "names_xpos": body_labels(model)}
    if "actuator" in record.strings:
        expected["actuator"] = tuple(model.actuator(i).name or f"actuator_{i}" for i in range(model.nu))
    for path, names in expected.items():
        stored = record.strings.get(path, names)
        if len(stored) != len(names):
            yield Violation(path, f"expected the {len(names)} names of the model, got {len(stored)}")
            continue
        wrong = [f"{i}: {b!r}, not {a!r}" for i, (a, b) in enumerate(zip(stored, names, strict=True)) if a != b]
        if wrong:
            yield Violation(path, f"differs from the model at {shorten(wrong, 4)}")


def _units(record: Record, model: mujoco.MjModel, length_unit_m: float) -> Iterator[Violation]:
    position, speed = qpos_units(model, length_unit_m), qvel_units(model, length_unit_m)
    for path, units in (("qpos", position), ("qvel", speed), ("qpos_ref", position), ("reference/qpos", position)):
        stored = record.dataset_attributes.get(path, {}).get("column_units")
        stored = (stored,) if isinstance(stored, str) else stored
        if isinstance(stored, tuple) and stored != units:
            yield Violation(f"{path}@column_units", f"expected {shorten(units)}; got {shorten(stored)}")


def _body_length(model: mujoco.MjModel) -> float:
    """Return the diagonal of the box around all bodies at qpos0, in the MJCF's unit; for one body, MuJoCo's extent."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    points = data.xpos[1:]
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0
    return diagonal if diagonal > 0 else float(model.stat.extent)


def _stretches(shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield indices of short runs along the last of these axes, spread evenly over all of them."""
    *outer, last = shape
    n_outer = int(np.prod(outer, dtype=np.int64))
    for position in np.unique(np.linspace(0, n_outer * last - 1, _N_STRETCHES).astype(np.int64)).tolist():
        start = min(position % last, max(0, last - _STRETCH))
        lead = np.unravel_index(position // last, outer) if outer else ()
        yield (*(int(i) for i in lead), slice(start, start + _STRETCH))


def _poses(record: Record, model: mujoco.MjModel, length_unit_m: float) -> Iterator[Violation]:
    """Recompute body frames from qpos and compare them with xpos and xquat."""
    if not record.has("qpos", "xpos") or record.numbers["qpos"].shape[-1] != model.nq:
        return
    dims = record.dims["qpos"][:-1]
    names = [name for name in ("qpos", "xpos", "xquat") if record.has(name)]
    valid = validity(record, dims)
    data = mujoco.MjData(model)
    allowed = _TOLERANCE * _body_length(model) * length_unit_m
    for index in _stretches(record.numbers["qpos"].shape[:-1]):
        stored = {name: np.asarray(record.numbers[name][index], np.float64) for name in names}
        for k in range(len(stored["qpos"])):
            frame = index[-1].start + k
            pose = {name: values[k] for name, values in stored.items()}
            usable = valid is None or bool(valid[(*index[:-1], frame)])
            if not usable or not all(np.isfinite(values).all() for values in pose.values()):
                continue
            data.qpos[:] = pose["qpos"]
            mujoco.mj_kinematics(model, data)
            problem = _pose_problem(data, pose, length_unit_m, allowed)
            if problem:
                place = ", ".join(f"{dim} {i}" for dim, i in zip(dims, (*index[:-1], frame), strict=True))
                yield Violation(problem[0], f"{place}: {problem[1]}")
                return


def _pose_problem(
    data: mujoco.MjData, stored: Mapping[str, np.ndarray], length_unit_m: float, allowed: float
) -> tuple[str, str] | None:
    """Return the data set and what is wrong with it in one frame, or None; `allowed` is in metres."""
    position = data.xpos * length_unit_m
    error = np.linalg.norm(position - stored["xpos"], axis=-1)
    allowed += _FLOAT32_DIGITS * np.abs(position).max()
    worst = int(np.argmax(error))
    if error[worst] > allowed:
        return "xpos", (
            f"{body_labels(data.model)[worst]} is {error[worst]:.3g} m from its position in MuJoCo for qpos (allowed "
            f"{allowed:.3g}); qpos must be in the MJCF's units and xpos in metres"
        )
    if "xquat" in stored:
        # a quaternion and its negative are one rotation
        cosine = np.abs((data.xquat * stored["xquat"]).sum(axis=-1))
        worst = int(np.argmin(cosine))
        if 2 * np.arccos(min(1.0, cosine[worst])) > _ANGLE_TOLERANCE:
            return "xquat", f"{body_labels(data.model)[worst]} differs from its orientation in MuJoCo for qpos"
    return None


def _sites(record: Record) -> Iterator[Violation]:
    """Recompute marker sites from body frames and offsets."""
    if not record.has("marker_sites", "offsets", "kp_body", "xpos", "xquat", "names_xpos"):
        return
    bodies, offsets = record.strings["names_xpos"], record.array("offsets").astype(np.float64)
    if not set(record.strings["kp_body"]) <= set(bodies):
        return
    ids = [bodies.index(name) for name in record.strings["kp_body"]]
    size = float(np.linalg.norm(offsets, axis=-1).max(initial=0.0))
    for index in _stretches(record.numbers["marker_sites"].shape[:1]):
        sites, xpos, xquat = (
            np.asarray(record.numbers[name][index], np.float64) for name in ("marker_sites", "xpos", "xquat")
        )
        error = np.linalg.norm(sites - xpos[:, ids] - rotate(xquat[:, ids], offsets), axis=-1)
        bound = 1e-6 * size + _FLOAT32_DIGITS * np.nanmax(np.abs(xpos), initial=0.0)
        with np.errstate(invalid="ignore"):
            wrong = error > 10 * bound
        if wrong.any():
            frame, keypoint = (int(i[0]) for i in np.nonzero(wrong))
            yield Violation(
                "marker_sites",
                f"frame {index[-1].start + frame}, {record.strings['kp_names'][keypoint]}: "
                f"{error[frame, keypoint]:.3g} m from its offset on {record.strings['kp_body'][keypoint]}",
            )
            return
