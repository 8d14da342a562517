"""Reading HDF5 files that may come from anyone.

Nothing outside the file is ever opened: links that lead elsewhere, virtual and external storage are refused before they
are followed. Nothing larger than its bytes on the disk can account for is read, and strings come in small portions.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stac_mjx._common.errors import ContractError, InputError, unknown
from stac_mjx._common.hdf5.damage import LIBRARY_ERRORS, from_library, heap_fault, reason
from stac_mjx._common.hdf5.schema import KINDS, load_schema

_log = logging.getLogger(__name__)

MAX_INFLATION = 1100
"""Deflate never shrinks data by more than 1032: a data set that claims more has chunks that were never written."""

MAX_CHUNK_BYTES = 1 << 27
"""Largest chunk that is read; HDF5 unpacks a chunk whole, however little of it is asked for."""

MAX_LENGTH = 1 << 26
"""Longest axis; an hour at 200 frames a second has 720,000 frames."""

MAX_LABELS = 1 << 20
"""Most strings in one data set or attribute."""

MAX_STRING_BYTES = 1 << 28
"""Most memory spent on one portion of strings."""

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises:
        InputError: when it is missing, empty, no HDF5 file, cut short or damaged.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        if not h5py.is_hdf5(path):
            raise InputError(f"{path}: this is no HDF5 file; expected one written by stac-mjx, track-mjx or their like")
        fault = heap_fault(path)
        if fault is not None:
            raise InputError(f"{path}: {fault}; copy or download the file again")
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        what = "is cut short: copy or download it again" if "truncated" in str(error) else f"cannot be opened: {error}"
        raise InputError(f"{path}: the file {what}") from error
    try:
        with file:
            yield file
    except LIBRARY_ERRORS as error:
        if not from_library(error):
            raise
        raise InputError(f"{path}: the file is damaged: {reason(error)}") from error


def kind_and_version(file: h5py.File) -> tuple[str, int, int]:
    """Return the kind of a contract file and the major and minor number of its version.

    Raises:
        ContractError: when it says neither, names an unknown kind, or a major version other than ours.
    """
    kind, version = attribute(file, "schema_name"), attribute(file, "schema_version")
    if not isinstance(kind, str) or not isinstance(version, str):
        raise ContractError(
            f"{file.filename}: not a file of this contract: the root attributes schema_name and schema_version are "
            "missing; `stac-mjx convert` turns public STAC output into one"
        )
    if kind not in KINDS:
        raise ContractError(f"{file.filename}: {unknown('schema_name', kind, KINDS)}")
    numbers = re.fullmatch(r"(\d{1,6})\.(\d{1,6})(\.\d{1,6})?", version)
    if numbers is None:
        raise ContractError(f"{file.filename}: schema_version: expected MAJOR.MINOR as in '1.0', got {version!r}")
    major, minor, schema = int(numbers[1]), int(numbers[2]), load_schema(kind)
    if major != schema.major:
        raise ContractError(
            f"{file.filename}: {kind} has version {version}, and this program reads version {schema.major}.x only; "
            + ("update the program" if major > schema.major else "convert the file with the program that wrote it")
        )
    if minor > schema.minor:
        _log.warning(
            "%s: %s %s is newer than %s; what it adds is ignored", file.filename, kind, version, schema.version
        )
    return kind, major, minor


@contextmanager
def open_contract(path: Path, kind: str) -> Iterator[h5py.File]:
    """Open a contract file of one kind for reading.

    Raises:
        InputError: when it cannot be opened as HDF5.
        ContractError: when it is of another kind or of another major version.
    """
    with open_hdf5(path) as file:
        found = kind_and_version(file)[0]
        if found != kind:
            raise ContractError(f"{path}: expected a {kind} file, got a {found} file")
        yield file


def attribute(item: h5py.File | h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute as str, int, float, tuple of str, or array; None where it is missing or unreadable."""
    if name not in item.attrs:
        return None
    try:
        handle = item.attrs.get_id(name)
        if math.prod(handle.shape or (1,)) > MAX_LABELS:
            return None
        value: Any = item.attrs[name]
    except (OSError, RuntimeError, TypeError, ValueError):
        # types h5py does not know, and damaged values, count as missing: the checker then names the attribute
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return tuple(str(text) for text in value.ravel())
        if value.dtype.kind == "S":
            return tuple(text.decode("utf-8", "replace") for text in value.ravel())
        return value.reshape(()).item() if value.size == 1 else value
    return value.item() if isinstance(value, np.generic) else value


