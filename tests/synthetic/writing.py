"""Writing a small rollouts file from its page in docs/schema; for synthetic data and tests, not for large files."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from reach_analysis._common.hdf5.schema import dataset_rule, page
from reach_analysis._common.hdf5.writing import whole_hdf5
from reach_analysis._common.system import generator

from synthetic.bodies import Body

_TEXT = h5py.string_dtype("utf-8")
_CREATED = "2026-01-01T00:00:00Z"
"""Synthetic files carry a fixed time, so that the same seed gives the same file."""


@dataclass(frozen=True)
class Content:
    """What goes into a file.

    Attributes:
        body: the body that moves.
        rate_hz: control steps a second.
        clip_names: one a clip.
        arrays: data sets by path; floats are set to NaN after the end of a clip here.
        n_steps: steps taken in each clip.
        terminated: whether each clip ended early.
        metrics: names of reward terms.
        trial_ids: trial of each clip; empty: none.
        seed: seed of what was drawn.
        columns: unit of the columns of data sets along `actuator`; "1" where it is not said.
    """

    body: Body
    rate_hz: float
    clip_names: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    n_steps: np.ndarray
    terminated: np.ndarray
    metrics: tuple[str, ...]
    trial_ids: tuple[str, ...] = ()
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)


def write_content(path: Path, content: Content) -> None:
    """Write a rollouts file that conforms to docs/schema.

    Raises:
        OutputError: when it cannot be written.
    """
    arrays = _complete(content)
    with whole_hdf5(path) as (file, _):
        for name, value in _attributes(content).items():
            file.attrs[name] = value
        _write_scales(file, content, arrays)
        _write_text(file, "clip_name", list(content.clip_names), ["clip"])
        if content.trial_ids:
            _write_text(file, "trial_id", list(content.trial_ids), ["clip"])
        for name, array in arrays.items():
            _write_array(file, name, array, content)
        environment = {"python": platform.python_version(), "h5py": h5py.__version__, "numpy": np.__version__}
        _write_text(file, "provenance/mjcf_xml", content.body.mjcf, [])
        _write_text(file, "provenance/config_yaml", f"seed: {content.seed}\n", [])
        _write_text(file, "provenance/environment_json", json.dumps(environment), [])


def _complete(content: Content) -> dict[str, np.ndarray]:
    """Add what follows from the rest: validity, ends, positions; blank what comes after the end of a clip."""
    arrays = dict(content.arrays)
    n_clips, n_steps = arrays["ctrl"].shape[:2]
    steps = np.arange(n_steps)[None, :]
    valid = steps < content.n_steps[:, None]
    last = steps == content.n_steps[:, None] - 1
    arrays["valid"] = valid
    arrays["terminated"] = last & content.terminated[:, None]
    arrays["termination_reason"] = content.terminated.astype(int)
    arrays.setdefault("clip_start_time", np.zeros(n_clips))
    arrays["xpos"] = content.body.positions(arrays["qpos"])
    reference = arrays["qpos_ref"]
    arrays["reference/clip_start"] = np.arange(n_clips) * (n_steps + 1)
    arrays["reference/clip_length"] = np.full(n_clips, n_steps + 1)
    arrays["reference/time"] = np.tile(np.arange(n_steps + 1) / content.rate_hz, n_clips)
    arrays["reference/qpos"] = reference.reshape(-1, reference.shape[-1])
    for name, array in arrays.items():
        rule = dataset_rule(name)
        if rule is not None and rule["dtype"] == "float32" and rule["dims"][:1] == ["clip"] and len(rule["dims"]) > 1:
            blank = ~valid
            if rule["dims"][1] == "state_time":
                blank = np.concatenate([np.zeros((n_clips, 1), bool), blank], axis=1)
            arrays[name] = np.array(array, dtype=np.float32)
            arrays[name][blank] = np.nan
    return arrays


def _attributes(content: Content) -> dict[str, Any]:
    step_s = 1.0 / content.rate_hz
    return {
        "Conventions": "CF-1.11, mimic-1.0",
        "schema_name": "mimic.rollouts",
        "schema_version": page()["version"],
        "title": f"synthetic: {content.body.name}",
        "history": f"{_CREATED} {generator()} synthetic",
        "created_utc": _CREATED,
        "generator": generator(),
        "model_name": content.body.name,
        "model_sha256": hashlib.sha256(content.body.mjcf.encode()).hexdigest(),
        "length_unit_m": 1.0,
        "rate_hz": content.rate_hz,
        "source_files": "[]",
        "random_seed": content.seed,
        "root_body": content.body.root,
        "end_effectors": json.dumps(content.body.end_effectors),
        "ctrl_dt_s": step_s,
        "sim_dt_s": step_s / 2,
        "n_substeps": 2,
        "reference_rate_hz": content.rate_hz,
        "engine": "none 0",
        "deterministic": 1,
        "alignment": "ctrl[k], activations[k] act on state k and give state k+1",
    }


def _write_scales(file: h5py.File, content: Content, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the scale of every dimension the data sets have, before the data sets."""
    body = content.body
    names = {
        "names_qpos": body.joints,
        "names_qvel": body.joints,
        "names_xpos": body.bodies,
        "actuator": body.actuators,
        "metric": content.metrics,
        "space": ("x", "y", "z"),
    }
    for dim, labels in names.items():
        _write_text(file, dim, list(labels), []).make_scale(dim)
    for path, array in arrays.items():
        for dim, size in zip((dataset_rule(path) or {"dims": []})["dims"], array.shape, strict=True):
            if dim in file:
                continue
            seconds = dim in ("state_time", "step_time")
            labels = np.arange(size) / content.rate_hz if seconds else np.arange(size, dtype=np.int64)
            scale = _group(file, dim).create_dataset(dim.rsplit("/", 1)[-1], data=labels, track_order=True)
            scale.attrs["units"] = "s" if seconds else "1"
            scale.make_scale(dim.rsplit("/", 1)[-1])


