"""Our own clips (``mimic.reference_clips``, see docs/schema): the keypoints a registration was given."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import InputError, raise_all
from stac_mjx._common.units import said_unit
from stac_mjx.keypoints.formats import reading as hdf5
from stac_mjx.keypoints.formats.keypoints_reading import Reading, refuse_track

SCHEMA = "mimic.reference_clips"
MAJOR = "1"
_NEEDED = ("kp_data", "kp_names", "clip_name", "clip_start", "clip_length")


def read(path: Path, track: int | None = None) -> Reading:
    """Read the keypoints, confidence, rate and clip borders of a clips file.

    Raises:
        InputError: when it is no clips file of a version this package reads, or is incomplete.
    """
    refuse_track(path, track, "a clips file")
    with hdf5.opened(path) as file:
        _check_version(path, file)
        nodes = {name: hdf5.member(file, name) for name in _NEEDED}
        data = {name: node for name, node in nodes.items() if isinstance(node, h5py.Dataset)}
        raise_all(InputError, str(path), [f"lacks the dataset {name!r}" for name in _NEEDED if name not in data])
        positions = hdf5.numbers(data["kp_data"])
        confidence = hdf5.member(file, "kp_confidence")
        weights = hdf5.numbers(confidence) if isinstance(confidence, h5py.Dataset) else None
        names = hdf5.strings(data["kp_names"])
        clip_names = hdf5.strings(data["clip_name"])
        starts = hdf5.numbers(data["clip_start"], np.int64).ravel()
        lengths = hdf5.numbers(data["clip_length"], np.int64).ravel()
        rate_hz = hdf5.number_attribute(file, "rate_hz")
        unit, unit_note = said_unit(hdf5.text_attribute(data["kp_data"], "units"), "kp_data, attribute units")
    _check_shapes(path, positions, weights, clip_names, starts, lengths)
    return Reading(
        positions=positions,
        confidence=weights,
        names=names,
        rate_hz=rate_hz,
        unit=unit,
        clip_lengths=tuple(int(length) for length in lengths),
        clip_names=clip_names,
        notes=(unit_note,),
    )


def _check_version(path: Path, file: h5py.File) -> None:
    kind = hdf5.text_attribute(file, "schema_name")
    version = hdf5.text_attribute(file, "schema_version") or ""
    if kind != SCHEMA:
        raise InputError(f"{path}: schema_name: expected {SCHEMA!r}, got {kind!r}")
    if version.split(".")[0] != MAJOR:
        raise InputError(f"{path}: schema_version: this package reads {SCHEMA} {MAJOR}.x, the file is {version!r}")


def _check_shapes(
    path: Path,
    positions: np.ndarray,
    weights: np.ndarray | None,
    clip_names: tuple[str, ...],
    starts: np.ndarray,
    lengths: np.ndarray,
) -> None:
    """Collect what does not fit together.

    Raises:
        InputError: listing all of it.
    """
    faults: list[str] = []
    n_frames = len(positions) if positions.ndim else 0
    if positions.ndim != 3 or positions.shape[2] != 3:
        faults.append(f"kp_data: wrong axes {positions.shape}; expected (frame, keypoint, 3)")
    elif weights is not None and weights.shape != positions.shape[:2]:
        faults.append(f"kp_confidence: wrong axes {weights.shape}; expected {positions.shape[:2]}")
    if not len(clip_names) == len(starts) == len(lengths):
        faults.append(
            f"clip_name, clip_start and clip_length differ in length:"
            f" {len(clip_names)}, {len(starts)} and {len(lengths)}"
        )
    elif (np.cumsum(lengths) - lengths != starts).any() or lengths.sum() != n_frames:
        faults.append(f"clip_start and clip_length do not cover the {n_frames} frames end to end")
    raise_all(InputError, str(path), faults)
