"""Sessions as files: presets of the studio, and configurations of the public stac-mjx (both YAML)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx._common.errors import InputError, shorten
from stac_mjx._common.files import file_name
from stac_mjx._common.settings import configure, plain_yaml
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.config import FitConfig, MarkerConfig
from stac_mjx.convert.matching import vector
from stac_mjx.studio.session import Session, begin

HEADER = "# @package _global_\n# Saved by stac-mjx studio. Use: stac-mjx fit --config-dir DIR body={name}\n"
_NOT_SAVED = ("offsets", "out", "report")


def preset_yaml(session: Session, name: str) -> str:
    """Return the settings of a session as a preset for ``stac-mjx fit --config-dir DIR body=NAME``."""
    import yaml

    body, keypoints = session.config.body, session.config.keypoints
    path = keypoints.path
    paths = [path] if isinstance(path, str) else list(path or [])
    absolute = [str(Path(one).expanduser().absolute()) for one in paths]
    config = replace(
        session.config,
        body=replace(body, name=name, mjcf=body.mjcf and str(Path(body.mjcf).expanduser().absolute())),
        keypoints=replace(keypoints, path=absolute if len(absolute) > 1 else (absolute or [None])[0]),
    )
    values = _differing(asdict(config), asdict(FitConfig()))
    kept = {key: value for key, value in values.items() if key not in _NOT_SAVED}
    return HEADER.format(name=name) + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _differing(values: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Return what departs from the default settings."""
    out = {}
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(default.get(key), dict) and default[key]:
            value = _differing(value, default[key])
            if value:
                out[key] = value
        elif value != default.get(key):
            out[key] = value
    return out


def preset_path(folder: Path, name: str) -> Path:
    """Return the file of a preset in the folder given to ``--config-dir``."""
    return folder / "body" / f"{file_name(name)}.yaml"


def is_public(values: Mapping[str, Any]) -> bool:
    """Return whether a configuration is of the public stac-mjx."""
    return "KEYPOINT_MODEL_PAIRS" in values or "KEYPOINT_MODEL_PAIRS" in (values.get("model") or {})


def read_settings(text: str, where: str) -> dict[str, Any]:
    """Return the settings in a YAML text.

    Raises:
        InputError: when it is not a map, or unsafe to read.
    """
    try:
        values = plain_yaml(text)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected settings by name")
    return values


def opened(session: Session, text: str, where: str) -> tuple[Session, list[str]]:
    """Return a session with the settings of a file, and notes on what it says that has no counterpart here.

    Raises:
        UserError: when the file cannot be read or does not fit the model.
    """
    values = read_settings(text, where)
    if is_public(values):
        return with_public(session, values)
    config = configure(FitConfig(), values, where)
    if not config.body.mjcf and not config.body.default_mjcf:
        config.body.mjcf, config.body.default_mjcf = session.config.body.mjcf, session.config.body.default_mjcf
    if config.keypoints.path is None:
        config.keypoints = session.config.keypoints
    return begin(config), []


_USED = {
    "KEYPOINT_MODEL_PAIRS", "KEYPOINT_INITIAL_OFFSETS", "SCALE_FACTOR", "MOCAP_SCALE_FACTOR", "SITES_TO_REGULARIZE",
    "TRUNK_OPTIMIZATION_KEYPOINTS", "ROOT_OPTIMIZATION_KEYPOINT", "INDIVIDUAL_PART_OPTIMIZATION", "KP_NAMES",
    "N_SAMPLE_FRAMES", "N_FRAMES_PER_CLIP",
}  # fmt: skip


def with_public(session: Session, values: Mapping[str, Any]) -> tuple[Session, list[str]]:
    """Return a session with the pairs, offsets, scales and parts of a public configuration, and notes."""
    model = {**values, **(values.get("model") or {})}
    model.pop("model", None)
    scale = float(model.get("SCALE_FACTOR") or session.config.body.scale)
    session = session.with_scale(scale) if scale != session.config.body.scale else session
    names = [str(name) for name in model.get("KP_NAMES") or ()]
    if names and len(names) == len(session.recording.names) and not set(names) & set(session.recording.names):
        keypoints = replace(session.config.keypoints, names=names)
        recording = replace(session.recording, names=tuple(names))
        session = replace(session, config=replace(session.config, keypoints=keypoints), recording=recording)
    pairs = {str(k): str(b) for k, b in (model.get("KEYPOINT_MODEL_PAIRS") or {}).items()}
    bodies, notes = session.body.body_names, []
    foreign = [f"{k} on {b}" for k, b in pairs.items() if b not in bodies or k not in session.recording.names]
    if foreign:
        notes.append(f"pairs without a counterpart in this model or recording: {shorten(foreign)}")
    offsets, held = model.get("KEYPOINT_INITIAL_OFFSETS") or {}, model.get("SITES_TO_REGULARIZE") or []
    markers = {}
    for keypoint, body in pairs.items():
        if body in bodies and keypoint in session.recording.names:
            offset = vector(offsets.get(keypoint))
            place = [0.0, 0.0, 0.0] if offset is None else offset.tolist()
            markers[keypoint] = MarkerConfig(body=body, offset=place, regularize=float(keypoint in held))
    body = replace(
        session.config.body,
        markers=markers,
        keypoint_order=names if set(markers) <= set(names) else [],
        trunk_keypoints=[k for k in model.get("TRUNK_OPTIMIZATION_KEYPOINTS") or () if k in markers],
        root_keypoint=next((k for k in [model.get("ROOT_OPTIMIZATION_KEYPOINT")] if k in markers), None),
        skeleton=[pair for pair in session.config.body.skeleton if set(pair) <= set(markers)],
        leave_out=[],
        parts=_parts(model.get("INDIVIDUAL_PART_OPTIMIZATION") or {}, bodies, session.body.joint_names, notes),
    )
    session = session.with_body(body)
    factor = model.get("MOCAP_SCALE_FACTOR")
    if isinstance(factor, int | float) and factor > 0:
        unit = next((unit for unit, metres in METRES_PER_UNIT.items() if np.isclose(metres, factor)), None)
        if unit is None:
            session = session.with_alignment(scale=float(factor))
        elif unit != "m" and session.config.keypoints.path is not None:
            session = session.with_unit(unit)
    rest = sorted(key for key in model if key.isupper() and key not in _USED)
    if rest:
        notes.append(f"settings without a counterpart: {shorten(rest, 30)}")
    return session, notes


def _parts(parts: Mapping[str, Any], bodies: tuple, joints: tuple, notes: list[str]) -> dict[str, list[str]]:
    """Return parts by patterns: the public ones list fragments of names of joints."""
    out, lost = {}, []
    for part, fragments in parts.items():
        found = [str(f) for f in fragments if any(str(f) in name for name in (*bodies, *joints))]
        lost += [f"{part}: {f}" for f in fragments if str(f) not in found]
        if found:
            out[str(part)] = [f"*{fragment}*" for fragment in dict.fromkeys(found)]
    if lost:
        notes.append(f"parts without a joint or body of that name: {shorten(lost)}")
    return out
