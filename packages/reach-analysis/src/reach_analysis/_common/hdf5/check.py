"""Checking a rollouts file against docs/schema: what is there, of which type, along which axes, with which values.

What needs the body to be simulated (does the enclosed MJCF compile, do poses follow it) is left to `stac-mjx check`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from reach_analysis._common.errors import ContractError, printable
from reach_analysis._common.hdf5.reading import (
    attribute,
    link_fault,
    open_contract,
    read_numbers,
    read_strings,
    storage_faults,
)
from reach_analysis._common.hdf5.scales import attached_scales
from reach_analysis._common.hdf5.schema import dataset_rule, dimension_rule, page, takes_seed

KIND = "mimic.rollouts"
MAX_OBJECTS = 20_000
"""Most groups and data sets a file may have."""


@dataclass(frozen=True)
class Departure:
    """One place where a file departs from the page.

    Attributes:
        where: data set, or ``@attribute``, or ``data set@attribute``.
        problem: what is wrong there.
        severity: "error" for a broken MUST, "advice" for a missing SHOULD.
    """

    where: str
    problem: str
    severity: str = "error"

    def __str__(self) -> str:
        return printable(f"{self.where}: {self.problem}", 400)


def check_rollouts(path: Path) -> list[Departure]:
    """Compare a file with its page; errors first, then advice. Empty: it conforms, the body's own rules aside.

    Raises:
        InputError: when it is no readable HDF5 file.
        ContractError: when it is of another kind or major version.
    """
    with open_contract(path, KIND) as file:
        found: list[Departure] = []
        datasets = _walk(file, found)
        found += _attributes(file, page()["attributes"], "")
        found += _missing(datasets)
        sound = {}
        for name, dataset in datasets.items():
            problems = list(_dataset(name, dataset, datasets))
            found += problems
            if not problems:
                sound[name] = dataset
        found += _across(file, sound)
    return sorted(found, key=lambda departure: departure.severity != "error")


def format_departures(path: Path, departures: list[Departure]) -> str:
    """A list of departures as text for a terminal."""
    errors = [departure for departure in departures if departure.severity == "error"]
    advice = [departure for departure in departures if departure.severity != "error"]
    places = "place" if len(errors) == 1 else "places"
    head = f"departs from docs/schema in {len(errors)} {places}" if errors else "conforms to docs/schema"
    lines = [f"{path}: {head}", *(f"  - {departure}" for departure in errors)]
    return "\n".join(lines + (["  advice:", *(f"  - {departure}" for departure in advice)] if advice else []))


def _walk(file: h5py.File, found: list[Departure]) -> dict[str, h5py.Dataset]:
    """All data sets by path, following hard links only, each object once."""
    datasets: dict[str, h5py.Dataset] = {}
    root: Any = file["/"]
    seen: set[Any] = {root}
    waiting: list[tuple[str, Any]] = [("", root)]
    while waiting:
        prefix, group = waiting.pop()
        for name in map(str, group):
            path = prefix + name
            fault = link_fault(group, name)
            if fault is not None:
                found.append(Departure(path, fault))
                continue
            try:
                item = group[name]
                if item in seen:
                    found.append(Departure(path, "is another name of something already there; store each thing once"))
                    continue
            except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
                found.append(Departure(path, f"cannot be opened, the file is damaged: {error}"))
                continue
            seen.add(item)
            if len(seen) > MAX_OBJECTS:
                found.append(Departure(path, f"more than {MAX_OBJECTS} groups and data sets; the rest is not checked"))
                return datasets
            if isinstance(item, h5py.Dataset):
                datasets[path] = item
            elif isinstance(item, h5py.Group):
                waiting.append((path + "/", item))
    return datasets


def _missing(datasets: dict[str, h5py.Dataset]) -> Iterator[Departure]:
    for path, rule in page()["datasets"].items():
        if "*" not in path and path not in datasets and rule["level"] != "may":
            severity = "error" if rule["level"] == "must" else "advice"
            yield Departure(path, f"is missing: {rule['meaning']}", severity)


def _attributes(item: Any, rules: dict[str, Any], where: str) -> Iterator[Departure]:
    """Report attributes that are missing, of another type, or outside their bounds."""
    for name, rule in rules.items():
        place, value = f"{where}@{name}", attribute(item, name)
        if value is None:
            if rule["level"] != "may":
                severity = "error" if rule["level"] == "must" else "advice"
                yield Departure(place, f"is missing: {rule['meaning']}", severity)
            continue
        problem = _attribute_problem(value, rule)
        if problem:
            yield Departure(place, problem)


def _attribute_problem(value: Any, rule: dict[str, Any]) -> str | None:
    shown = repr(value)[:80]
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "string": isinstance(value, str),
        "json": isinstance(value, str),
        "strings": isinstance(value, str | tuple),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": numeric,
    }[rule["type"]]
    if not fits:
        return f"expected a value of type {rule['type']}, got {shown}"
    if numeric and (not math.isfinite(value) or value <= rule.get("above", -math.inf)):
        return f"expected a finite number above {rule.get('above')}, got {shown}"
    if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
        return f"got {shown}; expected {rule['meaning']}"
    return _json_problem(str(value)) if rule["type"] == "json" else None


def _json_problem(text: str) -> str | None:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return f"expected JSON, got {text[:60]!r}"
    return None


def _dataset(path: str, dataset: h5py.Dataset, datasets: dict[str, h5py.Dataset]) -> Iterator[Departure]:
    """Report what is wrong with one data set: its storage, type, axes, units and flags."""
    for fault in storage_faults(dataset):
        yield Departure(path, fault)
    rule, scale = dataset_rule(path), dimension_rule(path)
    expected = (rule or scale or {}).get("dtype")
    if expected is None:
        return
    if type_name(dataset) != expected:
        yield Departure(path, f"expected type {expected}, got {type_name(dataset)}")
    if rule is None:
        return
    yield from _axes(path, dataset, rule, datasets)
    yield from _attributes(dataset, rule.get("attributes", {}), path)
    unit = attribute(dataset, "units")
    if "units" in rule and not (isinstance(unit, str) and unit == rule["units"]):
        yield Departure(f"{path}@units", f"expected {rule['units']!r}, got {unit!r}")
    if "flags" in rule:
        yield from _flags(path, dataset, rule["flags"])


def type_name(dataset: h5py.Dataset) -> str:
    """The type of a data set as the rules name it, or in words what no rule allows."""
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


def _axes(
    path: str, dataset: h5py.Dataset, rule: dict[str, Any], datasets: dict[str, h5py.Dataset]
) -> Iterator[Departure]:
    dims = list(rule["dims"])
    if takes_seed(path, dims) and "seed" in datasets:
        dims = ["seed", *dims]
    if dataset.ndim != len(dims):
        yield Departure(path, f"expected the axes ({', '.join(dims)}), got shape {dataset.shape}")
        return
    if dims == [path]:
        return
    for axis, dim in enumerate(dims):
        attached = attached_scales(dataset, axis)
        if attached != [dim]:
            yield Departure(path, f"axis {axis}: expected the scale {dim!r} attached, got {attached or 'none'}")
        elif datasets.get(dim) is not None and datasets[dim].shape != (dataset.shape[axis],):
            yield Departure(path, f"axis {axis} has {dataset.shape[axis]} elements, {dim} {datasets[dim].shape}")


def _flags(path: str, dataset: h5py.Dataset, flags: Any) -> Iterator[Departure]:
    """Report flags that the page does not know, or values that are none of the flags."""
    values, words = attribute(dataset, "flag_values"), attribute(dataset, "flag_meanings")
    listed = np.atleast_1d(values).tolist() if isinstance(values, int | np.ndarray) else []
    meanings = words.split() if isinstance(words, str) else []
    fixed = flags if isinstance(flags, dict) else {"values": listed, "meanings": meanings}
    if not listed or len(listed) != len(meanings) or listed != fixed["values"] or meanings != fixed["meanings"]:
        yield Departure(f"{path}@flag_values", f"got {values!r} and {words!r}; every value needs its meaning")
    elif not storage_faults(dataset):
        strange = sorted(set(np.unique(read_numbers(dataset)).tolist()) - set(listed))
        if strange:
            yield Departure(path, f"expected only {listed}, got {strange[:12]}")


def _across(file: h5py.File, sound: dict[str, h5py.Dataset]) -> Iterator[Departure]:
    """Report values that contradict each other: times, ends, gaps, names."""
    for name in (
        "clip_name",
        *(name for name in page()["dims"] if name in sound and type_name(sound[name]) == "string"),
    ):
        if name in sound:
            yield from _unique(name, sound[name])
    yield from _times(file, sound)
    if "valid" not in sound:
        return
    valid = read_numbers(sound["valid"]) == 1
    if (np.diff(valid.astype(np.int8), axis=-1) > 0).any():
        yield Departure("valid", "a rollout goes on after it ended: expected ones, then zeros")
    if "terminated" in sound and sound["terminated"].shape == valid.shape:
        last = valid & ~np.concatenate([valid[..., 1:], np.zeros((*valid.shape[:-1], 1), bool)], axis=-1)
        if ((read_numbers(sound["terminated"]) == 1) & ~last).any():
            yield Departure("terminated", "may be 1 only in the last valid step of a rollout")
    for path, dataset in sound.items():
        yield from _finite(path, dataset, valid)
    yield from _reference(sound)


def _unique(name: str, dataset: h5py.Dataset) -> Iterator[Departure]:
    try:
        names = read_strings(dataset)
    except ContractError as error:
        yield Departure(name, str(error))
        return
    if len(set(names)) < len(names) or "" in names:
        yield Departure(name, "names must be unique and not empty")


def _times(file: h5py.File, sound: dict[str, h5py.Dataset]) -> Iterator[Departure]:
    values = [attribute(file, name) for name in ("ctrl_dt_s", "sim_dt_s", "n_substeps", "rate_hz")]
    if not all(isinstance(value, int | float) and value > 0 for value in values):
        return
    control, physics, substeps, rate = map(float, values)
    if abs(control - substeps * physics) > 1e-9 + 1e-6 * control:
        yield Departure("@ctrl_dt_s", f"expected n_substeps x sim_dt_s = {substeps * physics:g}, got {control:g}")
    if abs(rate * control - 1) > 1e-6:
        yield Departure("@rate_hz", f"expected 1 / ctrl_dt_s = {1 / control:g}, got {rate:g}")
    lengths = {
        name: len(sound[name]) for name in ("state_time", "step_time") if name in sound and sound[name].ndim == 1
    }
    if len(lengths) == 2 and lengths["state_time"] != lengths["step_time"] + 1:
        yield Departure("state_time", f"expected one state more than the {lengths['step_time']} steps")
    for name in lengths:
        grid = read_numbers(sound[name])
        if np.abs(grid - np.arange(len(grid)) * control).max(initial=0) > 1e-6 * control * max(1, len(grid)):
            yield Departure(name, f"expected steps of ctrl_dt_s = {control:g} s from 0")


def _finite(path: str, dataset: h5py.Dataset, valid: np.ndarray) -> Iterator[Departure]:
    """Report values that are not finite where they have to be, one clip at a time, so that memory stays bounded."""
    rule = dataset_rule(path)
    if rule is None or rule.get("finite") not in ("always", "where valid"):
        return
    gaps = 0
    if rule["finite"] == "always" or len(rule["dims"]) < 2 or dataset.shape[: valid.ndim - 1] != valid.shape[:-1]:
        gaps = int((~np.isfinite(read_numbers(dataset))).sum())
    else:
        state = rule["dims"][1] == "state_time"
        for clip in np.ndindex(valid.shape[:-1]):
            counts = np.concatenate([[True], valid[clip]]) if state else valid[clip]
            rows = read_numbers(dataset, clip)[: len(counts)]
            gaps += int((~np.isfinite(rows[counts[: len(rows)]])).sum())
    if gaps:
        yield Departure(
            path, f"{gaps} values are not finite" + (" in valid steps" if rule["finite"] != "always" else "")
        )


def _reference(sound: dict[str, h5py.Dataset]) -> Iterator[Departure]:
    names = ("reference/clip_start", "reference/clip_length", "reference/time")
    if all(name in sound for name in names):
        starts, lengths, time = (read_numbers(sound[name]) for name in names)
        if starts.shape == lengths.shape and (starts + lengths).max(initial=0) > len(time):
            yield Departure(names[0], f"a clip reaches frame {(starts + lengths).max()}, but there are {len(time)}")
