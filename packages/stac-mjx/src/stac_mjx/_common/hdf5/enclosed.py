"""Checks of a record against the MJCF it encloses: names, units, poses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import mujoco
import numpy as np

from ..errors import BodyError, shorten
from ..mjcf import actuator_labels, body_labels, compile_enclosed, qpos_labels, qpos_units, qvel_labels, qvel_units
from ..rotations import rotate
from .content import bodies_named, validity
from .info import model_sha256
from .record import Record, Violation

# frames whose poses are recomputed, spread over the file
_N_FRAMES = 32
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
        expected["actuator"] = actuator_labels(model)
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


def _frames(record: Record, *names: str) -> Iterator[tuple[tuple[int, ...], dict[str, np.ndarray]]]:
    """Yield indices spread evenly over all axes but the last of the first data set, with the values of all there."""
    shape = record.numbers[names[0]].shape[:-1]
    for position in np.unique(np.linspace(0, int(np.prod(shape)) - 1, _N_FRAMES).astype(np.int64)):
        index = tuple(int(i) for i in np.unravel_index(position, shape))
        yield index, {name: np.asarray(record.numbers[name][index], np.float64) for name in names}


def _poses(record: Record, model: mujoco.MjModel, length_unit_m: float) -> Iterator[Violation]:
    """Recompute body frames from qpos and compare them with xpos and xquat."""
    if not record.has("qpos", "xpos") or record.numbers["qpos"].shape[-1] != model.nq:
        return
    dims = record.dims["qpos"][:-1]
    valid = validity(record, dims)
    data = mujoco.MjData(model)
    allowed = _TOLERANCE * _body_length(model) * length_unit_m
    for index, pose in _frames(record, *(name for name in ("qpos", "xpos", "xquat") if record.has(name))):
        usable = valid is None or bool(valid[index])
        if not usable or not all(np.isfinite(values).all() for values in pose.values()):
            continue
        data.qpos[:] = pose["qpos"]
        mujoco.mj_kinematics(model, data)
        problem = _pose_problem(data, pose, length_unit_m, allowed)
        if problem:
            place = ", ".join(f"{dim} {i}" for dim, i in zip(dims, index, strict=True))
            yield Violation(problem[0], f"{place}: {problem[1]}")
            return


def _pose_problem(
    data: mujoco.MjData, stored: Mapping[str, np.ndarray], length_unit_m: float, allowed: float
) -> tuple[str, str] | None:
    """Return the data set and what is wrong with it in one frame, or None; `allowed` is in metres."""
    position, names = data.xpos * length_unit_m, body_labels(data.model)
    error = np.linalg.norm(position - stored["xpos"], axis=-1)
    allowed += _FLOAT32_DIGITS * np.abs(position).max()
    worst = int(np.argmax(error))
    if error[worst] > allowed:
        return "xpos", (
            f"{names[worst]} is {error[worst]:.3g} m from its position in MuJoCo for qpos (allowed {allowed:.3g}); "
            "qpos must be in the MJCF's units and xpos in metres"
        )
    if "xquat" in stored:
        # a quaternion and its negative are one rotation
        cosine = np.abs((data.xquat * stored["xquat"]).sum(axis=-1))
        worst = int(np.argmin(cosine))
        if 2 * np.arccos(min(1.0, cosine[worst])) > _ANGLE_TOLERANCE:
            return "xquat", f"{names[worst]} differs from its orientation in MuJoCo for qpos"
    return None


def _sites(record: Record) -> Iterator[Violation]:
    """Recompute marker sites from body frames and offsets."""
    if not record.has("residual", "marker_sites", "offsets", "kp_body", "xpos", "xquat", "names_xpos"):
        return
    bodies, kp_body = record.strings["names_xpos"], record.strings["kp_body"]
    if not set(kp_body) <= set(bodies):
        return
    ids, offsets = [bodies.index(name) for name in kp_body], record.array("offsets").astype(np.float64)
    size = float(np.linalg.norm(offsets, axis=-1).max(initial=0.0))
    for (frame,), values in _frames(record, "residual", "marker_sites", "xpos", "xquat"):
        expected = values["xpos"][ids] + rotate(values["xquat"][ids], offsets)
        error = np.linalg.norm(values["marker_sites"] - expected, axis=-1)
        bound = 1e-6 * size + _FLOAT32_DIGITS * np.nanmax(np.abs(values["xpos"]), initial=0.0)
        worst = int(np.argmax(np.nan_to_num(error)))
        if error[worst] > 10 * bound:
            place = f"frame {frame}, {record.strings['kp_names'][worst]}"
            problem = f"{error[worst]:.3g} m from its offset on {kp_body[worst]}"
            yield Violation("marker_sites", f"{place}: {problem}")
            return
