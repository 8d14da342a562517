"""Text tables with one row a frame: ``.csv`` of Anipose, DeepLabCut, JARVIS, and columns of numbers without a header.

Commas, semicolons or tabs are between columns (blanks too, where there is no header); with the latter a decimal comma
is read. Anipose (Karashchuk et al. 2021, Cell Reports 36:109730) has columns ``<keypoint>_x, _y, _z``, with ``_score``
where known; other programs write ``.x``, `` x``, ``:X``, ``[x]``, ``_x_mm`` or ``_likelihood``. Several title rows say
the same: the last one names the coordinates, the one above it the keypoints (JARVIS, pandas), with a row
``individuals`` for several animals (DeepLabCut; Nath et al. 2019, Nature Protocols 14:2152). A row of units may follow.

Frame numbers (``fnum``, ``frame``) and times give the borders of clips, times in a unit (``time_s``) also the rate.
``_error``, ``_ncams`` and the frame ``M_00``.., ``center_0``.. are not used. A table of numbers alone has x, y, z of
each keypoint in turn; columns before them that count are left out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten
from stac_mjx._common.units import METRES_PER_UNIT, parse_unit
from stac_mjx.keypoints.cleaning import spacing
from stac_mjx.keypoints.formats.reading import ONE_ANIMAL, Reading, Track, choose_track

_AXES = ("_x", "_y", "_z")
_LENGTH = "|".join(METRES_PER_UNIT)
_COORDINATE = re.compile(rf"(.+?)(?:[ _.:-]?\[|[ _.:-])([xyzXYZ])\]?(?:[ _(\[]+({_LENGTH})[)\]]?)?$")
_SCORES = ("score", "likelihood", "confidence", "conf")
_SCORE = re.compile(rf"(.+)[ _.:-](?:{'|'.join(_SCORES)})$", re.IGNORECASE)
_FRAME = re.compile(r"(?:fnum|coords|frames?[ _]?(?:#|number|num|index|idx|id)?)$", re.IGNORECASE)
"""Frame number; DeepLabCut has it under ``coords``."""
_TIME = re.compile(r"(?:time|timestamps?)(?:[ _(\[]+(s|sec|seconds|ms|milliseconds)[)\]]?)?$", re.IGNORECASE)
_ABSENT = re.compile(r"(^|,)\s*(?:#?NA|#?N/A|null|None|)\s*(?=,|$)")
"""An empty cell, as Anipose, R and spreadsheets write it."""
FIRST_TITLE = "scorer"
"""First cell of a DeepLabCut table."""
MOST_TITLES = 5
"""Title rows, at most."""
_NO_UNIT = "the file has no length unit"
_SINGLE = "single"
"""Individual that DeepLabCut gives to points without an animal."""


@dataclass(frozen=True)
class _Columns:
    """Meaning of the columns of the table."""

    names: tuple[str, ...]
    xyz: tuple[int, ...]
    scores: dict[int, int]
    """Keypoint -> column of its score."""
    clock: int | None
    """Column of the frame number or the time."""
    clock_s: float | None
    """Seconds per unit of that column; None: unknown."""
    unit: str | None

    @property
    def used(self) -> list[int]:
        """All columns read, in the order: coordinates, scores, clock."""
        return [*self.xyz, *self.scores.values(), *([] if self.clock is None else [self.clock])]


def separator(line: str) -> str | None:
    """Return what is between the columns of a table with this line; None: blanks."""
    return next((sign for sign in "\t;," if sign in line), None)


def cells(line: str, between: str | None) -> list[str]:
    """Return the cells of a line, stripped."""
    return [cell.strip() for cell in next(csv.reader([line], delimiter=between or ","), [])]


def coordinates_row(rows: list[list[str]]) -> int | None:
    """Return which of several title rows names the coordinates x and y; None: there is none."""
    lower = [{cell.lower() for cell in row} for row in rows]
    return next((index for index, row in enumerate(lower) if {"x", "y"} <= row), None)


def is_coordinate(title: str) -> bool:
    """Return whether a column is a coordinate by its title."""
    return bool(_COORDINATE.match(title))


def read_numbers(path: Path, track: Track = None) -> Reading:
    """Read a table of numbers without names: x, y, z of each keypoint in turn."""
    choose_track(path, track, ONE_ANIMAL)
    with open(path, encoding="utf-8-sig") as stream:
        first = next(stream, "")
        table = numbers_below(path, chain([first], stream), None, separator(first))
    steps, n_columns = np.diff(table, axis=0), table.shape[1]
    counts = np.all((steps > 0) & np.isclose(steps, steps[:1], rtol=1e-6), axis=0)  # frame numbers, times
    leading = int(np.argmin(np.append(counts, False))) if len(steps) > 1 else 0
    if leading < 3 and (n_columns - leading) % 3 == 0:
        table = table[:, leading:]
    if table.shape[1] % 3:
        raise InputError(f"{path}: {n_columns} columns of numbers; expected x, y, z for each keypoint, a multiple of 3")
    left_out = n_columns - table.shape[1]
    notes = (f"columns that count, left out: the first {left_out}",) if left_out else ()
    return Reading(positions=table.reshape(len(table), -1, 3), notes=(*notes, _NO_UNIT))


def read(path: Path, track: Track = None) -> Reading:
    """Read a table with one or several title rows."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            titles, between, below = _titles(path, stream, track)
            unit, first, below = _first_row(below, between)
            columns = _columns(path, titles, cells(first, between))
            table = numbers_below(path, chain([first], below), columns.used, between)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV text in UTF-8 ({error})") from error
    n_names, unit = len(columns.names), columns.unit or unit
    rate_hz, lengths, notes = _timing(path, titles, columns, table)
    scores = np.full((len(table), n_names), np.nan)
    scores[:, list(columns.scores)] = table[:, 3 * n_names :][:, : len(columns.scores)]
    return Reading(
        positions=table[:, : 3 * n_names].reshape(-1, n_names, 3),
        confidence=scores if columns.scores else None,
        names=columns.names,
        rate_hz=rate_hz,
        unit=unit,
        clip_lengths=lengths,
        notes=(*notes, f"length unit {unit}, as the titles say" if unit else _NO_UNIT),
    )


