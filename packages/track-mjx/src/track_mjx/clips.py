"""Reference clips: what `stac-mjx fit` writes and controllers are trained on; see docs/schema/reference_clips.md.

A clips file is complete: it holds the scaled body, so nothing else is needed. Frames of all clips are stored end to
end.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import mujoco
import numpy as np
from jaxtyping import Float, Int

from track_mjx._common.errors import BodyError, ContractError, InputError, raise_all, shorten
from track_mjx._common.hdf5.info import model_sha256
from track_mjx._common.hdf5.reading import (
    attribute,
    find,
    open_contract,
    read_assets,
    read_numbers,
    read_strings,
    require,
)
from track_mjx._common.hdf5.schema import load_schema
from track_mjx._common.hdf5.structure import attribute_violations
from track_mjx._common.mjcf import body_labels, compile_enclosed, qpos_labels, qvel_labels
from track_mjx._common.selection import select_clips

KIND = "mimic.reference_clips"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Clips:
    """Registered clips and the body they belong to."""

    path: Path
    sha256: str
    mjcf_xml: str
    """The body; compiles with `assets` alone."""
    assets: Mapping[str, bytes]
    model_name: str
    model_sha256: str
    """Hash of `mjcf_xml` and `assets`."""
    length_unit_m: float
    """Metres per length unit of the MJCF."""
    rate_hz: float
    root_body: str
    """Body that represents the animal's position; empty where the file does not name it."""
    end_effectors: tuple[str, ...]
    """Bodies that touch the world or carry the task."""
    synthetic: int | None
    """1 where the movement was computed, not recorded."""
    clip_name: tuple[str, ...]
    """Unique names."""
    labels: Mapping[str, tuple[str, ...]]
    """Labels of the clips by data set: ``trial_id``, ``clip_label`` and ``labels/NAME``, those that the file has."""
    clip_start: Int[np.ndarray, " clip"]
    clip_length: Int[np.ndarray, " clip"]
    qpos: Float[np.ndarray, "frame qpos"]
    """Poses in the MJCF's coordinates."""
    qvel: Float[np.ndarray, "frame qvel"]
    """Velocities in MuJoCo's convention."""

    @property
    def named_labels(self) -> dict[str, tuple[str, ...]]:
        """Labels by the names of users: ``trial_id``, ``label`` (of ``clip_label``), NAME (of ``labels/NAME``)."""
        return {path.removeprefix("labels/").removeprefix("clip_"): values for path, values in self.labels.items()}

    def select(self, patterns: Any, setting: str = "select") -> list[int]:
        """Return the numbers of the clips that patterns of names and labels select (`select_clips`); none: all."""
        return select_clips(patterns, self.clip_name, self.named_labels, setting)

    def model(self) -> mujoco.MjModel:
        """Compile the body."""
        return compile_enclosed(self.mjcf_xml, self.assets)


def read_clips(path: str | Path) -> Clips:
    """Read a mimic.reference_clips file.

    Clips with frames that must not be used (``valid`` = 0) are cut into the stretches between them, with a warning.

    Raises:
        InputError: when the file cannot be opened, or no clip has two usable frames in a row.
        ContractError: when it is of another kind or version, or violates the schema.
        BodyError: when its body does not compile.
    """
    path = Path(path).expanduser()
    if path.is_dir() and (path / "clips.h5").is_file():
        path = path / "clips.h5"
    with open_contract(path, KIND) as file:
        xml, assets = read_strings(require(file, "provenance/mjcf_xml"))[0], read_assets(file)
        labels = {name: read_strings(require(file, name)) for name in ("names_qpos", "names_qvel", "names_xpos")}
        clip_name, labels_of_clips = read_strings(require(file, "clip_name")), _read_labels(file)
        for name, values in labels_of_clips.items():
            if len(values) != len(clip_name):
                raise ContractError(f"{path}: {name} names {len(values)} clips, clip_name {len(clip_name)}")
        numbers = _read_arrays(file, len(labels["names_qpos"]), len(labels["names_qvel"]))
        attributes = _read_attributes(file)
    _verify_model(path, xml, assets, labels, attributes["model_sha256"])
    _verify_names(path, clip_name)
    _verify_borders(path, numbers, len(clip_name))
    clips = Clips(
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mjcf_xml=xml,
        assets=assets,
        clip_name=clip_name,
        labels=labels_of_clips,
        clip_start=numbers["clip_start"],
        clip_length=numbers["clip_length"],
        qpos=numbers["qpos"],
        qvel=numbers["qvel"],
        **attributes,
    )
    return _without_gaps(clips, numbers["valid"] != 0)


