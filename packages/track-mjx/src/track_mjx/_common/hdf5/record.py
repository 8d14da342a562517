"""The content of a contract file: in memory before it is written, or in a file that is being read or checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from ..errors import printable, shorten
from .schema import DimensionRule, Schema

_ASSETS = "provenance/assets/"


@dataclass(frozen=True)
class Violation:
    """One way in which a file violates its page in docs/schema."""

    where: str
    """Path of the data set, or ``@name`` for an attribute of the file."""
    problem: str
    """What was expected and what was read."""
    severity: str = "error"
    """"error" for a broken MUST, "advice" for a missing SHOULD."""

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.problem}", 400)


@dataclass(frozen=True)
class Record:
    """The content of a file, as far as its structure is sound."""

    schema: Schema
    attributes: Mapping[str, Any]
    dims: Mapping[str, tuple[str, ...]]
    """Names of the dimensions of every data set, scales included."""
    strings: Mapping[str, tuple[str, ...]]
    """String data sets, also scales, by path; a scalar is a tuple of one."""
    numbers: Mapping[str, np.ndarray | h5py.Dataset]
    """Numeric data sets, also scales, by path: arrays, or data sets of the open file."""
    dataset_attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Attributes of the data sets, by path, besides units and flags."""

    def has(self, *paths: str) -> bool:
        """Return whether all these data sets exist and are sound."""
        return all(path in self.strings or path in self.numbers for path in paths)

    def array(self, path: str) -> np.ndarray:
        """Return a numeric data set in memory."""
        return np.asarray(self.numbers[path][()])

    def length(self, dim: str) -> int | None:
        """Return the length of a dimension, or None where its scale is missing."""
        if dim in self.strings:
            return len(self.strings[dim])
        return len(self.numbers[dim]) if dim in self.numbers else None

    def assets(self) -> dict[str, bytes]:
        """Return the files that the enclosed MJCF needs, by name."""
        names = [name for name in self.numbers if name.startswith(_ASSETS)]
        return {name.removeprefix(_ASSETS): self.array(name).tobytes() for name in names}


def shape_violations(record: Record) -> Iterator[Violation]:
    """Report axes whose length differs from that of their scale, and columns without a unit."""
    for path, dims in record.dims.items():
        if dims == (path,) or not dims:
            continue
        shape = (len(record.strings[path]),) if path in record.strings else tuple(record.numbers[path].shape)
        expected = tuple(record.length(dim) for dim in dims)
        if len(shape) != len(dims) or any(e not in (None, n) for e, n in zip(expected, shape, strict=True)):
            names = ", ".join(f"{dim} {'?' if n is None else n}" for dim, n in zip(dims, expected, strict=True))
            yield Violation(path, f"expected shape ({names}), got {shape}")
        units = record.dataset_attributes.get(path, {}).get("column_units")
        if isinstance(units, tuple) and len(units) != shape[-1]:
            problem = f"expected one unit for each of the {shape[-1]} columns, got {len(units)}"
            yield Violation(f"{path}@column_units", problem)


def label_violations(record: Record) -> Iterator[Violation]:
    """Report scales whose labels repeat, are empty, or are not the ones the page fixes."""
    for path, dims in record.dims.items():
        rule = record.schema.dimension(path)
        if dims != (path,) or rule is None:
            continue
        labels = record.strings[path] if path in record.strings else record.array(path)
        yield from (Violation(path, problem) for problem in _label_problems(labels, rule))


def _label_problems(labels: tuple[str, ...] | np.ndarray, rule: DimensionRule) -> Iterator[str]:
    if not len(labels):
        yield "has no element; every dimension needs at least one"
    elif isinstance(labels, np.ndarray):
        if rule.index and not np.array_equal(labels, np.arange(len(labels))):
            yield "expected 0, 1, 2, ... as labels"
        if rule.dtype == "float64" and not (np.diff(labels, prepend=-np.inf) > 0).all():
            yield "expected finite values that increase"
    else:
        if rule.values is not None and labels != rule.values:
            yield f"expected the labels {', '.join(rule.values)}, got {shorten(labels)}"
        repeated = sorted(label for label, times in Counter(labels).items() if times > 1)
        if repeated:
            yield f"labels must be unique; repeated: {shorten(repeated)}"
        if "" in labels:
            yield "has an empty label"
