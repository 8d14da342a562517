"""The structure of a file: its data sets, their types, labelled axes and attributes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from ..errors import ContractError, shorten
from .reading import LIBRARY_ERRORS, attached_scales, attribute, is_scale, link_problem, read_strings, storage_problems
from .record import Record, Violation, label_violations, shape_violations
from .schema import AttributeRule, DatasetRule, Schema

# the dimension-scale convention and netCDF write these attributes themselves
_HOUSEKEEPING = {
    "DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties",
}  # fmt: skip

_TYPES: dict[str, tuple[Any, str]] = {
    "string": (str, "text"),
    "strings": (tuple | str, "a list of texts"),
    "int": (int, "a whole number"),
    "float": (int | float, "a number"),
    "json": (str, "JSON"),
}
"""Python's types of an attribute, by the type in its rule, and the words for them."""


@dataclass
class _Content:
    """What is collected while a file is read."""

    violations: list[Violation] = field(default_factory=list)
    dims: dict[str, tuple[str, ...]] = field(default_factory=dict)
    strings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    dataset_attributes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def report(self, where: str, problem: str) -> None:
        self.violations.append(Violation(where, problem))


def inspect(file: h5py.File, schema: Schema) -> tuple[Record, list[Violation]]:
    """Return the sound part of an open file's content, and all violations of its structure."""
    content = _Content()
    datasets = _walk(file, content)
    attributes = _attributes(file)
    content.violations += attribute_violations(attributes, schema.attributes)
    content.violations += _missing(schema, datasets)
    for path, dataset in datasets.items():
        rule = schema.rule(path)
        if rule is not None:
            _add_dataset(dataset, rule, schema, content)
        else:
            problems, name = storage_problems(dataset), _type_name(dataset)
            # refused even in data sets that the page does not list
            if name.startswith(("object", "bool", "complex", "a type")):
                problems.append(f"is of type {name}, which not all readers can read")
            content.violations += [Violation(path, problem) for problem in problems]
    required = {dim for rule in schema.datasets.values() if rule.level == "must" for dim in rule.dims}
    required |= {dim for dims in content.dims.values() for dim in dims}
    for dim in sorted(required - set(datasets)):
        content.report(dim, "the scale of this dimension is missing")
    record = Record(schema, attributes, content.dims, content.strings, content.numbers, content.dataset_attributes)
    violations = [*_leading(record), *shape_violations(record), *label_violations(record)]
    return record, content.violations + violations


def _walk(file: h5py.File, content: _Content) -> dict[str, h5py.Dataset]:
    """Return all data sets by path, following hard links only, each object once."""
    datasets: dict[str, h5py.Dataset] = {}
    # two names of one object are equal, and have the same hash
    root: Any = file["/"]
    visited: set[Any] = {root}
    waiting: list[tuple[str, h5py.Group]] = [("", root)]
    while waiting:
        prefix, group = waiting.pop()
        if not group.id.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED:
            problem = "does not keep the order of creation (h5py: track_order=True), so netCDF cannot append"
            content.report(prefix or "/", problem)
        for name in map(str, group):
            path, item = prefix + name, None
            problem = link_problem(group, name)
            if problem is None:
                item, problem = _member(group, name, visited)
            if problem is not None:
                content.report(path, problem)
            elif isinstance(item, h5py.Dataset):
                datasets[path] = item
            elif isinstance(item, h5py.Group):
                waiting.append((path + "/", item))
    return datasets


def _member(group: h5py.Group, name: str, visited: set[Any]) -> tuple[Any, str | None]:
    """Return a member of a group, and what is wrong with it or None."""
    try:
        item: Any = group[name]
        if item in visited:
            return None, "is another name of something already listed; store each thing once"
    except LIBRARY_ERRORS as error:
        return None, f"cannot be opened, the file is damaged: {error}"
    visited.add(item)
    return item, None if isinstance(item, h5py.Dataset | h5py.Group) else "is neither a group nor a data set"


