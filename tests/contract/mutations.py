"""Damaged and hostile versions of sound files, from a seed: what a bad disk or a stranger may hand over.

Bytes of any file; MATLAB files also inside their compressed parts; texts by characters, cells and lines; one file of a
folder. HDF5 files: see `mutations_hdf5`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator

NAMES = (
    "", ".", "..", "../../etc/passwd", "/etc/hostname", "a/b", "C:\\x", "nul\0", "\x1b[2J\x1b]0;x\x07", "\u202egnp.exe",
    "line\nbreak", "9" * 400, "-1", "nan", "é" * 40, "x" * 70_000, "${oc.env:HOME}", "%s%n{0}", "{}", "__class__", " ",
    "0.0", "clip[0:3]", "clip[5:2]",
)  # fmt: skip
"""Names nobody should take at their word."""

NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e308, -1e-320, 2.0**63, 0.5, 1e9)
WHOLE = (-1, 0, 1, 2**31 - 1, 2**31, 2**62, -(2**63), 2**63 - 1)
CELLS = (
    "nan", "inf", "-inf", "1e999", "-1", "0", "0x10", "1_000", "٣", "", " ", '"', '""', "\0", "x", "=1+1", "1e308",
    "9" * 400, "1,2", "\t", "true", "\x1b[31m", "1e-320", "2.5.1",
)  # fmt: skip


def pick(rng: Rng, values: Sequence[Any]) -> Any:
    """One of these, as it is."""
    return values[int(rng.integers(len(values)))]


# bytes


def cut_short(rng: Rng, data: bytearray) -> None:
    del data[int(rng.integers(len(data) + 1)) :]


def flip_bits(rng: Rng, data: bytearray) -> None:
    for position in rng.integers(len(data), size=int(rng.integers(1, 40))):
        data[position] ^= 1 << int(rng.integers(8))


def fill_block(rng: Rng, data: bytearray) -> None:
    start, size = int(rng.integers(len(data))), int(rng.integers(1, 1024))
    size = min(size, len(data) - start)
    value = int(rng.integers(4))
    data[start : start + size] = rng.bytes(size) if value == 3 else bytes([(0, 255, 127)[value]]) * size


def move_block(rng: Rng, data: bytearray) -> None:
    size = int(rng.integers(1, min(512, len(data)) + 1))
    source, goal = rng.integers(len(data) - size + 1, size=2)
    data[goal : goal + size] = data[source : source + size]


def damage_head(rng: Rng, data: bytearray) -> None:
    for position in rng.integers(min(len(data), 2048), size=int(rng.integers(1, 8))):
        data[position] = int(rng.integers(256))


def huge_number(rng: Rng, data: bytearray) -> None:
    """Overwrite eight aligned bytes, where HDF5 keeps sizes and addresses."""
    if len(data) >= 16:
        start = 8 * int(rng.integers(len(data) // 8))
        data[start : start + 8] = struct.pack("<Q", pick(rng, (2**64 - 1, 2**63, 2**40, 2**32 - 1, len(data), 0)))


def append(rng: Rng, data: bytearray) -> None:
    data += rng.bytes(int(rng.integers(1, 4096)))


BYTES = (cut_short, flip_bits, fill_block, move_block, damage_head, huge_number, append)


def mutate_bytes(rng: Rng, path: Path, changes: Sequence[Callable[[Rng, bytearray], None]] = BYTES) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(int(rng.integers(1, 4))):
        if data:
            pick(rng, changes)(rng, data)
    path.write_bytes(data)


# MATLAB version 5


def mutate_mat5(rng: Rng, path: Path) -> None:
    """Change the bytes; of a compressed file, half of the time inside what is compressed."""
    data = path.read_bytes()
    kind, size = struct.unpack_from("<II", data, 128)
    if kind == 15 and rng.integers(3):
        inner = bytearray(zlib.decompress(data[136 : 136 + size]))
        pick(rng, BYTES)(rng, inner)
        packed = zlib.compress(bytes(inner) if rng.integers(8) else bytes(inner) + bytes(1 << 24))
        path.write_bytes(data[:128] + struct.pack("<II", 15, len(packed)) + packed + data[136 + size :])
    else:
        mutate_bytes(rng, path)


# texts


def _cell(rng: Rng, lines: list[str]) -> None:
    row = int(rng.integers(len(lines)))
    cells = lines[row].split(",")
    cells[int(rng.integers(len(cells)))] = pick(rng, CELLS)
    lines[row] = ",".join(cells)


def _column(rng: Rng, lines: list[str]) -> None:
    column = int(rng.integers(lines[0].count(",") + 1))
    for row, line in enumerate(lines):
        cells = line.split(",")
        if column < len(cells):
            del cells[column]
        lines[row] = ",".join(cells)


def _token(rng: Rng, lines: list[str]) -> None:
    row = int(rng.integers(len(lines)))
    place = int(rng.integers(len(lines[row]) + 1))
    text = pick(rng, (*CELLS, *NAMES, *YAML, "[", "]", "{", "}", ":", "&a", "*a", "!!", "\r", "\n", ";", "#", "|"))
    lines[row] = lines[row][:place] + text + lines[row][place + int(rng.integers(4)) :]


def _line(rng: Rng, lines: list[str]) -> None:
    row = int(rng.integers(len(lines)))
    ways = (lines.pop, lambda at: lines.insert(at, lines[at]), lambda at: lines.insert(at, "," * 50), lambda at: None)
    pick(rng, ways)(row)
    if not lines:
        lines.append("")


YAML = (
    "!!python/object/apply:os.system ['touch pwned']", "!!python/name:os.system", "_target_: os.system", "???",
    "${oc.env:HOME}", "${run.steps}", "seed: [1, 2]", "seed: {a: 1}", "task: 3", "ppo: null", "!!binary aGVsbG8=",
    "1: 2", "? [a]: b", "2026-01-01", "0o17", "<<: *x", "a: &a [*a]", "- x", "%YAML 9.9", "--- a\n--- b", "\ttab: 1",
)  # fmt: skip


def mutate_text(rng: Rng, path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    for _ in range(1 + int(rng.integers(3))):
        pick(rng, (_cell, _cell, _column, _token, _token, _line))(rng, lines)
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    if rng.integers(5) == 0:
        mutate_bytes(rng, path)


def mutate_folder(rng: Rng, folder: Path) -> None:
    """Change one file of a folder: texts as texts, others by bytes; or take it away."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix in (".yaml", ".json", ".jsonl", ".csv")]
    path = pick(rng, texts if rng.integers(3) else files)
    if rng.integers(10) == 0:
        path.unlink()
    elif path in texts:
        mutate_text(rng, path)
    else:
        mutate_bytes(rng, path)
