"""Careful reading of HDF5: no external link is followed, no virtual or external storage opened, nothing unpickled.

A foreign or damaged file ends in one InputError that names the file and the place.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import InputError, raise_all
from stac_mjx._common.hdf5.damage import LIBRARY_ERRORS, from_library, heap_fault, reason
from stac_mjx._common.hdf5.reading import size_faults

MAX_LINKS = 8
"""Soft links followed one after the other before the chain is taken for a circle."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open `path` for reading.

    Raises:
        InputError: when it is no HDF5 file, or is truncated or damaged.
    """
    try:
        fault = heap_fault(path)
        if fault is not None:
            raise InputError(f"{path}: not a complete HDF5 file ({fault}); copy or export it again")
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        raise InputError(f"{path}: not a complete HDF5 file ({reason(error)}); copy or export it again") from error
    try:
        with file:
            yield file
    except LIBRARY_ERRORS as error:
        if not from_library(error):
            raise
        raise InputError(f"{path}: the file is damaged ({reason(error)}); copy or export it again") from error


def member(group: h5py.Group, name: str, links: int = MAX_LINKS) -> h5py.Group | h5py.Dataset | None:
    """Return the member `name` (a path with slashes) of `group`, or None where there is none.

    Soft links, which NWB uses to share time stamps, are followed inside the file only.

    Raises:
        InputError: when the path leads to another file, in a circle, or through a damaged object.
    """
    where = f"{group.file.filename}: {posixpath.join(group.name or '/', name)}"
    if links < 0:
        raise InputError(f"{where}: soft links lead in a circle")
    node: h5py.Group | h5py.Dataset = group
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for index, part in enumerate(parts):
        if not isinstance(node, h5py.Group):
            return None
        try:
            link = node.get(part, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise InputError(f"{where}: is a link to another file ({link.filename}), which is never followed")
            if isinstance(link, h5py.SoftLink):
                target = posixpath.join(node.name or "/", link.path, *parts[index + 1 :])
                return member(node.file, target, links - 1)
            found = node[part]
        except LIBRARY_ERRORS as error:
            raise InputError(f"{where}: damaged ({reason(error)})") from error
        if not isinstance(found, (h5py.Group, h5py.Dataset)):
            return None
        node = found
    return node


def subgroup(group: h5py.Group, name: str) -> h5py.Group | None:
    """Return the member `name` of `group` where it is a group, else None."""
    node = member(group, name)
    return node if isinstance(node, h5py.Group) else None


def child_names(group: h5py.Group) -> list[str]:
    """Return the names of the members of `group`, in the order the file lists them.

    Raises:
        InputError: when the list is damaged.
    """
    try:
        return [str(name) for name in group]
    except LIBRARY_ERRORS as error:
        raise InputError(f"{group.file.filename}: {group.name}: damaged ({reason(error)})") from error


def first_member(group: h5py.Group, names: tuple[str, ...]) -> tuple[str, h5py.Dataset] | None:
    """Return the first of `names` that is a dataset of `group`, with its name; None where there is none."""
    for name in names:
        node = member(group, name)
        if isinstance(node, h5py.Dataset):
            return name, node
    return None


def numbers(dataset: h5py.Dataset, dtype: type = np.float64) -> np.ndarray:
    """Return the numbers of `dataset` as `dtype`.

    Raises:
        InputError: when it holds no real numbers, keeps its data in another file, or cannot be read.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    _refuse_storage(dataset, where)
    stored = _stored_type(dataset, where)
    if stored.kind not in "fiu":
        raise InputError(f"{where}: expected real numbers, got {stored}")
    try:
        # Some bit patterns of NaN raise the processor's invalid flag when widened; NaN is a legal value here.
        with np.errstate(invalid="ignore"):
            values = np.asarray(dataset[()])
            converted = values.astype(dtype, copy=False)
    except LIBRARY_ERRORS as error:
        raise InputError(f"{where}: its data cannot be read ({reason(error)}); the file is damaged") from error
    if converted.dtype.kind == "i" and (converted != values).any():
        raise InputError(f"{where}: expected whole numbers, got others")
    return converted


def strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the strings of `dataset`, flat, without padding.

    Raises:
        InputError: when it holds no text, keeps its data in another file, or cannot be read.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    _refuse_storage(dataset, where)
    stored = _stored_type(dataset, where)
    if h5py.check_string_dtype(stored) is None:
        raise InputError(f"{where}: expected text, got {stored}")
    try:
        values = np.ravel(np.asarray(dataset[()], dtype=object))
        return tuple(as_text(value) for value in values)
    except LIBRARY_ERRORS as error:
        raise InputError(f"{where}: its text cannot be read ({reason(error)})") from error


def referenced(dataset: h5py.Dataset) -> list[h5py.Dataset]:
    """Return the datasets of the same file that the references in `dataset` point to, flat.

    Raises:
        InputError: when a reference leads nowhere or to no dataset.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    _refuse_storage(dataset, where)
    try:
        targets = [dataset.file[reference] for reference in np.ravel(dataset[()])]
    except LIBRARY_ERRORS as error:
        raise InputError(f"{where}: a reference leads nowhere ({reason(error)})") from error
    datasets = [target for target in targets if isinstance(target, h5py.Dataset)]
    if len(datasets) < len(targets):
        raise InputError(f"{where}: a reference leads to no dataset")
    return datasets


def attribute(node: h5py.Group | h5py.Dataset, *names: str) -> object | None:
    """Return the first attribute of `node` called one of `names`: a number or text, None where there is none.

    Raises:
        InputError: when the attribute cannot be read.
    """
    for name in names:
        try:
            if name not in node.attrs:
                continue
            value = np.ravel(np.asarray(node.attrs[name], dtype=object))
            if len(value):
                return as_text(value[0]) if isinstance(value[0], (bytes, str)) else value[0]
        except LIBRARY_ERRORS as error:
            raise InputError(f"{node.file.filename}: {node.name}@{name}: damaged ({reason(error)})") from error
    return None


def number_attribute(node: h5py.Group | h5py.Dataset, *names: str) -> float | None:
    """Return the first attribute called one of `names` as a float, or None where it is absent or no number."""
    value = attribute(node, *names)
    return float(value) if isinstance(value, (int, float, np.integer, np.floating)) else None


def text_attribute(node: h5py.Group | h5py.Dataset, *names: str) -> str | None:
    """Return the first attribute called one of `names` as text, or None where it is absent or no text."""
    value = attribute(node, *names)
    return value if isinstance(value, str) else None


def as_text(value: object) -> str:
    """Decode one string of HDF5 or MATLAB, without NUL and space padding."""
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return text.strip("\x00 ")


def contents(file: h5py.File, limit: int = 12) -> str:
    """List the datasets of `file` with their shapes, for a message; links are not followed."""
    found: list[str] = []

    def note(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found.append(f"{name} {node.shape}")

    try:
        file.visititems(note)
    except LIBRARY_ERRORS as error:
        found.append(f"damaged objects ({reason(error)})")
    if not found:
        return "no dataset"
    return ", ".join(found[:limit]) + (f" and {len(found) - limit} more" if len(found) > limit else "")


def holds_text(dataset: h5py.Dataset) -> bool:
    """Whether the elements of `dataset` are strings."""
    return h5py.check_string_dtype(_stored_type(dataset, f"{dataset.file.filename}: {dataset.name}")) is not None


def holds_references(dataset: h5py.Dataset) -> bool:
    """Whether the elements of `dataset` are references to other objects of the file."""
    return h5py.check_ref_dtype(_stored_type(dataset, f"{dataset.file.filename}: {dataset.name}")) is h5py.Reference


def _stored_type(dataset: h5py.Dataset, where: str) -> np.dtype:
    """Return the element type; a damaged one fails here, not in the library."""
    try:
        return dataset.dtype
    except LIBRARY_ERRORS as error:
        raise InputError(f"{where}: its type is damaged ({reason(error)})") from error


def _refuse_storage(dataset: h5py.Dataset, where: str) -> None:
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{where}: keeps its data in another file, which is never opened; store the data inside")
    raise_all(InputError, where, size_faults(dataset, slack_bytes=1 << 20))