def _titles(path: Path, stream: Iterable[str], track: Track) -> tuple[list[str], str | None, Iterator[str]]:
    """Return one title a column, empty where it is of another animal; the separator; and the lines below."""
    lines = iter(stream)
    head = list(islice(lines, MOST_TITLES))
    between = separator(head[0]) if head else None
    rows = [cells(line, between) for line in head]
    last = coordinates_row(rows)
    if rows and rows[0][:1] == [FIRST_TITLE] and last is None:
        raise InputError(f"{path}: missing title row 'coords'")
    if not last:  # one title row
        choose_track(path, track, ONE_ANIMAL)
        return (rows or [[]])[0], between, chain(head[1:], lines)
    owners = next((row for row in rows[:last] if row[:1] == ["individuals"]), None)
    names, coords = rows[last - 1], rows[last]
    if len({len(row) for row in (names, coords, owners or coords)}) > 1:
        raise InputError(f"{path}: the title rows differ in length: {[len(row) for row in rows[: last + 1]]}")
    animals = [name for name in dict.fromkeys((owners or [])[1:]) if name not in (_SINGLE, "")] or [_SINGLE]
    chosen = animals[choose_track(path, track, animals if owners else ONE_ANIMAL)]
    titles, name = [], ""
    for column, coord in enumerate(coords):
        name = names[column] or name  # spreadsheets merge the cells of a name
        of_point = coord.lower() in ("x", "y", "z", *_SCORES)
        mine = not owners or owners[column] == chosen
        titles.append((f"{name}_{coord}" if of_point else coord) if mine else "")
    return titles, between, chain(head[last + 1 :], lines)


