"""Numbers and text of MATLAB files, version 5 and 7.3, as MATLAB sees them.

Version 7.3 is HDF5, written with the axes in reverse order and text as 16-bit codes; here they are put right.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from stac_mjx.errors import InputError
from stac_mjx.keypoints import hdf5

_V5_ERRORS = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, MemoryError, zlib.error, MatReadError)


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
    roots = [name.split(".")[0] for name in (*numeric, *text)]
    try:
        inventory = [(name, shape) for name, shape, _ in scipy.io.whosmat(str(path), appendmat=False)]
        wanted = [name for name, _ in inventory if name in roots]
        found = scipy.io.loadmat(str(path), appendmat=False, variable_names=wanted) if wanted else {}
    except _V5_ERRORS as error:
        raise InputError(f"{path}: not a complete MATLAB file ({error}); copy or export it again") from error
    listed = ", ".join(f"{name} {shape}" for name, shape in inventory) or "no variable"
    result = MatlabFile(inventory=listed)
    for name in numeric:
        value = _v5_value(found, name)
        if value is not None:
            result.arrays[name] = _as_float(path, name, value)
    for name in text:
        value = _v5_value(found, name)
        if value is not None:
            result.texts[name] = tuple(_v5_string(path, name, item) for item in value.ravel())
    return result


def _v5_value(found: dict, name: str) -> np.ndarray | None:
    root, _, inner = name.partition(".")
    value = found.get(root)
    if value is None or not inner:
        return value
    if value.dtype.names is None or inner not in value.dtype.names or value.size == 0:
        return None
    return value.ravel()[0][inner]


def _v5_string(path: Path, name: str, item: object) -> str:
    if isinstance(item, np.ndarray):
        if item.dtype.kind != "U" or item.size > 1:
            raise InputError(f"{path}: {name}: expected text, got an array of {item.dtype} {item.shape}")
        item = item.ravel()[0] if item.size else ""
    if not isinstance(item, str):
        raise InputError(f"{path}: {name}: expected text, got {type(item).__name__}")
    return hdf5.as_text(item)


def _as_float(path: Path, name: str, value: np.ndarray) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name}: expected an array of real numbers, got {getattr(value, 'dtype', value)}")
    return np.asarray(value, dtype=np.float64)


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
    if h5py.check_string_dtype(node.dtype) is not None:
        return hdf5.strings(node)
    if h5py.check_ref_dtype(node.dtype) is not h5py.Reference:
        return _decode_rows(node)
    texts: list[str] = []
    for reference in np.ravel(node[()]):
        target = file[reference] if reference else None
        if not isinstance(target, h5py.Dataset):
            raise InputError(f"{file.filename}: {node.name}: a cell holds no text")
        texts.append("".join(_decode_rows(target)))
    return tuple(texts)


def _decode_rows(node: h5py.Dataset) -> tuple[str, ...]:
    """Rows of a MATLAB char array: HDF5 (width, row) of character codes; an empty one is stored as its size."""
    if node.attrs.get("MATLAB_empty", 0):
        return ()
    codes = hdf5.numbers(node, np.int64)
    rows = codes.T if codes.ndim == 2 else codes.reshape(1, -1)
    if rows.size and (rows.min() < 0 or rows.max() >= 0x110000):
        raise InputError(f"{node.file.filename}: {node.name}: expected character codes, got other numbers")
    return tuple(hdf5.as_text("".join(map(chr, row))) for row in rows)
