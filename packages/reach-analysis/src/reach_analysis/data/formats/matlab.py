"""MATLAB files with tables or vectors of channels, in variables and structs of any name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from reach_analysis._common.errors import InputError, shorten
from reach_analysis.data.formats.analog import Analog, clock_rate, is_time, numbered

RATE = re.compile(r"(emg|sampl(e|ing))?(fs|sr|freq|frequency|s?rate)(emg)?(k?hz)?")
"""Names of variables that hold a rate, in lower case without underscores."""


def read_matlab(path: Path) -> Analog:
    """All channels of a MATLAB file that have as many samples as its EMG, their names and their rate.

    The EMG is what has EMG in its name, else the longest table. Times, and a first channel that rises evenly, are
    left out, and give the rate where no variable does.

    Raises:
        InputError: when it cannot be read, has no table of numbers, or holds several rates or uneven times.
    """
    content = _content(path)
    arrays = {name: np.atleast_2d(value).astype(float) for name, value in content.items()
              if np.asarray(value).dtype.kind in "iuf" and np.size(value) > 1 and np.ndim(value) <= 2}  # fmt: skip
    if not arrays:
        raise InputError(f"{path}: has no table of numbers; its variables: {shorten(list(content))}")
    named = {name: array for name, array in arrays.items() if "emg" in name.lower()} or arrays
    main = max(named, key=lambda name: (max(named[name].shape), named[name].size))
    length = max(arrays[main].shape)
    tables = {name: array if array.shape[1] == length else array.T
              for name, array in arrays.items() if length in array.shape}  # fmt: skip
    names = [name for variable, table in tables.items() for name in _names(content, variable, len(table))]
    rows = dict(zip(numbered(names), np.concatenate(list(tables.values())), strict=True))
    first = np.cumsum([0, *map(len, tables.values())])[:-1]
    clocks = {name: clock_rate(row, name) for place, (name, row) in enumerate(rows.items())
              if is_time(name) or place in first}  # fmt: skip
    uneven = [name for name, rate in clocks.items() if is_time(name) and not np.isfinite(rate)]
    if uneven:
        raise InputError(f"{path}: the times of {uneven[0]} are not evenly spaced")
    clocks = {name: rate for name, rate in clocks.items() if np.isfinite(rate)}
    rates = _rates(content, main) or {rate for name, rate in clocks.items() if is_time(name) or rate != 1.0}
    if len(rates) > 1:
        raise InputError(f"{path}: holds several rates: {shorten([f'{rate:g}' for rate in sorted(rates)])}")
    kept, rate = [name for name in rows if name not in clocks], rates.pop() if rates else np.nan
    if not kept:
        raise InputError(f"{path}: has no channel but those of times")
    return Analog(path, tuple(kept), ("",) * len(kept), (rate,) * len(kept), tuple(rows[name] for name in kept))


def _content(path: Path) -> dict[str, Any]:
    """All variables, those in structs as ``struct.field``."""
    try:
        content = loadmat(path, simplify_cells=True)
    except NotImplementedError:
        raise InputError(f"{path}: MATLAB file of version 7.3; save it with -v7") from None
    except Exception as error:  # scipy raises many types on damaged files
        raise InputError(f"{path}: not a readable MATLAB file ({error})") from error
    return dict(_flat({name: value for name, value in content.items() if name[0] != "_"}))


def _flat(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", entry) for key, entry in _flat(value))
        else:
            yield name, value


def _names(content: Mapping[str, Any], variable: str, count: int) -> list[str]:
    """Names of the channels of a table: an array of as many texts, else the variable's, numbered."""
    labels = [[str(text).strip() for text in np.atleast_1d(value)] for value in content.values()
              if np.size(value) == count > 1 and np.asarray(value).dtype.kind in "UO"]  # fmt: skip
    last = variable.rpartition(".")[2]
    return labels[0] if labels else [f"{last} {number + 1}" if count > 1 else last for number in range(count)]


def _rates(content: Mapping[str, Any], table: str) -> set[float]:
    """Rates that variables hold, Hz; those next to the table, in the same struct, count before others."""
    found = {name: float(np.ravel(value)[0]) * (1e3 if name.lower().endswith("khz") else 1.0)
             for name, value in content.items()
             if RATE.fullmatch(name.rpartition(".")[2].lower().replace("_", "")) and np.size(value)
             and np.asarray(value).dtype.kind in "iuf" and np.unique(value).size == 1}  # fmt: skip
    near = {value for name, value in found.items() if name.rpartition(".")[0] == table.rpartition(".")[0]}
    return near or set(found.values())
