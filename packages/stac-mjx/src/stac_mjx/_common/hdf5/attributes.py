"""Checks of attributes against their rules."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from stac_mjx._common.hdf5.record import Departure
from stac_mjx._common.hdf5.schema import AttributeRule, DatasetRule


def attribute_departures(
    found: Mapping[str, Any], rules: tuple[AttributeRule, ...], where: str | None = None
) -> Iterator[Departure]:
    """Report attributes that are missing or wrong.

    Args:
        found: the attributes, as :func:`~stac_mjx._common.hdf5.reading.attribute` gives them; None: unreadable.
        rules: what they have to be.
        where: path of the data set they belong to; None: the file.
    """
    for rule in rules:
        place = f"@{rule.name}" if where is None else f"{where}@{rule.name}"
        value = found.get(rule.name)
        if value is None:
            if rule.name in found:
                yield Departure(place, "cannot be read; expected " + _expected(rule))
            elif rule.level != "may":
                severity = "error" if rule.level == "must" else "advice"
                yield Departure(place, f"is missing: {rule.meaning}", severity)
            continue
        problem = _value_problem(value, rule)
        if problem:
            yield Departure(place, problem)


def unit_departures(found: Mapping[str, Any], rule: DatasetRule) -> Iterator[Departure]:
    """Report a wrong unit, and flags that are missing or differ from the page."""
    unit = found.get("units")
    if rule.units is not None and not (isinstance(unit, str) and unit == rule.units):
        yield Departure(f"{rule.path}@units", f"expected {rule.units!r}, got {unit!r}")
    if not rule.flag_values and not rule.free_flags:
        return
    values, meanings = found.get("flag_values"), found.get("flag_meanings")
    # one flag alone is read as a plain number
    listed = tuple(np.atleast_1d(values).tolist()) if isinstance(values, int | np.ndarray) else ()
    words = tuple(meanings.split()) if isinstance(meanings, str) else ()
    if rule.flag_values and (listed != rule.flag_values or words != rule.flag_meanings):
        expected = ", ".join(f"{v} {m}" for v, m in zip(rule.flag_values, rule.flag_meanings, strict=True))
        yield Departure(f"{rule.path}@flag_values", f"expected {expected}; got {values!r} and {meanings!r}")
    elif not listed or len(listed) != len(words):
        yield Departure(
            f"{rule.path}@flag_values", f"expected one of flag_meanings for each, got {values!r}, {meanings!r}"
        )


def _expected(rule: AttributeRule) -> str:
    names = {
        "string": "text",
        "strings": "a list of texts",
        "int": "a whole number",
        "float": "a number",
        "json": "JSON",
    }
    return names[rule.type]


def _value_problem(value: Any, rule: AttributeRule) -> str | None:
    shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "..."
    is_int = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "strings": isinstance(value, tuple | str),
        "int": is_int,
        "float": is_int or isinstance(value, float),
        "json": isinstance(value, str),
    }[rule.type]
    if not fits:
        return f"expected {_expected(rule)}, got {shown}"
    if rule.type in ("int", "float") and (not math.isfinite(value) or (rule.above is not None and value <= rule.above)):
        return f"expected a finite number above {rule.above}, got {shown}" if rule.above is not None else f"got {shown}"
    if not isinstance(value, str):
        return None
    if rule.pattern is not None and not re.search(rule.pattern, value):
        return f"got {shown}; expected {rule.meaning}"
    if rule.type == "string" and rule.level == "must" and not value.strip():
        return f"is empty: {rule.meaning}"
    return json_problem(value, rule.json) if rule.type == "json" else None


def json_problem(text: str, form: str | None) -> str | None:
    """Say why `text` is not JSON of this form ("sources", "names", "pairs", "object"), or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return f"expected JSON, got {text[:60]!r}"
    if form == "object":
        return None if isinstance(value, dict) else "expected a JSON object"
    if not isinstance(value, list):
        return f"expected a JSON list, got {text[:60]!r}"
    if form == "names" and not all(isinstance(entry, str) for entry in value):
        return f"expected a list of names, got {text[:60]!r}"
    if form == "pairs" and not all(_is_pair(entry) for entry in value):
        return f"expected a list of pairs of names, got {text[:60]!r}"
    if form == "sources" and not all(_is_source(entry) for entry in value):
        return f'expected a list of {{"name", "sha256"}} without folders in the names, got {text[:60]!r}'
    return None


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(name, str) for name in entry)


def _is_source(entry: Any) -> bool:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("name"), str)
        or not isinstance(entry.get("sha256"), str)
    ):
        return False
    return not set("/\\") & set(entry["name"]) and re.fullmatch("[0-9a-f]{64}", entry["sha256"]) is not None
