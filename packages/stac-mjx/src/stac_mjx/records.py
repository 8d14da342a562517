"""Registered clips and marker offsets: the two records this package writes and reads; see docs/schema.

Frames of all clips are stored end to end. Lengths are in metres, except that qpos and qvel are the coordinates of the
enclosed MJCF in its units. Shapes and labels that do not fit together are reported on writing, all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float, Int, Shaped

from stac_mjx._common.errors import ContractError, InputError, raise_all, unknown
from stac_mjx._common.hdf5.check import load_record
from stac_mjx._common.hdf5.info import FileInfo, info_attributes, info_from, info_values
from stac_mjx._common.hdf5.reading import open_contract, read_numbers, read_strings, require
from stac_mjx._common.hdf5.record import Record
from stac_mjx._common.hdf5.writing import Variable, build_record, write_record
from stac_mjx._common.selection import select_clips

CLIPS = "mimic.reference_clips"
OFFSETS = "mimic.offsets"

SOLVER_STATUS = ("converged", "max_iterations", "no_markers", "non_finite")
"""Meaning of the values of ``solver_status``."""

_WXYZ = {"quaternion_order": "wxyz"}


@dataclass(frozen=True, eq=False)
class ReferenceClips:
    """Poses registered to recorded keypoints, one or many clips end to end."""

    info: FileInfo
    """What the file says about itself; ``info.rate_hz`` is the rate of the frames."""
    clip_name: tuple[str, ...]
    """Unique names."""
    clip_length: Int[np.ndarray, " clip"]
    """Frames of each clip."""
    qpos: Float[np.ndarray, "frame qpos"]
    """Generalised coordinates, in the MJCF's units."""
    qvel: Float[np.ndarray, "frame qvel"]
    """Generalised velocities, in the MJCF's units."""
    xpos: Float[np.ndarray, "frame body 3"]
    """Position of every body, world first, metres."""
    xquat: Float[np.ndarray, "frame body 4"]
    """Orientation (wxyz) of every body."""
    kp_data: Float[np.ndarray, "frame keypoint 3"]
    """Recorded keypoints in the body's world, metres; NaN where missing."""
    marker_sites: Float[np.ndarray, "frame keypoint 3"]
    """The same points on the body, metres."""
    kp_confidence: Float[np.ndarray, "frame keypoint"]
    """Weight of each keypoint, 0..1; 0 where missing or left out."""
    at_joint_limit: Shaped[np.ndarray, "frame qpos"]
    """Whether each coordinate is on its limit."""
    valid: Shaped[np.ndarray, " frame"]
    """Whether the pose of a frame may be used."""
    solver_status: Shaped[np.ndarray, " frame"]
    """Index into :data:`SOLVER_STATUS`."""
    names_qpos: tuple[str, ...]
    """Unique labels of the columns of `qpos`."""
    names_qvel: tuple[str, ...]
    """Unique labels of the columns of `qvel`."""
    names_xpos: tuple[str, ...]
    """Unique names of the bodies."""
    kp_names: tuple[str, ...]
    """Unique names of the keypoints."""
    qpos_units: tuple[str, ...]
    """Unit of each column of `qpos`."""
    qvel_units: tuple[str, ...]
    """Unit of each column of `qvel`."""
    qvel_method: str = "finite difference of qpos on the joint manifold, central, one-sided at clip ends"
    """How the velocities were computed."""
    qpos_stderr: Float[np.ndarray, "frame qvel"] | None = None
    """Standard error of each degree of freedom, in the MJCF's units; NaN where the frame has no pose."""
    qpos_resolution: Float[np.ndarray, "frame qvel"] | None = None
    """Part of each degree of freedom that keypoints determine, 0 to 1; the rest is the prior pose."""
    qpos_observed: Shaped[np.ndarray, " qpos"] | None = None
    """Whether keypoints determine each coordinate; others stay near the neutral pose. None: unknown."""
    kp_body: tuple[str, ...] | None = None
    """Body each keypoint moves with."""
    offsets: Float[np.ndarray, "keypoint 3"] | None = None
    """Position of each keypoint in the frame of that body, metres."""
    trial_id: tuple[str, ...] | None = None
    """Trial of each clip."""
    clip_label: tuple[str, ...] | None = None
    """Label of each clip."""
    events: Mapping[str, Float[np.ndarray, " clip"]] = field(default_factory=dict)
    """Name -> time from the start of each clip, seconds; NaN where it did not happen."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a further label -> its value for each clip."""

    @property
    def clip_start(self) -> Int[np.ndarray, " clip"]:
        """First frame of each clip."""
        return (np.cumsum(self.clip_length) - self.clip_length).astype(np.int64)

    @cached_property
    def frame_clip(self) -> Int[np.ndarray, " frame"]:
        """Clip each frame belongs to."""
        return np.repeat(np.arange(len(self.clip_length), dtype=np.int32), self.clip_length)

    @cached_property
    def time(self) -> Float[np.ndarray, " frame"]:
        """Time of each frame from the start of its clip, seconds."""
        starts = np.repeat(self.clip_start, self.clip_length)
        return (np.arange(len(starts)) - starts) / float(self.info.rate_hz or np.nan)

    @cached_property
    def residual(self) -> Float[np.ndarray, "frame keypoint"]:
        """Distance from each recorded keypoint to its site, metres; NaN where the keypoint is missing."""
        out = np.empty(self.kp_data.shape[:2], np.float32)
        # in portions, because the difference of two long recordings would take as much memory as both
        for start in range(0, len(out), 8192):
            part = slice(start, start + 8192)
            with np.errstate(over="ignore"):
                out[part] = np.linalg.norm(self.kp_data[part] - self.marker_sites[part], axis=-1)
        return out

    @property
    def error_mm(self) -> Float[np.ndarray, "frame keypoint"]:
        """The same distance in millimetres; NaN also where it is not finite."""
        out = self.residual * np.float32(1000)
        out[~np.isfinite(out)] = np.nan
        return out

    @property
    def skeleton(self) -> list[tuple[int, int]]:
        """Numbers of the keypoints that lines in plots and films join."""
        place = {name: k for k, name in enumerate(self.kp_names)}
        return [(place[a], place[b]) for a, b in self.info.skeleton if a in place and b in place]

    @property
    def dof_units(self) -> tuple[str, ...]:
        """Unit of each degree of freedom: that of its velocity, times seconds."""
        return tuple(unit.removesuffix(" s-1") for unit in self.qvel_units)

    @property
    def n_frames(self) -> int:
        """Frames of all clips together."""
        return int(self.qpos.shape[0])

    def frames(self, clip: int | str) -> slice:
        """Return the frames of one clip, given by name or number; InputError where there is none."""
        index = _clip_index(clip, self.clip_name)
        start = int(self.clip_start[index])
        return slice(start, start + int(self.clip_length[index]))


