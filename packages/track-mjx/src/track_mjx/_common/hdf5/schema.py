"""The rules of docs/schema as records, loaded from the JSON that is installed with the package.

A rule's path may hold ``*``, which stands for one name; a dimension may refer to what the stars stood for as ``{1}``,
``{2}``: ``activations/*/layer_*`` has the dimension ``activations/{1}/unit_{2}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from ..errors import ContractError, unknown

KINDS = ("mimic.reference_clips", "mimic.offsets", "mimic.rollouts")
"""Kinds of file this version knows."""


@dataclass(frozen=True)
class AttributeRule:
    """An attribute of the file or of a data set."""

    name: str
    type: str
    """"string", "strings" (a list), "int", "float" or "json" (a string that holds JSON)."""
    level: str
    """"must", "should" or "may"."""
    meaning: str
    pattern: str | None = None
    """Regular expression that a string has to match somewhere."""
    above: int | float | None = None
    """A number has to be greater than this."""
    json: str | None = None
    """Form of a JSON value: "sources", "names" or "pairs"."""


@dataclass(frozen=True)
class DimensionRule:
    """A dimension and the data set that labels it: its scale, stored under the dimension's name."""

    name: str
    dtype: str
    """"string", "int64" or "float64"."""
    meaning: str
    index: bool = False
    """The labels are 0, 1, 2, ..."""
    values: tuple[str, ...] | None = None
    """The labels, where they are always the same."""
    coordinates: tuple[str, ...] = ()
    """Data sets along this dimension that further label it (CF's attribute ``coordinates``)."""
    units: str = "1"


@dataclass(frozen=True)
class DatasetRule:
    """A data set."""

    path: str
    dims: tuple[str, ...]
    """Names of its dimensions; empty for a scalar."""
    dtype: str
    """NumPy's name of the type, or "string"."""
    level: str
    """"must", "should" or "may"."""
    meaning: str
    units: str | None = None
    """SI unit, "per column" (attribute column_units), or None for strings."""
    finite: str | None = None
    """"always", "where valid", "may be NaN" or None (not a float)."""
    minimum: int | float | None = None
    maximum: int | float | None = None
    above: int | float | None = None
    """Bound that the values exceed."""
    flag_values: tuple[int, ...] = ()
    """The values an enumeration may take; empty: none fixed."""
    flag_meanings: tuple[str, ...] = ()
    free_flags: bool = False
    """An enumeration whose values and meanings the file itself defines."""
    attributes: tuple[AttributeRule, ...] = ()
    """Attributes besides units and flags."""
    json: str | None = None
    """"object" where a string holds a JSON object."""


@dataclass(frozen=True)
class Schema:
    """All rules of one kind of file."""

    kind: str
    version: str
    attributes: tuple[AttributeRule, ...]
    dims: Mapping[str, DimensionRule]
    datasets: Mapping[str, DatasetRule]
    checks: tuple[str, ...]
    """Names of the rules that relate data sets to each other and to the model."""
    leading_dim: str | None = None
    """Dimension that may precede `leading_before` in every data set that begins with that one."""
    leading_before: str | None = None
    leading_except: tuple[str, ...] = ()
    """Data sets, or patterns of these, that never have the leading dimension."""

    @property
    def numbers(self) -> tuple[int, int]:
        """Major version, which readers must share, and minor version, which only counts additions."""
        major, minor = self.version.split(".")
        return int(major), int(minor)

    def dataset(self, path: str) -> DatasetRule | None:
        """Return the rule for one path, stars filled in, or None where the page says nothing about it."""
        for pattern, rule in self.datasets.items():
            stars = _match(pattern, path)
            if stars is not None:
                return replace(rule, path=path, dims=tuple(_fill(dim, stars) for dim in rule.dims))
        return None

    def dimension(self, name: str) -> DimensionRule | None:
        """Return the rule for the dimension of this name, or None."""
        for pattern, rule in self.dims.items():
            if _match(pattern, name) is not None:
                return replace(rule, name=name)
        return None

    def rule(self, path: str) -> DatasetRule | None:
        """Return the rule for a data set or for the scale of a dimension, or None."""
        rule, dim = self.dataset(path), self.dimension(path)
        if rule is not None or dim is None:
            return rule
        units = None if dim.dtype == "string" else dim.units
        return DatasetRule(path, (path,), dim.dtype, "must", dim.meaning, units=units)

    def takes_leading(self, path: str, dims: tuple[str, ...]) -> bool:
        """Return whether the data set may carry the leading dimension."""
        excepted = any(_match(pattern, path) is not None for pattern in self.leading_except)
        return self.leading_dim is not None and dims[:1] == (self.leading_before,) and not excepted


def _match(pattern: str, path: str) -> tuple[str, ...] | None:
    """Return what the stars of `pattern` stand for in `path`, or None where it does not match."""
    if "*" not in pattern:
        return () if pattern == path else None
    match = re.fullmatch("([^/]+)".join(re.escape(part) for part in pattern.split("*")), path)
    return match.groups() if match else None


def _fill(template: str, stars: tuple[str, ...]) -> str:
    for number, star in enumerate(stars, start=1):
        template = template.replace(f"{{{number}}}", star)
    return template


@cache
def load_schema(kind: str) -> Schema:
    """Return the rules of one kind of file, at the version this package writes."""
    if kind not in KINDS:
        raise ContractError(unknown("kind of file", kind, KINDS))
    folder = resources.files(__name__.rpartition(".")[0]) / "schemas"
    [file] = (entry for entry in folder.iterdir() if entry.name.startswith(f"{kind}-"))
    page = json.loads(file.read_text(encoding="utf-8"))
    leading = page.get("leading", {})
    return Schema(
        kind=page["kind"],
        version=page["version"],
        attributes=_attribute_rules(page["attributes"]),
        dims={name: DimensionRule(name=name, **_plain(entry)) for name, entry in page["dims"].items()},
        datasets={path: _dataset_rule(path, entry) for path, entry in page["datasets"].items()},
        checks=tuple(page["checks"]),
        leading_dim=leading.get("dim"),
        leading_before=leading.get("before"),
        leading_except=tuple(leading.get("except", ())),
    )


def _attribute_rules(entries: Mapping[str, Any]) -> tuple[AttributeRule, ...]:
    return tuple(AttributeRule(name=name, **entry) for name, entry in entries.items())


def _dataset_rule(path: str, entry: Mapping[str, Any]) -> DatasetRule:
    fields = _plain(entry)
    flags, attributes = fields.pop("flags", None), _attribute_rules(fields.pop("attributes", {}))
    if flags == "any":
        fields["free_flags"] = True
    elif flags is not None:
        fields |= {"flag_values": tuple(flags["values"]), "flag_meanings": tuple(flags["meanings"])}
    return DatasetRule(path=path, attributes=attributes, **fields)


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
