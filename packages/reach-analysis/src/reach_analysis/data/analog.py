"""Recordings with a channel a muscle: C3D, CSV of Vicon or Delsys, MATLAB; whole files, or trials cut from one.

The clock of a file is that of its first sample. Where a file does not hold its rate, `recording.rate_hz` counts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from reach_analysis._common.c3d import open_c3d, texts, values
from reach_analysis._common.errors import DataError, InputError, MismatchError, shorten, unknown
from reach_analysis.config import RecordingConfig
from reach_analysis.data.recordings import MARGIN_S, TrialTable
from reach_analysis.data.rollouts import plain_number
from reach_analysis.data.series import TrialSeries, same_rate

VOLTS = ("v", "mv", "uv", "µv", "μv", "volt", "volts")
"""Units of channels that may be EMG."""
TIME = re.compile(r"x ?\[s\]|(time|t)\b|.*time series", re.IGNORECASE)
"""Headings of columns that hold time, s."""
RATES = ("fs", "rate", "rate_hz", "samplerate", "samplingrate", "samplefrequency", "samplingfrequency", "sr", "freq")
"""Names of MATLAB variables that hold a rate, without case and underscores."""


@dataclass(frozen=True)
class Analog:
    """Channels of one file."""

    path: Path
    names: tuple[str, ...]
    units: tuple[str, ...]
    """Unit of each channel; empty where the file does not say it."""
    rates_hz: tuple[float, ...]
    """Rate of each channel; NaN where the file does not hold it."""
    values: tuple[Float[np.ndarray, " time"], ...]


def read_analog(path: Path) -> Analog:
    """Read every channel of a file, by its ending.

    Raises:
        InputError: for other endings, or when the file is not what its ending says.
    """
    readers = {".c3d": _c3d, ".csv": _table, ".txt": _table, ".mat": _matlab}
    kind = path.suffix.lower()
    if kind not in readers:
        raise InputError(f"{path}: EMG is read from .nwb, {', '.join(readers)}")
    return readers[kind](path)


def read_trials_of(
    paths: Mapping[str, Path], recording: RecordingConfig, table: TrialTable | None
) -> tuple[TrialSeries, TrialTable]:
    """Chosen channels of files as trials.

    Several files are a trial each; the table says when the reach starts in it. From one file the
    trials of the table are cut, whose times count from the first sample of the file. Without a table a trial is a whole
    file.

    Raises:
        DataError: for a channel that is not there, or channels of different rates.
        MismatchError: when no trial of the table is in the recording.
    """
    files, knows = zip(*(_chosen(read_analog(path), recording) for path in paths.values()), strict=True)
    names, first, known = tuple(map(plain_number, paths)), files[0], all(knows)
    other = [one.name for one in files if not same_rate(one.rate_hz, first.rate_hz)]
    if other:
        raise DataError(f"{other[0]}: another rate than {first.name} ({first.rate_hz:g} samples a second)")
    series = replace(first, trials=names, values=tuple(one.values[0] for one in files), start_s=np.zeros(len(files)))
    if table is None:
        ends = np.array(series.lengths) / series.rate_hz
        table = TrialTable(first.name, names, np.arange(len(names)), np.zeros(len(names)), ends, {}, "whole files")
    elif len(paths) == 1:
        series, table = cut_trials(series, table)
    said = f"{first.name} does not hold its rate: {series.rate_hz:g} samples a second, as recording.rate_hz says."
    return series, table if known else replace(table, notes=(said,))


def cut_trials(series: TrialSeries, table: TrialTable) -> tuple[TrialSeries, TrialTable]:
    """Cut the trials of a table from one recording, with a margin in which filters settle."""
    (rows,) = series.values
    kept, parts, starts, lost = [], [], [], {}
    for name, begin, end in zip(table.trials, table.start_s, table.end_s, strict=True):
        first = max(0, int(np.ceil((begin - MARGIN_S) * series.rate_hz - 1e-6)))
        last = int(np.floor((end + MARGIN_S) * series.rate_hz + 1e-6))
        if end * series.rate_hz > len(rows) + 1:
            lost[name] = "lies outside the recording"
            continue
        kept.append(name)
        parts.append(rows[first:last])
        starts.append(first / series.rate_hz)
    if not kept:
        raise MismatchError(f"{series.name}: no trial of {table.source} lies within {len(rows) / series.rate_hz:g} s")
    places = [table.trials.index(name) for name in kept]
    return (
        replace(series, trials=tuple(kept), values=tuple(parts), start_s=np.array(starts)),
        replace(table, trials=tuple(kept), rows=table.rows[places], start_s=table.start_s[places],
                end_s=table.end_s[places], left_out=table.left_out | lost),
    )  # fmt: skip


def _chosen(file: Analog, recording: RecordingConfig) -> tuple[TrialSeries, bool]:
    """The channels of the settings, or all that look like EMG, as one trial, and whether the file holds their rate."""
    places = _places(file, recording.channels)
    known = all(np.isfinite(file.rates_hz[place]) for place in places.values())
    rates = {file.rates_hz[place] if np.isfinite(file.rates_hz[place]) else recording.rate_hz
             for place in places.values()}  # fmt: skip
    lengths = {len(file.values[place]) for place in places.values()}
    if len(rates) > 1 or len(lengths) > 1:
        raise DataError(f"{file.path}: channels have {shorten([f'{rate:g}' for rate in sorted(rates)])} samples a "
                        f"second; choose those of one rate with recording.channels")  # fmt: skip
    units = {file.units[place] for place in places.values()}
    rows = np.stack([file.values[place] for place in places.values()], axis=1)
    unit = units.pop() if len(units) == 1 else ""
    unit, start = unit or recording.unit, np.zeros(1)
    return TrialSeries(file.path.name, unit, rates.pop(), ("1",), tuple(places), (rows,), start), known


def _places(file: Analog, channels: Any) -> dict[str, int]:
    """Muscle -> place of its channel."""
    if isinstance(channels, Mapping):
        return {str(muscle): _place(file, str(name)) for muscle, name in channels.items()}
    if channels:
        patterns = [channels] if isinstance(channels, str) else [str(pattern) for pattern in channels]
        hits = [place for place, name in enumerate(file.names) if any(fnmatchcase(name, p) for p in patterns)]
        if not hits:
            raise DataError(f"{file.path}: {unknown('channel', patterns[0], list(file.names))}")
    else:
        named = [place for place, name in enumerate(file.names) if "emg" in name.lower()]
        volts = [place for place, unit in enumerate(file.units) if unit.lower() in VOLTS]
        hits = named or volts or list(range(len(file.names)))
    return {file.names[place]: place for place in hits}


def _place(file: Analog, name: str) -> int:
    """Place of a channel, by its name or its number from 0."""
    if name in file.names:
        return file.names.index(name)
    if name.isdigit() and int(name) < len(file.names):
        return int(name)
    raise DataError(f"{file.path}: {unknown('channel', name, list(file.names))}")


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names, numbered where they repeat."""
    return tuple(
        name if names.count(name) == 1 else f"{name} {list(names[: place + 1]).count(name)}"
        for place, name in enumerate(names)
    )


