"""Tables with a column a channel: CSV and text of Vicon and Delsys."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from reach_analysis._common.errors import InputError
from reach_analysis.data.formats.analog import Analog, numbered

TIME = re.compile(r"x ?\[s\]|(time|t)\b|.*time series", re.IGNORECASE)
"""Headings of columns that hold time, s."""


def read_table(path: Path) -> Analog:
    """A table with a column a channel, below any number of lines of text (Vicon, Delsys EMGworks and Discover)."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            lines = list(csv.reader(file, delimiter="\t" if path.suffix.lower() == ".txt" else ","))
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    begin = next((place for place, line in enumerate(lines) if _numeric(line)), None)
    if begin is None:
        raise InputError(f"{path}: has no line of numbers")
    rows = list(takewhile(_numeric, lines[begin:]))
    width = max(map(len, rows))
    try:
        numbers = np.array([[cell.strip() or "nan" for cell in row] + ["nan"] * (width - len(row)) for row in rows],
                           dtype=float)  # fmt: skip
    except ValueError as error:
        raise InputError(f"{path}: below line {begin + 1}: {error}") from error
    head = [[cell.strip() for cell in line] + [""] * (width - len(line)) for line in lines[:begin] if any(line)]
    vicon = next((place for place, line in enumerate(head) if line[0] == "Frame"), None)
    if vicon is not None:
        rate = next((float(line[0]) for line in head if line[0].replace(".", "", 1).isdigit()), np.nan)
        units = head[vicon + 1] if vicon + 1 < len(head) else [""] * width
        columns = range(2 if head[vicon][1] == "Sub Frame" else 1, width)
        return _columns(path, head[vicon], units, numbers, dict.fromkeys(columns, rate))
    return _timed(path, head[-1] if head else [], numbers)


def _numeric(line: Sequence[str]) -> bool:
    """Whether a line holds numbers, and more than the rate that some programs write above the table."""
    filled = [cell for cell in line if cell.strip()]
    return len(filled) > 1 and all(re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", cell, re.IGNORECASE)
                                   for cell in filled)  # fmt: skip


def _timed(path: Path, header: Sequence[str], numbers: np.ndarray) -> Analog:
    """Columns with their own or a common column of time before them."""
    names = list(header) or [f"column {number + 1}" for number in range(numbers.shape[1])]
    rates: dict[int, float] = {}
    rate = np.nan
    for place, name in enumerate(names):
        column = numbers[np.isfinite(numbers[:, place]), place]
        if TIME.match(name) or (not header and place == 0 and _even(column)):
            rate = (len(column) - 1) / np.ptp(column) if _even(column) else np.nan
        else:
            rates[place] = float(rate)
    units = [match[1] if (match := re.search(r"[\[(](\S+)[\])]\s*$", name)) else "" for name in names]
    return _columns(path, names, units, numbers, rates)


def _even(column: np.ndarray) -> bool:
    """Whether a column is a clock: its steps are equal but for the rounding of a file."""
    steps = np.diff(column)
    return len(steps) > 2 and steps.min() > 0 and steps.max() < 1.5 * steps.mean()


def _columns(
    path: Path, names: Sequence[str], units: Sequence[str], numbers: np.ndarray, rates: Mapping[int, float]
) -> Analog:
    """The channels among the columns, without the empty cells at their ends."""
    filled = {place: np.flatnonzero(np.isfinite(numbers[:, place])) for place in rates}
    kept = [place for place in rates if len(filled[place])]
    data = tuple(numbers[: filled[place][-1] + 1, place] for place in kept)
    labels = numbered([names[place] or f"column {place + 1}" for place in kept])
    return Analog(path, labels, tuple(units[place] for place in kept), tuple(rates[place] for place in kept), data)