def link_fault(group: h5py.Group, name: str) -> str | None:
    """Say why the link `name` in `group` must not be followed, or None; the link itself is not followed here."""
    try:
        link = group.get(name, getlink=True)
    except (KeyError, TypeError, ValueError, RuntimeError):
        return "is a link of an unknown kind"
    if isinstance(link, h5py.ExternalLink):
        return f"is a link to another file ({link.filename!r}); files must stand alone"
    if isinstance(link, h5py.SoftLink):
        return "is a soft link; store the data itself"
    return None


def find(file: h5py.File, path: str) -> h5py.Dataset | h5py.Group | None:
    """Return what lies at `path`, following hard links only; None where nothing does.

    Raises:
        ContractError: when a link on the way must not be followed.
    """
    item: Any = file
    for name in path.split("/"):
        if not isinstance(item, h5py.Group) or name not in item:
            return None
        fault = link_fault(item, name)
        if fault is not None:
            raise ContractError(f"{file.filename}: {path}: {fault}")
        item = item[name]
    return item if isinstance(item, h5py.Group | h5py.Dataset) else None


def require(file: h5py.File, path: str) -> h5py.Dataset:
    """Return the data set at `path`.

    Raises:
        ContractError: when there is none, or a link on the way must not be followed.
    """
    item = find(file, path)
    if not isinstance(item, h5py.Dataset):
        raise ContractError(f"{file.filename}: the data set {path} is missing")
    return item


def storage_faults(dataset: h5py.Dataset) -> list[str]:
    """Say why the values of a data set must not be read: kept elsewhere, unreadable for others, or impossibly large."""
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        return ["is a virtual data set; store the data itself"]
    if properties.get_external_count() > 0:
        return ["keeps its values in another file; store the data itself"]
    faults = size_faults(dataset)
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if filters - _FILTERS:
        faults.append(
            f"uses filters {sorted(filters - _FILTERS)}; only gzip, shuffle and fletcher32 are readable everywhere"
        )
    return faults


def size_faults(dataset: h5py.Dataset, slack_bytes: int = 4096) -> list[str]:
    """Say why a data set cannot be as large as it claims; `slack_bytes` may be claimed without having been written."""
    faults = []
    item_bytes = dataset.id.get_type().get_size()
    if dataset.chunks is not None and math.prod(dataset.chunks) * item_bytes > MAX_CHUNK_BYTES:
        faults.append(
            f"has chunks of {math.prod(dataset.chunks) * item_bytes} bytes; at most {MAX_CHUNK_BYTES} are allowed"
        )
    claimed, stored = math.prod(dataset.shape or ()) * item_bytes, dataset.id.get_storage_size()
    if max(dataset.shape or (0,), default=0) > MAX_LENGTH:
        faults.append(f"has an axis longer than {MAX_LENGTH}: {dataset.shape}")
    if stored > dataset.file.id.get_filesize():
        faults.append(f"says it stores {stored} bytes, more than the whole file")
    elif claimed > MAX_INFLATION * stored + slack_bytes:
        faults.append(f"claims {claimed} bytes but stores {stored}: most of it was never written")
    return faults


def read_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a string data set of at most one axis, in portions that fit in memory whatever the file says.

    Raises:
        ContractError: when it holds too many strings, or values that are not UTF-8 text.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    count = math.prod(dataset.shape or ())
    if count > MAX_LABELS:
        raise ContractError(f"{where}: {count} strings are more than the {MAX_LABELS} allowed")
    faults = storage_faults(dataset)
    if faults:
        raise ContractError(f"{where}: {'; '.join(faults)}")
    try:
        text = dataset.asstr()
        if dataset.shape == ():
            return (str(text[()]),)
        # no string can be longer than the file, so this many at a time stay within bounds
        portion = max(1, min(4096, MAX_STRING_BYTES // max(1, dataset.file.id.get_filesize())))
        return tuple(str(value) for start in range(0, count, portion) for value in text[start : start + portion])
    except (UnicodeDecodeError, OSError, RuntimeError, TypeError) as error:
        raise ContractError(f"{where}: the strings cannot be read: {error}") from error


def read_numbers(dataset: h5py.Dataset, rows: Sequence[tuple[int, int]] | None = None) -> np.ndarray:
    """Read a numeric data set, or the given (start, stop) stretches of its rows end to end.

    Raises:
        ContractError: when its storage is refused or damaged.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    faults = storage_faults(dataset)
    if faults:
        raise ContractError(f"{where}: {'; '.join(faults)}")
    try:
        if rows is None:
            return np.asarray(dataset[()])
        out = np.empty((sum(stop - start for start, stop in rows), *dataset.shape[1:]), dataset.dtype)
        filled = 0
        for start, stop in rows:
            out[filled : filled + stop - start] = dataset[start:stop]
            filled += stop - start
        return out
    except (OSError, RuntimeError) as error:
        raise ContractError(f"{where}: the values are damaged: {error}") from error
