"""Writing a record to a file, and loading one: the same for every kind of file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stac_mjx._common.errors import ContractError, raise_all
from stac_mjx._common.hdf5.check import CONTENT_CHECKS, value_departures
from stac_mjx._common.hdf5.contract_writing import Output, atomic_hdf5
from stac_mjx._common.hdf5.reading import open_contract, read_numbers
from stac_mjx._common.hdf5.record import Departure, Record, label_departures, shape_departures
from stac_mjx._common.hdf5.schema import DatasetRule, load_schema
from stac_mjx._common.hdf5.structure import inspect

_ASSETS = "provenance/assets/"

# cheap, and what a reader would stumble over
_ON_LOADING = ("clip_names_unique", "clips_contiguous")

MAX_ASSET_BYTES = 1 << 29
"""Most bytes that all files an MJCF needs may take together."""


def record_departures(record: Record) -> list[Departure]:
    """Report what would be wrong with the file that :func:`write_record` makes of a record, the model aside."""
    found = list(shape_departures(record)) + list(label_departures(record))
    if found:
        return found
    found += value_departures(record)
    for name in record.schema.checks:
        if name in CONTENT_CHECKS:
            found += CONTENT_CHECKS[name](record)
    return found


def build_record(
    kind: str,
    attributes: Mapping[str, Any],
    values: Mapping[str, np.ndarray | tuple[str, ...] | None],
    own_attributes: Mapping[str, Mapping[str, Any]],
) -> Record:
    """Sort values by path into a record; those that are None are left out, index scales are added.

    Args:
        kind: which page of docs/schema the file follows.
        attributes: attributes of the file.
        values: data sets and scales by path; strings as tuples.
        own_attributes: attributes of the data sets besides units and flags.
    """
    schema = load_schema(kind)
    strings = {path: value for path, value in values.items() if isinstance(value, tuple)}
    numbers = {path: np.asarray(value) for path, value in values.items() if not isinstance(value, tuple | None)}
    dims: dict[str, tuple[str, ...]] = {}
    for path in [*strings, *numbers]:
        rule = schema.dataset(path)
        dims[path] = rule.dims if rule is not None else (path,)
    for path, axes in list(dims.items()):
        for axis, dim in enumerate(axes):
            rule = schema.dimension(dim)
            if rule is None or dim in dims:
                continue
            dims[dim] = (dim,)
            if rule.values is not None:
                strings[dim] = rule.values
            elif rule.index:
                length = len(strings[path]) if path in strings else numbers[path].shape[axis]
                numbers[dim] = np.arange(length)
    return Record(schema, attributes, dims, strings, numbers, own_attributes)


def write_record(path: Path, record: Record) -> None:
    """Write a record as a file, in the place of whatever is at `path`.

    Raises:
        ContractError: when the record departs from its schema; nothing is written then.
        OutputError: when the file cannot be written; what was there before stays.
    """
    raise_all(ContractError, str(path), [str(departure) for departure in record_departures(record)])
    with atomic_hdf5(path) as output:
        for name, value in record.attributes.items():
            output.file.attrs[name] = value
        scales = [name for name in record.dims if record.dims[name] == (name,) and record.schema.dataset(name) is None]
        for name in scales:
            _write_scale(output, record, name)
        for name, dims in record.dims.items():
            if name not in scales:
                _write_dataset(output, record, name, dims)


def _write_scale(output: Output, record: Record, name: str) -> None:
    rule = record.schema.dimension(name)
    assert rule is not None
    if name in record.strings:
        dataset = output.strings(name, record.strings[name])
    else:
        dataset = output.numbers(name, np.asarray(record.numbers[name]), rule.dtype)
        dataset.attrs["units"] = rule.units
    dataset.attrs["long_name"] = rule.meaning
    dataset.make_scale(name.rsplit("/", 1)[-1])


def _write_dataset(output: Output, record: Record, name: str, dims: tuple[str, ...]) -> None:
    rule = record.schema.dataset(name)
    assert rule is not None
    if name in record.strings:
        texts = record.strings[name]
        dataset = output.strings(name, texts if dims else texts[0])
    else:
        dataset = output.numbers(name, np.asarray(record.numbers[name]), rule.dtype)
    _write_attributes(dataset, rule, record.own_attributes.get(name, {}))
    if dims == (name,):
        dataset.make_scale(name.rsplit("/", 1)[-1])
        return
    coordinates: list[str] = []
    for axis, dim in enumerate(dims):
        dataset.dims[axis].attach_scale(output.file[dim])
        scale = record.schema.dimension(dim)
        coordinates += scale.coordinates if scale is not None else ()
    if coordinates and name not in coordinates:
        dataset.attrs["coordinates"] = " ".join(coordinates)


def _write_attributes(dataset: h5py.Dataset, rule: DatasetRule, own: Mapping[str, Any]) -> None:
    dataset.attrs["long_name"] = rule.meaning
    if rule.units is not None:
        dataset.attrs["units"] = rule.units
    if rule.flag_values:
        dataset.attrs["flag_values"] = np.array(rule.flag_values, dtype=rule.dtype)
        dataset.attrs["flag_meanings"] = " ".join(rule.flag_meanings)
    for key, value in own.items():
        if isinstance(value, tuple):
            dataset.attrs.create(key, np.array(value, dtype=object), dtype=h5py.string_dtype("utf-8"))
        else:
            dataset.attrs[key] = value


def load_record(
    path: Path, kind: str, rows: Mapping[str, Sequence[tuple[int, int]]] | None = None
) -> tuple[Record, dict[str, bytes]]:
    """Read a file into memory.

    Args:
        path: the file.
        kind: the kind it has to be of.
        rows: for a dimension, the (start, stop) stretches to read of every data set that begins with it.

    Returns:
        The record, arrays in memory, and the assets of its MJCF.

    Raises:
        InputError: when the file cannot be opened.
        ContractError: when its structure or its clip borders depart from the schema; other values are left to
            :mod:`stac_mjx.check`.
    """
    with open_contract(path, kind) as file:
        record, departures = inspect(file, load_schema(kind))
        errors = [str(departure) for departure in departures if departure.severity == "error"]
        if not errors:
            errors = [
                str(d) for name in _ON_LOADING if name in record.schema.checks for d in CONTENT_CHECKS[name](record)
            ]
        hint = ["`stac-mjx check` lists everything that is wrong"] if len(errors) > 1 else []
        raise_all(ContractError, str(path), errors[:20] + hint)
        assets = read_assets(record)
        numbers = {
            name: read_numbers(dataset, (rows or {}).get((record.dims[name] or ("",))[0]))
            for name, dataset in record.numbers.items()
            if isinstance(dataset, h5py.Dataset) and not name.startswith(_ASSETS)
        }
    return replace(record, numbers=numbers), assets


def read_assets(record: Record) -> dict[str, bytes]:
    """Return the files that the MJCF of an open file needs, by name.

    Raises:
        ContractError: when they are larger together than :data:`MAX_ASSET_BYTES`, or damaged.
    """
    stored = {name: data for name, data in record.numbers.items() if name.startswith(_ASSETS)}
    total = sum(len(data) for data in stored.values())
    if total > MAX_ASSET_BYTES:
        raise ContractError(f"the assets have {total} bytes together; at most {MAX_ASSET_BYTES} are read")
    return {
        name.removeprefix(_ASSETS): read_numbers(data).tobytes()
        for name, data in stored.items()
        if isinstance(data, h5py.Dataset)
    }