@dataclass(frozen=True, eq=False)
class Offsets:
    """Position of each keypoint on the body."""

    info: FileInfo
    """What the file says about itself."""
    kp_names: tuple[str, ...]
    """Unique names of the keypoints."""
    kp_body: tuple[str, ...]
    """Body each keypoint moves with."""
    offsets: Float[np.ndarray, "keypoint 3"]
    """Position in the frame of that body, metres."""
    offset_initial: Float[np.ndarray, "keypoint 3"]
    """Offsets at the start of calibration, toward which regularisation pulls, metres."""
    regularised: Shaped[np.ndarray, " keypoint"]
    """Whether each offset was pulled toward its initial value."""
    scale_factor: float
    """Factor the MJCF is scaled by, against its source."""
    keypoint_scale_factor: float
    """Factor k of the keypoints, besides their unit."""
    loss_history: Float[np.ndarray, " iteration"]
    """Objective after each round, m2: weighted mean of the loss on squared distances, plus regularisation."""
    offset_std: Float[np.ndarray, "keypoint 3"] | None = None
    """Standard error of each offset, metres."""
    fit_frames: Int[np.ndarray, " fit_frame"] | None = None
    """Frames used, counted over all clips end to end."""
    mean_error_history: Float[np.ndarray, " iteration"] | None = None
    """Mean distance of observed keypoints to their sites after each round, metres."""
    alignment_rotation: Float[np.ndarray, "3 3"] | None = None
    """R of the transform k R x + t from the recording, in metres, to the world of the body; None: not fitted."""
    alignment_translation: Float[np.ndarray, "3"] | None = None
    """t of that transform, metres."""
    alignment_clip: tuple[str, ...] | None = None
    """Clips that have a transform each, instead of the one above."""
    clip_alignment_rotation: Float[np.ndarray, "clip 3 3"] | None = None
    """R of each of them."""
    clip_alignment_translation: Float[np.ndarray, "clip 3"] | None = None
    """t of each of them, metres."""
    segment: tuple[str, ...] | None = None
    """Groups of segments whose scale was fitted."""
    segment_scale: Float[np.ndarray, " segment"] | None = None
    """Factor on the lengths of each group, which the enclosed MJCF has."""
    segment_scale_std: Float[np.ndarray, " segment"] | None = None
    """Standard error of each factor."""


