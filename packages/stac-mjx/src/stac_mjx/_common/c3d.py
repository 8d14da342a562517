"""C3D files of motion capture laboratories (c3d.org), opened through ezc3d."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from . import PROGRAM
from .errors import InputError

_INTEL = 84
"""Processor type of a file with little-endian numbers."""


def open_c3d(path: Path) -> Any:
    """Return the file as ezc3d holds it; an InputError without ezc3d, or when the file is not complete."""
    try:
        import ezc3d
    except ImportError:
        raise InputError(f"{path}: C3D needs ezc3d; pip install '{PROGRAM}[c3d]'") from None
    _verify_size(path)
    try:
        return ezc3d.c3d(str(path))
    # ezc3d raises what its C++ code throws, as several types
    except Exception as error:
        raise InputError(f"{path}: not a complete C3D file ({' '.join(str(error).split())})") from error


def texts(group: Any, key: str) -> tuple[str, ...]:
    """Return the strings of a parameter and of its continuations, as ``LABELS2`` after 255 labels."""
    parts = [key, *(f"{key}{number}" for number in range(2, 100) if f"{key}{number}" in group)]
    return tuple(str(text).strip() for part in parts for text in values(group, part))


def values(group: Any, key: str) -> Any:
    """Return the values of a parameter; none where it is absent."""
    return group[key]["value"] if key in group else ()


def _verify_size(path: Path) -> None:
    """Refuse a truncated file, on which ezc3d would not return: the header says how much data there must be."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    if len(content) < 512:
        raise InputError(f"{path}: truncated C3D file ({len(content)} bytes; the header alone has 512)")
    points, analog, first, last = struct.unpack_from("<4H", content, 2)
    scale, start = struct.unpack_from("<fH", content, 12)
    processor = (content[0] - 1) * 512 + 3
    if processor < len(content) and content[processor] != _INTEL:
        return  # numbers of another byte order
    size = (start - 1) * 512 + max(0, last - first + 1) * (4 * points + analog) * (4 if scale < 0 else 2)
    if len(content) < size:
        raise InputError(f"{path}: truncated C3D file ({len(content)} bytes; its header asks for {size})")
