"""One view of a contract file's content, in memory before it is written or in a file that is being checked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from stac_mjx._common.errors import printable, shorten
from stac_mjx._common.hdf5.schema import DimensionRule, Schema

BLOCK_BYTES = 1 << 24
"""Most memory a check reads at once, as near as one element of the leading axes allows."""


@dataclass(frozen=True)
class Departure:
    """One way in which a file departs from its page in docs/schema.

    Attributes:
        where: path of the data set, or ``@name`` for an attribute of the file.
        problem: what was expected and what was found.
        severity: "error" for a broken MUST, "advice" for a missing SHOULD.
    """

    where: str
    problem: str
    severity: str = "error"

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.problem}", 400)


@dataclass(frozen=True)
class Record:
    """The content of a file, as far as it is sound enough to be looked at.

    Attributes:
        schema: the rules it is to follow.
        attributes: attributes of the file.
        dims: names of the dimensions of every data set, scales included.
        strings: string data sets, also scales, by path; a scalar is a tuple of one.
        numbers: numeric data sets, also scales, by path; arrays or HDF5 data sets.
        own_attributes: attributes of the data sets, by path, besides units and flags.
    """

    schema: Schema
    attributes: Mapping[str, Any]
    dims: Mapping[str, tuple[str, ...]]
    strings: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, np.ndarray | h5py.Dataset]
    own_attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def has(self, *paths: str) -> bool:
        """Say whether all these data sets are there and sound."""
        return all(path in self.strings or path in self.numbers for path in paths)

    def whole(self, path: str) -> np.ndarray:
        """Return a numeric data set in memory; only for those of one value a frame, clip or label."""
        return np.asarray(self.numbers[path][()])

    def text(self, path: str) -> str | None:
        """Return a scalar string, or None where there is none."""
        values = self.strings.get(path)
        return values[0] if values else None

    def length(self, dim: str) -> int | None:
        """Return the length of a dimension, or None where its scale is missing."""
        if dim in self.strings:
            return len(self.strings[dim])
        return len(self.numbers[dim]) if dim in self.numbers else None


def blocks(array: np.ndarray | h5py.Dataset) -> Iterator[tuple[slice, ...]]:
    """Yield indices that together cover an array, each of about :data:`BLOCK_BYTES`; none for an empty array."""
    chunk = (getattr(array, "chunks", None) or (1,))[0]
    yield from _split((), tuple(map(int, array.shape)), array.dtype.itemsize, chunk)


def _split(done: tuple[slice, ...], shape: tuple[int, ...], item_bytes: int, chunk: int) -> Iterator[tuple[slice, ...]]:
    if not shape:
        yield done
        return
    n_rows, *inner = shape
    row_bytes = item_bytes * math.prod(inner)
    if row_bytes > BLOCK_BYTES and inner:
        for row in range(n_rows):
            yield from _split((*done, slice(row, row + 1)), tuple(inner), item_bytes, 1)
        return
    rows = max(1, BLOCK_BYTES // max(1, row_bytes))
    # whole chunks, because HDF5 unpacks a chunk whole
    rows = max(rows // chunk * chunk, min(chunk, rows))
    for start in range(0, n_rows, rows):
        yield (*done, slice(start, min(start + rows, n_rows)))


def shape_departures(record: Record) -> Iterator[Departure]:
    """Report axes whose length differs from that of their scale, and labels that repeat."""
    for path, dims in record.dims.items():
        if dims == (path,) or not dims:
            continue
        shape = (len(record.strings[path]),) if path in record.strings else tuple(record.numbers[path].shape)
        expected = tuple(record.length(dim) for dim in dims)
        if len(shape) != len(dims) or any(e is not None and e != n for e, n in zip(expected, shape, strict=True)):
            names = ", ".join(f"{dim} {'?' if n is None else n}" for dim, n in zip(dims, expected, strict=True))
            yield Departure(path, f"expected shape ({names}), got {shape}")


def label_departures(record: Record) -> Iterator[Departure]:
    """Report scales with labels that repeat, that are empty, or that are not the ones the page fixes."""
    for path, dims in record.dims.items():
        rule = record.schema.dimension(path)
        if dims != (path,) or rule is None:
            continue
        if record.length(path) == 0:
            yield Departure(path, "has no element; every dimension needs at least one")
            continue
        if path in record.numbers:
            yield from _numeric_labels(path, record.numbers[path], rule)
            continue
        labels = record.strings[path]
        if rule.values is not None and labels != rule.values:
            yield Departure(path, f"expected the labels {', '.join(rule.values)}, got {shorten(labels)}")
        repeated = sorted(label for label, times in Counter(labels).items() if times > 1)
        if repeated:
            yield Departure(path, f"labels must be unique; repeated: {shorten(repeated)}")
        if "" in labels:
            yield Departure(path, "has an empty label")


def _numeric_labels(path: str, labels: np.ndarray | h5py.Dataset, rule: DimensionRule) -> Iterator[Departure]:
    last = -np.inf
    for index in blocks(labels):
        values = np.asarray(labels[index])
        if rule.index and not np.array_equal(values, np.arange(index[0].start, index[0].stop)):
            yield Departure(path, "expected 0, 1, 2, ... as labels")
            return
        if rule.dtype == "float64" and not (np.diff(values, prepend=last) > 0).all():
            yield Departure(path, "expected finite values that increase")
            return
        last = values[-1]