def write_clips(path: str | Path, clips: ReferenceClips) -> None:
    """Write registered clips; a reader sees the old file or the whole new one.

    Raises:
        ContractError: when shapes or names do not fit together; all problems in one message.
        OutputError: when the file cannot be written.
    """
    raise_all(ContractError, str(path), _clip_problems(clips))
    write_record(Path(path), clips_record(clips))


def clips_record(clips: ReferenceClips) -> Record:
    """Return registered clips as the content of a file."""
    names = (*_stored(ReferenceClips), "clip_start", "frame_clip", "time", "residual")
    values = {name: getattr(clips, name) for name in names}
    values |= {f"events/{name}": times for name, times in clips.events.items()}
    values |= {f"labels/{name}": tuple(texts) for name, texts in clips.labels.items()}
    attributes = {
        "clip_length": {"sample_dimension": "frame"},
        "qpos": {"column_units": clips.qpos_units, **_WXYZ},
        "qvel": {"column_units": clips.qvel_units, "method": clips.qvel_method, "rate_hz": clips.info.rate_hz},
        "xquat": _WXYZ,
    }
    if clips.qpos_stderr is not None:
        attributes["qpos_stderr"] = {"column_units": clips.dof_units}
    if clips.qpos_observed is not None:
        attributes["qpos"] |= {"column_observed": np.asarray(clips.qpos_observed, np.uint8)}
    return _record(CLIPS, clips.info, values | {n: Variable(values[n], own) for n, own in attributes.items()})


def read_clips(path: str | Path, clips: Sequence[int | str] | None = None) -> ReferenceClips:
    """Read registered clips.

    Args:
        path: a mimic.reference_clips file.
        clips: names or numbers of the clips to read, in the order wanted; only their frames are read. None: all.

    Raises:
        InputError: when the file cannot be opened, or has no such clip.
        ContractError: when it violates the schema.
    """
    rows = _stretches(Path(path), clips) if clips is not None else None
    record = load_record(Path(path), CLIPS, rows)
    strings, numbers = dict(record.strings), dict[str, Any](record.numbers)
    if rows is not None:
        picked = [start for start, _ in rows["clip"]]
        for name in [name for name, dims in record.dims.items() if name in strings and dims == ("clip",)]:
            strings[name] = tuple(strings[name][i] for i in picked)
    stored: dict[str, Any] = {name: strings.get(name, numbers.get(name)) for name in _stored(ReferenceClips)}
    observed = record.dataset_attributes["qpos"].get("column_observed")
    return ReferenceClips(
        info=info_from(record),
        **stored,
        qpos_units=_columns(record, "qpos"),
        qvel_units=_columns(record, "qvel"),
        qpos_observed=None if observed is None else np.atleast_1d(observed).astype(bool),
        qvel_method=record.dataset_attributes["qvel"]["method"],
        events={name.removeprefix("events/"): numbers[name] for name in numbers if name.startswith("events/")},
        labels={name.removeprefix("labels/"): strings[name] for name in strings if name.startswith("labels/")},
    )


def selected_clips(path: Path, select: Sequence[str]) -> ReferenceClips:
    """Read the clips that patterns of names and labels select (`select_clips`); none: all.

    Labels are those of the file, ``label`` and ``trial_id``.

    Raises:
        ConfigError: when a pattern fits no clip; other errors as `read_clips`.
    """
    if not select:
        return read_clips(path)
    with open_contract(path, CLIPS) as file:
        group = file.get("labels")
        stored = {f"labels/{name}": str(name) for name in (group if isinstance(group, h5py.Group) else ())}
        stored |= {"clip_label": "label", "trial_id": "trial_id"}
        labels = {name: read_strings(require(file, key)) for key, name in stored.items() if key in file}
        chosen = select_clips(select, read_strings(require(file, "clip_name")), labels)
    return read_clips(path, chosen)


