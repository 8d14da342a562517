"""Interrupted writing, in all three packages: kills, full disks, read-only disks, limits on the size of files.

Whatever happens, the file under the final name is the old one or the whole new one, and what went wrong is said in one
message. A kill cannot clean up: a hidden temporary file may stay then, and only then.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import reach_analysis._common.errors
import reach_analysis.cli
import stac_mjx._common.errors
import stac_mjx.cli
import track_mjx._common.errors
from contract import disks, examples
from contract.disks import OLD
from reach_analysis._common.files import write_bytes, write_json, write_table
from reach_analysis._common.hdf5.writing import atomic_hdf5
from stac_mjx._common.files import write_text as stac_text
from stac_mjx.records import write_clips
from track_mjx._common.files import output_folder as track_folder
from track_mjx._common.files import write_text as track_text
from track_mjx.runs.checkpoints import Checkpoints

LARGE = 1 << 21
ERRORS = (
    stac_mjx._common.errors.OutputError,
    track_mjx._common.errors.OutputError,
    reach_analysis._common.errors.OutputError,
)


def _reach_hdf5(path: Path) -> None:
    with atomic_hdf5(path) as file:
        file["values"] = np.random.default_rng(0).normal(size=LARGE // 8)


def _figure(path: Path) -> None:
    from matplotlib.figure import Figure
    from track_mjx._common.files import replace_file

    with replace_file(path) as temporary:
        figure = Figure(figsize=(4, 4))
        figure.figimage(np.random.default_rng(0).random((400, 400)))
        figure.savefig(temporary, format="png", dpi=100)


WRITERS: dict[str, Callable[[Path], object]] = {
    "stac clips": lambda path: write_clips(path, examples.clips((4000,))),
    "stac text": lambda path: stac_text(path, "x" * LARGE),
    "track text": lambda path: track_text(path, "x" * LARGE),
    "track figure": _figure,
    "reach hdf5": _reach_hdf5,
    "reach figure": lambda path: write_bytes(path, bytes(LARGE)),
    "reach table": lambda path: write_table(path, [{"a": 1.0, "b": "x" * LARGE}]),
    "reach json": lambda path: write_json(path, {"a": list(range(LARGE // 8))}),
}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    yield from disks.full(tmp_path / "full")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    yield from disks.read_only(tmp_path / "fixed", tmp_path / "source")


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file(name: str, full_disk: Path) -> None:
    target = full_disk / "old"
    target.write_bytes(OLD)
    with pytest.raises(ERRORS, match=r"the disk of .* is full"):
        WRITERS[name](target)
    assert target.read_bytes() == OLD
    assert os.listdir(full_disk) == ["old"], "something was left behind"


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_disk_is_named(name: str, read_only_disk: Path) -> None:
    with pytest.raises(ERRORS, match="is on a read-only disk"):
        WRITERS[name](read_only_disk / "old")
    assert (read_only_disk / "old").read_bytes() == OLD
    assert os.listdir(read_only_disk) == ["old"]


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(full_disk: Path) -> None:
    checkpoints = Checkpoints(full_disk / "checkpoints")
    with pytest.raises(ERRORS, match="cannot be written"):
        checkpoints.save(100, {"a": np.random.default_rng(0).normal(size=LARGE // 8)})
    assert checkpoints.steps() == []
    assert os.listdir(full_disk / "checkpoints") == []


@pytest.mark.parametrize(
    ("main", "arguments"),
    [(stac_mjx.cli.main, ["fit"]), (reach_analysis.cli.main, ["survival", "rollouts={rollouts}"])],
    ids=["stac fit", "reach survival"],
)
def test_commands_say_it_in_one_message(
    main: Callable[[list[str]], int],
    arguments: list[str],
    tmp_path: Path,
    read_only_disk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    examples.write_rollouts(tmp_path / "rollouts.h5")
    inputs = [argument.format(rollouts=tmp_path / "rollouts.h5") for argument in arguments]
    code = main([*inputs, f"out={read_only_disk / 'results'}"])
    error = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in error
    assert "read-only" in error.lower().replace("read only", "read-only")
    assert os.listdir(read_only_disk) == ["old"]


def test_a_run_does_not_begin_on_a_read_only_disk(read_only_disk: Path) -> None:
    with pytest.raises(track_mjx._common.errors.OutputError, match="Read-only"):
        track_folder(str(read_only_disk / "run"), "run")


_LOOP = """
import sys, itertools
from pathlib import Path
import numpy as np
{imports}
path = Path(sys.argv[1])
for number in itertools.count():
    values = np.full(300_000, number % 7, "f8")
    {write}
    if number == 0:
        print("ready", flush=True)
"""
_HDF5 = "from {0}._common.hdf5.writing import atomic_hdf5"
_WITH = "with atomic_hdf5(path) as file: file['values'] = values"
_TEXT = "write_text(path, str(number % 7) * 300_000)"
LOOPS = {
    "stac hdf5": (_HDF5.format("stac_mjx"), _WITH),
    "stac text": ("from stac_mjx._common.files import write_text", _TEXT),
    "track hdf5": (_HDF5.format("track_mjx"), _WITH),
    "reach text": ("from reach_analysis._common.files import write_text", _TEXT),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_kill_leaves_a_whole_file(name: str, tmp_path: Path) -> None:
    imports, write = LOOPS[name]
    path, chance = tmp_path / "result", random.Random(name)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for _ in range(3):
        command = [sys.executable, "-c", _LOOP.format(imports=imports, write=write), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.2))
            process.kill()
        assert process.returncode == -signal.SIGKILL
        if "text" in name:
            text = path.read_text()
            assert len(text) == 300_000
            assert len(set(text)) == 1
        else:
            with h5py.File(path) as file:
                found = np.asarray(file["values"])
            assert found.shape == (300_000,)
            assert (found == found[0]).all()
    left = [entry.name for entry in tmp_path.iterdir() if entry != path]
    assert all(entry.startswith(".") for entry in left)
