"""Corrupt files are accepted with sound content or refused in one message, and nothing in a file is executed.

A few files for each reader; ``python scripts/fuzz.py`` reads many more, in processes with limits.
"""

from __future__ import annotations

import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import mutations
from contract.readers import READERS

FILES = 6
EVENTS = ("pickle.find_class", "os.system", "subprocess.Popen", "os.posix_spawn", "marshal.loads", "ctypes.dlopen")
_events: list[str] = []
_watching = [False]


def _watch(event: str, _: Any) -> None:
    if _watching[0] and event in EVENTS:
        _events.append(event)


@pytest.fixture(scope="module")
def watch() -> list[str]:
    """Events that no reader needs; a hook cannot be removed, so it is switched on during a reading only."""
    sys.addaudithook(_watch)
    return _events


def mutated(name: str, folder: Path) -> list[Path]:
    """Mutated copies of the valid files of a reader.

    HDF5 files change in their structure or end early: HDF5 itself may crash on other changes of bytes.
    """
    (folder / "valid").mkdir()
    files, copies = READERS[name].write(folder / "valid"), []
    for seed in range(FILES):
        rng, original = np.random.default_rng([seed, zlib.crc32(name.encode())]), files[seed % len(files)]
        copies.append(folder / f"{seed}{original.suffix}")
        (shutil.copytree if original.is_dir() else shutil.copyfile)(original, copies[-1])
        mutate = READERS[name].mutate
        if mutate is mutations.mutate_hdf5:
            mutate = mutations.mutate_structure if seed else mutations.cut_short
        mutate(rng, copies[-1])
    return copies


@pytest.mark.parametrize("name", READERS)
def test_corrupt_files_end_in_one_message(name: str, tmp_path: Path) -> None:
    for path in mutated(name, tmp_path):
        try:
            READERS[name].read(path)
        except READERS[name].error as error:
            message = str(error)
            assert message.strip(), path.name
            assert len(message) < 6000, path.name
            assert message.replace("\n", "").isprintable(), path.name


@pytest.mark.parametrize("name", READERS)
def test_reading_unpickles_nothing_and_starts_nothing(name: str, tmp_path: Path, watch: list[str]) -> None:
    path = READERS[name].write(tmp_path)[0]
    READERS[name].read(path)  # imports modules
    watch.clear()
    _watching[0] = True
    try:
        READERS[name].read(path)
    finally:
        _watching[0] = False
    assert watch == []
