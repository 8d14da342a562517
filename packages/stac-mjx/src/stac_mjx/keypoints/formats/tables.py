"""Text tables with one row a frame and columns ``<keypoint>_x, _y, _z``, with ``_score`` where known.

Anipose and others write them; formats that call their columns otherwise hand in a function that brings their titles to
this form. Axes may be capitals (DLTdv). A column ``fnum`` is the frame number and tells borders; others are not used.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten
from stac_mjx.keypoints.formats.keypoints_reading import Reading, refuse_track
from stac_mjx.keypoints.timing import spacing

_AXES = ("_x", "_y", "_z")
_ABSENT = re.compile(r"(^|,)(?:NA|N/A|null|)(?=,|$)")
"""A cell that holds nothing, as Anipose, R and spreadsheets write it."""

Titles = Callable[[Path, Iterator[list[str]], int | None], list[str]]
"""Reads the title rows of a table (path, rows, track) and returns one title a column."""


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


def first_row(path: Path, rows: Iterator[list[str]], track: int | None) -> list[str]:
    """Titles as the first row has them."""
    refuse_track(path, track, "a table of this form")
    return next(rows, [])


def read_table(path: Path, track: int | None, titles: Titles) -> Reading:
    """Read one table.

    Raises:
        InputError: when it is no such table, lacks a coordinate, or holds something that is no number.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            columns = _columns(path, titles(path, csv.reader(stream), track))
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
        notes=(*notes, "the file holds no length unit and no frame rate (tables of this form never do)"),
    )


def _columns(path: Path, header: list[str]) -> _Columns:
    """Find the coordinates, scores and frame number in the header.

    Raises:
        InputError: when a column occurs twice, there are no keypoints, or a keypoint lacks a coordinate.
    """
    header = [re.sub(r"_[XYZ]$", lambda axis: axis[0].lower(), title.strip()) for title in header]
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
    repeated = [title for title in position if title and header.count(title) > 1]
    faults = [f"column {title!r} occurs {header.count(title)} times" for title in repeated]
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
    """Write ``nan`` into cells that hold nothing, which the number parser refuses."""
    return _ABSENT.sub(r"\1nan", line.rstrip("\r\n"))


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