def _read_labels(file: h5py.File) -> dict[str, tuple[str, ...]]:
    group = find(file, "labels")
    names = ("trial_id", "clip_label", *(f"labels/{name}" for name in (group if isinstance(group, h5py.Group) else ())))
    found = {name: find(file, name) for name in names}
    return {name: read_strings(data) for name, data in found.items() if isinstance(data, h5py.Dataset)}


def _read_attributes(file: h5py.File) -> dict[str, Any]:
    names = ("model_name", "model_sha256", "length_unit_m", "rate_hz", "root_body", "synthetic", "end_effectors")
    values = {name: attribute(file, name) for name in names if name in file.attrs}
    rules = tuple(rule for rule in load_schema(KIND).attributes if rule.name in names)
    problems = [str(violation) for violation in attribute_violations(values, rules) if violation.severity == "error"]
    raise_all(ContractError, str(file.filename), problems)
    return {
        **{name: values[name] for name in ("model_name", "model_sha256")},
        **{name: float(values[name]) for name in ("length_unit_m", "rate_hz")},
        "root_body": values.get("root_body", ""),
        "synthetic": values.get("synthetic"),
        "end_effectors": tuple(json.loads(values.get("end_effectors", "[]"))),
    }


def _read_arrays(file: h5py.File, n_qpos: int, n_qvel: int) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int | None, ...]] = {
        "clip_start": (None,),
        "clip_length": (None,),
        "valid": (None,),
        "qpos": (None, n_qpos),
        "qvel": (None, n_qvel),
    }
    return {name: read_numbers(require(file, name), shape) for name, shape in shapes.items()}


def _verify_model(
    path: Path, xml: str, assets: Mapping[str, bytes], labels: Mapping[str, tuple[str, ...]], stored_hash: str
) -> None:
    """Compare names and hash of the file with those of the enclosed body."""
    problems = []
    if stored_hash != model_sha256(xml, assets):
        problems.append("model_sha256 is not the hash of the enclosed MJCF and assets; the file was altered")
    try:
        model = compile_enclosed(xml, assets)
    except BodyError as error:
        raise BodyError(f"{path}: {error}") from error
    expected = {"names_qpos": qpos_labels(model), "names_qvel": qvel_labels(model), "names_xpos": body_labels(model)}
    raise_all(ContractError, str(path), [*problems, *label_problems(labels, expected)])


