"""Recordings with a channel a muscle, of any format: trials cut from one, blocks, or whole files.

The clock of a file is that of its first sample. Where a file does not hold its rate, `recording.rate_hz`
must.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import DataError, InputError, MismatchError, shorten, unknown
from reach_analysis.config import RecordingConfig
from reach_analysis.data.formats.acquisition import READERS, read_acquisition
from reach_analysis.data.formats.analog import VOLTS, Analog
from reach_analysis.data.formats.c3d import read_c3d
from reach_analysis.data.formats.matlab import read_matlab
from reach_analysis.data.formats.tables import read_table
from reach_analysis.data.recordings import MARGIN_S, TrialTable, blocks_of
from reach_analysis.data.rollouts import plain_number
from reach_analysis.data.series import TrialSeries

SAME_CLOCK = 1e-4
"""Part by which the rates of several files may differ: clocks are a little off, and times are rounded."""
FORMATS = {
    ".c3d": read_c3d, ".csv": read_table, ".txt": read_table, ".mat": read_matlab,
    **dict.fromkeys(READERS, read_acquisition),
}  # fmt: skip
"""Ending -> reader of every channel of such a file."""


def read_analog(path: Path) -> Analog:
    """Read every channel of a file, by its ending.

    Raises:
        InputError: for other endings, or when the file is not what its ending says.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"{path}: EMG is read from .nwb, {', '.join(FORMATS)}")
    return FORMATS[kind](path)


def read_trials_of(
    paths: Mapping[str, Path], recording: RecordingConfig, table: TrialTable | None
) -> tuple[TrialSeries, TrialTable]:
    """Chosen channels of files as trials.

    Several files are a trial each; the table says when the reach starts in it. From one file the
    trials of the table are cut, whose times count from the first sample of the file. Without a table a trial is a whole
    file, or a block of `recording.block_s`.

    Raises:
        DataError: for a channel that is not there, or channels of different rates.
        MismatchError: when no trial of the table is in the recording, or a file is shorter than a block.
    """
    files = [_chosen(read_analog(path), recording) for path in paths.values()]
    names, first = tuple(map(plain_number, paths)), files[0]
    other = [one.name for one in files if abs(one.rate_hz / first.rate_hz - 1) > SAME_CLOCK]
    if other:
        raise DataError(f"{other[0]}: another rate than {first.name} ({first.rate_hz:g} samples a second)")
    files = [in_unit(one.select(first.channels), first.unit) for one in files]  # of any order
    whole = replace(first, trials=names, values=tuple(one.values[0] for one in files), start_s=np.zeros(len(files)))
    if table is None:
        return _blocks(whole, recording.block_s)
    return cut_trials(whole, table) if len(paths) == 1 else (whole, table)


def in_unit(series: TrialSeries, unit: str) -> TrialSeries:
    """A series in another unit of voltage.

    Raises:
        MismatchError: when it differs and one of them is not of voltage.
    """
    if series.unit == unit:
        return series
    if not {series.unit.lower(), unit.lower()} <= set(VOLTS):
        raise MismatchError(f"{series.name}: in {series.unit}, but other recordings or channels are in {unit}")
    factor = VOLTS[series.unit.lower()] / VOLTS[unit.lower()]
    return series.map(lambda rows: rows * factor, unit=unit)


def _blocks(whole: TrialSeries, block_s: float | None) -> tuple[TrialSeries, TrialTable]:
    """Recordings without a table, each as one trial or as blocks that follow each other."""
    parts = []
    for name, rows in zip(whole.trials, whole.values, strict=True):
        one = replace(whole, trials=(name,), values=(rows,), start_s=np.zeros(1))
        parts.append(cut_trials(one, blocks_of(name, 0.0, len(rows) / whole.rate_hz, block_s)))
    series, tables = zip(*parts, strict=True)
    trials = tuple(trial for one in series for trial in one.trials)
    start, end = (np.concatenate([getattr(one, edge) for one in tables]) for edge in ("start_s", "end_s"))
    return (
        replace(whole, trials=trials, values=tuple(rows for one in series for rows in one.values),
                start_s=np.concatenate([one.start_s for one in series])),
        TrialTable(whole.name, trials, np.arange(len(trials)), start, end, {}, "whole files", notes=tables[0].notes),
    )  # fmt: skip


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


def _chosen(file: Analog, recording: RecordingConfig) -> TrialSeries:
    """The channels of the settings, or all that look like EMG, as one trial in the unit of the first."""
    places = _places(file, recording.channels)
    held = [file.rates_hz[place] for place in places.values()]
    rates = {rate if np.isfinite(rate) else recording.rate_hz or np.nan for rate in held}
    if np.isnan(list(rates)).any():
        raise DataError(f"{file.path}: does not hold its rate; set recording.rate_hz to its samples a second")
    lengths = {len(file.values[place]) for place in places.values()}
    if len(rates) > 1 or len(lengths) > 1:
        raise DataError(f"{file.path}: channels have {shorten([f'{rate:g}' for rate in sorted(rates)])} samples a "
                        f"second; choose those of one rate with recording.channels")  # fmt: skip
    rate, zero = rates.pop(), np.zeros(1)
    channels = [TrialSeries(file.path.name, file.units[place] or recording.unit, rate, ("1",), (name,),
                            (file.values[place][:, None],), zero) for name, place in places.items()]  # fmt: skip
    rows = [in_unit(one, channels[0].unit).values[0] for one in channels]
    return replace(channels[0], channels=tuple(places), values=(np.concatenate(rows, axis=1),))


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
