"""Read TRC files of OpenSim and of motion capture programs: markers, with unit and rate; tabs or commas."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints.cleaning import spacing
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, Track, choose_track, said_unit
from stac_mjx.keypoints.formats.tables import cells, numbers_below, separator

FIRST_TITLE = "PathFileType"
"""First cell of the file."""


def read(path: Path, track: Track = None) -> Reading:
    """Read one TRC file."""
    choose_track(path, track, ONE_ANIMAL)
    try:
        with open(path, encoding="utf-8-sig") as stream:
            head = list(itertools.islice(stream, 5))
            if len(head) < 5:
                raise InputError(f"{path}: a TRC file has five lines of header, this one has {len(head)}")
            between = separator(head[0])
            header = [cells(line, between) for line in head]
            # values are aligned with keys by eye only: some programs write several tabs between them
            said = dict(zip(*([cell for cell in row if cell] for row in header[1:3]), strict=False))
            columns = {name: column for column, name in enumerate(header[3]) if column > 1 and name}
            used = [first + axis for first in columns.values() for axis in range(3)]
            table = numbers_below(path, stream, [1, *used], between)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a TRC text in UTF-8 ({error})") from error
    if said.get("NumMarkers", "").isdigit() and int(said["NumMarkers"]) != len(columns):
        raise InputError(f"{path}: NumMarkers is {said['NumMarkers']}, but the header names {len(columns)}")
    frames = said.get("NumFrames", "")
    lacking = frames.isdigit() and int(frames) != len(table)
    unit, unit_note = said_unit(said.get("Units"), "Units")
    timing = spacing(path, table[:, 0], "times")
    return Reading(
        positions=table[:, 1:].reshape(len(table), -1, 3),
        names=tuple(columns),
        rate_hz=_rate(said.get("DataRate", "")),
        unit=unit,
        clip_lengths=timing.clip_lengths,
        notes=(
            unit_note,
            *timing.notes,
            *([f"NumFrames is {frames}, but there are {len(table)} rows"] if lacking else []),
        ),
    )


def _rate(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
