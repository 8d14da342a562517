"""Tables with a column a channel: CSV and text of Vicon and Delsys, with any separator."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile
from pathlib import Path

import numpy as np

from reach_analysis._common.errors import InputError
from reach_analysis.data.formats.analog import CLOCKS, VOLTS, Analog, clock_rate, is_time, numbered, unit_of

LAYOUTS = ((",", "."), ("\t", "."), (";", "."), ("\t", ","), (";", ","), (" ", "."))
"""Separators of cells and of decimals, in the order in which they are tried."""
UNITS = ("", "g", "n", *CLOCKS, *VOLTS)
"""What a line of units below the names holds."""
MISSING = ("", "na", "n/a", "null", "-")
"""Cells without a value, in lower case, other than those that Python reads as NaN."""


def read_table(path: Path) -> Analog:
    """A table with a column a channel, below any number of lines of text (Vicon, Delsys EMGworks and Discover).

    Raises:
        InputError: when it has no such table, a line within it is not of numbers, or its times are not even.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        lines, decimal, begin = _layout(text)
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if begin is None:
        raise InputError(f"{path}: has no two lines of numbers that follow each other")
    rows = list(takewhile(bool, (_numbers(line, decimal) for line in lines[begin:])))
    _require_whole(path, lines, begin + len(rows), decimal)
    width = max(map(len, rows))
    numbers = np.array([row + [np.nan] * (width - len(row)) for row in rows])
    head = [[cell.strip() for cell in line] + [""] * (width - len(line)) for line in lines[:begin] if any(line)]
    vicon = next((place for place, line in enumerate(head) if line[0] == "Frame" and not any(map(is_time, line))),
                 None)  # fmt: skip
    if vicon is not None:
        rate = next((float(line[0]) for line in head if line[0].replace(".", "", 1).isdigit()), np.nan)
        units = head[vicon + 1] if vicon + 1 < len(head) else [""] * width
        columns = range(2 if head[vicon][1] == "Sub Frame" else 1, width)
        return _columns(path, head[vicon], units, numbers, dict.fromkeys(columns, rate))
    if len(head) > 1 and all(unit.strip("[]()").lower() in UNITS for unit in head[-1]):
        head.append([f"{name} [{unit.strip('[]()')}]" for name, unit in zip(*head[-2:], strict=True)])
    return _timed(path, head[-1] if head else [], numbers)


def _layout(text: Sequence[str]) -> tuple[list[list[str]], str, int | None]:
    """Cells of all lines, the decimal separator, and the first of the lines of numbers; None where there are none.

    These are the first two lines of numbers that follow each other: some programs write a rate above the table.
    """
    lines: list[list[str]] = []
    for separator, decimal in LAYOUTS:
        lines = list(csv.reader(text, delimiter=separator, skipinitialspace=separator == " "))
        begin = next((place for place, pair in enumerate(pairwise(lines))
                      if all(_numbers(line, decimal) for line in pair)), None)  # fmt: skip
        if begin is not None:
            return lines, decimal, begin
    return lines, ".", None


def _numbers(line: Sequence[str], decimal: str) -> list[float]:
    """The numbers of a line, NaN for those that are missing; none where it holds none, or anything else."""
    cells = [cell.strip().lower() for cell in line]
    try:
        numbers = [np.nan if cell in MISSING else float(cell.replace(decimal, ".")) for cell in cells]
    except ValueError:
        return []
    return numbers if any(cells) else []


def _require_whole(path: Path, lines: Sequence[Sequence[str]], end: int, decimal: str) -> None:
    """Refuse a table that is interrupted; after an empty line another one, under its own names, may follow."""
    rest = lines[end:]
    filled = next((line for line in rest if any(line)), [])
    block = list(takewhile(any, rest))
    if _numbers(filled, decimal) or any(_numbers(line, decimal) for line in block):
        held = f"{','.join(block[0])[:40]!r}" if block else "nothing"
        raise InputError(f"{path}: line {end + 1} holds {held}, but lines of numbers follow it; remove or complete it")


def _timed(path: Path, header: Sequence[str], numbers: np.ndarray) -> Analog:
    """Columns with their own or a common column of time before them, but a first one that counts samples."""
    names = list(header) or [f"column {number + 1}" for number in range(numbers.shape[1])]
    rates: dict[int, float] = {}
    rate = np.nan
    for place, name in enumerate(names):
        column = numbers[np.isfinite(numbers[:, place]), place]
        clock = clock_rate(column, name)
        if is_time(name) and len(column) and not np.isfinite(clock):
            raise InputError(f"{path}: the times of column {name!r} are not evenly spaced")
        if is_time(name) or (not (header or place) and np.isfinite(clock) and not np.isclose(clock, 1.0)):
            rate = clock
        elif place or not np.isfinite(clock):
            rates[place] = float(rate)
    if np.isfinite(rate) and not np.isfinite(list(rates.values())).any():  # time in the last column
        rates = dict.fromkeys(rates, float(rate))
    if not rates:
        raise InputError(f"{path}: has no column but those of times")
    units = [unit if (unit := unit_of(name)).lower() in UNITS else "" for name in names]
    return _columns(path, names, units, numbers, rates)


def _columns(
    path: Path, names: Sequence[str], units: Sequence[str], numbers: np.ndarray, rates: Mapping[int, float]
) -> Analog:
    """The channels among the columns, without units in their names and the empty cells at their ends."""
    filled = {place: np.flatnonzero(np.isfinite(numbers[:, place])) for place in rates}
    kept = [place for place in rates if len(filled[place])]
    data = tuple(numbers[: filled[place][-1] + 1, place] for place in kept)
    bare = [names[place].removesuffix(f"[{units[place]}]").removesuffix(f"({units[place]})") for place in kept]
    labels = numbered([name.strip() or f"column {place + 1}" for name, place in zip(bare, kept, strict=True)])
    return Analog(path, labels, tuple(units[place] for place in kept), tuple(rates[place] for place in kept), data)
