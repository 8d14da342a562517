"""NWB with ndx-pose, read as plain HDF5: ``processing/*/<PoseEstimation>/<series>/{data, confidence, timestamps}``.

Source: the NWB 2 and ndx-pose 0.1 and 0.2 specifications. The order of keypoints is that of ``nodes`` (0.1: in the
container; 0.2: in the skeleton it links to), not the alphabetical one of HDF5. Writers differ: NeuroConv calls the
series of node ``Nose`` ``PoseEstimationSeriesNose``, sleap-io leaves out the rows of frames without a prediction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten
from stac_mjx.keypoints.cleaning import spacing
from stac_mjx.keypoints.formats import reading as hdf5
from stac_mjx.keypoints.formats.reading import Reading, Track, choose_track, said_unit

_PREFIX = "poseestimationseries"
_SAME_TIME = 0.01
"""Times closer than this part of the usual interval belong to one frame."""


@dataclass(frozen=True)
class _Series:
    """One keypoint: positions (frame, xyz) in `unit_text`, confidence (frame,), times (frame,), seconds."""

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


def read(path: Path, track: Track = None) -> Reading:
    """Read one NWB file with ndx-pose estimates."""
    with hdf5.opened(path) as file:
        groups = containers(file)
        if not groups:
            raise InputError(
                f"{path}: no pose estimates (got {hdf5.contents(file)}; expected processing/<module>/PoseEstimation "
                "with one series a keypoint, ndx-pose)"
            )
        group = groups[choose_track(path, track, [str(group.name) for group in groups])]
        series_of, notes = _series_of_nodes(path, group)
        series = {node: _read_series(path, group, name) for node, name in series_of.items() if name is not None}
        clip_names, clip_stops = _exported_clips(file)
    times, rows = _frames(path, series)
    first = next(iter(series.values()))
    positions = np.full((len(next(iter(rows.values()))) if times is None else len(times), len(series_of), 3), np.nan)
    scores = np.full(positions.shape[:2], np.nan)
    for k, node in enumerate(series_of):
        if node in series:
            positions[rows[node], k] = series[node].positions
            scores[rows[node], k] = np.nan if series[node].confidence is None else series[node].confidence
    timing, rate_hz = None, next((one.rate_hz for one in series.values() if one.rate_hz is not None), None)
    if times is not None and rate_hz is None:
        timing = spacing(path, times, "timestamps")
        rate_hz = None if timing.step is None else round(1.0 / timing.step, 6)
        notes = (*notes, *timing.notes)
    lengths, edges = timing and timing.clip_lengths, np.round(np.array([0.0, *clip_stops]) * (rate_hz or np.nan))
    exported = bool(clip_names) and edges[-1] == len(positions)
    if exported:
        lengths = tuple(np.diff(edges).astype(int).tolist())
    unit, unit_note = said_unit(first.unit_text, "attribute unit of the series")
    return Reading(
        positions=positions,
        confidence=None if all(one.confidence is None for one in series.values()) else scores,
        names=tuple(series_of),
        rate_hz=rate_hz,
        unit=unit,
        clip_lengths=lengths,
        clip_names=clip_names if exported else None,
        notes=(*notes, unit_note),
    )


def _exported_clips(file: h5py.File) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return names and ends (s) of clips that stand end to end, as our own export writes them; none in other files."""
    names = hdf5.texts(file, "intervals/trials/clip")
    stop = hdf5.first_dataset(file, "intervals/trials/stop_time")
    return (names, tuple(hdf5.numbers(stop))) if names and stop is not None else ((), ())


def _is_estimate(group: h5py.Group) -> bool:
    """Return whether the type or name of a group is PoseEstimation, and it has series."""
    kind = hdf5.text_attribute(group, "neurodata_type") or str(group.name).rpartition("/")[2]
    return kind.startswith("PoseEstimation") and bool(_series_names(group))


def _series_names(group: h5py.Group) -> list[str]:
    return [str(name) for name in group if hdf5.first_dataset(group, f"{name}/data") is not None]


