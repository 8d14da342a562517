"""Checks of a file's structure: what is there, of which type, along which labelled axes, and safe to read at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py

from stac_mjx._common.errors import ContractError, shorten
from stac_mjx._common.hdf5.attributes import attribute_departures, json_problem, unit_departures
from stac_mjx._common.hdf5.reading import attribute, link_fault, read_strings, storage_faults
from stac_mjx._common.hdf5.record import Departure, Record, label_departures, shape_departures
from stac_mjx._common.hdf5.scales import attached_scales, is_scale
from stac_mjx._common.hdf5.schema import DatasetRule, Schema

MAX_OBJECTS = 20_000
"""Most groups and data sets a file may have."""

# what the dimension-scale convention and netCDF keep for themselves, in types of their own
_HOUSEKEEPING = {
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "CLASS",
    "NAME",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
}


@dataclass
class _Findings:
    """What is gathered on the way through a file."""

    departures: list[Departure] = field(default_factory=list)
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    strings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    own_attributes: dict[str, dict[str, Any]] = field(default_factory=dict)


def inspect(file: h5py.File, schema: Schema) -> tuple[Record, list[Departure]]:
    """Compare a file's structure with its page.

    Returns:
        The sound part of its content, and all departures found. The data sets of the record belong to the open file.
    """
    found = _Findings()
    datasets = _walk(file, found.departures)
    attributes = _attributes(file)
    found.departures += attribute_departures(attributes, schema.attributes)
    used = _missing(schema, datasets, found.departures)
    for path, dataset in datasets.items():
        rule = schema.dataset(path)
        if rule is not None:
            _take_dataset(dataset, rule, schema, found)
        elif schema.dimension(path) is not None:
            _take_scale(dataset, path, schema, found)
        else:
            found.departures += _foreign(dataset, path)
    used |= {dim for dims in found.dims.values() for dim in dims}
    missing = sorted(dim for dim in used if dim not in datasets)
    found.departures += [Departure(dim, "the scale of this dimension is missing") for dim in missing]
    record = Record(schema, attributes, found.dims, found.strings, found.numbers, found.own_attributes)
    found.departures += [*_leading(record), *shape_departures(record), *label_departures(record)]
    return record, found.departures


def _leading(record: Record) -> Iterator[Departure]:
    """Report data sets without the leading dimension where others have it."""
    schema = record.schema
    if not any(axes[0] == schema.leading_dim for path, axes in record.dims.items() if axes and axes != (path,)):
        return
    for path, axes in record.dims.items():
        if axes != (path,) and schema.takes_leading(path, axes):
            yield Departure(path, f"lacks the axis {schema.leading_dim!r}, which other data sets of this file have")


def _walk(file: h5py.File, departures: list[Departure]) -> dict[str, h5py.Dataset]:
    """List all data sets by path, following hard links only, each object once."""
    datasets: dict[str, h5py.Dataset] = {}
    # two names of one object are equal, and have the same hash
    root: Any = file["/"]
    seen: set[Any] = {root}
    waiting: list[tuple[str, h5py.Group]] = [("", root)]
    while waiting:
        prefix, group = waiting.pop()
        if not group.id.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED:
            problem = (
                "does not keep the order of creation (h5py: track_order=True), so netCDF cannot append to the file"
            )
            departures.append(Departure(prefix or "/", problem))
        for name in map(str, group):
            path = prefix + name
            fault = link_fault(group, name)
            if fault is not None:
                departures.append(Departure(path, fault))
                continue
            try:
                item = group[name]
                known = item in seen
            except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
                departures.append(Departure(path, f"cannot be opened, the file is damaged: {error}"))
                continue
            if known:
                departures.append(Departure(path, "is another name of something already there; store each thing once"))
                continue
            seen.add(item)
            if len(seen) > MAX_OBJECTS:
                departures.append(
                    Departure(path, f"more than {MAX_OBJECTS} groups and data sets; the rest is not checked")
                )
                return datasets
            if isinstance(item, h5py.Dataset):
                datasets[path] = item
            elif isinstance(item, h5py.Group):
                waiting.append((path + "/", item))
            else:
                departures.append(Departure(path, "is neither a group nor a data set"))
    return datasets


def _attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    return {name: attribute(item, name) for name in item.attrs if name not in _HOUSEKEEPING}


def _missing(schema: Schema, datasets: dict[str, h5py.Dataset], departures: list[Departure]) -> set[str]:
    """Report rules without a data set; return the dimensions that the data sets of MUST rules need."""
    needed: set[str] = set()
    for path, rule in schema.datasets.items():
        if rule.level == "must":
            needed |= set(rule.dims)
        if "*" in path or path in datasets or rule.level == "may":
            continue
        severity = "error" if rule.level == "must" else "advice"
        departures.append(Departure(path, f"is missing: {rule.meaning}", severity))
    return needed


def type_name(dataset: h5py.Dataset) -> str:
    """Name the type of a data set as the rules do: numpy's name, "string", or in words what no rule allows."""
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError):
        return "a type unknown to h5py"
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        return (
            "string" if text.length is None and text.encoding == "utf-8" else f"{text.encoding} string of fixed length"
        )
    if h5py.check_enum_dtype(dtype) is not None:
        return "bool or another enumeration"
    return "object" if dtype.kind in "OV" else dtype.newbyteorder("=").name


