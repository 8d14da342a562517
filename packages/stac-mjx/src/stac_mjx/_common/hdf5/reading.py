"""Reading HDF5 with one message for whatever is wrong, and without leaving the file.

Links to other files, virtual and external storage are refused before they are followed; soft links are followed where
a caller asks for it, and refused where they lead out of the file.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import ContractError, InputError, unknown
from .schema import KINDS, load_schema

LIBRARY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on files that are damaged."""

UNREADABLE = "something that cannot be read"

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_log = logging.getLogger(__name__)

Node = h5py.Group | h5py.Dataset


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; an InputError says that it is missing, empty, not HDF5, cut short or damaged."""
    with _opened(path) as file:
        try:
            yield file
        except LIBRARY_ERRORS as error:
            if not _raised_by_h5py(error):
                raise
            raise InputError(f"{path}: the file is damaged ({reason(error)}); copy or export it again") from error


def _opened(path: Path) -> h5py.File:
    try:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        # of "Unable to open file (truncated file: eof = 2000, ...)" what matters is in the parentheses
        detail = re.search(r"\(([^:)]+)", str(error))
        what = os.strerror(error.errno) if error.errno else detail[1] if detail else reason(error)
        if what == "file signature not found":
            raise InputError(f"{path}: not an HDF5 file") from error
        raise InputError(f"{path}: not a complete HDF5 file ({what}); copy or export it again") from error


def _raised_by_h5py(error: BaseException) -> bool:
    """Return whether an error was raised inside h5py, and so by the content of the file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] == "h5py"


def reason(error: BaseException) -> str:
    """Return the library's words on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def kind_of(file: h5py.File) -> str:
    """Return the kind of a contract file; warn when its minor version is newer than ours."""
    where, kind, version = file.filename, attribute(file, "schema_name"), attribute(file, "schema_version")
    if not isinstance(kind, str) or not isinstance(version, str):
        raise ContractError(
            f"{where}: the root attributes schema_name and schema_version are missing; `stac-mjx convert` turns output "
            "of the public stac-mjx into a file of docs/schema"
        )
    if kind not in KINDS:
        raise ContractError(f"{where}: {unknown('schema_name', kind, KINDS)}")
    numbers = re.fullmatch(r"(\d{1,6})\.(\d{1,6})(\.\d{1,6})?", version)
    if numbers is None:
        raise ContractError(f"{where}: schema_version: expected MAJOR.MINOR as in '1.0', got {version!r}")
    major, minor = load_schema(kind).numbers
    if int(numbers[1]) != major:
        remedy = "update the program" if int(numbers[1]) > major else "convert the file with the program that wrote it"
        raise ContractError(f"{where}: {kind} has version {version}, this program reads {major}.x only; {remedy}")
    if int(numbers[2]) > minor:
        _log.warning("%s: %s %s is newer than %d.%d; what it adds is ignored", where, kind, version, major, minor)
    return kind


@contextmanager
def open_contract(path: Path, kind: str | None = None) -> Iterator[h5py.File]:
    """Open a file of docs/schema, of one kind or (None) of any, for reading; of another it is a ContractError."""
    with open_hdf5(path) as file:
        actual = kind_of(file)
        if kind not in (None, actual):
            raise ContractError(f"{file.filename}: expected a {kind} file, got a {actual} file")
        yield file


def json_list(attributes: Mapping[str, Any], name: str) -> list[Any]:
    """Return the JSON list of an attribute, as ``source_files``; empty where it is absent or damaged."""
    try:
        value = json.loads(attributes.get(name) or "[]")
    except (TypeError, ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def attribute(item: Node, name: str) -> Any:
    """Return an attribute as str, int, float, tuple of str, or array; None where it is missing or unreadable."""
    try:
        value: Any = item.attrs.get(name)
    except LIBRARY_ERRORS:
        # what h5py cannot read counts as missing: the checker names the attribute
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OS":
            return tuple(t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in value.ravel())
        return value.reshape(()).item() if value.size == 1 else value
    return value.item() if isinstance(value, np.generic) else value


def link_problem(group: h5py.Group, name: str, *, soft_links: bool = False) -> str | None:
    """Return why the link `name` in `group` must not be followed, or None."""
    try:
        link = group.get(name, getlink=True)
    except LIBRARY_ERRORS:
        return "is a link of an unknown kind"
    if isinstance(link, h5py.ExternalLink):
        return f"is a link to another file ({link.filename!r}); files must be complete in themselves"
    return "is a soft link; store the data itself" if isinstance(link, h5py.SoftLink) and not soft_links else None


def find(group: h5py.Group, path: str, *, soft_links: bool = False) -> Node | None:
    """Return the group or data set at `path`, or None; refuse links to other files and (by default) soft links."""
    where, item = f"{group.file.filename}: {path}", group
    for name in (part for part in path.split("/") if part not in ("", ".")):
        if not isinstance(item, h5py.Group) or name not in item:
            return None
        problem = link_problem(item, name, soft_links=soft_links)
        if problem is not None:
            raise ContractError(f"{where}: {problem}")
        try:
            item: Any = item[name]
        except LIBRARY_ERRORS as error:
            raise ContractError(f"{where}: damaged, or links in a circle ({reason(error)})") from error
        if item.file != group.file:
            raise ContractError(f"{where}: a soft link leads to another file; files must be complete in themselves")
    return item if isinstance(item, Node) else None


def require(group: h5py.Group, path: str, *, soft_links: bool = False) -> h5py.Dataset:
    """Return the data set at `path`."""
    item = find(group, path, soft_links=soft_links)
    if not isinstance(item, h5py.Dataset):
        raise ContractError(f"{group.file.filename}: the data set {path} is missing")
    return item


def storage_problems(dataset: h5py.Dataset) -> list[str]:
    """Return why the values of a data set must not be read: stored elsewhere, or unreadable for other programs."""
    if dataset.is_virtual:
        return ["is a virtual data set; store the data itself"]
    if dataset.external:
        return ["keeps its values in another file; store the data itself"]
    properties = dataset.id.get_create_plist()
    other = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())} - _FILTERS
    if other:
        return [f"uses filters {sorted(other)}; only gzip, shuffle and fletcher32 are readable everywhere"]
    return []


def read_strings(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read a string data set of at most one axis; a scalar gives a tuple of one."""
    _refuse(dataset, storage_problems(dataset))
    try:
        values = dataset.asstr()[()]
    except (UnicodeDecodeError, *LIBRARY_ERRORS) as error:
        raise ContractError(f"{_place(dataset)}: the strings cannot be read: {reason(error)}") from error
    return (str(values),) if dataset.shape == () else tuple(str(value) for value in np.ravel(values))


