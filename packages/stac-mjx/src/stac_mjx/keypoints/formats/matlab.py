"""Numbers and text of MATLAB files, version 5 and 7.3, as MATLAB sees them.

Version 7.3 is HDF5, written with the axes in reverse order and text as 16-bit codes; here they are put right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from stac_mjx._common.errors import InputError
from stac_mjx.keypoints import mat5
from stac_mjx.keypoints.formats import reading as hdf5


@dataclass(frozen=True)
class MatlabFile:
    """The variables of one file that were asked for.

    Attributes:
        arrays: variable name -> float64 array, axes in MATLAB's order.
        texts: variable name -> its strings (char array, cell array of char).
        inventory: every variable of the file with its shape, for messages.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    inventory: str = ""


def load(path: Path, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    """Read the `numeric` and `text` variables that `path` has; ``struct.field`` reaches into a structure.

    Raises:
        InputError: when the file is damaged, or a variable holds something else.
    """
    if h5py.is_hdf5(path):
        with hdf5.opened(path) as file:
            return _load_v73(path, file, numeric, text)
    return _load_v5(path, numeric, text)


def _load_v5(path: Path, numeric: tuple[str, ...], text: tuple[str, ...]) -> MatlabFile:
    roots = {name.split(".")[0] for name in (*numeric, *text)}
    try:
        values, inventory = mat5.read_variables(path, roots)
    except mat5.Mat5Error as error:
        raise InputError(f"{path}: not a complete MATLAB file ({error}); copy or export it again") from error
    listed = ", ".join(f"{name} {shape}" for name, shape in inventory) or "no variable"
    result = MatlabFile(inventory=listed)
    for name in numeric:
        if _holds(values, name):
            result.arrays[name] = _v5_array(path, name, _inside(values, name))
    for name in text:
        if _holds(values, name):
            result.texts[name] = _v5_strings(path, name, _inside(values, name))
    return result


def _inside(values: dict[str, mat5.Value], name: str) -> mat5.Value:
    root, _, inner = name.partition(".")
    value = values[root]
    return value[inner] if inner and isinstance(value, dict) else value


def _holds(values: dict[str, mat5.Value], name: str) -> bool:
    root, _, inner = name.partition(".")
    value = values.get(root)
    return root in values and (not inner or (isinstance(value, dict) and inner in value))


def _v5_array(path: Path, name: str, value: mat5.Value) -> np.ndarray:
    if not isinstance(value, np.ndarray):
        raise InputError(f"{path}: {name}: expected an array of real numbers, got {_called(value)}")
    return np.asarray(value, dtype=np.float64)


def _v5_strings(path: Path, name: str, value: mat5.Value) -> tuple[str, ...]:
    """Strings of a char array (rows) or of a cell array of char."""
    texts: list[str] = []
    for item in value if isinstance(value, tuple) else (None,):
        whole = "".join(item) if isinstance(item, tuple) and all(isinstance(row, str) for row in item) else item
        if not isinstance(whole, str):
            raise InputError(f"{path}: {name}: expected text, got {_called(value)}")
        texts.append(hdf5.as_text(whole))
    return tuple(texts)


def _called(value: mat5.Value) -> str:
    """Name what a variable holds, in MATLAB's words."""
    if isinstance(value, np.ndarray):
        return f"numbers {value.shape}"
    if isinstance(value, dict):
        return f"a structure with the fields {', '.join(value)}"
    if isinstance(value, tuple):
        return "text" if all(isinstance(item, str) for item in value) else "a cell array"
    return "an object, or complex or sparse numbers"


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
    """Strings of a cell array (references to 16-bit codes), a char array, or plain HDF5 text."""
    if hdf5.holds_text(node):
        return hdf5.strings(node)
    if not hdf5.holds_references(node):
        return _decode_rows(node)
    return tuple("".join(_decode_rows(target)) for target in hdf5.referenced(node))


def _decode_rows(node: h5py.Dataset) -> tuple[str, ...]:
    """Rows of a MATLAB char array: HDF5 (width, row) of character codes; an empty one is stored as its size."""
    if hdf5.number_attribute(node, "MATLAB_empty"):
        return ()
    codes = hdf5.numbers(node, np.int64)
    rows = codes.T if codes.ndim == 2 else codes.reshape(1, -1)
    if rows.size and (rows.min() < 0 or rows.max() >= 0x110000):
        raise InputError(f"{node.file.filename}: {node.name}: expected character codes, got other numbers")
    return tuple(hdf5.as_text("".join(map(chr, row))) for row in rows)
