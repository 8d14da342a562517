"""Writing a small rollouts file from its page in docs/schema; for synthetic data and tests, not for large files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reach_analysis._common.hdf5.info import FileInfo, info_attributes, info_values
from reach_analysis._common.hdf5.schema import load_schema
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


def write_content(path: Path, content: Content) -> None:
    """Write a rollouts file that conforms to docs/schema."""
    rate, body = content.rate_hz, content.body
    info = FileInfo(
        title=f"synthetic: {body.name}",
        model_name=body.name,
        mjcf_xml=body.mjcf,
        length_unit_m=1.0,
        rate_hz=rate,
        history=f"{_CREATED} {generator()} synthetic",
        random_seed=content.seed,
        root_body=body.root,
        end_effectors=body.end_effectors,
        config_yaml=f"seed: {content.seed}\n",
    )
    values = {
        "names_qpos": body.joints,
        "names_qvel": body.joints,
        "names_xpos": body.bodies,
        "actuator": body.actuators,
        "metric": content.metrics,
        "clip_name": content.clip_names,
        "trial_id": content.trial_ids or None,
        **_complete(content),
    }
    units = {"names_qpos": body.joint_units, "names_qvel": tuple(f"{unit} s-1" for unit in body.joint_units)}
    write_values(path, info, values, units, created_utc=_CREATED)


def write_values(
    path: Path, info: Any, values: Mapping[str, Any], units: Mapping[str, tuple[str, ...]], **attributes: Any
) -> None:
    """Write a rollouts file of labels and arrays; `units` are those of columns, by the dimension of the columns."""
    rate, n_steps = info.rate_hz or 1.0, values["ctrl"].shape[-2]
    attributes = {
        **info_attributes(info, KIND), "ctrl_dt_s": 1 / rate, "sim_dt_s": 0.5 / rate, "n_substeps": 2,
        "reference_rate_hz": rate, "engine": "none 0", "deterministic": 1,
        "alignment": "ctrl[k], activations[k] act on state k and give state k+1", **attributes,
    }  # fmt: skip
    times = {"state_time": np.arange(n_steps + 1) / rate, "step_time": np.arange(n_steps) / rate}
    data = {name: _variable(name, value, units) for name, value in values.items()}
    write_record(path, build_record(KIND, attributes, {**times, **data, **info_values(info)}))


def _variable(path: str, value: Any, units: Mapping[str, tuple[str, ...]]) -> Any:
    """Add its attributes to an array."""
    rule = load_schema(KIND).dataset(path)
    if rule is None or not isinstance(value, np.ndarray):
        return value
    known = {
        "column_units": units.get(rule.dims[-1], ("1",) * value.shape[-1]), "width": value.shape[-1],
        "quaternion_order": "wxyz", "sampled": "last substep", "stage": "linear mixture", "deterministic": 1,
    }  # fmt: skip
    flags = {"flag_values": np.array([0, 1], np.uint8), "flag_meanings": "clip_end lost"}
    return Variable(
        value, {entry.name: known[entry.name] for entry in rule.attributes} | (flags if rule.free_flags else {})
    )


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
