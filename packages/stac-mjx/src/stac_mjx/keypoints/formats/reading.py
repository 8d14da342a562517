"""What a format reader returns, and reading HDF5 files that are not of docs/schema.

Links out of the file are never followed, virtual or external storage is never opened, nothing is unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import InputError
from stac_mjx._common.hdf5.reading import LIBRARY_ERRORS, find, read_numbers, reason, storage_problems
from stac_mjx._common.hdf5.reading import attribute as whole_attribute
from stac_mjx._common.hdf5.reading import open_hdf5 as opened

__all__ = [
    "Reading", "as_text", "child_names", "choose_track", "contents", "first_member", "holds_references", "holds_text",
    "member", "number_attribute", "numbers", "opened", "referenced", "refuse_track", "strings", "subgroup",
    "text_attribute",
]  # fmt: skip


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
    """Frames per second."""
    unit: str | None = None
    """A key of METRES_PER_UNIT."""
    clip_lengths: tuple[int, ...] | None = None
    """Frames a clip, where the file marks borders; None: the file is one clip."""
    clip_names: tuple[str, ...] | None = None
    zeros_are_missing: bool = False
    """The format writes (0, 0, 0) for a point that was not detected."""
    notes: tuple[str, ...] = ()
    """What the reader assumed, one sentence each."""

    @property
    def n_keypoints(self) -> int:
        """Keypoints of the file."""
        return self.positions.shape[1]


def refuse_track(path: Path, track: int | None, kind: str) -> None:
    """Refuse a choice of animal for a format that holds one.

    Raises:
        InputError: when `track` is given and not 0.
    """
    if track not in (None, 0):
        raise InputError(f"{path}: keypoints.track={track}, but {kind} holds one animal; leave keypoints.track empty")


def choose_track(path: Path, track: int | None, labels: list[str]) -> int:
    """Return which of the tracks in `labels` to read: the only one, or the chosen one.

    Raises:
        InputError: when there are several and none was chosen, or the chosen one does not exist.
    """
    listing = ", ".join(f"{index}: {label}" for index, label in enumerate(labels))
    if track is None and len(labels) == 1:
        return 0
    if track is None:
        raise InputError(f"{path}: holds {len(labels)} tracks; choose one with keypoints.track=N ({listing})")
    if not 0 <= track < len(labels):
        raise InputError(f"{path}: keypoints.track={track} does not exist; available: {listing}")
    return track


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Return the member `name` (a path) of `group`, or None; soft links, which NWB uses, are followed."""
    return find(group, name, soft_links=True)


def subgroup(group: h5py.Group, name: str) -> h5py.Group | None:
    """Return the member `name` of `group` where it is a group, else None."""
    node = member(group, name)
    return node if isinstance(node, h5py.Group) else None


def child_names(group: h5py.Group) -> list[str]:
    """Return the names of the members of `group`, in the order of the file."""
    return [str(name) for name in group]


def first_member(group: h5py.Group, names: tuple[str, ...]) -> tuple[str, h5py.Dataset] | None:
    """Return the first of `names` that is a data set of `group`, with its name, or None."""
    for name in names:
        node = member(group, name)
        if isinstance(node, h5py.Dataset):
            return name, node
    return None


def numbers(dataset: h5py.Dataset, dtype: type = np.float64) -> np.ndarray:
    """Return the numbers of `dataset` as `dtype`.

    Raises:
        InputError: when it does not hold real numbers, or numbers that `dtype` cannot hold, or cannot be read.
    """
    # some bit patterns of NaN raise the processor's invalid flag when widened; NaN is a legal value here
    with np.errstate(invalid="ignore"):
        values = read_numbers(dataset)
        converted = values.astype(dtype, copy=False)
    if converted.dtype.kind == "i" and (converted != values).any():
        raise InputError(f"{_place(dataset)}: expected whole numbers")
    return converted


def strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the strings of `dataset`, flat, without padding.

    Raises:
        InputError: when it does not hold text, or cannot be read.
    """
    problems = storage_problems(dataset) or ([] if holds_text(dataset) else [f"expected text, got {dataset.dtype}"])
    if problems:
        raise InputError(f"{_place(dataset)}: {problems[0]}")
    try:
        return tuple(as_text(value) for value in np.ravel(np.asarray(dataset[()], dtype=object)))
    except LIBRARY_ERRORS as error:
        raise InputError(f"{_place(dataset)}: its text cannot be read ({reason(error)})") from error


def referenced(dataset: h5py.Dataset) -> list[h5py.Dataset]:
    """Return the data sets of the same file that the references in `dataset` point to, flat.

    Raises:
        InputError: when a reference does not lead to a data set.
    """
    try:
        problems = storage_problems(dataset)
        targets = [] if problems else [dataset.file[reference] for reference in np.ravel(dataset[()])]
    except LIBRARY_ERRORS as error:
        raise InputError(f"{_place(dataset)}: a reference does not lead to a data set ({reason(error)})") from error
    if problems or not all(isinstance(target, h5py.Dataset) for target in targets):
        problem = problems[0] if problems else "a reference does not lead to a data set"
        raise InputError(f"{_place(dataset)}: {problem}")
    return targets


def _attribute(node: h5py.Group | h5py.Dataset, names: tuple[str, ...], kind: type) -> object:
    """Return the first element of the first attribute called one of `names`, or None where it is of another kind."""
    for name in names:
        value = whole_attribute(node, name)
        if value is not None and np.size(value):
            value = np.ravel(np.asarray(value, dtype=object))[0]
            return value if isinstance(value, kind) else None
    return None


def number_attribute(node: h5py.Group | h5py.Dataset, *names: str) -> float | None:
    """Return the first attribute called one of `names` as a float, or None where it is absent or not a number."""
    value = _attribute(node, names, (int, float, np.integer, np.floating))
    return None if value is None else float(value)


def text_attribute(node: h5py.Group | h5py.Dataset, *names: str) -> str | None:
    """Return the first attribute called one of `names` as text, or None where it is absent or not text."""
    value = _attribute(node, names, str)
    return as_text(value) if value is not None else None


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