def read_numbers(dataset: h5py.Dataset, shape: Sequence[int | None] | None = None, *, index: Any = ()) -> np.ndarray:
    """Read a numeric data set, or the part that `index` selects, as in NumPy; it must have `shape`, None for any."""
    actual = dataset.shape or ()
    if shape is not None:
        fits = len(actual) == len(shape) and all(want in (None, n) for n, want in zip(actual, shape, strict=True))
        expected = ", ".join("any" if length is None else str(length) for length in shape)
        _refuse(dataset, [] if fits else [f"expected shape ({expected}), got {actual}"])
    _refuse(dataset, storage_problems(dataset))
    try:
        if dataset.dtype.kind not in "fiu":
            _refuse(dataset, [f"expected real numbers, got {dataset.dtype}"])
        return np.asarray(dataset[index])
    except LIBRARY_ERRORS as error:
        raise ContractError(f"{_place(dataset)}: the values are damaged: {reason(error)}") from error


def read_assets(file: h5py.File) -> dict[str, bytes]:
    """Return the files that the enclosed MJCF needs, by name."""
    folder = "provenance/assets"
    group = find(file, folder)
    names = [str(name) for name in group] if isinstance(group, h5py.Group) else []
    return {name: read_numbers(require(file, f"{folder}/{name}"), (None,)).tobytes() for name in names}


def _refuse(dataset: h5py.Dataset, problems: Sequence[str]) -> None:
    if problems:
        raise ContractError(f"{_place(dataset)}: {'; '.join(problems)}")


def _place(dataset: h5py.Dataset) -> str:
    return f"{dataset.file.filename}: {(dataset.name or '').lstrip('/')}"


def is_scale(dataset: h5py.Dataset) -> bool:
    """Return whether a data set says that it is a dimension scale.

    Read from the attributes that define scales ("HDF5 Dimension Scale Specification and Design Notes"), because HDF5's
    own functions end the process where the types of these attributes are wrong.
    """
    kind = attribute(dataset, "CLASS")
    return isinstance(kind, str) and kind == "DIMENSION_SCALE"


def attached_scales(dataset: h5py.Dataset, axis: int) -> list[str]:
    """Return the paths of the scales attached to one axis; `UNREADABLE` among them for what is damaged."""
    try:
        if "DIMENSION_LIST" not in dataset.attrs:
            return []
        if dataset.attrs.get_id("DIMENSION_LIST").get_type().get_class() != h5py.h5t.VLEN:
            return [UNREADABLE]
        scales = [dataset.file[reference] for reference in np.ravel(np.asarray(dataset.attrs["DIMENSION_LIST"])[axis])]
        return [str(scale.name).lstrip("/") if isinstance(scale, h5py.Dataset) else UNREADABLE for scale in scales]
    except (*LIBRARY_ERRORS, IndexError):
        return [UNREADABLE]
