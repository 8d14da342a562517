"""Disks that are full or cannot be written to, for as long as a test takes; skipped where nothing may be mounted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

OLD = b"the old file"
"""What stands in files that must outlive a failure."""


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount something on a folder."""
    if sys.platform != "linux":
        pytest.skip("disks are mounted as on Linux")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full(folder: Path, left: str = "24k") -> Iterator[Path]:
    """A disk with little space left."""
    with mounted(folder, "-t", "tmpfs", "-o", f"size={left}", "tmpfs"):
        yield folder


def read_only(folder: Path, source: Path) -> Iterator[Path]:
    """A disk that cannot be written to, with an old file on it."""
    source.mkdir()
    (source / "old").write_bytes(OLD)
    with mounted(folder, "--bind", str(source)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield folder
