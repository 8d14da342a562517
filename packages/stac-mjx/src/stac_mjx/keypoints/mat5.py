"""MATLAB files of version 5 (MATLAB 5 to 7, and others that write it): numbers, text, cells and structures.

Format: "MAT-File Format", The MathWorks, chapter 1. A reader of our own, because the usual one crashes the interpreter
on some damaged files, where a message is owed. Sparse arrays, objects and functions are listed, not read.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEADER = 128
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x0800
_PEEK = 4096
"""Bytes decompressed to learn the name and shape of a variable that nobody asked for."""
_MAX_DEPTH = 8

Value = np.ndarray | tuple | dict | None
"""Numbers in MATLAB's axes; text as a tuple of rows; a cell array as a tuple of values; a structure as a dict of its
first element; None for what is not read."""


class Mat5Error(ValueError):
    """The bytes are no version 5 file, or end too early."""


@dataclass(frozen=True)
class _Buffer:
    """Bytes with their byte order, ``<`` or ``>``."""

    data: memoryview
    order: str

    def elements(self, start: int) -> Iterator[tuple[int, memoryview]]:
        """Yield type and content of each data element from `start` on."""
        position = start
        while position + 8 <= len(self.data):
            first, size = struct.unpack_from(self.order + "II", self.data, position)
            if first >> 16:  # small element: size and type share four bytes, the content is in the next four
                kind, size, content, length = first & 0xFFFF, first >> 16, position + 4, 8
            else:
                kind, content, length = first, position + 8, 8 + size
                length += -size % 8 if kind != _COMPRESSED else 0
            if content + size > len(self.data) or (first >> 16 and size > 4):
                raise Mat5Error(f"data end at byte {len(self.data)}, inside an element that needs {content + size}")
            yield kind, self.data[content : content + size]
            position += length


@dataclass(frozen=True)
class _Matrix:
    """Head of one array: class, flags, shape, name, and what follows."""

    kind: int
    complex: bool
    shape: tuple[int, ...]
    name: str
    rest: Iterator[tuple[int, memoryview]]


def read_variables(path: Path, wanted: set[str]) -> tuple[dict[str, Value], list[tuple[str, tuple[int, ...]]]]:
    """Return the `wanted` variables that `path` holds, and name and shape of all it holds.

    Raises:
        Mat5Error: when the file is none of version 5, is truncated or damaged.
        OSError: when it cannot be read.
    """
    data = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:HEADER]))
    if order is None:
        raise Mat5Error("no MATLAB version 5 header")
    values: dict[str, Value] = {}
    inventory: list[tuple[str, tuple[int, ...]]] = []
    try:
        for kind, content in _Buffer(data, order).elements(HEADER):
            matrix = _head(_peeked(kind, content), order)
            if matrix is None:
                continue
            inventory.append((matrix.name, matrix.shape))
            if matrix.name in wanted:
                values[matrix.name] = _value(_whole(kind, content), order, 0)
    except (struct.error, zlib.error, UnicodeDecodeError, OverflowError, MemoryError) as error:
        raise Mat5Error(f"damaged data ({error})") from error
    except ValueError as error:
        raise error if isinstance(error, Mat5Error) else Mat5Error(f"damaged data ({error})") from error
    return values, inventory


def _peeked(kind: int, content: memoryview) -> memoryview:
    """Return the start of a matrix element's content, enough for its head."""
    if kind != _COMPRESSED:
        return content if kind == _MATRIX else memoryview(b"")
    return memoryview(zlib.decompressobj().decompress(content, _PEEK))[8:]


def _whole(kind: int, content: memoryview) -> memoryview:
    """Return a matrix element's content, decompressed."""
    if kind != _COMPRESSED:
        return content
    inflater = zlib.decompressobj()
    data = memoryview(inflater.decompress(content))
    if not inflater.eof:
        raise Mat5Error("compressed data end too early")
    return data[8:]


