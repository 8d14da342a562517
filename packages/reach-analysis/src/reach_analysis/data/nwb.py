"""Raw EMG and trials from NWB files, read with plain h5py: one time series and the table ``intervals/trials``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from reach_analysis._common.errors import DataError, InputError, shorten, unknown
from reach_analysis._common.hdf5.reading import attribute, find, open_hdf5, read_numbers, read_strings
from reach_analysis.config import RecordingConfig
from reach_analysis.data.recordings import ID_COLUMNS, MARGIN_S, TrialTable, blocks_of
from reach_analysis.data.rollouts import plain_number
from reach_analysis.data.series import TrialSeries


def read_nwb(path: Path, recording: RecordingConfig, table: TrialTable | None = None) -> tuple[TrialSeries, TrialTable]:
    """Read raw EMG and trials from an NWB file, as far as these: no other part of the standard is interpreted.

    Trials are those of a `table` on the clock of the file, else of ``intervals/trials``; without both the recording is
    one trial, or blocks.

    Raises:
        InputError: when it is not an HDF5 file or lacks the series.
        DataError: when a channel is not there, or no trial lies within the recording.
    """
    channels: Mapping[str, int] = recording.nwb_channels or {}
    with open_hdf5(path) as file:
        series = _nwb_series(file, path, recording.nwb_series)
        data, columns = series.data, 1 if series.data.ndim == 1 else series.data.shape[1]
        if columns > len(data) > 0:
            raise InputError(f"{path}: {recording.nwb_series}/data has shape {data.shape}; expected (time, channel)")
        wrong = {name: column for name, column in channels.items() if not 0 <= column < columns}
        if wrong or not channels:
            said = f"names others: {wrong}" if wrong else "is not set; for example recording.nwb_channels={biceps:0}"
            raise DataError(f"{path}: {recording.nwb_series} has {columns} channels; recording.nwb_channels {said}")
        if table is None and find(file, "intervals/trials") is None:
            table = blocks_of(path.name, series.begin_s, series.end_s, recording.block_s)
        if table is None:
            names, start, stop, reach = _nwb_trials(file, path, recording.start_column)
            about: dict[str, Any] = {"source": path.name, "rate_note": f"{path.name} in seconds", "notes": ()}
        else:
            names, start, stop, reach = list(table.trials), table.start_s, table.end_s, table.start_s
            about = {"source": table.source, "rate_note": table.rate_note, "notes": table.notes}
        chosen = list(channels.values())
        factor, offset = _conversion(file, path, recording.nwb_series, columns)
        unit = attribute(data, "unit")
        unit = unit if isinstance(unit, str) and unit else "a.u."
        values, starts, keep, left_out = [], [], [], {}
        for number, name in enumerate(names):
            first, last = series.samples(start[number] - MARGIN_S, stop[number] + MARGIN_S)
            if not last > first or not np.isfinite(reach[number]):
                left_out[name] = "has no reach" if last > first else "lies outside the recording"
                continue
            rows = read_numbers(data, index=np.s_[first:last]).reshape(last - first, -1)[:, chosen]
            values.append(rows.astype(float) * factor[chosen] + offset)
            starts.append(series.time(first))
            keep.append(number)
    if not keep:
        raise DataError(f"{path}: no trial lies within the recording")
    trials = tuple(names[number] for number in keep)
    raw = TrialSeries("EMG", unit, series.rate_hz, trials, tuple(channels), tuple(values), np.array(starts))
    rows = np.array(keep)
    about["notes"] += series.drift()
    return raw, TrialTable(trials=trials, rows=rows, start_s=reach[rows], end_s=stop[rows], left_out=left_out, **about)


class _Series(NamedTuple):
    """A time series: its samples, their rate and when they were taken."""

    data: h5py.Dataset
    rate_hz: float
    begin_s: float
    stamps: np.ndarray | None
    """Time of each sample, s, where the file has them."""

    def samples(self, begin_s: float, end_s: float) -> tuple[int, int]:
        """First sample at or after a time, and the first after another; within the recording."""
        if not np.isfinite([begin_s, end_s]).all():
            return 0, 0
        if self.stamps is not None:
            return int(np.searchsorted(self.stamps, begin_s - 1e-9)), int(np.searchsorted(self.stamps, end_s - 1e-9))
        # clipped in seconds, because a damaged time may be too large to count in samples
        edges = np.clip(np.array([begin_s, end_s]) - self.begin_s, 0.0, self.data.shape[0] / self.rate_hz)
        first, last = np.round(edges * self.rate_hz)
        return int(first), int(last)

    @property
    def end_s(self) -> float:
        """Time of the last sample, and a sample."""
        last = self.begin_s + (len(self.data) - 1) / self.rate_hz if self.stamps is None else float(self.stamps[-1])
        return last + 1 / self.rate_hz

    def drift(self) -> tuple[str, ...]:
        """A note about timestamps that differ from an even clock by more than half a sample."""
        if self.stamps is None:
            return ()
        even = self.begin_s + np.arange(len(self.stamps)) / self.rate_hz
        off = float(np.abs(self.stamps - even).max())
        if off < 0.5 / self.rate_hz:
            return ()
        return (f"Timestamps differ from an even clock of {self.rate_hz:.6g} Hz by at most {1e3 * off:.3g} ms; trials "
                "are cut by the timestamps.",)  # fmt: skip

    def time(self, sample: int) -> float:
        """Time of a sample, s."""
        return float(self.begin_s + sample / self.rate_hz if self.stamps is None else self.stamps[sample])


def _nwb_series(file: h5py.File, path: Path, where: str) -> _Series:
    """The data of a time series and its clock."""
    data = find(file, f"{where}/data")
    if not isinstance(data, h5py.Dataset) or data.ndim not in (1, 2):
        group = find(file, "acquisition")
        there = [f"acquisition/{name}" for name in group] if isinstance(group, h5py.Group) else []
        raise InputError(f"{path}: {unknown('time series', where, there)}")
    starting = find(file, f"{where}/starting_time")
    if isinstance(starting, h5py.Dataset):
        rate = attribute(starting, "rate")
        begin = read_numbers(starting)
        if isinstance(rate, int | float) and 0 < rate < np.inf and begin.shape == () and np.isfinite(begin):
            return _Series(data, float(rate), float(begin), None)
    stamps = find(file, f"{where}/timestamps")
    if not isinstance(stamps, h5py.Dataset):
        raise InputError(f"{path}: {where} has neither a rate (starting_time) nor timestamps")
    times = read_numbers(stamps).astype(float)
    if times.ndim == 2 and len(times):  # some tools repeat them for every channel
        times = times[0]
    if times.shape != data.shape[:1]:
        raise InputError(
            f"{path}: {where} has {times.size} timestamps and data of shape {data.shape}; expected (time, channel)"
        )
    rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0
    # a clock may drift, but neither lose samples nor jump
    if rate <= 0 or not (np.diff(times) > 0).all() or np.diff(times).max() > 1.5 / rate:
        raise InputError(f"{path}: the timestamps of {where} are not evenly spaced")
    return _Series(data, float(rate), float(times[0]), times)


def _conversion(file: h5py.File, path: Path, where: str, columns: int) -> tuple[np.ndarray, float]:
    """Factor of each channel and offset that turn stored numbers into the series' unit."""
    data = find(file, f"{where}/data")
    assert isinstance(data, h5py.Dataset)
    factor, offset = (attribute(data, name) for name in ("conversion", "offset"))
    factors = np.full(columns, float(factor) if isinstance(factor, int | float) else 1.0)
    by_channel = find(file, f"{where}/channel_conversion")
    if isinstance(by_channel, h5py.Dataset):
        own = read_numbers(by_channel).astype(float).ravel()
        if len(own) != columns:
            raise InputError(f"{path}: {where}: {len(own)} values of channel_conversion for {columns} channels")
        factors = factors * own
    return factors, float(offset) if isinstance(offset, int | float) else 0.0