def _first_row(lines: Iterator[str], between: str | None) -> tuple[str | None, str, Iterator[str]]:
    """Return the unit that a row below the titles names, the first row of numbers, and the lines below it.

    A row with the name of the index alone, as pandas writes it, is left out too.
    """
    first, unit = next(lines, ""), None
    said = {cell for cell in cells(first, between) if cell}
    units = {parse_unit(cell) for cell in said}
    if len(units) == 1 and None not in units:
        unit, first = units.pop(), next(lines, "")
    elif len(said) == 1 and between and not any(map(str.isdigit, "".join(said))):
        first = next(lines, "")
    return unit, first, lines


def _columns(path: Path, titles: list[str], first: list[str]) -> _Columns:
    """Find the coordinates, scores and clock in the titles; a clock has a number in the `first` row."""
    found = [_COORDINATE.match(title) for title in titles]
    scored = [_SCORE.match(title) for title in titles]
    header = [
        f"{one[1]}_{one[2].lower()}" if one else f"{score[1]}_score" if score else title
        for one, score, title in zip(found, scored, titles, strict=True)
    ]
    position = {title: column for column, title in enumerate(header)}
    names = tuple(title[:-2] for title, one in zip(header, found, strict=True) if one and title.endswith("_x"))
    if not names:
        raise InputError(
            f"{path}: no keypoints (got columns {shorten(titles) or 'none'}, expected <keypoint>_x, _y, _z)"
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
    units = {one[3] for one in found if one}
    problems += ["coordinates have several units"] if len(units) > 1 else []
    raise_all(InputError, str(path), problems)
    counted = [(k, title) for k, (title, cell) in enumerate(zip(titles, first, strict=False)) if is_number(cell)]
    timed = {k: match[1] for k, title in counted if (match := _TIME.match(title))}
    clocks = [*(k for k in timed if timed[k]), *(k for k, title in counted if _FRAME.match(title)), *timed]
    clock = clocks[0] if clocks else None
    said = timed.get(clock) if clock is not None else None
    return _Columns(
        names=names,
        xyz=tuple(position[name + axis] for name in names for axis in _AXES),
        scores={k: position[f"{name}_score"] for k, name in enumerate(names) if f"{name}_score" in position},
        clock=clock,
        clock_s=None if said is None else 1e-3 if said.lower().startswith("m") else 1.0,
        unit=units.pop(),
    )


def numbers_below(path: Path, lines: Iterable[str], columns: list[int] | None, between: str | None) -> np.ndarray:
    """Read the rest of a table, (row, column); empty cells are NaN. Without commas between cells they are decimal.

    Raises:
        InputError: when there is no row, or one is incomplete or contains text.
    """
    rows = (_plain(line, between) for line in lines if line.strip())
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: a header and no frames")
    try:
        return np.loadtxt(chain([first], rows), delimiter=",", usecols=columns, comments=None, quotechar='"', ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: a row is incomplete or contains text: {error}") from error


def _plain(line: str, between: str | None) -> str:
    """Return a line with commas between its cells, points in its numbers, and nan in empty cells."""
    line = line.rstrip("\r\n")
    if between is None:
        line = ",".join(line.split())
    elif between != ",":
        line = line.replace(",", ".").replace(between, ",")
    return _ABSENT.sub(r"\1nan", line)


def is_number(text: str) -> bool:
    """Return whether a cell, which is not empty, is a number."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def _timing(
    path: Path, titles: list[str], columns: _Columns, table: np.ndarray
) -> tuple[float | None, tuple[int, ...] | None, tuple[str, ...]]:
    """Return the rate, the clips between jumps of the clock (several trials, or dropped frames), and notes."""
    if columns.clock is None:
        return None, None, ()
    title = titles[columns.clock]
    what = f"frame numbers ({title})" if _FRAME.match(title) else f"times ({title})"
    timing = spacing(path, table[:, -1], what)
    if timing.step is not None and columns.clock_s is not None:
        return round(1 / (timing.step * columns.clock_s), 6), timing.clip_lengths, timing.notes
    every = timing.step not in (None, 1) and columns.clock_s is None and bool(_FRAME.match(title))
    notes = (f"{what} advance by {timing.step:g}: the rate is that of the stored frames",) if every else ()
    return None, timing.clip_lengths, (*timing.notes, *notes)