def write_offsets(path: str | Path, offsets: Offsets) -> None:
    """Write marker offsets, as `write_clips` writes clips, with the same errors."""
    write_record(Path(path), offsets_record(offsets))


def offsets_record(offsets: Offsets) -> Record:
    """Return marker offsets as the content of a file."""
    return _record(OFFSETS, offsets.info, {name: getattr(offsets, name) for name in _stored(Offsets)})


def read_offsets(path: str | Path) -> Offsets:
    """Read marker offsets, with the errors of `read_clips`."""
    record = load_record(Path(path), OFFSETS)
    stored: dict[str, Any] = {name: record.strings.get(name, record.numbers.get(name)) for name in _stored(Offsets)}
    stored |= {name: float(stored[name]) for name in ("scale_factor", "keypoint_scale_factor")}
    return Offsets(info=info_from(record), **stored)


def _stored(kind: type) -> list[str]:
    """Return the fields of a record that are data sets of the same name."""
    elsewhere = ("info", "qpos_units", "qvel_units", "qvel_method", "qpos_observed", "events", "labels")
    return [entry.name for entry in fields(kind) if entry.name not in elsewhere]


def _record(kind: str, info: FileInfo, values: Mapping[str, Any]) -> Record:
    return build_record(kind, info_attributes(info, kind), {**values, **info_values(info)})


def _columns(record: Record, name: str) -> tuple[str, ...]:
    units = record.dataset_attributes[name]["column_units"]
    return (units,) if isinstance(units, str) else units


def _clip_problems(clips: ReferenceClips) -> list[str]:
    """Return what would keep the derived fields (time, residual, frame_clip) from being computed."""
    problems = []
    if clips.info.rate_hz is None or not clips.info.rate_hz > 0:
        problems.append(f"info.rate_hz: expected frames per second above 0, got {clips.info.rate_hz}")
    lengths = np.asarray(clips.clip_length)
    if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.min(initial=1) < 1:
        problems.append(f"clip_length: expected a list of whole numbers of at least 1, got {lengths!r:.80}")
    if np.shape(clips.kp_data) != np.shape(clips.marker_sites):
        shapes = f"kp_data {np.shape(clips.kp_data)} and marker_sites {np.shape(clips.marker_sites)}"
        problems.append(f"{shapes} differ in shape")
    return problems


def _clip_index(clip: int | str, names: Sequence[str]) -> int:
    if isinstance(clip, str):
        if clip not in names:
            raise InputError(unknown("clip", clip, names))
        return list(names).index(clip)
    if not 0 <= clip < len(names):
        raise InputError(f"clip {clip}: expected a number from 0 to {len(names) - 1}")
    return clip


def _stretches(path: Path, clips: Sequence[int | str]) -> dict[str, list[tuple[int, int]]]:
    """Find the rows of some clips along the clip and the frame axis."""
    with open_contract(path, CLIPS) as file:
        names = read_strings(require(file, "clip_name"))
        starts, lengths = (read_numbers(require(file, name)) for name in ("clip_start", "clip_length"))
        n_frames = len(require(file, "frame"))
    borders = len(names) == len(starts) == len(lengths) and (np.minimum(starts, lengths) >= 0).all()
    if not borders or (starts + lengths > n_frames).any():
        raise ContractError(f"{path}: clip_start and clip_length do not fit {len(names)} clips of {n_frames} frames")
    chosen = [_clip_index(clip, names) for clip in clips]
    if not chosen:
        raise InputError(f"{path}: clips: expected at least one clip to read")
    return {
        "clip": [(i, i + 1) for i in chosen],
        "frame": [(int(starts[i]), int(starts[i] + lengths[i])) for i in chosen],
    }


def thinned(n_frames: int, most: int) -> Int[np.ndarray, " frame"]:
    """Return at most `most` of the frames, evenly spread."""
    return np.unique(np.linspace(0, n_frames - 1, min(most, n_frames)).astype(np.int64))
