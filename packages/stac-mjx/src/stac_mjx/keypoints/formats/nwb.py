"""NWB with ndx-pose, read as plain HDF5: ``processing/*/<PoseEstimation>/<series>/{data, confidence, timestamps}``.

Source: the NWB 2 and ndx-pose 0.1 and 0.2 specifications. The order of keypoints is that of ``nodes`` (0.1: in the
container; 0.2: in the skeleton it links to), not the alphabetical one of HDF5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten
from stac_mjx._common.units import said_unit
from stac_mjx.keypoints.cleaning import spacing
from stac_mjx.keypoints.formats import reading as hdf5
from stac_mjx.keypoints.formats.reading import Reading, choose_track


@dataclass(frozen=True)
class _Series:
    """One keypoint: positions (frame, xyz) in `unit_text`, confidence (frame,), times (frame,) or a rate."""

    positions: np.ndarray
    confidence: np.ndarray | None
    times: np.ndarray | None
    rate_hz: float | None
    unit_text: str | None


def containers(file: h5py.File) -> list[h5py.Group]:
    """Return the groups of the file that hold pose estimates, in file order."""
    modules = _subgroups(hdf5.member(file, "processing"))
    return [group for module in modules for group in _subgroups(module) if _is_estimate(group)]


def _subgroups(parent: h5py.Group | h5py.Dataset | None) -> list[h5py.Group]:
    members = [hdf5.member(parent, str(name)) for name in parent] if isinstance(parent, h5py.Group) else []
    return [member for member in members if isinstance(member, h5py.Group)]


def read(path: Path, track: int | None = None) -> Reading:
    """Read one NWB file with ndx-pose estimates."""
    with hdf5.opened(path) as file:
        groups = containers(file)
        if not groups:
            raise InputError(
                f"{path}: no pose estimates (got {hdf5.contents(file)}; expected processing/<module>/PoseEstimation "
                "with one series a keypoint, ndx-pose)"
            )
        group = groups[choose_track(path, track, [str(group.name) for group in groups])]
        names, order_note = _ordered_names(path, group)
        series = [_read_series(path, group, name) for name in names]
    _check_same(path, names, series)
    timing, rate_hz = None, series[0].rate_hz
    if series[0].times is not None:
        timing = spacing(path, series[0].times, "timestamps")
        rate_hz = None if timing.step is None else round(1.0 / timing.step, 6)
    unit, unit_note = said_unit(series[0].unit_text, "attribute unit of the series")
    return Reading(
        positions=np.stack([one.positions for one in series], axis=1),
        confidence=_confidence([one.confidence for one in series], len(series[0].positions)),
        names=names,
        rate_hz=rate_hz,
        unit=unit,
        clip_lengths=None if timing is None else timing.clip_lengths,
        notes=(*order_note, *(timing.notes if timing is not None else ()), unit_note),
    )


def _is_estimate(group: h5py.Group) -> bool:
    """Return whether the type or name of a group is PoseEstimation, and it has series."""
    kind = hdf5.text_attribute(group, "neurodata_type") or str(group.name).rpartition("/")[2]
    return kind.startswith("PoseEstimation") and bool(_series_names(group))


def _series_names(group: h5py.Group) -> list[str]:
    return [str(name) for name in group if hdf5.first_dataset(group, f"{name}/data") is not None]


def _ordered_names(path: Path, group: h5py.Group) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the series in the order of ``nodes``, and a note where the file has no nodes."""
    stored = _series_names(group)
    listed = hdf5.first_dataset(group, "nodes", "skeleton/nodes")
    if listed is None:
        return tuple(stored), ("the file has no nodes: keypoints are in the order of the series in HDF5",)
    nodes = hdf5.strings(listed)
    problems = [f"node {name!r} has no series" for name in nodes if name not in stored]
    problems += [f"series {name!r} is not one of the nodes" for name in stored if name not in nodes]
    if problems and not set(nodes) & set(stored):
        problems = [f"nodes ({shorten(nodes)}) and series ({shorten(stored)}) have no name in common"]
    raise_all(InputError, f"{path}: {group.name}", problems)
    return nodes, ()


def _read_series(path: Path, group: h5py.Group, name: str) -> _Series:
    data = hdf5.first_dataset(group, f"{name}/data")
    where = f"{path}: {group.name}/{name}/data"
    if data is None or len(data.shape) != 2 or data.shape[1] not in (2, 3):
        raise InputError(f"{where}: expected (frame, 3), got {getattr(data, 'shape', None)}")
    if data.shape[1] == 2:
        raise InputError(f"{where}: 2D data {data.shape}, expected 3D. Triangulate the cameras first")
    start = hdf5.first_dataset(group, f"{name}/starting_time")
    conversion, offset = (hdf5.number_attribute(data, key) for key in ("conversion", "offset"))
    positions = hdf5.numbers(data)
    # values that overflow become inf, which cleaning marks as missing
    with np.errstate(over="ignore", invalid="ignore"):
        if conversion not in (None, 1.0):
            positions = positions * conversion
        if offset not in (None, 0.0):
            positions = positions + offset
    return _Series(
        positions=positions,
        confidence=_column(group, f"{name}/confidence"),
        times=_column(group, f"{name}/timestamps"),
        rate_hz=None if start is None else hdf5.number_attribute(start, "rate"),
        unit_text=hdf5.text_attribute(data, "unit"),
    )


def _column(group: h5py.Group, name: str) -> np.ndarray | None:
    node = hdf5.first_dataset(group, name)
    return hdf5.numbers(node).ravel() if node is not None and node.size else None


def _check_same(path: Path, names: tuple[str, ...], series: list[_Series]) -> None:
    """Check that all series have the frames, times, rate and unit of the first."""
    first = series[0]
    n_frames = len(first.positions)
    problems: list[str] = []
    for name, one in zip(names, series, strict=True):
        if len(one.positions) != n_frames:
            problems.append(f"{name!r} has {len(one.positions)} frames, {names[0]!r} has {n_frames}")
            continue
        if one.confidence is not None and len(one.confidence) != n_frames:
            problems.append(f"{name!r} has {len(one.confidence)} confidences for {n_frames} frames")
        if one.times is not None and len(one.times) != n_frames:
            problems.append(f"{name!r} has {len(one.times)} timestamps for {n_frames} frames")
        elif one.rate_hz != first.rate_hz or not _same_times(one.times, first.times):
            problems.append(f"{name!r} is timed differently from {names[0]!r}")
        if one.unit_text != first.unit_text:
            problems.append(f"{name!r} is in {one.unit_text!r}, {names[0]!r} in {first.unit_text!r}")
    raise_all(InputError, str(path), problems)


def _same_times(times: np.ndarray | None, other: np.ndarray | None) -> bool:
    if times is None or other is None:
        return times is None and other is None
    return times is other or np.array_equal(times, other, equal_nan=True)


def _confidence(columns: list[np.ndarray | None], n_frames: int) -> np.ndarray | None:
    """Return confidence (frame, keypoint); NaN (unknown) for a series without it."""
    if all(column is None for column in columns):
        return None
    unknown = np.full(n_frames, np.nan)
    return np.stack([unknown if column is None else column for column in columns], axis=1)
