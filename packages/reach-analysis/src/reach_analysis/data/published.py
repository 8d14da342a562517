"""Rollouts in the layout that the notebooks of paper A publish, brought to the layout of docs/schema.

A published file holds arrays of every clip and step, without names: ``actions`` (control), ``qposes_rollout``,
``qposes_ref``, ``activations/intention`` and ``activations/decoder/*``. Its clips are in the order of the names of
their files; the clips file made of these gives the names of clips and joints, and the body. No activation, velocity,
place of bodies or reward is published, so that analyses of these have no result.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from reach_analysis._common.errors import ContractError, raise_all
from reach_analysis._common.files import output_file
from reach_analysis._common.hdf5.info import FileInfo, Source, info_attributes, info_values
from reach_analysis._common.hdf5.reading import (
    attribute,
    find,
    open_contract,
    open_hdf5,
    read_assets,
    read_numbers,
    read_strings,
    require,
)
from reach_analysis._common.hdf5.writing import Variable, build_record, write_record
from reach_analysis._common.progress import reporting
from reach_analysis._common.settings import require as require_setting
from reach_analysis.config import ConvertConfig
from reach_analysis.data.clips import KIND as CLIPS
from reach_analysis.data.rollouts import KIND, file_sha256

MUSCLES = (
    "Pec_C", "Lat", "PD", "AD", "MD", "Triceps_Lateral", "Triceps_Long", "Brachialis", "Biceps_Long",
)  # fmt: skip
"""Columns of ``actions``; the notebooks take 5 as the lateral triceps and 8 as the long biceps."""
DECODER = "activations/decoder"


def run(config: ConvertConfig) -> int:
    """Write the converted file."""
    path = Path(require_setting(config.rollouts, "rollouts", "rollouts_full_mouse_arm_joint_only.h5")).expanduser()
    clips = Path(require_setting(config.clips, "clips", "clips.h5")).expanduser()
    out = output_file(Path(config.out or f"{path.stem}_converted.h5").expanduser())
    with reporting() as (log, _):
        values = read_published(path, config.rate_hz)
        info, reference_hz, named = _of_clips(clips, path, config.rate_hz)
        attributes = info_attributes(info, KIND) | {
            "ctrl_dt_s": 1 / config.rate_hz, "reference_rate_hz": reference_hz, "deterministic": 1}  # fmt: skip
        write_record(out, build_record(KIND, attributes, info_values(info) | named | values))
        log.info("%s", out)
    return 0


def read_published(path: Path, rate_hz: float) -> dict[str, Any]:
    """Arrays of a published file by their names in docs/schema, with the scales they need.

    Raises:
        InputError: when it is not a readable HDF5 file.
        ContractError: when an array is missing, or their shapes do not fit together.
    """
    with open_hdf5(path) as file:
        arrays = {
            name: read_numbers(require(file, stored), (None, None, None))
            for name, stored in (("qpos", "qposes_rollout"), ("qpos_ref", "qposes_ref"), ("action", "actions"),
                                 ("latent_mean", "activations/intention"))
        } | _layers(file)  # fmt: skip
    clips, steps, muscles = arrays["action"].shape
    problems = [] if muscles == len(MUSCLES) else [f"actions: {muscles} muscles, expected {len(MUSCLES)}"]
    for name, array in arrays.items():
        expected = (clips, steps + name.startswith("qpos"))
        if array.shape[:2] != expected:
            problems.append(f"{name}: {array.shape[:2]} clips and times, expected {expected}, as actions has them")
    raise_all(ContractError, str(path), problems)
    units = {"column_units": ("rad",) * arrays["qpos"].shape[2], "quaternion_order": "wxyz"}
    layers = {name: Variable(array, {"stage": "as published", "width": array.shape[2]})
              for name, array in arrays.items() if name.startswith(DECODER)}  # fmt: skip
    return arrays | layers | {
        "qpos": Variable(arrays["qpos"], units), "qpos_ref": Variable(arrays["qpos_ref"], units),
        "ctrl": Variable(np.clip(arrays["action"], 0.0, 1.0), {"column_units": ("1",) * muscles}),
        "actuator": MUSCLES, "state_time": np.arange(steps + 1) / rate_hz, "step_time": np.arange(steps) / rate_hz,
        "valid": np.ones((clips, steps)), "terminated": np.zeros((clips, steps)), "clip_start_time": np.zeros(clips),
        "termination_reason": Variable(
            np.zeros(clips), {"flag_values": np.zeros(1, np.uint8), "flag_meanings": "clip_end"}
        ),
    }  # fmt: skip


def _layers(file: h5py.File) -> dict[str, np.ndarray]:
    """Hidden layers of the decoder, in the order of the numbers in their names."""
    group: Any = find(file, DECODER)
    names = [str(name) for name in group] if isinstance(group, h5py.Group) else []
    names.sort(key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    return {f"{DECODER}/layer_{number}": read_numbers(require(file, f"{DECODER}/{name}"), (None, None, None))
            for number, name in enumerate(names)}  # fmt: skip


def _of_clips(path: Path, published: Path, rate_hz: float) -> tuple[FileInfo, float, dict[str, Any]]:
    """What the clips file says about the body, frames a second of the reference, and names of clips and joints."""
    with open_contract(path, CLIPS) as file:
        info = FileInfo(
            title="Rollouts published with paper A",
            model_name=str(attribute(file, "model_name")),
            mjcf_xml=read_strings(require(file, "provenance/mjcf_xml"))[0],
            length_unit_m=float(attribute(file, "length_unit_m")),
            rate_hz=rate_hz,
            assets=read_assets(file),
            source_files=tuple(Source(one, file_sha256(one)) for one in (published, path)),
        )
        names = ("clip_name", "trial_id", "names_qpos")
        found = {name: read_strings(require(file, name)) for name in names if find(file, name) is not None}
        return info, float(attribute(file, "rate_hz")), found
