"""Numbers and text of MATLAB files, version 5 and 7.3, as MATLAB sees them.

Version 7.3 is HDF5 with the axes in reverse order and text as 16-bit codes; both are converted here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Variable name -> float64 array, axes in MATLAB's order."""
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Variable name -> its strings (char array, cell array of char)."""
    inventory: str = ""
    """All variables of the file with their shapes, for messages."""


def load(path: Path, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    """Read the `numeric` and `text` variables that `path` has; ``struct.field`` reaches into a structure.

    Raises:
        InputError: when the file is corrupt, or a variable has another type.
    """
    if h5py.is_hdf5(path):
        with hdf5.opened(path) as file:
            return _load_v73(path, file, numeric, text)
    return _load_v5(path, numeric, text)


def _load_v5(path: Path, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    wanted = {name.split(".")[0] for name in (*numeric, *text)}
    try:
        shapes = whosmat(path)
        values = loadmat(path, variable_names=[name for name, _, _ in shapes if name in wanted], struct_as_record=False)
    # scipy raises errors of many types on corrupt files, among them OSError without a number
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a complete MATLAB file ({reason}). Copy or export it again") from error
    result = MatlabFile(inventory=", ".join(f"{name} {shape}" for name, shape, _ in shapes) or "no variable")
    for name in numeric:
        value = _field(values, name)
        if value is not None:
            result.arrays[name] = _v5_array(path, name, value)
    for name in text:
        value = _field(values, name)
        if value is not None:
            result.texts[name] = _v5_strings(path, name, value)
    return result


def _field(values: dict[str, Any], name: str) -> Any:
    """Return the variable `name`, or the field of a structure; None where there is none."""
    root, _, inner = name.partition(".")
    value = values.get(root)
    if not inner or value is None:
        return value
    first = value.flat[0] if isinstance(value, np.ndarray) and value.dtype == object and value.size else None
    return getattr(first, inner, None)


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
    result = MatlabFile(inventory=hdf5.contents(file))
    for name in numeric:
        node = hdf5.member(file, name.replace(".", "/"))
        if isinstance(node, h5py.Dataset):
            values = hdf5.numbers(node)
            reverse = by_matlab or "MATLAB_class" in node.attrs
            result.arrays[name] = values.T if reverse else values
    for name in text:
        node = hdf5.member(file, name.replace(".", "/"))
        if isinstance(node, h5py.Dataset):
            result.texts[name] = _v73_strings(file, node)
    return result


def _v73_strings(file: h5py.File, node: h5py.Dataset) -> tuple[str, ...]:
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
