"""Read SLEAP and Anipose ``.h5``: ``tracks`` in any common order of axes, ``node_names``, ``point_scores``.

Triangulated 3D tracks are (frame, track, keypoint, xyz), or (frame, keypoint, xyz) for one animal. SLEAP's own analysis
file, written column-major, is (track, coordinate, keypoint, frame); two coordinates are 2D and refused.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints.formats import reading as hdf5
from stac_mjx.keypoints.formats.reading import Reading, Track, choose_track, said_unit

POSITIONS = "tracks"
"""Data set of the positions."""
_NAMES = ("node_names", "keypoint_names", "kp_names", "names")
_RATES = ("fps", "frame_rate", "framerate", "rate_hz")
_UNITS = ("units", "unit")
_LAYOUTS = {4: ("ftkx", "txkf"), 3: ("fkx", "xkf", "fxk")}
"""Orders of the axes frame, track, keypoint and xyz, most usual first."""
_WORDS = {"f": "frame", "t": "track", "k": "keypoint", "x": "xyz"}


def read(path: Path, track: Track = None) -> Reading:
    """Read one SLEAP or Anipose file."""
    with hdf5.opened(path) as file:
        dataset = hdf5.first_dataset(file, POSITIONS)
        if dataset is None:
            raise InputError(f"{path}: missing data set 'tracks' (got {hdf5.contents(file)})")
        names = hdf5.texts(file, *_NAMES)
        stored = hdf5.first_dataset(file, "point_scores")
        layouts = _best_layouts(f"{path}: tracks", dataset.shape, names, None if stored is None else stored.shape)
        readings = [_reordered(hdf5.numbers(dataset), layout, "ftkx") for layout in layouts]
        chosen = hdf5.steadiest([reading[:, 0] for reading in readings])
        positions, layout = readings[chosen], layouts[chosen]
        scores = None if stored is None else _scores(path, stored, dataset.shape, layout)
        labels = hdf5.texts(file, "track_names")
        unit_text = hdf5.text_attribute(dataset, *_UNITS) or hdf5.text_attribute(file, *_UNITS)
        unit, unit_note = said_unit(unit_text, "attribute units")
        rate_hz = _rate(file, dataset)
        lengths = _clip_lengths(file, len(positions))
    index = choose_track(path, track, _labels(positions, labels))
    notes = [unit_note]
    if layout not in ("ftkx", "fkx"):
        why = ", because distances between keypoints vary least so" if len(layouts) > 1 else ""
        notes.append(f"tracks read as ({', '.join(_WORDS[axis] for axis in layout)}){why}")
    if lengths is not None:
        notes.append(f"{len(lengths)} clips (clip_starts of the file)")
    return Reading(
        positions=positions[:, index],
        confidence=None if scores is None else scores[:, index],
        names=names,
        rate_hz=rate_hz,
        unit=unit,
        clip_lengths=lengths,
        notes=tuple(notes),
    )


def _scores(path: Path, stored: h5py.Dataset, shape: tuple[int, ...], layout: str) -> np.ndarray:
    """Return the scores of positions with these axes, (frame, track, keypoint)."""
    expected = tuple(size for axis, size in zip(layout, shape, strict=True) if axis != "x")
    if not _same_but_ones(stored.shape, expected):
        raise InputError(f"{path}: point_scores {stored.shape} do not match tracks {shape}")
    return _reordered(hdf5.numbers(stored).reshape(expected), layout.replace("x", ""), "ftk")


def _best_layouts(
    where: str, shape: tuple[int, ...], names: tuple[str, ...] | None, scores: tuple[int, ...] | None
) -> list[str]:
    """Return the layouts whose xyz axis has length 3, of those that agree best with names and scores."""
    ranked: list[tuple[bool, bool, bool, str]] = []
    for layout in _LAYOUTS.get(len(shape), ()):
        sizes = dict(zip(layout, shape, strict=True))
        if sizes["x"] not in (2, 3):
            continue
        fits_names = names is None or sizes["k"] == len(names)
        fits_scores = scores is None or _same_but_ones(scores, tuple(sizes[a] for a in layout if a != "x"))
        ranked.append((fits_names, fits_scores, sizes["x"] == 3, layout))
    if not ranked:
        raise InputError(
            f"{where}: wrong axes {shape}; expected (frame, track, keypoint, 3), (frame, keypoint, 3)"
            " or SLEAP's (track, 3, keypoint, frame)"
        )
    best = max(rank[:3] for rank in ranked)
    if not best[2]:
        raise InputError(f"{where}: 2D data {shape}, expected 3D. Triangulate the cameras first")
    return [rank[3] for rank in ranked if rank[:3] == best]  # the more usual order first


def _same_but_ones(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether two shapes agree apart from axes of length 1."""
    return [n for n in shape if n != 1] == [n for n in other if n != 1]


def _reordered(values: np.ndarray, axes: str, wanted: str) -> np.ndarray:
    """Transpose `values` from `axes` to `wanted`, adding the track axis where it is absent."""
    if "t" not in axes:
        values, axes = values[..., np.newaxis], axes + "t"
    return values.transpose([axes.index(axis) for axis in wanted])


def _labels(positions: np.ndarray, names: tuple[str, ...] | None) -> list[str]:
    """Describe each track for a message: its name and the number of frames in which it was observed."""
    n_tracks = positions.shape[1]
    counts = [int(np.isfinite(positions[:, track]).any(axis=(1, 2)).sum()) for track in range(n_tracks)]
    known = names if names is not None and len(names) == n_tracks else ("unnamed",) * n_tracks
    return [f"{name} ({count} frames)" for name, count in zip(known, counts, strict=True)]


def _rate(file: h5py.File, dataset: h5py.Dataset) -> float | None:
    for node in (dataset, file):
        rate = hdf5.number_attribute(node, *_RATES)
        if rate is not None:
            return rate
    node = hdf5.first_dataset(file, *_RATES)
    return float(hdf5.numbers(node).ravel()[0]) if node is not None and node.size == 1 else None


def _clip_lengths(file: h5py.File, n_frames: int) -> tuple[int, ...] | None:
    """Return the lengths of the clips, from ``clip_starts``."""
    node = hdf5.first_dataset(file, "clip_starts")
    if node is None:
        return None
    starts = hdf5.numbers(node).ravel()
    lengths = np.diff(np.append(starts, n_frames))
    if not len(starts) or starts[0] != 0 or (lengths <= 0).any() or (starts % 1).any():
        raise InputError(
            f"{file.filename}: clip_starts: expected increasing frames from 0 below {n_frames}, got {starts.tolist()}"
        )
    return tuple(int(length) for length in lengths)
