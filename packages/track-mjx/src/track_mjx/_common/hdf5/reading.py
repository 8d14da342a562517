"""Reading HDF5 files that may come from anyone.

Nothing outside the file is ever opened: links that lead elsewhere, virtual and external storage are refused before they
are followed, and nothing larger than its bytes on the disk can account for is read.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from track_mjx._common.errors import ContractError, InputError
from track_mjx._common.hdf5.damage import LIBRARY_ERRORS, from_library, heap_fault, reason

MAJOR, MINOR = 1, 0
"""Version of docs/schema this package follows."""

MAX_INFLATION = 1100
"""Deflate never shrinks data by more than 1032: a data set that claims more has chunks that were never written."""

MAX_CHUNK_BYTES = 1 << 27
"""Largest chunk that is read; HDF5 unpacks a chunk whole, however little of it is asked for."""

MAX_LABELS = 1 << 20
"""Most strings in one data set."""

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_log = logging.getLogger(__name__)


@contextmanager
def open_contract(path: Path, kind: str) -> Iterator[h5py.File]:
    """Open a contract file of one kind for reading.

    Raises:
        InputError: when it is missing, empty, no HDF5 file, cut short or damaged.
        ContractError: when it is of another kind, or of another major version.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        if not h5py.is_hdf5(path):
            raise InputError(f"{path}: this is no HDF5 file; expected a {kind} file, as stac-mjx writes it")
        fault = heap_fault(path)
        if fault is not None:
            raise InputError(f"{path}: {fault}; copy or download the file again")
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        what = "is cut short: copy or download it again" if "truncated" in str(error) else f"cannot be opened: {error}"
        raise InputError(f"{path}: the file {what}") from error
    try:
        with file:
            _verify_kind(file, kind)
            yield file
    except LIBRARY_ERRORS as error:
        if not from_library(error):
            raise
        raise InputError(f"{path}: the file is damaged: {reason(error)}") from error


def _verify_kind(file: h5py.File, kind: str) -> None:
    found, version = attribute(file, "schema_name"), attribute(file, "schema_version")
    if not isinstance(found, str) or not isinstance(version, str):
        raise ContractError(
            f"{file.filename}: not a {kind} file: the root attributes schema_name and schema_version are missing; "
            "`stac-mjx convert` turns output of the public stac-mjx into one"
        )
    if found != kind:
        raise ContractError(f"{file.filename}: expected a {kind} file, got a {found} file")
    numbers = re.fullmatch(r"(\d{1,6})\.(\d{1,6})(\.\d{1,6})?", version)
    if numbers is None:
        raise ContractError(f"{file.filename}: schema_version: expected MAJOR.MINOR as in '1.0', got {version!r}")
    major, minor = int(numbers[1]), int(numbers[2])
    if major != MAJOR:
        mend = "update track-mjx" if major > MAJOR else "convert the file with the program that wrote it"
        raise ContractError(
            f"{file.filename}: {kind} has version {version}, and this program reads version {MAJOR}.x only; {mend}"
        )
    if minor > MINOR:
        _log.warning(
            "%s: %s %s is newer than %d.%d; what it adds is ignored", file.filename, kind, version, MAJOR, MINOR
        )


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


def find(file: h5py.File, path: str) -> h5py.Dataset | h5py.Group | None:
    """Return what lies at `path`, following hard links only; None where nothing does.

    Raises:
        ContractError: when a link on the way leads elsewhere.
    """
    item: Any = file
    for name in path.split("/"):
        if not isinstance(item, h5py.Group) or name not in item:
            return None
        if not isinstance(item.get(name, getlink=True), h5py.HardLink):
            raise ContractError(f"{file.filename}: {path}: {name!r} is a link that leads elsewhere; files stand alone")
        item = item[name]
    return item if isinstance(item, h5py.Group | h5py.Dataset) else None


def require(file: h5py.File, path: str) -> h5py.Dataset:
    """Return the data set at `path`.

    Raises:
        ContractError: when there is none, or a link on the way leads elsewhere.
    """
    item = find(file, path)
    if not isinstance(item, h5py.Dataset):
        raise ContractError(
            f"{file.filename}: the data set {path} is missing; `stac-mjx check` lists all that is wrong"
        )
    return item


def _verify_storage(dataset: h5py.Dataset) -> None:
    where = f"{dataset.file.filename}: {dataset.name}"
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count() > 0:
        raise ContractError(f"{where}: keeps its values in another file; store the data itself")
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if filters - _FILTERS:
        raise ContractError(
            f"{where}: uses filters {sorted(filters - _FILTERS)}; only gzip, shuffle, fletcher32 are read"
        )
    item_bytes = dataset.id.get_type().get_size()
    if dataset.chunks is not None and math.prod(dataset.chunks) * item_bytes > MAX_CHUNK_BYTES:
        raise ContractError(f"{where}: has chunks of more than {MAX_CHUNK_BYTES} bytes")
    claimed, stored = math.prod(dataset.shape or ()) * item_bytes, dataset.id.get_storage_size()
    if claimed > MAX_INFLATION * stored + 4096 or (claimed > 0 and stored == 0):
        raise ContractError(f"{where}: claims {claimed} bytes but stores {stored}: most of it was never written")


def read_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a string data set of at most one axis; a scalar gives a tuple of one.

    Raises:
        ContractError: when it holds too many strings, or values that are not UTF-8 text.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    if math.prod(dataset.shape or ()) > MAX_LABELS:
        raise ContractError(f"{where}: has more than {MAX_LABELS} strings")
    _verify_storage(dataset)
    try:
        values = dataset.asstr()[()]
    except (UnicodeDecodeError, OSError, RuntimeError, TypeError) as error:
        raise ContractError(f"{where}: the strings cannot be read: {error}") from error
    return (str(values),) if dataset.shape == () else tuple(str(value) for value in values)


def read_numbers(dataset: h5py.Dataset, shape: tuple[int | None, ...]) -> np.ndarray:
    """Read a numeric data set of this shape; None stands for any length.

    Raises:
        ContractError: when shape or type are wrong, or its storage is refused or damaged.
    """
    where = f"{dataset.file.filename}: {dataset.name}"
    found = dataset.shape or ()
    if len(found) != len(shape) or any(want not in (None, got) for want, got in zip(shape, found, strict=True)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ContractError(f"{where}: expected shape ({wanted}), got {found}")
    if dataset.dtype.kind not in "fiu":
        raise ContractError(f"{where}: expected numbers, got {dataset.dtype}")
    _verify_storage(dataset)
    try:
        return np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise ContractError(f"{where}: the values are damaged: {error}") from error
