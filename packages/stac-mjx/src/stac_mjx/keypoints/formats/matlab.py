"""Numbers and text of MATLAB files, version 5 and 7.3, as MATLAB sees them.

Version 7.3 is HDF5 with the axes in reverse order and text as 16-bit codes; both are converted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat, whosmat

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints.formats import reading as hdf5


@dataclass(frozen=True)
class MatlabFile:
    """The requested variables of one file."""

    arrays: dict[str, np.ndarray]
    """Variable name -> float64 array, axes in MATLAB's order."""
    texts: dict[str, tuple[str, ...]]
    """Variable name -> its strings (char array, cell array of char)."""
    inventory: str
    """All variables of the file with their shapes, for messages."""


def load(path: Path, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    """Read the `numeric` and `text` variables that `path` has; ``struct.field`` reaches into a structure."""
    if h5py.is_hdf5(path):
        with hdf5.opened(path) as file:
            return _load_v73(path, file, numeric, text)
    return _load_v5(path, numeric, text)


def _load_v5(path: Path, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    wanted = {name.split(".")[0] for name in (*numeric, *text)}
    shapes = _listed(path)
    with _v5_errors(path):
        values = loadmat(path, variable_names=[name for name, _, _ in shapes if name in wanted], struct_as_record=False)
    found = {name: value for name in (*numeric, *text) if (value := _field(values, name)) is not None}
    return MatlabFile(
        arrays={name: _v5_array(path, name, found[name]) for name in numeric if name in found},
        texts={name: _v5_strings(path, name, found[name]) for name in text if name in found},
        inventory=", ".join(f"{name} {shape}" for name, shape, _ in shapes) or "no variable",
    )


def _listed(path: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """Return name, shape and class of every variable of a version 5 file."""
    with _v5_errors(path):
        return [(str(name), shape, kind) for name, shape, kind in whosmat(path)]


@contextmanager
def _v5_errors(path: Path) -> Iterator[None]:
    """Turn the errors of scipy, which has many types for corrupt files, into an InputError."""
    try:
        yield
    except Exception as error:
        # scipy also raises OSError without a number
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a complete MATLAB file ({reason}). Copy or export it again") from error


def structures_with(path: Path, field: str) -> list[str]:
    """Return the names of the structures that have a numeric `field`, a dotted name."""
    if h5py.is_hdf5(path):
        with hdf5.opened(path) as file:
            inner = field.replace(".", "/")
            return [str(name) for name in file if hdf5.first_dataset(file, f"{name}/{inner}") is not None]
    names = [name for name, _, kind in _listed(path) if kind == "struct"]
    return [name for name in names if f"{name}.{field}" in _load_v5(path, (f"{name}.{field}",), ()).arrays]


def _field(values: dict[str, Any], name: str) -> Any:
    """Return the variable `name`, or the field of a structure; None where there is none."""
    root, *fields = name.split(".")
    value = values.get(root)
    for inner in fields:
        first = value.flat[0] if isinstance(value, np.ndarray) and value.dtype == object and value.size else None
        value = getattr(first, inner, None)
    return value


def _v5_array(path: Path, name: str, value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name}: expected an array of real numbers, got {_called(value)}")
    return value.astype(np.float64)


def _v5_strings(path: Path, name: str, value: Any) -> tuple[str, ...]:
    """Return the strings of a char array (rows) or of a cell array of char."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        cells = [np.ravel(cell) for cell in value.T.flat]
        if all(cell.dtype.kind == "U" for cell in cells):
            return tuple(hdf5.as_text("".join(cell)) for cell in cells)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return tuple(hdf5.as_text(row) for row in value.flat)
    raise InputError(f"{path}: {name}: expected text, got {_called(value)}")


def _called(value: Any) -> str:
    """Name the content of a variable, in MATLAB's words."""
    if not isinstance(value, np.ndarray):
        return "an object or sparse numbers"
    if value.dtype == object:
        names = getattr(value.flat[0], "_fieldnames", None) if value.size else None
        return f"a structure with the fields {', '.join(names)}" if names else "a cell array"
    return {"U": "text", "c": "complex numbers"}.get(value.dtype.kind, f"numbers {value.shape}")


def _load_v73(path: Path, file: h5py.File, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    with open(path, "rb") as stream:
        by_matlab = stream.read(6) == b"MATLAB"
    nodes = {name: hdf5.first_dataset(file, name.replace(".", "/")) for name in (*numeric, *text)}
    found = {name: node for name, node in nodes.items() if node is not None}
    arrays = {name: hdf5.numbers(found[name]) for name in numeric if name in found}
    for name, values in arrays.items():
        if by_matlab or "MATLAB_class" in found[name].attrs:
            arrays[name] = values.T
    texts = {name: _v73_strings(found[name]) for name in text if name in found}
    return MatlabFile(arrays, texts, hdf5.contents(file))


def _v73_strings(node: h5py.Dataset) -> tuple[str, ...]:
    """Return the strings of a cell array (references to 16-bit codes), a char array, or plain HDF5 text."""
    if hdf5.holds_text(node):
        return hdf5.strings(node)
    if not hdf5.holds_references(node):
        return _decode_rows(node)
    return tuple("".join(_decode_rows(target)) for target in hdf5.referenced(node))


def _decode_rows(node: h5py.Dataset) -> tuple[str, ...]:
    """Return the rows of a MATLAB char array: HDF5 (width, row) of character codes; an empty one is its size."""
    if hdf5.number_attribute(node, "MATLAB_empty"):
        return ()
    codes = hdf5.numbers(node, np.int64)
    rows = codes.T if codes.ndim == 2 else codes.reshape(1, -1)
    if rows.size and (rows.min() < 0 or rows.max() >= 0x110000):
        raise InputError(f"{node.file.filename}: {node.name}: expected character codes, got other numbers")
    return tuple(hdf5.as_text("".join(map(chr, row))) for row in rows)
