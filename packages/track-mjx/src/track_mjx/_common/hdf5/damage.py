"""What HDF5 itself does not survive or explain: heaps it would read for ever, and errors out of its depths.

Texts of variable length lie in global heaps ("HDF5 File Format Specification", III.E). The library walks through a heap
by the sizes found in it, and never arrives where one of them is zero, as after a copy with holes
(github.com/HDFGroup/hdf5/issues/1707). Nothing can stop it from Python, so heaps are walked here before a file is used.
"""

from __future__ import annotations

import mmap
import struct
from functools import lru_cache
from pathlib import Path

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL\x01\0\0\0"

LIBRARY_ERRORS = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on files that are damaged."""


def heap_fault(path: Path) -> str | None:
    """Say where a global heap of an HDF5 file is damaged, or None; the answer is kept until the file changes.

    Raises:
        OSError: when the file cannot be read.
    """
    status = path.stat()
    return _heap_fault(path.absolute(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _heap_fault(path: Path, size: int, _changed: int) -> str | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        width = _length_width(data)
        start = data.find(_HEAP)
        while start >= 0:
            first = start + 8 + width
            end = start + int.from_bytes(data[start + 8 : first], "little")
            if not first <= end <= size or not _walkable(data, first, end, width):
                return f"the list of texts at byte {start} is damaged"
            start = data.find(_HEAP, first)
    return None


def _length_width(data: mmap.mmap) -> int:
    """Bytes of a length in this file, from its superblock: 4 or 8."""
    start = max(0, data.find(_SIGNATURE, 0, 1 << 16))
    version = data[start + 8] if len(data) > start + 16 else 0
    return 4 if len(data) > start + 16 and data[start + (14 if version < 2 else 10)] == 4 else 8


def _walkable(data: mmap.mmap, position: int, end: int, width: int) -> bool:
    """Whether the objects of a heap follow each other up to its end; object 0 is the free space, its head included."""
    form, head = ("<HHIQ", 16) if width == 8 else ("<HHII", 12)
    # heads are padded to whole eights
    padded = head + -head % 8
    while end - position >= padded:
        index, _, _, size = struct.unpack_from(form, data, position)
        step = padded + size + -size % 8 if index else size
        if step < padded or step > end - position:
            return False
        position += step
    return True


def from_library(error: BaseException) -> bool:
    """Whether an error was raised inside h5py, and so by what it found in the file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] == "h5py"


def reason(error: BaseException) -> str:
    """The library's words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
