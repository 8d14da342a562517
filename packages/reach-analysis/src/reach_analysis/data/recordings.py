"""Recordings of a lab: raw EMG as CSV with a row a trial, and the table of trials. NWB files: see `nwb`.

In the CSV files of paper A there is one file a muscle, without a header; row i belongs to row i of the trial table, and
starts when its trial starts. The table's columns count video frames from there. Rows of the table without a reach (a
start or end that is missing, zero, or equal to the other) are left out and reported.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, InputError, MismatchError, raise_all, shorten, unknown
from reach_analysis.config import RecordingConfig
from reach_analysis.data.rollouts import plain_number
from reach_analysis.data.series import TrialSeries

ID_COLUMNS = ("trial_id", "trial", "id", "clip_name", "clip", "name")
"""Columns a trial's name is looked for in, in this order."""

MARGIN_S = 0.1
"""Time read before and after each trial of a continuous recording, so that filters have settled."""
START_COLUMNS = ("reach_start", "start")
"""Columns the start of the reach is looked for in, in this order."""


@dataclass(frozen=True)
class TrialTable:
    """When trials happen."""

    source: str
    """Name of the file, for messages."""
    trials: tuple[str, ...]
    """Name of each usable trial."""
    rows: Int[np.ndarray, " trial"]
    """Row of the table for each trial, counted from 0."""
    start_s: Float[np.ndarray, " trial"]
    """Start of the reach, s from the start of the trial's recording."""
    end_s: Float[np.ndarray, " trial"]
    left_out: dict[str, str] = field(default_factory=dict)
    """Trial -> why it cannot be used."""
    rate_note: str = ""
    """How frames became seconds, for messages."""
    n_rows: int = 0
    """Rows of the table, those left out among them; 0: not known."""
    notes: tuple[str, ...] = ()
    """What has to be said about the recording."""


def read_trials(path: Path, recording: RecordingConfig | None = None) -> TrialTable:
    """Read a table of trials (CSV with a header, of any separator).

    Raises:
        InputError: when it cannot be read, has no rows, or lacks a column.
        DataError: when no row holds a reach, or two rows have one name.
    """
    recording = recording or RecordingConfig()
    header, rows = _read_csv(path)
    start_column = _pick(header, recording.start_column, START_COLUMNS, "start of the reach", path)
    end_column = _pick(header, recording.end_column, (), "end of the trial", path)
    named = recording.id_column is not None or any(name.lower() in ID_COLUMNS for name in header)
    id_column = _pick(header, recording.id_column, ID_COLUMNS, "name of the trial", path) if named else None
    names = [
        plain_number(row[id_column]) if id_column is not None else str(recording.first_row + number)
        for number, row in enumerate(rows)
    ]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: several rows have the same name: {shorten(repeated)}")
    scale = 1.0 if recording.frame_rate_hz is None else recording.frame_rate_hz
    start = np.array([_number(row[start_column], path) for row in rows])
    end = np.array([_number(row[end_column], path) for row in rows])
    parts = start[np.isfinite(start) & (start != np.round(start))]
    if recording.frame_rate_hz is not None and parts.size:
        raise DataError(f"{path}: {header[start_column]!r} holds {parts[0]:g}, not the number of a frame; where "
                        "the table holds seconds, set recording.frame_rate_hz=null")  # fmt: skip
    start, end = start / scale, end / scale
    usable = (start > 0) & (end > 0) & (start != end)
    if not usable.any():
        raise DataError(f"{path}: no row has a {header[start_column]!r} and an {header[end_column]!r} above 0")
    if (end[usable] < start[usable]).any():
        worst = names[int(np.flatnonzero(usable & (end < start))[0])]
        raise DataError(f"{path}: trial {worst!r} ends before its reach starts")
    keep = np.flatnonzero(usable)
    unit = "in seconds" if recording.frame_rate_hz is None else f"in frames at {recording.frame_rate_hz:g} a second"
    return TrialTable(
        source=path.name,
        trials=tuple(names[i] for i in keep),
        rows=keep,
        start_s=start[keep],
        end_s=end[keep],
        left_out={names[i]: f"has no reach in {path.name}" for i in np.flatnonzero(~usable)},
        rate_note=f"{path.name} {unit}",
        n_rows=len(rows),
    )


