"""Text tables with one row a frame: ``.csv`` of Anipose, DeepLabCut, JARVIS, and columns of numbers without a header.

Anipose (Karashchuk et al. 2021, Cell Reports 36:109730) has columns ``<keypoint>_x, _y, _z``, with ``_score`` where
known; axes may be capitals (DLTdv). A column ``fnum`` is the frame number, which gives the borders of clips;
``_error``, ``_ncams`` and the frame ``M_00``.., ``center_0``.. are not used.

DeepLabCut (the tables that its ``triangulate`` writes; Nath et al. 2019, Nature Protocols 14:2152) has the title rows
``scorer``, ``bodyparts`` and ``coords`` (x, y, z, and ``likelihood`` where known); with several animals a row
``individuals`` comes second.

JARVIS (``data3D.csv``) has two title rows: the keypoint over each of its four columns, and ``x``, ``y``, ``z``,
``confidence``; a first column ``frame`` is ignored. A table of numbers alone has x, y, z of each keypoint in turn.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten
from stac_mjx.keypoints.cleaning import spacing
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, Track, choose_track

_AXES = ("_x", "_y", "_z")
_ABSENT = re.compile(r"(^|,)(?:NA|N/A|null|)(?=,|$)")
"""An empty cell, as Anipose, R and spreadsheets write it."""
FIRST_TITLE = "scorer"
"""First cell of a DeepLabCut table."""
_SUFFIX = {"likelihood": "score", "confidence": "score"}
_NO_UNIT = "the file has no length unit and no frame rate (this format never has)"
_SINGLE = "single"
"""Individual that DeepLabCut gives to points without an animal."""

Titles = Callable[[Path, Iterator[list[str]], Track], list[str]]
"""Reads the title rows of a table (path, rows, track) and returns one title a column."""


@dataclass(frozen=True)
class _Columns:
    """Meaning of the columns of the table."""

    names: tuple[str, ...]
    xyz: tuple[int, ...]
    scores: tuple[int | None, ...]
    frame_number: int | None

    @property
    def used(self) -> list[int]:
        """All columns read, in the order: coordinates, scores, frame number."""
        scores = [column for column in self.scores if column is not None]
        return [*self.xyz, *scores, *([] if self.frame_number is None else [self.frame_number])]


def _anipose_titles(path: Path, rows: Iterator[list[str]], track: Track) -> list[str]:
    """Return the titles of an Anipose table, and tables like it: its first row."""
    choose_track(path, track, ONE_ANIMAL)
    return next(rows, [])


def _deeplabcut_titles(path: Path, rows: Iterator[list[str]], track: Track) -> list[str]:
    """Return titles ``<bodypart>_<coord>``; empty for the frame number and for animals that were not chosen."""
    levels: dict[str, list[str]] = {}
    for row in rows:
        levels[row[0] if row else ""] = row[1:]
        if "coords" in levels or len(levels) > 3:
            break
    needed = (FIRST_TITLE, "bodyparts", "coords")
    raise_all(InputError, str(path), [f"missing title row {name!r}" for name in needed if name not in levels])
    parts, coords = levels["bodyparts"], levels["coords"]
    owners = levels.get("individuals", ONE_ANIMAL * len(parts))
    if not len(parts) == len(coords) == len(owners):
        raise InputError(f"{path}: the title rows differ in length: {len(parts)}, {len(coords)} and {len(owners)}")
    animals = [name for name in dict.fromkeys(owners) if name != _SINGLE] or [_SINGLE]
    chosen = animals[choose_track(path, track, animals)]
    columns = zip(parts, coords, owners, strict=True)
    return ["", *(f"{part}_{_SUFFIX.get(coord, coord)}" if owner == chosen else "" for part, coord, owner in columns)]


def _jarvis_titles(path: Path, rows: Iterator[list[str]], track: Track) -> list[str]:
    """Return titles ``<keypoint>_<coord>`` from the two title rows of JARVIS."""
    choose_track(path, track, ONE_ANIMAL)
    names, coords = next(rows, []), next(rows, [])
    if len(names) != len(coords):
        raise InputError(f"{path}: the title rows differ in length: {len(names)} and {len(coords)}")
    pairs = zip(names, (coord.strip() for coord in coords), strict=True)
    return [f"{name.strip()}_{_SUFFIX.get(coord, coord)}" for name, coord in pairs]


def read_numbers(path: Path, track: Track = None) -> Reading:
    """Read a table of numbers without names: x, y, z of each keypoint in turn."""
    choose_track(path, track, ONE_ANIMAL)
    with open(path, encoding="utf-8-sig") as stream:
        table = numbers_below(path, stream, None)
    if table.shape[1] % 3:
        raise InputError(
            f"{path}: {table.shape[1]} columns of numbers; expected x, y, z for each keypoint, so a multiple of 3"
        )
    return Reading(positions=table.reshape(len(table), -1, 3), notes=(_NO_UNIT,))


def _read_table(path: Path, track: Track = None, *, titles: Titles) -> Reading:
    try:
        with open(path, encoding="utf-8-sig") as stream:
            columns = _columns(path, titles(path, csv.reader(stream), track))
            table = numbers_below(path, stream, columns.used)
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
        notes=(*notes, _NO_UNIT),
    )


read_anipose = partial(_read_table, titles=_anipose_titles)
read_deeplabcut = partial(_read_table, titles=_deeplabcut_titles)
read_jarvis = partial(_read_table, titles=_jarvis_titles)


def _columns(path: Path, header: list[str]) -> _Columns:
    """Find the coordinates, scores and frame number in the header."""
    header = [re.sub(r"_[XYZ]$", lambda axis: axis[0].lower(), title.strip()) for title in header]
    position = {title: column for column, title in enumerate(header)}
    names = tuple(title[:-2] for title in header if title.endswith("_x") and len(title) > 2)
    if not names:
        raise InputError(
            f"{path}: no keypoints (got columns {shorten(header) or 'none'}, expected <keypoint>_x, _y, _z)"
        )
    if not any(f"{name}_z" in position for name in names):
        raise InputError(f"{path}: 2D data (no column ends in _z), expected 3D. Triangulate the cameras first")
    repeated = [title for title in position if title and header.count(title) > 1]
    problems = [f"column {title!r} occurs {header.count(title)} times" for title in repeated]
    problems += [
        f"keypoint {name!r}: missing column {name + axis!r}"
        for name in names
        for axis in _AXES
        if name + axis not in position
    ]
    raise_all(InputError, str(path), problems)
    return _Columns(
        names=names,
        xyz=tuple(position[name + axis] for name in names for axis in _AXES),
        scores=tuple(position.get(f"{name}_score") for name in names),
        frame_number=position.get("fnum"),
    )


def numbers_below(path: Path, stream: Iterable[str], columns: list[int] | None) -> np.ndarray:
    """Read the rest of a table with commas, (row, column); empty cells are NaN.

    Raises:
        InputError: when there is no row, or one is incomplete or contains text.
    """
    # the number parser refuses empty cells
    lines = (_ABSENT.sub(r"\1nan", line.rstrip("\r\n")) for line in stream if line.strip())
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path}: a header and no frames")
    try:
        return np.loadtxt(chain([first], lines), delimiter=",", usecols=columns, comments=None, quotechar='"', ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: a row is incomplete or contains text: {error}") from error


def _scores(columns: _Columns, table: np.ndarray) -> np.ndarray | None:
    """Return scores (frame, keypoint); NaN (unknown) for a keypoint without a score column."""
    if all(column is None for column in columns.scores):
        return None
    scores = np.full((len(table), len(columns.names)), np.nan)
    known = [index for index, column in enumerate(columns.scores) if column is not None]
    scores[:, known] = table[:, : len(known)]
    return scores


def _borders(path: Path, columns: _Columns, table: np.ndarray) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Split clips where the frame number jumps: tables of several trials, or with dropped frames."""
    if columns.frame_number is None:
        return None, ()
    timing = spacing(path, table[:, -1], "frame numbers (fnum)")
    notes = timing.notes
    if timing.step is not None and timing.step != 1:
        notes += (f"frame numbers (fnum) advance by {timing.step:g}: the rate is that of the stored frames",)
    return timing.clip_lengths, notes
