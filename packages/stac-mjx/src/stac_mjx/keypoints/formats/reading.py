"""What a format reader returns, and reading HDF5 files that are not of docs/schema.

Links out of the file are never followed, virtual or external storage is never opened, nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import InputError, raise_all
from stac_mjx._common.hdf5.reading import LIBRARY_ERRORS, find, open_hdf5, read_numbers, reason, storage_problems
from stac_mjx._common.hdf5.reading import attribute as whole_attribute
from stac_mjx._common.units import parse_unit

opened = open_hdf5
Track = int | str | None
"""Number or name of an animal; None: the only one."""
ONE_ANIMAL = ["the only animal"]
"""Tracks of a format that holds one."""


@dataclass(frozen=True)
class Reading:
    """One recording file, as stored: names, units and gaps are not settled yet."""

    positions: Float[np.ndarray, "frame keypoint 3"]
    """float64, in the file's unit."""
    confidence: Float[np.ndarray, "frame keypoint"] | None = None
    """As stored, or None where the file holds none."""
    names: tuple[str, ...] | None = None
    """Keypoint names in file order, or None where the file holds none."""
    rate_hz: float | None = None
    unit: str | None = None
    """A key of METRES_PER_UNIT."""
    clip_lengths: tuple[int, ...] | None = None
    """Frames a clip, where the file marks borders; None: the file is one clip."""
    clip_names: tuple[str, ...] | None = None
    zeros_are_missing: bool = False
    """The format writes (0, 0, 0) for a point that was not detected."""
    notes: tuple[str, ...] = ()
    """What the reader assumed, one sentence each."""
    events: Mapping[str, Float[np.ndarray, " clip"]] = field(default_factory=dict)
    """Name -> time of an event from the first frame of each clip, seconds."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name (``label``, ``trial_id`` or another) -> its value for each clip."""
    synthetic: bool = False
    """Whether the file says that its movement was computed, not recorded."""

    @property
    def n_keypoints(self) -> int:
        """Keypoints of the file."""
        return self.positions.shape[1]


def choose_track(path: Path, track: Track, labels: list[str]) -> int:
    """Return which of the tracks in `labels` to read: the only one, or the chosen one."""
    listing = ", ".join(f"{index}: {label}" for index, label in enumerate(labels))
    if track is None and len(labels) == 1:
        return 0
    if track is None:
        raise InputError(f"{path}: holds {len(labels)} tracks; choose one with keypoints.track=N ({listing})")
    names = [(label, label.partition(" (")[0], label.rpartition("/")[2]) for label in labels]
    named = [index for index, alike in enumerate(names) if str(track) in alike]  # before numbers: names may be numbers
    named += [index for index in range(len(labels)) if str(track) == str(index)]
    if not named:
        raise InputError(f"{path}: keypoints.track={track} does not exist; available: {listing}")
    return named[0]


def said_unit(text: str | None, where: str) -> tuple[str | None, str]:
    """Return the unit that `text` names, and a note with its source; `where` names the attribute or dataset."""
    if text is None or not text.strip():
        return None, f"the file holds no length unit ({where} is absent)"
    unit = parse_unit(text)
    if unit is None:
        return None, f"the file's length unit is unknown ({where} says {text.strip()!r})"
    return unit, f"length unit {unit}, as the file says ({where})"


