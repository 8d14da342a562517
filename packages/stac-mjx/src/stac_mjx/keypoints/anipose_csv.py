"""Anipose ``.csv``: columns ``<keypoint>_x, _y, _z``, with ``_score`` where known.

Anipose (Karashchuk et al. 2021, Cell Reports 36:109730) also writes ``_error`` and ``_ncams``, the rotation ``M_00``..
and ``center_0``.. of its frame, and the frame number ``fnum``; of these only ``fnum`` is used, to find borders.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np

from stac_mjx.errors import InputError, raise_all, shorten
from stac_mjx.keypoints.reading import Reading, refuse_track
from stac_mjx.keypoints.timing import spacing

_AXES = ("_x", "_y", "_z")


@dataclass(frozen=True)
class _Columns:
    """Which column of the table holds what."""

    names: tuple[str, ...]
    xyz: tuple[int, ...]
    scores: tuple[int | None, ...]
    frame_number: int | None

    @property
    def used(self) -> list[int]:
        """All columns read, in the order: coordinates, scores, frame number."""
        scores = [column for column in self.scores if column is not None]
        return [*self.xyz, *scores, *([] if self.frame_number is None else [self.frame_number])]


def read(path: Path, track: int | None = None) -> Reading:
    """Read one Anipose table.

    Raises:
        InputError: when it is no such table, lacks a coordinate, or holds something that is no number.
    """
    refuse_track(path, track, "an Anipose table")
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            columns = _columns(path, next(csv.reader(stream), []))
            table = _numbers(path, stream, columns.used)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV text in UTF-8 ({error})") from error
    n_names = len(columns.names)
    n_xyz = 3 * n_names
    lengths, notes = _borders(path, columns, table)
    return Reading(
        positions=table[:, :n_xyz].reshape(-1, n_names, 3),
        confidence=_scores(columns, table[:, n_xyz:]),
        names=columns.names,
        clip_lengths=lengths,
        notes=(*notes, "the file holds no length unit and no frame rate (Anipose tables never do)"),
    )


def _columns(path: Path, header: list[str]) -> _Columns:
    """Find the coordinates, scores and frame number in the header.

    Raises:
        InputError: when a column occurs twice, there are no keypoints, or a keypoint lacks a coordinate.
    """
    header = [title.strip() for title in header]
    position = {title: column for column, title in enumerate(header)}
    names = tuple(title[:-2] for title in header if title.endswith("_x") and len(title) > 2)
    if not names:
        raise InputError(
            f"{path}: holds no keypoints; expected columns <keypoint>_x, _y, _z, found {shorten(header) or 'none'}"
        )
    if not any(f"{name}_z" in position for name in names):
        raise InputError(
            f"{path}: is 2D (no column ends in _z); 3D positions are needed: triangulate the cameras first"
        )
    faults = [f"column {title!r} occurs {header.count(title)} times" for title in position if header.count(title) > 1]
    faults += [
        f"keypoint {name!r} lacks the column {name + axis!r}"
        for name in names
        for axis in _AXES
        if name + axis not in position
    ]
    raise_all(InputError, str(path), faults)
    return _Columns(
        names=names,
        xyz=tuple(position[name + axis] for name in names for axis in _AXES),
        scores=tuple(position.get(f"{name}_score") for name in names),
        frame_number=position.get("fnum"),
    )


def _numbers(path: Path, stream: TextIO, columns: list[int]) -> np.ndarray:
    """Read the rest of the table, (row, column); an empty cell is NaN."""
    lines = _rows(stream)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path}: holds a header and no frame")
    try:
        return np.loadtxt(chain([first], lines), delimiter=",", usecols=columns, comments=None, quotechar='"', ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: a row is incomplete or holds something that is no number: {error}") from error


def _rows(stream: TextIO) -> Iterator[str]:
    for line in stream:
        if line.strip():
            yield _fill_empty(line)


def _fill_empty(line: str) -> str:
    """Write ``nan`` into empty cells, which the number parser refuses."""
    line = line.rstrip("\r\n")
    # Repeated, because neighbouring empty cells share a comma.
    while ",," in line:
        line = line.replace(",,", ",nan,")
    return ("nan" if line.startswith(",") else "") + line + ("nan" if line.endswith(",") else "")


def _scores(columns: _Columns, table: np.ndarray) -> np.ndarray | None:
    """Scores (frame, keypoint); a keypoint without a score column has NaN, an unknown confidence."""
    if all(column is None for column in columns.scores):
        return None
    scores = np.full((len(table), len(columns.names)), np.nan)
    known = [index for index, column in enumerate(columns.scores) if column is not None]
    scores[:, known] = table[:, : len(known)]
    return scores


def _borders(path: Path, columns: _Columns, table: np.ndarray) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Clips between jumps of the frame number: tables of several trials, or with dropped frames."""
    if columns.frame_number is None:
        return None, ()
    try:
        timing = spacing(table[:, -1], "frame numbers (fnum)")
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    notes = timing.notes
    if timing.step is not None and timing.step != 1:
        notes += (f"frame numbers (fnum) advance by {timing.step:g}: the rate is that of the frames kept",)
    return (timing.clip_lengths if len(timing.clip_lengths) > 1 else None), notes