def _take_dataset(dataset: h5py.Dataset, rule: DatasetRule, schema: Schema, found: _Findings) -> None:
    """Check one data set; enter it in the findings where it can be looked at further."""
    name = type_name(dataset)
    own = _attributes(dataset)
    found.departures += unit_departures(own, rule)
    found.departures += attribute_departures(own, rule.attributes, rule.path)
    if name != rule.dtype:
        found.departures.append(Departure(rule.path, f"expected type {rule.dtype}, got {name}"))
    dims = _axes(dataset, rule, schema, found.departures)
    if name != rule.dtype or dims is None or not _take_values(dataset, rule.path, name, found):
        return
    found.dims[rule.path] = dims
    found.own_attributes[rule.path] = own
    if rule.json is not None and rule.path in found.strings:
        problem = json_problem(found.strings[rule.path][0], rule.json)
        found.departures += [Departure(rule.path, problem)] if problem else []


def _axes(
    dataset: h5py.Dataset, rule: DatasetRule, schema: Schema, departures: list[Departure]
) -> tuple[str, ...] | None:
    """Return the names of a data set's axes, or None where they are not those of the rule."""
    dims = rule.dims
    if dataset.shape is None:
        departures.append(Departure(rule.path, "is empty"))
        return None
    if schema.leading_dim and schema.takes_leading(rule.path, dims) and dataset.ndim == len(dims) + 1:
        dims = (schema.leading_dim, *dims)
    if dataset.ndim != len(dims):
        departures.append(Departure(rule.path, f"expected the axes ({', '.join(dims)}), got shape {dataset.shape}"))
        return None
    if dims == (rule.path,):
        if not is_scale(dataset):
            departures.append(Departure(rule.path, "must be its own dimension scale"))
        return dims
    for axis, dim in enumerate(dims):
        attached = attached_scales(dataset, axis)
        if attached != [dim]:
            shown = shorten(attached) if attached else "none"
            departures.append(Departure(rule.path, f"axis {axis}: expected the scale {dim!r} attached, got {shown}"))
    return dims


def _take_scale(dataset: h5py.Dataset, path: str, schema: Schema, found: _Findings) -> None:
    """Check the labels of a dimension and enter them in the findings."""
    rule, name = schema.dimension(path), type_name(dataset)
    assert rule is not None
    if not is_scale(dataset):
        found.departures.append(Departure(path, "is not marked as a dimension scale"))
    if name != rule.dtype or dataset.shape is None or dataset.ndim != 1:
        found.departures.append(Departure(path, f"expected a list of type {rule.dtype}, got {name}, {dataset.shape}"))
        return
    units = attribute(dataset, "units")
    if rule.dtype != "string" and not (isinstance(units, str) and units == rule.units):
        found.departures.append(Departure(f"{path}@units", f"expected {rule.units!r}, got {units!r}"))
    if _take_values(dataset, path, name, found):
        found.dims[path] = (path,)


def _take_values(dataset: h5py.Dataset, path: str, name: str, found: _Findings) -> bool:
    """Enter strings, or the data set itself for numbers; say whether that could be done."""
    faults = storage_faults(dataset) or (["has no element"] if dataset.size == 0 else [])
    found.departures += [Departure(path, fault) for fault in faults]
    if faults:
        return False
    if name != "string":
        found.numbers[path] = dataset
        return True
    try:
        found.strings[path] = read_strings(dataset)
    except ContractError as error:
        found.departures.append(Departure(path, str(error)))
        return False
    return True


def _foreign(dataset: h5py.Dataset, path: str) -> Iterator[Departure]:
    """Report what must not be even in a data set that the page does not know."""
    name = type_name(dataset)
    if name.startswith(("object", "bool", "complex", "a type")):
        yield Departure(path, f"is of type {name}, which not all readers can read")
    for fault in storage_faults(dataset):
        yield Departure(path, fault)
