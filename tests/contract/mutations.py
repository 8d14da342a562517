"""Corrupt versions of valid files, each from a seed: bytes, texts, folders, and the structure of HDF5 files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator

NAMES = (
    "", "..", "../../etc/passwd", "/etc/hostname", "\x1b[2J", "line\nbreak", "9" * 400, "nan", "é" * 40,
    "${oc.env:HOME}",
)  # fmt: skip
NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 0.5, 1e9)
CELLS = (
    "nan", "inf", "1e999", "-1", "0x10", "", '"', "\0", "x", "1,2", "true", "\x1b[31m", "2.5.1", "[", "{", "&a", "*a",
)  # fmt: skip
YAML = (
    "!!python/object/apply:os.system ['true']", "_target_: os.system", "${run.steps}", "seed: [1, 2]", "ppo: null",
    "a: &a [*a]",
)  # fmt: skip
_TEXT = h5py.string_dtype("utf-8")


def pick(rng: Rng, values: Sequence[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def cut_short(rng: Rng, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(rng.integers(len(data) + 1))])


def mutate_bytes(rng: Rng, path: Path) -> None:
    """Flip bits, overwrite a block, or cut the end off."""
    data = bytearray(path.read_bytes())
    if data and rng.integers(2):
        for position in rng.integers(len(data), size=int(rng.integers(1, 40))):
            data[position] ^= 1 << int(rng.integers(8))
    elif data:
        start = int(rng.integers(len(data)))
        stop = min(start + int(rng.integers(1, 1024)), len(data))
        data[start:stop] = rng.bytes(stop - start) if rng.integers(2) else bytes(stop - start)
    path.write_bytes(data)
    if rng.integers(3) == 0:
        cut_short(rng, path)


def mutate_text(rng: Rng, path: Path) -> None:
    """Change a cell, insert a token, remove or repeat a line."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for _ in range(1 + int(rng.integers(3))):
        row = int(rng.integers(len(lines)))
        way = int(rng.integers(4))
        if way == 0:
            cells = lines[row].split(",")
            cells[int(rng.integers(len(cells)))] = pick(rng, CELLS)
            lines[row] = ",".join(cells)
        elif way == 1:
            place = int(rng.integers(len(lines[row]) + 1))
            lines[row] = lines[row][:place] + pick(rng, CELLS + NAMES + YAML) + lines[row][place:]
        else:
            lines[row : row + 1] = [] if way == 2 and len(lines) > 1 else [lines[row]] * 2
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))


def mutate_folder(rng: Rng, folder: Path) -> None:
    """Change or remove one file of a folder."""
    path = pick(rng, sorted(path for path in folder.rglob("*") if path.is_file()))
    if rng.integers(8) == 0:
        path.unlink()
    else:
        (mutate_text if path.suffix in (".yaml", ".json", ".jsonl", ".csv") else mutate_bytes)(rng, path)


# the structure of HDF5 files


def _paths(file: h5py.File, kind: type) -> list[str]:
    paths: list[str] = []
    file.visititems(lambda name, item: paths.append(name) if isinstance(item, kind) else None)
    return paths


def _replace(file: Any, path: str, **new: Any) -> None:
    """Replace a data set; attributes stay, scales do not."""
    attributes = {name: value for name, value in file[path].attrs.items() if not name.isupper()}
    del file[path]
    file.create_dataset(path, **new).attrs.update(attributes)


def remove(rng: Rng, file: Any, path: str) -> None:
    del file[pick(rng, [path, *_paths(file, h5py.Group)])]


def retype(rng: Rng, file: Any, path: str) -> None:
    kinds: list[Any] = [
        "f4", ">f8", "i8", "S5", "c16", "?", "V7", [("x", "f8"), ("y", "i4")], h5py.vlen_dtype(np.dtype("f8")),
        h5py.ref_dtype, h5py.enum_dtype({"a": 0, "b": 1}), _TEXT,
    ]  # fmt: skip
    _replace(file, path, shape=file[path].shape or (), dtype=pick(rng, kinds))


def reshape(rng: Rng, file: Any, path: str) -> None:
    values = np.asarray(file[path])
    shapes = (values[None], values.ravel(), values.T, values[..., None], values.ravel()[:0], values.ravel()[:1])
    _replace(file, path, data=pick(rng, shapes), dtype=_TEXT if values.dtype == object else None)


def revalue(rng: Rng, file: Any, path: str) -> None:
    """Put odd numbers or names into a data set."""
    dataset = file[path]
    if not dataset.size or dataset.dtype.kind not in "fO":
        return
    values = np.asarray(dataset).reshape(-1)
    where = slice(None) if rng.integers(3) == 0 else int(rng.integers(values.size))
    values[where] = pick(rng, NUMBERS if dataset.dtype.kind == "f" else [n for n in NAMES if "\0" not in n])
    dataset[...] = values.reshape(dataset.shape)


def relink(rng: Rng, file: Any, path: str) -> None:
    """Lead out of the file, to itself, or nowhere."""
    shape = file[path].shape or (1,)
    del file[path]
    way = int(rng.integers(5))
    if way == 0:
        file.create_dataset(path, shape=shape, dtype="f8", external=[("/etc/hostname", 0, 8 * int(np.prod(shape)))])
    elif way == 1:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource("elsewhere.h5", path, shape)
        file.create_virtual_dataset(path, layout)
    else:
        targets = (h5py.SoftLink(f"/{path}"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("/etc/hostname", "/"))
        file[path] = targets[way - 2]


def regroup(rng: Rng, file: Any, path: str) -> None:
    """Replace a data set by a group, a type, or a name of the root."""
    del file[path]
    file[path] = pick(rng, (np.dtype("f8"), file["/"])) if rng.integers(2) else file.create_group(f"{path}_")


def attribute(rng: Rng, file: Any, path: str) -> None:
    item = file["/"] if rng.integers(2) else file[path]
    names = list(item.attrs)
    values = [*NUMBERS, *NAMES, h5py.Empty("f8"), np.zeros((2, 3)), np.void(b"opaque"), True, "[1, 2]", "null", "2.0"]
    if names:
        name = pick(rng, names)
        del item.attrs[name]
        if rng.integers(4):
            item.attrs[name] = pick(rng, values)


STRUCTURE: tuple[Callable[[Rng, Any, str], None], ...] = (
    remove, retype, reshape, revalue, revalue, relink, regroup, attribute, attribute,
)  # fmt: skip


def mutate_structure(rng: Rng, path: Path) -> None:
    """Change one or two things in an HDF5 file."""
    file: Any
    with h5py.File(path, "r+") as file:
        for _ in range(1 + int(rng.integers(2))):
            names = [
                name for name in _paths(file, h5py.Dataset) if not file[name].is_virtual and not file[name].external
            ]
            try:
                pick(rng, STRUCTURE)(rng, file, pick(rng, names))
            except (OSError, RuntimeError, ValueError, TypeError, KeyError):  # an earlier change made it impossible
                continue


def mutate_hdf5(rng: Rng, path: Path) -> None:
    """Change the structure or the bytes."""
    (mutate_structure if rng.integers(3) else mutate_bytes)(rng, path)
