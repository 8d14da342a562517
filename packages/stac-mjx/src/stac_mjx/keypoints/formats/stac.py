"""Read the keypoints of registrations: our clips (``mimic.reference_clips``) and output of the public stac-mjx."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import ContractError, InputError, raise_all
from stac_mjx._common.hdf5.reading import attribute, find, open_contract, read_numbers, read_strings, require
from stac_mjx.keypoints.formats import reading as hdf5
from stac_mjx.keypoints.formats.reading import (
    ONE_ANIMAL,
    Reading,
    Track,
    choose_track,
    said_unit,
    steadiest,
    text_attribute,
)

SCHEMA = "mimic.reference_clips"


def read(path: Path, track: Track = None) -> Reading:
    """Read the keypoints, confidence, rate, clip borders, labels and events of a clips file."""
    choose_track(path, track, ONE_ANIMAL)
    with open_contract(path, SCHEMA) as file:
        points, confidence = require(file, "kp_data"), find(file, "kp_confidence")
        positions = read_numbers(points, (None, None, 3)).astype(np.float64)
        weights = None
        if isinstance(confidence, h5py.Dataset):
            weights = read_numbers(confidence, positions.shape[:2]).astype(np.float64)
        names, clip_names = (read_strings(require(file, name)) for name in ("kp_names", "clip_name"))
        starts, lengths = (
            read_numbers(require(file, name), (len(clip_names),)) for name in ("clip_start", "clip_length")
        )
        rate_hz = attribute(file, "rate_hz")
        events = {name: read_numbers(require(file, f"events/{name}")) for name in _members(file, "events")}
        stored = {f"labels/{name}": name for name in _members(file, "labels")}
        stored |= {"clip_label": "label", "trial_id": "trial_id"}
        labels = {name: read_strings(require(file, key)) for key, name in stored.items() if key in file}
        synthetic = attribute(file, "synthetic") == 1
        unit, unit_note = said_unit(text_attribute(points, "units"), "kp_data, attribute units")
    problems = []
    if len(names) != positions.shape[1]:
        problems.append(f"kp_names names {len(names)} keypoints, kp_data has {positions.shape[1]}")
    if (np.cumsum(lengths) - lengths != starts).any() or lengths.sum() != len(positions):
        problems.append(f"clip_start and clip_length do not cover the {len(positions)} frames end to end")
    raise_all(ContractError, str(path), problems)
    return Reading(
        positions=positions,
        confidence=weights,
        names=names,
        rate_hz=float(rate_hz) if isinstance(rate_hz, int | float) else None,
        unit=unit,
        clip_lengths=tuple(int(length) for length in lengths),
        clip_names=clip_names,
        events=events,
        labels=labels,
        synthetic=synthetic,
        notes=(unit_note,),
    )


def _members(file: h5py.File, name: str) -> list[str]:
    group = find(file, name)
    return [str(member) for member in group] if isinstance(group, h5py.Group) else []


def read_public(path: Path, track: Track = None) -> Reading:
    """Read the keypoints in the output of the public stac-mjx: ``kp_data`` (frame, 3 * keypoint) with ``kp_names``."""
    choose_track(path, track, ONE_ANIMAL)
    with hdf5.opened(path) as file:
        if "schema_name" in file.attrs:
            raise InputError(f"{path}: follows the file contract already; expected output of the public stac-mjx")
        dataset = hdf5.first_dataset(file, "kp_data")
        if dataset is None:
            raise InputError(f"{path}: missing data set 'kp_data' (got {hdf5.contents(file)})")
        values = hdf5.numbers(dataset)
        names = hdf5.texts(file, "kp_names")
    flat = values.ndim == 2 and values.shape[1] and values.shape[1] % 3 == 0
    if not flat and not (values.ndim == 3 and values.shape[2] == 3):
        raise InputError(
            f"{path}: kp_data: wrong axes {values.shape}; expected (frame, 3 * keypoint) or (frame, keypoint, 3)"
        )
    notes: tuple[str, ...] = ("length unit m, the convention of STAC output (its keypoints are scaled to the model)",)
    if values.shape[1:] == (3, 3) and steadiest([values, values.transpose(0, 2, 1)]):
        values = values.transpose(0, 2, 1)
        notes += ("axes of length 3 and 3: read as (frame, xyz, keypoint): distances between keypoints vary least so",)
    n_keypoints = values.shape[1] // 3 if flat else values.shape[1]
    return Reading(
        positions=values.reshape(len(values), n_keypoints, 3),
        names=names,
        unit="m",
        notes=notes,
    )
