"""Writing a small rollouts file from its page in docs/schema; for synthetic data and tests, not for large files."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from reach_analysis._common.hdf5.info import FileInfo, info_attributes, info_values
from reach_analysis._common.hdf5.schema import DatasetRule, load_schema
from reach_analysis._common.hdf5.writing import Variable, build_record, write_record
from reach_analysis._common.system import generator

from synthetic.bodies import Body

KIND = "mimic.rollouts"
_CREATED = "2026-01-01T00:00:00Z"
"""Synthetic files carry a fixed time, so that the same seed gives the same file."""


@dataclass(frozen=True)
class Draws:
    """What synthetic rollouts have in common."""

    duration_s: float
    """Length of each, s."""
    rate_hz: float
    """Control steps a second."""
    hazard_per_s: float = 0.0
    """Rate at which rollouts end early; 0: none does."""
    seed: int = 0

    @property
    def time(self) -> np.ndarray:
        """Time of each state, s."""
        return np.arange(round(self.duration_s * self.rate_hz) + 1) / self.rate_hz

    def ends(self, n_clips: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Steps taken in each clip, and whether it ended early."""
        n_steps = len(self.time) - 1
        ends = np.ceil(rng.exponential(1 / max(self.hazard_per_s, 1e-12), n_clips) * self.rate_hz)
        if not self.hazard_per_s:
            return np.full(n_clips, n_steps), np.zeros(n_clips, bool)
        return np.minimum(ends, n_steps).astype(int), ends < n_steps


@dataclass(frozen=True)
class Content:
    """What goes into a file."""

    body: Body
    """The body that moves."""
    rate_hz: float
    """Control steps a second."""
    clip_names: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    """Data sets by path; floats are set to NaN after the end of a clip when they are written."""
    n_steps: np.ndarray
    """Steps taken in each clip."""
    terminated: np.ndarray
    """Whether each clip ended early."""
    metrics: tuple[str, ...]
    """Names of reward terms."""
    trial_ids: tuple[str, ...] = ()
    """Trial of each clip; empty: none."""
    seed: int = 0
    """Seed of the random draws."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Unit of the columns of data sets along `actuator`; "1" where missing."""


def write_content(path: Path, content: Content) -> None:
    """Write a rollouts file that conforms to docs/schema."""
    n_steps, rate = content.arrays["ctrl"].shape[1], content.rate_hz
    versions = {"python": platform.python_version(), "h5py": h5py.__version__, "numpy": np.__version__}
    body = content.body
    info = FileInfo(
        title=f"synthetic: {body.name}",
        model_name=body.name,
        mjcf_xml=body.mjcf,
        length_unit_m=1.0,
        rate_hz=rate,
        history=f"{_CREATED} {generator()} synthetic",
        random_seed=content.seed,
        root_body=body.root,
        end_effectors=tuple(body.end_effectors),
        config_yaml=f"seed: {content.seed}\n",
        environment_json=json.dumps(versions),
    )
    values = {
        "state_time": np.arange(n_steps + 1) / rate,
        "step_time": np.arange(n_steps) / rate,
        "names_qpos": tuple(body.joints),
        "names_qvel": tuple(body.joints),
        "names_xpos": tuple(body.bodies),
        "actuator": tuple(body.actuators),
        "metric": tuple(content.metrics),
        "clip_name": content.clip_names,
        "trial_id": content.trial_ids or None,
        **{name: _variable(name, array, content) for name, array in _complete(content).items()},
        **info_values(info),
    }
    attributes = info_attributes(info, KIND) | {"created_utc": _CREATED} | _attributes(content)
    write_record(path, build_record(KIND, attributes, values))


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
        rule = load_schema(KIND).dataset(name)
        if rule is not None and rule.dtype == "float32" and rule.dims[:1] == ("clip",) and len(rule.dims) > 1:
            blank = ~valid
            if rule.dims[1] == "state_time":
                blank = np.concatenate([np.zeros((n_clips, 1), bool), blank], axis=1)
            arrays[name] = np.array(array, dtype=np.float32)
            arrays[name][blank] = np.nan
    return arrays


def _attributes(content: Content) -> dict[str, Any]:
    step_s = 1.0 / content.rate_hz
    return {
        "ctrl_dt_s": step_s,
        "sim_dt_s": step_s / 2,
        "n_substeps": 2,
        "reference_rate_hz": content.rate_hz,
        "engine": "none 0",
        "deterministic": 1,
        "alignment": "ctrl[k], activations[k] act on state k and give state k+1",
    }


def _variable(path: str, array: np.ndarray, content: Content) -> Variable:
    rule = load_schema(KIND).dataset(path)
    assert rule is not None, path
    flags = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "clip_end lost"}
    attributes = {entry.name: _attribute(entry.name, rule, content, array) for entry in rule.attributes}
    return Variable(array, attributes | (flags if rule.free_flags else {}))


def _attribute(name: str, rule: DatasetRule, content: Content, array: np.ndarray) -> Any:
    if name == "column_units":
        joints = {
            "names_qpos": tuple(content.body.joint_units),
            "names_qvel": tuple(f"{unit} s-1" for unit in content.body.joint_units),
        }
        return joints.get(rule.dims[-1]) or (content.columns.get(rule.path, "1"),) * array.shape[-1]
    fixed = {"quaternion_order": "wxyz", "sampled": "last substep", "stage": "linear mixture", "deterministic": 1}
    return array.shape[-1] if name == "width" else fixed[name]