def _head(content: memoryview, order: str) -> _Matrix | None:
    """Read the head of a matrix; None for an empty one."""
    if len(content) == 0:
        return None
    rest = _Buffer(content, order).elements(0)
    flags = _numbers(next(rest, (0, memoryview(b""))), order)
    shape = _numbers(next(rest, (0, memoryview(b""))), order)
    _, name = next(rest, (0, memoryview(b"")))
    if not flags.size or shape.size < 2 or {flags.dtype.kind, shape.dtype.kind} - {"i", "u"} or (shape < 0).any():
        raise Mat5Error("an array without class or shape")
    kind = int(flags[0])
    return _Matrix(kind & 0xFF, bool(kind & _COMPLEX), tuple(shape.tolist()), bytes(name).decode("latin-1"), rest)


def _value(content: memoryview, order: str, depth: int) -> Value:
    """Read one array, with what is nested in it."""
    matrix = _head(content, order)
    if matrix is None or depth > _MAX_DEPTH:
        return None
    if matrix.kind == _CHAR:
        return _rows(matrix, order)
    if matrix.kind == _CELL:
        inner = [_value(_nested(element), order, depth + 1) for element in matrix.rest]
        return tuple(inner)
    if matrix.kind == _STRUCT:
        return _fields(matrix, order, depth)
    if matrix.kind not in _NUMERIC or matrix.complex:
        return None
    numbers = _numbers(next(matrix.rest, (9, memoryview(b""))), order)
    if numbers.size != math.prod(matrix.shape):
        raise Mat5Error(f"{matrix.name!r} of shape {matrix.shape} holds {numbers.size} numbers")
    return numbers.reshape(matrix.shape, order="F")


def _fields(matrix: _Matrix, order: str, depth: int) -> dict[str, Value]:
    """Read the first element of a structure array."""
    width = _numbers(next(matrix.rest, (0, memoryview(b""))), order)
    _, joined = next(matrix.rest, (0, memoryview(b"")))
    if not width.size or width[0] <= 0 or len(joined) % int(width[0]):
        raise Mat5Error(f"{matrix.name!r}: a structure without field names")
    step = int(width[0])
    names = [bytes(joined[i : i + step]).split(b"\0")[0].decode("latin-1") for i in range(0, len(joined), step)]
    # A structure array goes on with the fields of its next element; zip stops after those of the first.
    return {name: _value(_nested(element), order, depth + 1) for name, element in zip(names, matrix.rest, strict=False)}


def _nested(element: tuple[int, memoryview]) -> memoryview:
    kind, content = element
    if kind != _MATRIX:
        raise Mat5Error(f"a cell or field holds data of type {kind}, not an array")
    return content


def _rows(matrix: _Matrix, order: str) -> tuple[str, ...]:
    """Rows of a char array (row, column), stored column by column."""
    kind, content = next(matrix.rest, (1, memoryview(b"")))
    if kind in _TEXTS:
        codec = _TEXTS[kind] + ("" if kind == 16 else "-le" if order == "<" else "-be")
        signs = list(bytes(content).decode(codec))
    else:
        codes = _numbers((kind, content), order)
        if codes.dtype.kind not in "iu":
            raise Mat5Error(f"text {matrix.name!r} is stored as fractions")
        signs = [chr(code) for code in codes.tolist()]
    n_rows, n_columns = matrix.shape[0], math.prod(matrix.shape[1:])
    if len(signs) != n_rows * n_columns:
        raise Mat5Error(f"text {matrix.name!r} of shape {matrix.shape} holds {len(signs)} characters")
    return tuple("".join(signs[row::n_rows]) for row in range(n_rows))


def _numbers(element: tuple[int, memoryview], order: str) -> np.ndarray:
    kind, content = element
    if kind not in _NUMBERS:
        raise Mat5Error(f"expected numbers, found data of type {kind}")
    return np.frombuffer(content, dtype=np.dtype(order + _NUMBERS[kind]))
