"""Writing HDF5 as docs/schema asks: dimension scales, units, compression; the old file or the whole new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from track_mjx._common.errors import output_error
from track_mjx._common.hdf5.writing import whole_hdf5

CONTIGUOUS_BELOW = 1 << 16
"""Arrays of fewer bytes than this are stored whole, neither chunked nor compressed."""

CHUNK_BYTES = 1 << 27
"""Chunks are one clip, but never larger than this."""

_STRING = h5py.string_dtype("utf-8")


@dataclass(frozen=True, eq=False)
class Variable:
    """A data set of the file.

    Attributes:
        dims: paths of its dimension scales; empty for a scalar, its own path for a scale.
        values: an array, or strings.
        meaning: for a reader.
        units: UDUNITS, or "per column"; None for strings.
        attributes: more attributes; tuples of strings become lists.
    """

    dims: tuple[str, ...]
    values: Any
    meaning: str
    units: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def write_file(path: Path, attributes: Mapping[str, Any], variables: Mapping[str, Variable]) -> None:
    """Write a file in the place of whatever is at `path`; scales must come before what they label.

    Raises:
        OutputError: when it cannot be written; what was there before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    with whole_hdf5(path) as (file, sink):
        for name, value in attributes.items():
            file.attrs[name] = value
        for name, variable in variables.items():
            sink.fail_early()
            _write(file, name, variable)


def _write(file: h5py.File, path: str, variable: Variable) -> None:
    group: Any = file
    *folders, name = path.split("/")
    for folder in folders:
        group = group[folder] if folder in group else group.create_group(folder, track_order=True)
    dataset = _create(group, name, variable.values)
    dataset.attrs["long_name"] = variable.meaning
    if variable.units is not None:
        dataset.attrs["units"] = variable.units
    for key, value in variable.attributes.items():
        if isinstance(value, tuple):
            dataset.attrs.create(key, np.array(value, dtype=object), dtype=_STRING)
        else:
            dataset.attrs[key] = value
    if variable.dims == (path,):
        dataset.make_scale(name)
        return
    for axis, dim in enumerate(variable.dims):
        dataset.dims[axis].attach_scale(file[dim])
    if "clip" in variable.dims and path != "clip_name":
        dataset.attrs["coordinates"] = "clip_name"


def _create(group: Any, name: str, values: Any) -> h5py.Dataset:
    if isinstance(values, str | tuple | list):
        data = values if isinstance(values, str) else np.array(list(values), dtype=object)
        return group.create_dataset(name, data=data, dtype=_STRING, track_order=True)
    array = np.asarray(values)
    if array.nbytes < CONTIGUOUS_BELOW or array.ndim == 0:
        return group.create_dataset(name, data=array, track_order=True)
    return group.create_dataset(
        name, data=array, chunks=_chunks(array.shape, array.itemsize), compression="gzip", compression_opts=1,
        shuffle=True, fletcher32=True, track_order=True,
    )  # fmt: skip


def _chunks(shape: Sequence[int], item_bytes: int) -> tuple[int, ...]:
    """One clip a chunk; long clips in parts."""
    if len(shape) == 1:
        return (min(shape[0], 1 << 18),)
    lead = [1] * (len(shape) - 2) if len(shape) > 2 else [min(shape[0], 4096)]
    rest = shape[len(lead) :]
    rows = max(1, min(rest[0], CHUNK_BYTES // max(1, item_bytes * int(np.prod(rest[1:])) * int(np.prod(lead)))))
    return (*lead, rows, *rest[1:])