def label_problems(stored: Mapping[str, tuple[str, ...]], expected: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what is wrong with the labels of a file, compared with those of the enclosed body."""
    differing = [name for name in expected if stored[name] != expected[name]]
    odd = {name: [label for label in stored[name] if label not in expected[name]] for name in differing}
    return [
        f"{name} differs from the enclosed body: {shorten(labels or ['another order or number'], 4)}"
        for name, labels in odd.items()
    ]


def _verify_names(path: Path, names: Sequence[str]) -> None:
    odd = [repr(name) for name, count in Counter(names).items() if count > 1 or not name]
    if odd:
        raise ContractError(f"{path}: clip_name: names must be unique and not empty, got {shorten(odd, 4)}")


def _verify_borders(path: Path, numbers: Mapping[str, np.ndarray], n_clips: int) -> None:
    start, length = numbers["clip_start"], numbers["clip_length"]
    n_frames = len(numbers["qpos"])
    ends = np.concatenate([[0], np.cumsum(length)])
    if len(start) != n_clips or len(length) != n_clips or not np.array_equal(start, ends[:-1]) or ends[-1] != n_frames:
        raise ContractError(
            f"{path}: clip_start and clip_length: clips must be stored end to end and fill all {n_frames} frames"
        )
    if len(numbers["qvel"]) != n_frames or len(numbers["valid"]) != n_frames:
        raise ContractError(f"{path}: qpos, qvel and valid differ in their number of frames")


def _without_gaps(clips: Clips, valid: np.ndarray) -> Clips:
    """Cut clips at frames that must not be used."""
    valid = valid & np.isfinite(clips.qpos).all(axis=1) & np.isfinite(clips.qvel).all(axis=1)
    if valid.all():
        return clips
    pieces = []
    for clip, (first, n) in enumerate(zip(clips.clip_start.tolist(), clips.clip_length.tolist(), strict=True)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], valid[first : first + n].astype(np.int8), [0]])))
        pieces += [(clip, begin, end) for begin, end in edges.reshape(-1, 2).tolist() if end - begin >= 2]
    if not pieces:
        raise InputError(f"{clips.path}: no clip has two usable frames in a row")
    _log.warning("%s: %d frames must not be used; clips are cut there", clips.path, int((~valid).sum()))
    return _in_pieces(clips, pieces)


Piece = tuple[int, int, int]
"""Number of a clip, first frame and frame after the last one."""


def cut(clips: Clips, length_s: float | None) -> Clips:
    """Cut clips into pieces of this length; what is left over at an end stays with the last piece."""
    return clips if length_s is None else _in_pieces(clips, _pieces(clips, length_s))


def without_short(clips: Clips, least_s: float) -> Clips:
    """Leave out clips that last less than `least_s`, with a warning; all stay where none is longer."""
    lasts = (clips.clip_length - 1) / clips.rate_hz > least_s * (1 - 1e-6)
    if lasts.all() or not lasts.any():
        return clips
    left_out = [name for name, long in zip(clips.clip_name, lasts, strict=True) if not long]
    _log.warning("%s: shorter than a control step, left out: %s", clips.path, shorten(left_out, 4))
    return _in_pieces(clips, [(i, 0, int(clips.clip_length[i])) for i in np.flatnonzero(lasts).tolist()])


def with_windows(clips: Clips, length_s: float, stride_s: float, held_out: Collection[int]) -> tuple[Clips, list[int]]:
    """Cut clips as `cut` does, and append further windows of this length that start every `stride_s`.

    `length_s` is that of pieces and windows; no window shares a frame with the pieces of `held_out`.

    Returns:
        The pieces, then the windows; and the numbers of the windows.
    """
    pieces = _pieces(clips, length_s)
    frames, stride = (max(1, round(seconds * clips.rate_hz)) for seconds in (length_s, stride_s))
    closed = [pieces[i] for i in held_out]
    windows = [
        window
        for clip, n in enumerate(clips.clip_length.tolist())
        for window in ((clip, begin, begin + frames) for begin in range(0, n - frames + 1, stride))
        if window not in pieces and not any(_overlap(window, piece) for piece in closed)
    ]
    return _in_pieces(clips, [*pieces, *windows]), list(range(len(pieces), len(pieces) + len(windows)))


def _overlap(a: Piece, b: Piece) -> bool:
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def _pieces(clips: Clips, length_s: float) -> list[Piece]:
    frames = round(length_s * clips.rate_hz)
    if frames < 2:
        raise InputError(f"task.clip_s: {length_s} s is less than two frames at {clips.rate_hz:g} Hz")
    pieces = []
    for clip, n in enumerate(clips.clip_length.tolist()):
        borders = [*(k * frames for k in range(max(1, n // frames))), n]
        pieces += [(clip, begin, end) for begin, end in pairwise(borders)]
    return pieces


def _in_pieces(clips: Clips, pieces: Sequence[Piece]) -> Clips:
    """Return pieces (clip, begin, end) as clips; the name of one that is not a whole clip has its frames."""
    starts = [int(clips.clip_start[clip]) for clip, _, _ in pieces]
    rows = np.concatenate([np.arange(s + a, s + b) for s, (_, a, b) in zip(starts, pieces, strict=True)])
    length = np.array([end - begin for _, begin, end in pieces], np.int64)
    names = (
        clips.clip_name[i] + ("" if (a, b) == (0, int(clips.clip_length[i])) else f"[{a}:{b}]") for i, a, b in pieces
    )
    return replace(
        clips,
        clip_name=tuple(names),
        labels={path: tuple(values[i] for i, _, _ in pieces) for path, values in clips.labels.items()},
        clip_start=np.cumsum(length) - length,
        clip_length=length,
        qpos=clips.qpos[rows],
        qvel=clips.qvel[rows],
    )