def steadiest(readings: Sequence[np.ndarray]) -> int:
    """Return which reading (frame, keypoint, xyz) of one array has distances between keypoints that vary least.

    Bodies keep many distances, and numbers read along the wrong axis do not. The first reading stays unless another
    varies less than half as much.
    """
    varied = []
    for points in readings:
        a, b = np.triu_indices(points.shape[1], 1)
        with np.errstate(invalid="ignore", over="ignore"):  # missing points, and numbers of corrupt files
            apart = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
        apart = apart[np.isfinite(apart).all(axis=1)]
        varied.append(np.median(apart.std(axis=0) / np.maximum(apart.mean(axis=0), 1e-30)) if len(apart) > 1 else 0.0)
    best = int(np.argmin(varied))
    return best if varied[best] < 0.5 * varied[0] else 0


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return the member `name` (a path) of `group`, or None; soft links, which NWB uses, are followed."""
    return find(group, name, soft_links=True)


def first_dataset(group: h5py.Group, *names: str) -> h5py.Dataset | None:
    """Return the first of `names` that is a data set of `group`, or None."""
    members = (member(group, name) for name in names)
    return next((node for node in members if isinstance(node, h5py.Dataset)), None)


def numbers(dataset: h5py.Dataset, dtype: type = np.float64) -> np.ndarray:
    """Return the numbers of `dataset` as `dtype`."""
    # some bit patterns of NaN raise the processor's invalid flag when widened; NaN is a legal value here
    with np.errstate(invalid="ignore"):
        values = read_numbers(dataset)
        converted = values.astype(dtype, copy=False)
    if converted.dtype.kind == "i" and (converted != values).any():
        raise InputError(f"{_place(dataset)}: expected whole numbers")
    return converted


def strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the strings of `dataset`, flat, without padding."""
    problems = storage_problems(dataset) or ([] if holds_text(dataset) else [f"expected text, got {dataset.dtype}"])
    raise_all(InputError, _place(dataset), problems)
    try:
        return tuple(as_text(value) for value in np.ravel(np.asarray(dataset[()], dtype=object)))
    except LIBRARY_ERRORS as error:
        raise InputError(f"{_place(dataset)}: its text cannot be read ({reason(error)})") from error


def texts(file: h5py.File | h5py.Group, *names: str) -> tuple[str, ...] | None:
    """Return the strings of the first of `names` that is a data set; None where there is none, or it is empty."""
    node = first_dataset(file, *names)
    return None if node is None or not node.size else strings(node)


def referenced(dataset: h5py.Dataset) -> list[h5py.Dataset]:
    """Return the data sets of the same file that the references in `dataset` point to, flat."""
    raise_all(InputError, _place(dataset), storage_problems(dataset))
    try:
        targets = [dataset.file[reference] for reference in np.ravel(dataset[()])]
    except LIBRARY_ERRORS as error:
        raise InputError(f"{_place(dataset)}: a reference does not lead to a data set ({reason(error)})") from error
    found = [target for target in targets if isinstance(target, h5py.Dataset)]
    if len(found) < len(targets):
        raise InputError(f"{_place(dataset)}: a reference does not lead to a data set")
    return found


def _attribute(node: h5py.Group | h5py.Dataset, names: tuple[str, ...]) -> Any:
    """Return the first element of the first attribute called one of `names`, or None."""
    for name in names:
        value = whole_attribute(node, name)
        if value is not None and np.size(value):
            return np.ravel(np.asarray(value, dtype=object))[0]
    return None


def number_attribute(node: h5py.Group | h5py.Dataset, *names: str) -> float | None:
    """Return the first attribute called one of `names` as a float, or None where it is absent or not a number."""
    value = _attribute(node, names)
    return float(value) if isinstance(value, int | float | np.integer | np.floating) else None


def text_attribute(node: h5py.Group | h5py.Dataset, *names: str) -> str | None:
    """Return the first attribute called one of `names` as text, or None where it is absent or not text."""
    value = _attribute(node, names)
    return as_text(value) if isinstance(value, str) else None


def as_text(value: object) -> str:
    """Decode one string of HDF5 or MATLAB, without NUL and space padding."""
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return text.strip("\x00 ")


def contents(file: h5py.File, limit: int = 12) -> str:
    """List the data sets of `file` with their shapes, for a message; links are not followed."""
    lines: list[str] = []

    def note(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            lines.append(f"{name} {node.shape}")

    try:
        file.visititems(note)
    except LIBRARY_ERRORS as error:
        lines.append(f"damaged objects ({reason(error)})")
    more = f" and {len(lines) - limit} more" if len(lines) > limit else ""
    return ", ".join(lines[:limit]) + more if lines else "no data set"


def holds_text(dataset: h5py.Dataset) -> bool:
    """Return whether the elements of `dataset` are strings."""
    return h5py.check_string_dtype(dataset.dtype) is not None


def holds_references(dataset: h5py.Dataset) -> bool:
    """Return whether the elements of `dataset` are references to other objects of the file."""
    return h5py.check_ref_dtype(dataset.dtype) is h5py.Reference


def _place(dataset: h5py.Dataset) -> str:
    return f"{dataset.file.filename}: {dataset.name}"