def _attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    return {name: attribute(item, name) for name in item.attrs if name not in _HOUSEKEEPING}


def _missing(schema: Schema, datasets: Mapping[str, h5py.Dataset]) -> Iterator[Violation]:
    for path, rule in schema.datasets.items():
        if "*" not in path and path not in datasets and rule.level != "may":
            yield Violation(path, f"is missing: {rule.meaning}", "error" if rule.level == "must" else "advice")


def _leading(record: Record) -> Iterator[Violation]:
    """Report data sets without the leading dimension where others have it."""
    schema = record.schema
    several = {path: dims for path, dims in record.dims.items() if dims != (path,)}
    if any(dims[:1] == (schema.leading_dim,) for dims in several.values()):
        for path, dims in several.items():
            if schema.takes_leading(path, dims):
                yield Violation(path, f"lacks the axis {schema.leading_dim!r}, which other data sets of this file have")


def _type_name(dataset: h5py.Dataset) -> str:
    """Return the type of a data set as the rules name it, or in words what no rule allows."""
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError):
        return "a type unknown to h5py"
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        variable = text.length is None and text.encoding == "utf-8"
        return "string" if variable else f"{text.encoding} string of fixed length"
    if h5py.check_enum_dtype(dtype) is not None:
        return "bool or another enumeration"
    return "object" if dtype.kind in "OV" else dtype.newbyteorder("=").name


def _add_dataset(dataset: h5py.Dataset, rule: DatasetRule, schema: Schema, content: _Content) -> None:
    """Check one data set; add it to the content where it is sound."""
    name, attributes = _type_name(dataset), _attributes(dataset)
    content.violations += unit_violations(attributes, rule)
    content.violations += attribute_violations(attributes, rule.attributes, rule.path)
    if name != rule.dtype:
        content.report(rule.path, f"expected type {rule.dtype}, got {name}")
    dims = _axes(dataset, rule, schema, content)
    if name != rule.dtype or dims is None or not _add_values(dataset, rule.path, name, content):
        return
    content.dims[rule.path] = dims
    content.dataset_attributes[rule.path] = attributes
    if rule.json is not None and rule.path in content.strings:
        problem = _json_problem(content.strings[rule.path][0], rule.json)
        content.violations += [Violation(rule.path, problem)] if problem else []


def _axes(dataset: h5py.Dataset, rule: DatasetRule, schema: Schema, content: _Content) -> tuple[str, ...] | None:
    """Return the names of a data set's axes, or None where they are not those of the rule."""
    dims = rule.dims
    if dataset.shape is None:
        content.report(rule.path, "is empty")
        return None
    if schema.leading_dim and schema.takes_leading(rule.path, dims) and dataset.ndim == len(dims) + 1:
        dims = (schema.leading_dim, *dims)
    if dataset.ndim != len(dims):
        content.report(rule.path, f"expected the axes ({', '.join(dims)}), got shape {dataset.shape}")
        return None
    if dims == (rule.path,):
        if not is_scale(dataset):
            content.report(rule.path, "is not marked as a dimension scale")
        return dims
    for axis, dim in enumerate(dims):
        attached = attached_scales(dataset, axis)
        if attached != [dim]:
            names = shorten(attached) if attached else "none"
            content.report(rule.path, f"axis {axis}: expected the scale {dim!r} attached, got {names}")
    return dims


def _add_values(dataset: h5py.Dataset, path: str, name: str, content: _Content) -> bool:
    """Add strings, or for numbers the data set itself; return whether that was possible."""
    problems = storage_problems(dataset) or (["has no element"] if dataset.size == 0 else [])
    if name == "string" and not problems:
        try:
            content.strings[path] = read_strings(dataset)
        except ContractError as error:
            problems = [str(error)]
    elif not problems:
        content.numbers[path] = dataset
    for problem in problems:
        content.report(path, problem)
    return not problems