def _series_of_nodes(path: Path, group: h5py.Group) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Return node -> name of its series (None: there is none), in the order of ``nodes``, and notes.

    Names that are not the same are matched without the prefix of NeuroConv, case, blanks, hyphens and underscores.
    """
    stored = _series_names(group)
    nodes = hdf5.texts(group, "nodes", "skeleton/nodes")
    if nodes is None:
        names = {name[len(_PREFIX) :] if name.lower().startswith(_PREFIX) else name: name for name in stored}
        return dict(names), ("the file has no nodes: keypoints are in the order of the series in HDF5",)
    others = [name for name in stored if name not in nodes]
    found: dict[str, str | None] = {}
    for node in nodes:
        alike = [name for name in others if _key(name) == _key(node)]
        found[node] = node if node in stored else alike[0] if len(alike) == 1 else None
    without = [node for node, name in found.items() if name is None]
    unused = [name for name in others if name not in found.values()]
    problems = [f"node {node!r} has no series" for node in without]
    problems += [f"series {name!r} is not one of the nodes" for name in unused]
    if len(without) == len(nodes):
        problems = [f"nodes ({shorten(nodes)}) and series ({shorten(stored)}) have no name in common"]
    raise_all(InputError, f"{path}: {group.name}", problems if unused or len(without) == len(nodes) else [])
    return found, (f"nodes without a series, never observed: {shorten(without)}",) if without else ()


def _key(name: str) -> str:
    plain = re.sub(r"[\W_]+", "", name).lower()
    return plain.removeprefix(_PREFIX).removesuffix(_PREFIX)


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
    times, rate_hz = _column(group, f"{name}/timestamps"), None
    if start is not None and times is None:
        rate_hz = hdf5.number_attribute(start, "rate")
        times = None if not rate_hz else float(hdf5.numbers(start).ravel()[0]) + np.arange(len(positions)) / rate_hz
    return _Series(
        positions=positions,
        confidence=_column(group, f"{name}/confidence"),
        times=times,
        rate_hz=rate_hz,
        unit_text=hdf5.text_attribute(data, "unit"),
    )


def _column(group: h5py.Group, name: str) -> np.ndarray | None:
    node = hdf5.first_dataset(group, name)
    return hdf5.numbers(node).ravel() if node is not None and node.size else None


def _frames(path: Path, series: dict[str, _Series]) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """Return the times of all frames, and the frames of the rows of every series: the union over the series.

    Without any times all series must have as many rows, and the times are None.
    """
    names, first = list(series), next(iter(series.values()))
    problems: list[str] = []
    for name, one in series.items():
        n_rows = len(one.positions)
        if one.confidence is not None and len(one.confidence) != n_rows:
            problems.append(f"{name!r} has {len(one.confidence)} confidences for {n_rows} frames")
        if one.times is None and n_rows != len(first.positions):
            problems.append(f"{name!r} has {n_rows} frames, {names[0]!r} has {len(first.positions)}, and no times")
        if one.times is not None and len(one.times) != n_rows:
            problems.append(f"{name!r} has {len(one.times)} timestamps for {n_rows} frames")
        if one.times is not None and not np.isfinite(one.times).all():
            problems.append(f"{name!r}: timestamps contain NaN or infinite values")
        both = one.rate_hz is not None and first.rate_hz is not None
        if (one.times is None) != (first.times is None) or (both and one.rate_hz != first.rate_hz):
            problems.append(f"{name!r} is timed differently from {names[0]!r}")
        if one.unit_text != first.unit_text:
            problems.append(f"{name!r} is in {one.unit_text!r}, {names[0]!r} in {first.unit_text!r}")
    raise_all(InputError, str(path), problems)
    own = {name: one.times for name, one in series.items() if one.times is not None}
    if not own:
        return None, dict.fromkeys(series, np.arange(len(first.positions)))
    times = np.unique(np.concatenate(list(own.values())))
    if len(times) > 1:
        times = times[np.diff(times, prepend=-np.inf) > _SAME_TIME * np.median(np.diff(times))]
    return times, {name: np.searchsorted(times, rows, side="right") - 1 for name, rows in own.items()}
