"""Read DANNCE and label3d ``.mat``: predicted or labelled keypoints, MATLAB version 5 or 7.3.

DANNCE (Dunn et al. 2021, Nature Methods 18:564) writes ``pred`` as (frame, 3, keypoint), with an animal axis after the
frames where several were predicted, and the peak of each probability map as ``p_max``. label3d writes ``data_3D`` as
(frame, 3 * keypoint), xyz fastest. Both work in millimetres and write zeros for points that were not detected.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints.formats import matlab
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, Track, choose_track, said_unit, steadiest

POSITIONS = ("pred", "data_3D", "data_3d")
"""Variables with positions; the first match is used."""
_NAMES = ("node_names", "kp_names", "keypoint_names", "joint_names", "names", "skeleton.joint_names")
_RATES = ("fps", "frame_rate", "rate_hz")
_UNITS = ("units", "unit")


def read(path: Path, track: Track = None) -> Reading:
    """Read one DANNCE or label3d file."""
    file = matlab.load(path, (*POSITIONS, "p_max", *_RATES), (*_NAMES, *_UNITS))
    key = next((key for key in POSITIONS if key in file.arrays), None)
    if key is None:
        raise InputError(
            f"{path}: no DANNCE or label3d positions (got {file.inventory}, expected one of {', '.join(POSITIONS)})"
        )
    where = f"{path}: {key}"
    values, scores = _one_animal(path, key, file.arrays[key], file.arrays.get("p_max"), track)
    positions, notes = _frame_keypoint_xyz(where, values)
    rates = [file.arrays[name].ravel() for name in _RATES if name in file.arrays]
    names = next((file.texts[name] for name in _NAMES if name in file.texts), None)
    said = next((file.texts[name][0] for name in _UNITS if file.texts.get(name)), None)
    unit, unit_note = said_unit(said, "units")
    if said is None:
        unit, unit_note = "mm", "length unit mm, the convention of DANNCE and label3d (the file has none)"
    return Reading(
        positions=positions,
        confidence=_frame_keypoint(f"{path}: p_max", scores, positions.shape[:2]),
        names=names,
        rate_hz=float(rates[0][0]) if rates and rates[0].size == 1 else None,
        unit=unit,
        zeros_are_missing=True,
        notes=(*notes, unit_note),
    )


def _one_animal(
    path: Path, key: str, values: np.ndarray, scores: np.ndarray | None, track: Track
) -> tuple[np.ndarray, np.ndarray | None]:
    """Drop the animal axis (the second) of positions with four axes and of their scores."""
    if values.ndim != 4:
        choose_track(path, track, ONE_ANIMAL)
        return values, scores
    index = choose_track(path, track, [f"animal {animal} of {key}" for animal in range(values.shape[1])])
    if scores is not None and scores.ndim == 3 and scores.shape[1] == values.shape[1]:
        scores = scores[:, index]
    return values[:, index], scores


def _frame_keypoint_xyz(where: str, values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reorder positions to (frame, keypoint, xyz): the coordinate axis has length 3."""
    shape = values.shape
    if values.ndim == 2 and shape[1] and shape[1] % 3 == 0:
        # also one keypoint, (frame, 3, 1), because MATLAB drops trailing axes of length 1
        return values.reshape(shape[0], shape[1] // 3, 3), ()
    if values.ndim == 3 and shape[1:] == (3, 3):
        if steadiest([values.transpose(0, 2, 1), values]):
            note = "(frame, keypoint, xyz), because distances between keypoints vary least so"
            return values, (f"axes of length 3 and 3: read as {note}",)
        both = "axes of length 3 and 3: read as (frame, xyz, keypoint), the convention of DANNCE"
        return values.transpose(0, 2, 1), (both,)
    if values.ndim == 3 and shape[1] == 3:
        return values.transpose(0, 2, 1), ()
    if values.ndim == 3 and shape[2] == 3:
        return values, ()
    raise InputError(
        f"{where}: wrong axes {shape}; expected (frame, 3, keypoint), (frame, keypoint, 3) or (frame, 3 * keypoint)"
    )


def _frame_keypoint(where: str, scores: np.ndarray | None, expected: tuple[int, ...]) -> np.ndarray | None:
    """Reshape scores to (frame, keypoint), dropping axes of length 1."""
    if scores is None or scores.size == 0:
        return None
    lengths = [length for length in scores.shape if length != 1]
    if lengths != [length for length in expected if length != 1]:
        raise InputError(f"{where}: wrong axes {scores.shape}; expected (frame, keypoint) {expected}")
    return scores.reshape(expected)