def _nwb_trials(
    file: h5py.File, path: Path, start_column: str | None
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Names, starts, stops and starts of the reach, s."""
    columns = {}
    for name in ("start_time", "stop_time", start_column or "reach_start"):
        item = find(file, f"intervals/trials/{name}")
        if isinstance(item, h5py.Dataset):
            columns[name] = read_numbers(item).astype(float)
    group = find(file, "intervals/trials")
    there = list(group) if isinstance(group, h5py.Group) else []
    for needed in ("start_time", "stop_time", *([start_column] if start_column else [])):
        if needed not in columns:
            raise InputError(f"{path}: intervals/trials: {unknown('column', needed, there)}")
    odd = [
        f"{name} {values.shape}" for name, values in columns.items() if values.shape != (columns["start_time"].size,)
    ]
    if odd:
        raise InputError(f"{path}: intervals/trials: expected columns of one value a trial, got {shorten(odd)}")
    start, stop = columns["start_time"], columns["stop_time"]
    names = [str(number + 1) for number in range(len(start))]
    for column in ID_COLUMNS:
        item = find(file, f"intervals/trials/{column}")
        if isinstance(item, h5py.Dataset) and item.shape == start.shape:
            text = h5py.check_string_dtype(item.dtype) is not None
            names = [plain_number(str(v)) for v in (read_strings(item) if text else read_numbers(item).tolist())]
            break
    return names, start, stop, columns.get(start_column or "reach_start", start)