def _write_array(file: h5py.File, path: str, array: np.ndarray, content: Content) -> None:
    rule = dataset_rule(path)
    assert rule is not None, path
    data = np.asarray(array).astype(rule["dtype"])
    large = {"chunks": (1, *data.shape[1:]), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    options: dict[str, Any] = large if data.nbytes > 1 << 16 and data.ndim > 1 else {}
    dataset = _group(file, path).create_dataset(path.rsplit("/", 1)[-1], data=data, track_order=True, **options)
    for axis, dim in enumerate(rule["dims"]):
        dataset.dims[axis].attach_scale(file[dim])
    dataset.attrs["units"] = rule["units"]
    dataset.attrs["long_name"] = rule["meaning"]
    if "flags" in rule:
        own = {"values": [0, 1], "meanings": ["clip_end", "lost"]}
        flags = rule["flags"] if isinstance(rule["flags"], dict) else own
        dataset.attrs["flag_values"] = np.array(flags["values"], np.uint8)
        dataset.attrs["flag_meanings"] = " ".join(flags["meanings"])
    for name in rule.get("attributes", {}):
        value = _own_attribute(name, path, rule, content, data)
        if isinstance(value, tuple):
            dataset.attrs.create(name, list(value), dtype=_TEXT)
        else:
            dataset.attrs[name] = value


def _own_attribute(name: str, path: str, rule: dict[str, Any], content: Content, data: np.ndarray) -> Any:
    if name == "column_units":
        joints = {
            "names_qpos": content.body.joint_units,
            "names_qvel": tuple(f"{unit} s-1" for unit in content.body.joint_units),
        }
        return joints.get(rule["dims"][-1]) or (content.columns.get(path, "1"),) * data.shape[-1]
    fixed = {"quaternion_order": "wxyz", "sampled": "last substep", "stage": "linear mixture", "deterministic": 1}
    return data.shape[-1] if name == "width" else fixed[name]


def _write_text(file: h5py.File, path: str, text: str | list[str], dims: list[str]) -> h5py.Dataset:
    dataset = _group(file, path).create_dataset(path.rsplit("/", 1)[-1], data=text, dtype=_TEXT, track_order=True)
    for axis, dim in enumerate(dims):
        dataset.dims[axis].attach_scale(file[dim])
    return dataset


def _group(file: h5py.File, path: str) -> Any:
    group: Any = file
    for name in path.split("/")[:-1]:
        group = group[name] if name in group else group.create_group(name, track_order=True)
    return group
