"""Writing a contract file as docs/schema asks: dimension scales, units, compression; the old file or the whole new one.

Data sets are written as a whole, or piece by piece where they do not fit in memory (:class:`Pending`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import ContractError, raise_all
from ..files import replace_file
from .record import Record, label_violations, shape_violations
from .schema import DatasetRule, load_schema

CONTIGUOUS_BELOW = 1 << 16
"""Arrays of fewer bytes than this are neither chunked nor compressed."""

CHUNK_BYTES = 1 << 20
"""Largest chunk before compression: as many whole rows as fit, at least one."""

_STRING = h5py.string_dtype("utf-8")


@dataclass(frozen=True, eq=False)
class Variable:
    """The values of a data set together with attributes of its own, besides its meaning, units and fixed flags."""

    values: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pending:
    """A numeric data set in place of its values, which follow through the function that `open_record` yields."""

    shape: tuple[int, ...]
    piece: tuple[int, ...]
    """Shape of what is set at a time."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


def build_record(kind: str, attributes: Mapping[str, Any], values: Mapping[str, Any]) -> Record:
    """Sort attributes and values by path into a record; None is left out, scales with known labels are added.

    Values are arrays, texts, tuples of texts, :class:`Pending`, or any of these in a :class:`Variable`.
    """
    schema = load_schema(kind)
    dims: dict[str, tuple[str, ...]] = {}
    strings: dict[str, tuple[str, ...]] = {}
    numbers: dict[str, Any] = {}
    dataset_attributes: dict[str, Mapping[str, Any]] = {}
    for path, value in values.items():
        if isinstance(value, Variable):
            dataset_attributes[path], value = value.attributes, value.values
        if value is None:
            continue
        rule = schema.dataset(path)
        dims[path] = rule.dims if rule is not None else (path,)
        if isinstance(value, str | tuple):
            strings[path] = (value,) if isinstance(value, str) else value
            continue
        numbers[path] = value if isinstance(value, Pending) else np.asarray(value)
        if schema.takes_leading(path, dims[path]) and numbers[path].ndim == len(dims[path]) + 1:
            dims[path] = (schema.leading_dim or "", *dims[path])
    for path, axes in list(dims.items()):
        for axis, dim in enumerate(axes):
            rule = schema.dimension(dim)
            if rule is None or dim in dims:
                continue
            if rule.values is not None:
                dims[dim], strings[dim] = (dim,), rule.values
            elif rule.index:
                length = len(strings[path]) if path in strings else numbers[path].shape[axis]
                dims[dim], numbers[dim] = (dim,), np.arange(length)
    plain = {name: value for name, value in attributes.items() if value is not None}
    return Record(schema, plain, dims, strings, numbers, dataset_attributes)


def write_record(path: Path, record: Record) -> None:
    """Write a record as a file, in the place of whatever is at `path`; an error leaves what was there unchanged."""
    with open_record(path, record):
        pass


Put = Callable[[str, Any, np.ndarray], None]
"""Sets a part of a data set: its path, the index of the part, the values."""


@contextmanager
def open_record(path: Path, record: Record) -> Iterator[Put]:
    """Write a record as `write_record` does, and yield the function that sets the values of what is pending.

    The file takes the place of `path` when the block ends well.
    """
    violations = [*shape_violations(record), *label_violations(record)]
    raise_all(ContractError, str(path), [str(violation) for violation in violations])
    with replace_file(path) as temporary, _hdf5_on(temporary) as (file, disk):
        for name, value in record.attributes.items():
            file.attrs[name] = value
        # scales first: the data sets along them refer to them
        for name in sorted(record.dims, key=lambda name: record.dims[name] != (name,)):
            _write_dataset(file, record, name)

        def put(name: str, where: Any, values: np.ndarray) -> None:
            dataset: Any = file[name]
            dataset[where] = values
            disk.check()

        yield put


@contextmanager
def _hdf5_on(path: Path) -> Iterator[tuple[h5py.File, _Disk]]:
    with _Disk(path, "w+") as disk:
        try:
            with h5py.File(disk, "w", track_order=True) as file:
                yield file, disk
        finally:
            disk.check()


