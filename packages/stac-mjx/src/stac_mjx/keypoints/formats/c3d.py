"""Read C3D files of optical motion capture (c3d.org): markers, with their unit and rate, through ezc3d.

A marker without a valid residual is missing. Names are ``POINT:LABELS``, or ``POINT:DESCRIPTIONS`` where an old program
cut labels to four letters, so that they repeat.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx._common.errors import InputError
from stac_mjx._common.units import said_unit
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, choose_track

_INTEL = 84
"""Processor type of a file with little-endian numbers."""


def read(path: Path, track: int | None = None) -> Reading:
    """Read the markers of one C3D file."""
    choose_track(path, track, ONE_ANIMAL)
    file = _opened(path)
    point = file["parameters"]["POINT"]
    positions = np.asarray(file["data"]["points"], np.float64)[:3].transpose(2, 1, 0).copy()
    residuals = np.asarray(file["data"]["meta_points"]["residuals"])[0].T
    positions[residuals < 0] = np.nan
    names, notes = _names(path, point, positions.shape[1])
    unit, unit_note = said_unit(next(iter(_texts(point, "UNITS")), None), "POINT:UNITS")
    rate = _values(point, "RATE")
    return Reading(
        positions=positions,
        names=names,
        rate_hz=float(rate[0]) if len(rate) else None,
        unit=unit,
        notes=(*notes, unit_note),
    )


def _verify_size(path: Path) -> None:
    """Refuse a truncated file, on which ezc3d would not return: the header says how much data there must be."""
    content = path.read_bytes()
    if len(content) < 512:
        raise InputError(f"{path}: truncated C3D file ({len(content)} bytes; the header alone has 512)")
    points, analog, first, last = struct.unpack_from("<4H", content, 2)
    scale, start = struct.unpack_from("<fH", content, 12)
    processor = (content[0] - 1) * 512 + 3
    if processor < len(content) and content[processor] != _INTEL:
        return  # numbers of another byte order
    size = (start - 1) * 512 + max(0, last - first + 1) * (4 * points + analog) * (4 if scale < 0 else 2)
    if len(content) < size:
        raise InputError(f"{path}: truncated C3D file ({len(content)} bytes; its header asks for {size})")


def _opened(path: Path) -> Any:
    try:
        import ezc3d
    except ImportError:
        raise InputError(f"{path}: C3D needs ezc3d; pip install 'stac-mjx[c3d]'") from None
    _verify_size(path)
    try:
        return ezc3d.c3d(str(path))
    # ezc3d raises what its C++ code throws, as several types
    except Exception as error:
        raise InputError(f"{path}: not a complete C3D file ({' '.join(str(error).split())})") from error


def _names(path: Path, point: Any, n_markers: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the markers, and a note where they are not the labels."""
    labels, descriptions = (_texts(point, key)[:n_markers] for key in ("LABELS", "DESCRIPTIONS"))
    if len(set(labels)) == n_markers and all(labels):
        return labels, ()
    if len(set(descriptions)) == n_markers and all(descriptions):
        return descriptions, ("names are POINT:DESCRIPTIONS, because POINT:LABELS repeat",)
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    raise InputError(
        f"{path}: POINT:LABELS are not unique ({', '.join(repeated) or 'empty or too few'}); rename the markers"
    )


def _texts(group: Any, key: str) -> tuple[str, ...]:
    """Return the strings of a parameter and of its continuations, as ``LABELS2`` after 255 labels."""
    parts = [key, *(f"{key}{number}" for number in range(2, 100) if f"{key}{number}" in group)]
    return tuple(str(text).strip() for part in parts for text in _values(group, part))


def _values(group: Any, key: str) -> Any:
    return group[key]["value"] if key in group else ()
