"""Read C3D files of optical motion capture (c3d.org): markers, with their unit and rate, through ezc3d.

A marker without a valid residual is missing. Names are ``POINT:LABELS``, or ``POINT:DESCRIPTIONS`` where an old program
cut labels to four letters, so that they repeat. Labelled events are kept. Analog channels (EMG, force plates) stay in
the file: reach-analysis reads them there, with trials named as the clips are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx._common.c3d import open_c3d, texts, values
from stac_mjx._common.errors import InputError, shorten
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, Track, choose_track, said_unit


def read(path: Path, track: Track = None) -> Reading:
    """Read the markers of one C3D file."""
    choose_track(path, track, ONE_ANIMAL)
    file = open_c3d(path)
    point = file["parameters"]["POINT"]
    positions = np.asarray(file["data"]["points"], np.float64)[:3].transpose(2, 1, 0).copy()
    residuals = np.asarray(file["data"]["meta_points"]["residuals"])[0].T
    positions[residuals < 0] = np.nan
    names, notes = _names(path, point, positions.shape[1])
    unit, unit_note = said_unit(next(iter(texts(point, "UNITS")), None), "POINT:UNITS")
    rate = values(point, "RATE")
    return Reading(
        positions=positions,
        names=names,
        rate_hz=float(rate[0]) if len(rate) else None,
        unit=unit,
        notes=(*notes, unit_note, *_analog(file)),
        events=_events(file, float(rate[0])) if len(rate) else {},
    )


def _analog(file: Any) -> tuple[str, ...]:
    """Name the analog channels, which are not read here."""
    names = texts(file["parameters"].get("ANALOG", {}), "LABELS")
    return (f"analog channels not used: {shorten(names)}; reach-analysis reads them from this file",) if names else ()


def _events(file: Any, rate_hz: float) -> dict[str, np.ndarray]:
    """Return the times of the labelled events from the first frame, seconds; names that repeat are numbered.

    C3D counts minutes and seconds from the start of the capture, of which the file may be a later part.
    """
    group = file["parameters"].get("EVENT", {})
    labels, sides = texts(group, "LABELS"), texts(group, "CONTEXTS")
    times = np.asarray(values(group, "TIMES"), np.float64)
    if not labels or times.shape != (2, len(labels)):
        return {}
    seconds = 60 * times[0] + times[1] - file["header"]["points"]["first_frame"] / rate_hz
    sides = sides if len(sides) == len(labels) else ("",) * len(labels)
    order = np.argsort(seconds, kind="stable").tolist()
    names = [re.sub(r"\W+", "_", f"{sides[i]} {labels[i]}".strip().lower()) for i in order]
    numbered = [f"{n}_{names[:k].count(n) + 1}" if n in names[:k] else n for k, n in enumerate(names)]
    return dict(zip(numbered, seconds[order][:, None], strict=True))


def _names(path: Path, point: Any, n_markers: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the markers, and a note where they are not the labels."""
    labels, descriptions = (texts(point, key)[:n_markers] for key in ("LABELS", "DESCRIPTIONS"))
    if len(set(labels)) == n_markers and all(labels):
        return labels, ()
    if len(set(descriptions)) == n_markers and all(descriptions):
        return descriptions, ("names are POINT:DESCRIPTIONS, because POINT:LABELS repeat",)
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    raise InputError(
        f"{path}: POINT:LABELS are not unique ({', '.join(repeated) or 'empty or too few'}); rename the markers"
    )