class _Disk(io.FileIO):
    """A file that keeps its first error for `check`, and in memory what is written from then on.

    HDF5 cannot recover from a write that failed: it fails again on closing, prints tracebacks, and may end the process.
    """

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self._error: OSError | None = None
        self._unwritten: list[tuple[int, bytes]] = []

    def write(self, data: Any) -> int:
        view, begin, done = memoryview(data).cast("B"), self.tell(), 0
        try:
            while self._error is None and done < len(view):
                done += super().write(view[done:])
        except OSError as error:
            self._error = error
        if self._error is not None:
            self._unwritten.append((begin, bytes(view)))
            self.seek(begin + len(view))
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view, begin = memoryview(buffer).cast("B"), self.tell()
        n = super().readinto(view) or 0
        for start, data in self._unwritten:
            first, last = max(start, begin), min(start + len(data), begin + len(view))
            if first < last:
                view[first - begin : last - begin] = data[first - start : last - start]
                n = max(n, last - begin)
        return n

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _write_dataset(file: h5py.File, record: Record, name: str) -> None:
    rule = record.schema.rule(name)
    assert rule is not None, name
    dataset = _create(file, record, name, rule.dtype)
    _write_attributes(dataset, rule, record.dataset_attributes.get(name, {}))
    if record.dims[name] == (name,):
        dataset.make_scale(name.rsplit("/", 1)[-1])
        return
    coordinates: list[str] = []
    for axis, dim in enumerate(record.dims[name]):
        dataset.dims[axis].attach_scale(file[dim])
        scale = record.schema.dimension(dim)
        coordinates += scale.coordinates if scale is not None else ()
    if coordinates and name not in coordinates:
        dataset.attrs["coordinates"] = " ".join(coordinates)


def _write_attributes(dataset: h5py.Dataset, rule: DatasetRule, attributes: Mapping[str, Any]) -> None:
    dataset.attrs["long_name"] = rule.meaning
    if rule.units is not None:
        dataset.attrs["units"] = rule.units
    if rule.flag_values:
        dataset.attrs["flag_values"] = np.array(rule.flag_values, dtype=rule.dtype)
        dataset.attrs["flag_meanings"] = " ".join(rule.flag_meanings)
    for name, value in attributes.items():
        if isinstance(value, tuple):
            dataset.attrs.create(name, np.array(value, dtype=object), dtype=_STRING)
        else:
            dataset.attrs[name] = value


def _create(file: h5py.File, record: Record, name: str, dtype: str) -> h5py.Dataset:
    """Create one data set; groups keep the order of creation, or netCDF could not append."""
    group: Any = file
    *folders, last = name.split("/")
    for folder in folders:
        group = group[folder] if folder in group else group.create_group(folder, track_order=True)
    if name in record.strings:
        texts = record.strings[name]
        data = np.array(texts, dtype=object) if record.dims[name] else texts[0]
        return group.create_dataset(last, data=data, dtype=_STRING, track_order=True)
    values = record.numbers[name]
    if isinstance(values, Pending):
        packing = _packing(values.shape, values.piece, np.dtype(dtype).itemsize)
        return group.create_dataset(last, shape=values.shape, dtype=dtype, track_order=True, **packing)
    return write_numbers(group, last, np.asarray(values), dtype)


def write_numbers(group: h5py.Group, name: str, array: np.ndarray, dtype: str) -> h5py.Dataset:
    """Write an array as `dtype`; a large one in chunks of whole rows, shuffled and deflated."""
    stored = array.astype(dtype, copy=False)
    packing = _packing(stored.shape, stored.shape, stored.itemsize)
    return group.create_dataset(name, data=stored, track_order=True, **packing)


def _packing(shape: Sequence[int], piece: Sequence[int], item_bytes: int) -> dict[str, Any]:
    if np.prod(shape, dtype=np.int64) * item_bytes < CONTIGUOUS_BELOW:
        return {}
    chunks = chunk_shape(piece, item_bytes)
    return {"chunks": chunks, "shuffle": True, "compression": "gzip", "compression_opts": 1}


def chunk_shape(shape: Sequence[int], item_bytes: int) -> tuple[int, ...]:
    """Return the largest chunk of at most :data:`CHUNK_BYTES` that is contiguous in the array."""
    chunk, n_bytes = [1] * len(shape), item_bytes
    for axis in reversed(range(len(shape))):
        chunk[axis] = max(1, min(shape[axis], CHUNK_BYTES // n_bytes))
        n_bytes *= chunk[axis]
        if chunk[axis] < shape[axis]:
            break
    return tuple(chunk)