def attribute_violations(
    values: Mapping[str, Any], rules: tuple[AttributeRule, ...], where: str = ""
) -> Iterator[Violation]:
    """Report attributes that are missing or wrong; `where` is the data set they belong to, "" the file."""
    for rule in rules:
        place, value = f"{where}@{rule.name}", values.get(rule.name)
        if value is None and rule.name in values:
            yield Violation(place, f"cannot be read; expected {_TYPES[rule.type][1]}")
        elif value is None and rule.level != "may":
            yield Violation(place, f"is missing: {rule.meaning}", "error" if rule.level == "must" else "advice")
        problem = _attribute_problem(value, rule) if value is not None else None
        if problem:
            yield Violation(place, problem)


def _attribute_problem(value: Any, rule: AttributeRule) -> str | None:
    text = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "..."
    types, words = _TYPES[rule.type]
    if not isinstance(value, types) or isinstance(value, bool):
        return f"expected {words}, got {text}"
    if rule.type in ("int", "float"):
        bound = -math.inf if rule.above is None else rule.above
        return None if math.isfinite(value) and value > bound else f"expected a finite number above {bound}, got {text}"
    if not isinstance(value, str):
        return None
    if rule.pattern is not None and not re.search(rule.pattern, value):
        return f"got {text}; expected {rule.meaning}"
    if rule.type == "string" and rule.level == "must" and not value.strip():
        return f"is empty: {rule.meaning}"
    return _json_problem(value, rule.json) if rule.type == "json" else None


def unit_violations(values: Mapping[str, Any], rule: DatasetRule) -> Iterator[Violation]:
    """Report a wrong unit, and flags that are missing or differ from the page."""
    unit = values.get("units")
    if rule.units is not None and not (isinstance(unit, str) and unit == rule.units):
        yield Violation(f"{rule.path}@units", f"expected {rule.units!r}, got {unit!r}")
    if not rule.flag_values and not rule.free_flags:
        return
    flags, meanings = values.get("flag_values"), values.get("flag_meanings")
    # a single flag is read as a plain number
    numbers = tuple(np.atleast_1d(flags).tolist()) if isinstance(flags, int | np.ndarray) else ()
    words = tuple(meanings.split()) if isinstance(meanings, str) else ()
    if rule.flag_values and (numbers != rule.flag_values or words != rule.flag_meanings):
        expected = ", ".join(f"{v} {m}" for v, m in zip(rule.flag_values, rule.flag_meanings, strict=True))
        yield Violation(f"{rule.path}@flag_values", f"expected {expected}; got {flags!r} and {meanings!r}")
    elif not numbers or len(numbers) != len(words):
        yield Violation(f"{rule.path}@flag_values", f"expected a meaning for each flag, got {flags!r}, {meanings!r}")


def _json_problem(text: str, form: str | None) -> str | None:
    """Return why `text` is not JSON of this form ("sources", "names", "pairs", "object"), or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return f"expected JSON, got {text[:60]!r}"
    if form == "object":
        return None if isinstance(value, dict) else "expected a JSON object"
    expected, test = _JSON_FORMS[form]
    fits = isinstance(value, list) and all(test(entry) for entry in value)
    return None if fits else f"expected a JSON list of {expected}, got {text[:60]!r}"


def _is_source(entry: Any) -> bool:
    values = entry if isinstance(entry, dict) else {}
    name, digest = values.get("name"), values.get("sha256")
    if not isinstance(name, str) or not isinstance(digest, str):
        return False
    return not set("/\\") & set(name) and re.fullmatch("[0-9a-f]{64}", digest) is not None


_JSON_FORMS: dict[str | None, tuple[str, Callable[[Any], bool]]] = {
    "names": ("names", lambda entry: isinstance(entry, str)),
    "pairs": ("pairs of names", lambda entry: isinstance(entry, list) and [*map(type, entry)] == [str, str]),
    "sources": ('{"name", "sha256"} without folders in the names', _is_source),
}