def blocks_of(name: str, begin_s: float, end_s: float, block_s: float | None) -> TrialTable:
    """A recording without trials: one trial or, where `block_s` is set, blocks that follow each other.

    Raises:
        MismatchError: when it is shorter than a block.
    """
    count = int((end_s - begin_s) / block_s + 1e-6) if block_s else 1
    if not count:
        raise MismatchError(f"{name} lasts {end_s - begin_s:g} s, less than a block of recording.block_s={block_s:g}")
    edges = begin_s + np.arange(count + 1) * (block_s or end_s - begin_s)
    trials = tuple(f"{name} {number + 1}" for number in range(count)) if block_s else (name,)
    said = (f"Blocks of {block_s:g} s that follow each other count as trials. They are parts of one recording: "
            "intervals and tests over them say nothing about another recording.",) if block_s else ()  # fmt: skip
    return TrialTable(name, trials, np.arange(count), edges[:-1], edges[1:], {}, "blocks", notes=said)


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            text = [line for line in file if line.strip()]
            lines = list(csv.reader(text, delimiter=max(",;\t", key=(text or [""])[0].count)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from error
    if len(lines) < 2:
        raise InputError(f"{path}: expected a header and at least one trial, got {len(lines)} lines")
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    ragged = [number + 2 for number, row in enumerate(rows) if len(row) != len(header)]
    if ragged:
        raise InputError(f"{path}: line {ragged[0]} does not have the {len(header)} columns of the header")
    return header, rows


def _pick(header: Sequence[str], wanted: str | None, usual: Sequence[str], what: str, path: Path) -> int:
    spelt = [name.lower() for name in header]
    for name in [wanted] if wanted is not None else usual:
        if name in header:
            return list(header).index(name)
        if name.lower() in spelt:
            return spelt.index(name.lower())
    if wanted is not None:
        raise InputError(f"{path}: {what}: {unknown('column', wanted, header)}")
    raise InputError(f"{path}: no column for the {what}: expected one of {shorten(usual)}, got {shorten(header)}")


def _number(text: str, path: Path) -> float:
    if text.strip() == "":
        return np.nan
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path}: expected a number, got {text[:40]!r}") from None


def read_emg_csv(
    files: Mapping[str, Path], table: TrialTable, rate_hz: float, unit: str = "a.u.", named: bool = False
) -> TrialSeries:
    """Read raw EMG: a CSV a muscle, a row a trial.

    Rows are as long as their trial; empty cells at their end are no samples. They belong to the rows of the table in
    its order or, where they are `named`, to the trial that their first cell names.

    Raises:
        InputError: when a file cannot be read, or holds anything but numbers.
        DataError: when files have another number of rows than the table, lack a trial, or differ in a trial's length.
    """
    if not files:
        raise ConfigError("no EMG file is given; for example emg={biceps:biceps.csv,triceps:triceps.csv}")
    muscles = {
        muscle: _named_rows(path, table) if named else _rows_in_order(path, table) for muscle, path in files.items()
    }
    problems = []
    values = []
    for number, trial in enumerate(table.trials):
        columns = [rows[number] for rows in muscles.values()]
        lengths = {muscle: len(rows[number]) for muscle, rows in muscles.items()}
        if len(set(lengths.values())) > 1:
            problems.append(f"trial {trial!r} differs in length between muscles: {lengths}")
        else:
            values.append(np.stack(columns, axis=1))
    raise_all(DataError, "EMG", problems)
    return TrialSeries("EMG", unit, rate_hz, table.trials, tuple(files), tuple(values), np.zeros(len(values)))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a CSV without a header, except empty ones."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line for line in file if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _rows_in_order(path: Path, table: TrialTable) -> list[np.ndarray]:
    """The row of each trial of the table, by position; both must have as many rows."""
    needed = set(table.rows.tolist())
    rows: dict[int, np.ndarray] = {}
    count = 0
    for line in _lines(path):
        if count in needed:
            rows[count] = _parse_row(line, path, count)
        count += 1
    expected = table.n_rows or max(needed) + 1
    if count < expected or (table.n_rows and count > expected):
        raise DataError(
            f"{path}: has {count} rows, but {table.source} has {expected}: rows belong to trials by their order, so "
            "each needs one; or begin each row with the trial's name and set recording.emg_names=true"
        )
    return [rows[row] for row in table.rows.tolist()]


def _named_rows(path: Path, table: TrialTable) -> list[np.ndarray]:
    """The row of each trial of the table, by the name in its first cell."""
    rows: dict[str, np.ndarray] = {}
    for number, line in enumerate(_lines(path)):
        name, _, numbers = line.partition(",")
        name = plain_number(name.strip().strip('"'))
        if name in rows:
            raise DataError(f"{path}: several rows are named {name!r}")
        rows[name] = _parse_row(numbers, path, number)
    lacking = [name for name in table.trials if name not in rows]
    if lacking:
        raise DataError(
            f"{path}: has no row for {shorten(lacking, 4)} of {table.source}; its rows: {shorten(list(rows), 4)}"
        )
    return [rows[name] for name in table.trials]


def _parse_row(line: str, path: Path, row: int) -> np.ndarray:
    cells = line.rstrip().rstrip(",").split(",")
    try:
        return np.array(cells, dtype=float)
    except ValueError:
        strange = next(cell for cell in cells if not _is_number(cell))
        raise InputError(f"{path}: row {row + 1}: expected numbers only, got {strange[:40]!r}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
