"""Changes of an HDF5 file's structure: types, shapes, values, names, links, attributes, each somewhere at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from contract.mutations import NAMES, NUMBERS, WHOLE, Rng, mutate_bytes, pick

_UTF8 = h5py.string_dtype("utf-8")


def _paths(file: Any, kind: type) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return found


def _dataset(rng: Rng, file: Any) -> str:
    return pick(rng, _paths(file, h5py.Dataset) or ["/"])


def _group(rng: Rng, file: Any) -> Any:
    return file[pick(rng, ["/", *_paths(file, h5py.Group)])]


def _replace(file: Any, path: str, **new: Any) -> None:
    """Put another data set in the place of one; attributes stay, scales do not."""
    attributes = {k: v for k, v in file[path].attrs.items() if not k.isupper()}
    del file[path]
    dataset = file.create_dataset(path, **new)
    for name, value in attributes.items():
        dataset.attrs[name] = value


def _values(file: Any, path: str) -> np.ndarray:
    dataset = file[path]
    if dataset.is_virtual:
        raise ValueError("HDF5 crashes on virtual data that lie in themselves")
    return np.asarray(dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()])


def remove(rng: Rng, file: Any) -> None:
    del file[pick(rng, _paths(file, h5py.Dataset) + _paths(file, h5py.Group))]


def retype(rng: Rng, file: Any) -> None:
    """The same shape in another type: compound, enumeration, variable length, reference, opaque, text, ..."""
    path = _dataset(rng, file)
    shape = file[path].shape or ()
    kinds: list[Any] = [
        "f2", "f4", ">f8", "i1", "i8", "u8", "S5", "c16", "?", "V7", [("x", "f8"), ("y", "i4")], [("x", "f8", (3,))],
        h5py.string_dtype("ascii"), h5py.string_dtype("utf-8", 4), h5py.vlen_dtype(np.dtype("f8")), h5py.ref_dtype,
        h5py.regionref_dtype, h5py.enum_dtype({"a": 0, "b": 1}), h5py.vlen_dtype(np.dtype("S2")), _UTF8,
    ]  # fmt: skip
    _replace(file, path, shape=shape, dtype=pick(rng, kinds))


def reshape(rng: Rng, file: Any) -> None:
    path = _dataset(rng, file)
    values = _values(file, path)
    ways: list[Callable[[], np.ndarray]] = [
        lambda: values[None], lambda: values.ravel(), lambda: values.T, lambda: values[..., None], lambda: values[:0],
        lambda: values[:1], lambda: values[:-1], lambda: np.concatenate([values, values]), lambda: values.ravel()[0],
        lambda: values[..., :0], lambda: values.ravel()[:1].reshape((1,) * 6),
    ]  # fmt: skip
    changed = pick(rng, ways)()
    _replace(file, path, data=changed, dtype=_UTF8 if values.dtype == object else None)


def revalue(rng: Rng, file: Any) -> None:
    path = _dataset(rng, file)
    dataset = file[path]
    if dataset.dtype.kind not in "fiu" or not dataset.size:
        return
    values = np.array(dataset[()])
    flat = values.reshape(-1)
    odd = NUMBERS if values.dtype.kind == "f" else WHOLE
    with np.errstate(over="ignore"):
        some = np.array([pick(rng, odd) for _ in range(1 + int(rng.integers(4)))], object)
        new = np.array([np.float64(v).astype(values.dtype) if values.dtype.kind == "f" else v for v in some], object)
        mask = (1 << 8 * values.itemsize) - 1
        cast = new if values.dtype.kind == "f" else [np.array(int(v) & mask, "u8").astype(values.dtype) for v in new]
    where = slice(None) if rng.integers(3) == 0 else rng.integers(flat.size, size=len(some))
    flat[where] = cast[0] if isinstance(where, slice) else np.array(list(cast), values.dtype)
    dataset[...] = values


def rename_text(rng: Rng, file: Any) -> None:
    """Put hostile names into a list of texts."""
    path = _dataset(rng, file)
    dataset = file[path]
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape is None:
        return
    name = pick(rng, NAMES).replace("\0", "")
    value: Any = pick(rng, (name, name.encode("utf-16-le").replace(b"\0", b"\xff"), b"\xff\xfe\x80", "x" * 200_000))
    if dataset.shape == ():
        dataset[()] = value
    elif dataset.size:
        index = slice(None) if rng.integers(3) == 0 else int(rng.integers(len(dataset)))
        dataset[index] = value


def claim(rng: Rng, file: Any) -> None:
    """Declare a shape that no memory holds; nothing of it is written."""
    path = _dataset(rng, file)
    dims = file[path].ndim or 1
    # HDF5 keeps no list of texts without making room for each
    dtype = pick(rng, ("f4", "f8", "u1", "i8", _UTF8))
    size = pick(rng, (1 << 20, 1 << 28, 1 << 40, 1 << 62)) if dtype != _UTF8 else 1 << 24
    shape = (size, *(int(n) for n in (file[path].shape or ())[1:])) if dims > 1 else (size,)
    if np.prod([float(n) for n in shape]) * 8 > 2.0**63:
        shape = (1 << 60 if dtype == "u1" else 1 << 57,)
    chunked = {"chunks": tuple(min(n, 1024) or 1 for n in shape), "compression": pick(rng, ("gzip", None))}
    _replace(file, path, shape=shape, dtype=dtype, **pick(rng, (chunked, {})))


def inflate(rng: Rng, file: Any) -> None:
    """Store zeros that compress a thousandfold."""
    path = _dataset(rng, file)
    n = 1 << int(rng.integers(16, 21))
    _replace(file, path, data=np.zeros((n, 3)), chunks=(n, 3), compression="gzip", compression_opts=9)


def refilter(rng: Rng, file: Any) -> None:
    path = _dataset(rng, file)
    values = _values(file, path)
    if values.ndim and values.size and values.dtype.kind in "fiu":
        ways = ({"compression": "lzf"}, {"fletcher32": True}, {"shuffle": True, "compression": "gzip"})
        _replace(file, path, data=values, **pick(rng, ways))


def link(rng: Rng, file: Any) -> None:
    path = _dataset(rng, file) if rng.integers(2) else pick(rng, _paths(file, h5py.Group) or ["/"])
    others = _paths(file, h5py.Dataset)
    if path == "/":
        return
    ways: list[Any] = [
        h5py.SoftLink(f"/{path}"), h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.SoftLink("."),
        h5py.SoftLink(f"/{pick(rng, others)}"), h5py.SoftLink("../.."), h5py.ExternalLink("/etc/hostname", "/"),
        h5py.ExternalLink("sound.h5", f"/{path}"), h5py.ExternalLink("", "/"), h5py.ExternalLink("/dev/zero", "/"),
    ]  # fmt: skip
    del file[path]
    file[path] = pick(rng, ways)


def kept_elsewhere(rng: Rng, file: Any) -> None:
    path = _dataset(rng, file)
    shape = file[path].shape or ()
    del file[path]
    if rng.integers(2) and shape:
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource(pick(rng, (".", "sound.h5", "/dev/zero")), path, shape)
        file.create_virtual_dataset(path, layout)
    else:
        size = 8 * int(np.prod(shape, dtype=np.int64)) or 8
        place = pick(rng, ("/dev/zero", "/etc/hostname", "elsewhere.bin"))
        file.create_dataset(path, shape=shape, dtype="f8", external=[(place, 0, size)])


def circle(rng: Rng, file: Any) -> None:
    """A group that holds itself, its parent, or a second name of something."""
    group, other = _group(rng, file), _group(rng, file)
    group[pick(rng, ("again", "zzz", "data", "nodes"))] = other


def swap_kinds(rng: Rng, file: Any) -> None:
    """A group where a data set should be, or the other way round, or a named type."""
    if rng.integers(2):
        path = _dataset(rng, file)
        del file[path]
        if rng.integers(2):
            file.create_group(path)
        else:
            file[path] = np.dtype("f8")
    else:
        groups = _paths(file, h5py.Group)
        if groups:
            path = pick(rng, groups)
            del file[path]
            file[path] = np.arange(3.0)


def crowd(rng: Rng, file: Any) -> None:
    """Many members, or groups nested deeply."""
    group = _group(rng, file)
    if rng.integers(2):
        for number in range(300):
            group.create_group(f"member {number}")
    else:
        group.create_group("/".join(["deep"] * 300))


def hostile_name(rng: Rng, file: Any) -> None:
    """Give something in the file another name, by bytes, so that it need not be UTF-8."""
    path = pick(rng, _paths(file, h5py.Dataset) + _paths(file, h5py.Group))
    name = pick(rng, [n for n in NAMES if n.strip("./\0") and "\0" not in n and "/" not in n] + [b"\xff\xfe"])
    raw = name if isinstance(name, bytes) else name.encode()[:60_000]
    parent = path.rsplit("/", 1)[0].encode() + b"/" if "/" in path else b"/"
    file.id.links.move(path.encode(), parent + raw)


def attribute(rng: Rng, file: Any) -> None:
    """Take an attribute away, or put something into it that it should not hold."""
    holders = [item for item in ["/", *_paths(file, h5py.Dataset), *_paths(file, h5py.Group)] if len(file[item].attrs)]
    if not holders:
        return
    # the file's own attributes as often as all others
    item = file[pick(rng, holders) if rng.integers(2) else holders[0]]
    name = pick(rng, list(item.attrs))
    values: list[Any] = [
        *NUMBERS, *WHOLE, *[n.replace("\0", "")[:60_000] for n in NAMES], h5py.Empty("f8"), h5py.Empty(_UTF8),
        np.zeros((2, 3)), np.zeros(0), np.array(["a", "b"], object), np.void(b"opaque"), np.zeros(3, "?"), True,
        np.zeros(2, [("x", "f8")]), np.array([1.0]), np.complex128(1j), np.array([b"a", b"\xff"]),
        np.bytes_(b"\xff\xfe"), "[" * 5000, '{"a": NaN}', "[1, 2]", "null",
        '[["a"]]', '[{"name": 1, "sha256": 2}]', "2.0", "1.7", "1.0.0.0",
        file["/"].ref, np.array([file["/"].ref], h5py.ref_dtype), np.arange(20_000, dtype="f4")[:8000],
    ]  # fmt: skip
    value = pick(rng, values)
    del item.attrs[name]
    if rng.integers(6):
        dtype = _UTF8 if isinstance(value, np.ndarray) and value.dtype == object and isinstance(value[0], str) else None
        item.attrs.create(name, value, dtype=dtype)


STRUCTURE = (
    remove, retype, retype, reshape, reshape, revalue, revalue, revalue, rename_text, rename_text, claim, inflate,
    refilter, link, kept_elsewhere, circle, swap_kinds, crowd, hostile_name, attribute, attribute, attribute,
)  # fmt: skip


IMPOSSIBLE = (
    OSError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError,
)  # fmt: skip


def mutate_hdf5(rng: Rng, path: Path) -> None:
    """Change the structure, the bytes, or first one and then the other."""
    way = int(rng.integers(10))
    if way < 7:
        with h5py.File(path, "r+") as file:
            for _ in range(1 + int(rng.integers(3)) // 2):
                try:
                    pick(rng, STRUCTURE)(rng, file)
                # what an earlier change has made impossible is left as it is
                except IMPOSSIBLE:
                    continue
    if way >= 6:
        mutate_bytes(rng, path)