def _c3d(path: Path) -> Analog:
    """Analog channels; named by ANALOG:LABELS, or by ANALOG:DESCRIPTIONS where these repeat."""
    file = open_c3d(path)
    group = file["parameters"]["ANALOG"]
    data = np.asarray(file["data"]["analogs"], float)[0]
    labels, said = texts(group, "LABELS")[: len(data)], texts(group, "DESCRIPTIONS")[: len(data)]
    names = said if len(set(labels)) < len(data) and len(set(said)) == len(data) else labels
    rate = values(group, "RATE")
    if not len(data) or len(names) != len(data) or not len(rate):
        raise InputError(f"{path}: has no analog channels with names and a rate")
    units = (*texts(group, "UNITS"), *[""] * len(data))[: len(data)]
    return Analog(path, _unique(names), units, (float(rate[0]),) * len(data), tuple(data))


def _table(path: Path) -> Analog:
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
    labels = _unique([names[place] or f"column {place + 1}" for place in kept])
    return Analog(path, labels, tuple(units[place] for place in kept), tuple(rates[place] for place in kept), data)


def _matlab(path: Path) -> Analog:
    """The largest table of numbers in a MATLAB file, its names and its rate, whatever they are called."""
    from scipy.io import loadmat

    try:
        content = {name: value for name, value in loadmat(path, simplify_cells=True).items() if name[0] != "_"}
    except NotImplementedError:
        raise InputError(f"{path}: MATLAB file of version 7.3; save it with -v7") from None
    except Exception as error:  # scipy raises many types on damaged files
        raise InputError(f"{path}: not a readable MATLAB file ({error})") from error
    for name, value in list(content.items()):  # one level of structs, as of exported sessions
        content |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {}
    arrays = {name: np.atleast_2d(value) for name, value in content.items()
              if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and 1 <= value.ndim <= 2}  # fmt: skip
    if not arrays:
        raise InputError(f"{path}: has no table of numbers; its variables: {shorten(list(content))}")
    data = max(arrays.values(), key=lambda array: array.size).astype(float)
    data = data if len(data) < data.shape[1] else data.T  # fewer channels than samples
    spelt = {name.rsplit(".", 1)[-1].lower().replace("_", ""): value for name, value in content.items()}
    rates = [float(np.unique(spelt[name])[0]) for name in (rate.replace("_", "") for rate in RATES)
             if name in spelt and np.size(spelt[name]) and np.unique(spelt[name]).size == 1]  # fmt: skip
    labels = [[str(text).strip() for text in np.atleast_1d(value)] for value in content.values()
              if np.size(value) == len(data) and np.asarray(value).dtype.kind in "UO"]  # fmt: skip
    names = labels[0] if labels else [f"channel {number + 1}" for number in range(len(data))]
    rate = rates[0] if rates else np.nan
    return Analog(path, _unique(names), ("",) * len(data), (rate,) * len(data), tuple(data))
