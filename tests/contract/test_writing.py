"""Writing: a reader sees the old file or the whole new one, and a failure is one message.

All packages write through the same code, so functions are tested in one of them.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import reach_analysis.cli
import stac_mjx.cli
import track_mjx.cli
from contract import examples, kit
from stac.bodies_for_tests import QUICK
from stac_mjx._common.errors import ContractError, OutputError
from stac_mjx._common.files import replace_file, write_text
from stac_mjx._common.hdf5.writing import CHUNK_BYTES, CONTIGUOUS_BELOW, chunk_shape, write_numbers
from stac_mjx.records import write_clips, write_offsets
from track.clip_files import write_clips as write_track_clips
from track.small_setups import command
from track_mjx._common.errors import OutputError as TrackOutputError
from track_mjx.runs.checkpoints import Checkpoints

OLD = b"the old file"
LARGE = 1 << 21


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    path.write_bytes(OLD)
    return path


def assert_untouched(target: Path) -> None:
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name], "a temporary file was left"


def _picture(path: Path) -> None:
    with replace_file(path) as temporary:
        temporary.write_bytes(bytes(LARGE))


WRITERS: dict[str, Callable[[Path], object]] = {
    "clips": lambda path: write_clips(path, examples.clips((4000,))),
    "text": lambda path: write_text(path, "x" * LARGE),
    "picture": _picture,
}


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount something on a folder; skip where that is impossible."""
    if sys.platform != "linux":
        pytest.skip("mounts as on Linux")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """An old file on a disk with 20 kB left."""
    with mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=24k", "tmpfs"):
        (tmp_path / "full" / "old").write_bytes(OLD)
        yield tmp_path / "full" / "old"


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """An old file on a read-only disk."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "old").write_bytes(OLD)
    with mounted(tmp_path / "fixed", "--bind", str(tmp_path / "source")):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(tmp_path / "fixed")], check=True)
        yield tmp_path / "fixed" / "old"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("disk", "reason"), [("full_disk", r"disk of .* is full"), ("read_only_disk", "read-only")])
def test_a_disk_that_takes_nothing_keeps_the_old_file(
    name: str, disk: str, reason: str, request: pytest.FixtureRequest
) -> None:
    target = request.getfixturevalue(disk)
    with pytest.raises(OutputError, match=reason):
        WRITERS[name](target)
    assert_untouched(target)


def test_a_checkpoint_that_does_not_fit_leaves_nothing(full_disk: Path) -> None:
    checkpoints = Checkpoints(full_disk.parent / "checkpoints")
    with pytest.raises(TrackOutputError, match="cannot be written"):
        checkpoints.save(100, {"a": np.random.default_rng(0).normal(size=LARGE // 8)})
    assert checkpoints.steps() == []
    assert os.listdir(full_disk.parent / "checkpoints") == []


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (stac_mjx.cli.main, ["fit", "keypoints.stop=60", *QUICK]),
        (track_mjx.cli.main, command(Path("FOLDER"), "run.steps=400")[3:]),
        (reach_analysis.cli.main, ["survival", "rollouts=FOLDER/rollouts.h5"]),
    ],
    ids=["stac fit", "track train", "reach survival"],
)
def test_a_command_on_a_full_disk_ends_in_one_message(
    main: Callable[[list[str]], int],
    arguments: list[str],
    tmp_path: Path,
    full_disk: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_track_clips(tmp_path / "clips.h5", lengths=(8, 5))
    examples.write_rollouts(tmp_path / "rollouts.h5")
    given = [argument.replace("FOLDER", str(tmp_path)) for argument in arguments if not argument.startswith("out=")]
    assert main([*given, f"out={full_disk.parent / 'results'}"]) == 2
    printed = capsys.readouterr().err
    assert printed.count("cannot be written: the disk of ") == 1
    assert "Traceback" not in printed
    assert full_disk.read_bytes() == OLD
    assert not list(full_disk.parent.rglob(".*"))


_LOOP = """
import sys, itertools
from pathlib import Path
import numpy as np
from stac_mjx._common.hdf5.writing import build_record, write_record
for number in itertools.count():
    values = {"mean_error_history": np.full(300_000, number % 7)}
    write_record(Path(sys.argv[1]), build_record("mimic.offsets", {}, values))
    if number == 0:
        print("ready", flush=True)
"""


def test_a_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "result"
    for delay_s in (0.01, 0.05, 0.12):
        with subprocess.Popen([sys.executable, "-c", _LOOP, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(delay_s)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        with h5py.File(path) as file:
            values = np.asarray(file["mean_error_history"])
        assert values.shape == (300_000,)
        assert (values == values[0]).all()
    assert all(entry.name.startswith(".") for entry in tmp_path.iterdir() if entry != path)


@pytest.mark.parametrize(
    ("owner", "call", "error", "expected"),
    [
        (os, "fsync", OSError(errno.EIO, "Input/output error"), OutputError),
        (os, "replace", PermissionError(errno.EACCES, "Permission denied"), OutputError),
        (os, "replace", KeyboardInterrupt(), KeyboardInterrupt),
        (h5py.Group, "create_dataset", RuntimeError("HDF5 failed"), (OutputError, RuntimeError)),
    ],
)
def test_the_old_file_stays_when_a_call_fails(
    target: Path, monkeypatch: pytest.MonkeyPatch, owner: object, call: str, error: BaseException, expected: type
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    clips = examples.clips()
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, failing)
        with pytest.raises(expected):
            write_clips(target, clips)
    assert_untouched(target)


def test_folders_that_cannot_be_written_to_are_named(target: Path) -> None:
    (target.parent / "folder").mkdir()
    for name, reason in (("missing/a.h5", "no folder"), ("old/a.h5", "not a folder"), ("folder", "a folder has")):
        with pytest.raises(OutputError, match=reason):
            write_offsets(target.parent / name, examples.offsets())
    assert sorted(os.listdir(target.parent)) == ["folder", "old"]


def test_a_wrong_record_writes_nothing_and_a_right_one_replaces_the_file(target: Path) -> None:
    with pytest.raises(ContractError):
        write_offsets(target, examples.offsets(kp_names=("nose", "nose", "knee", "foot")))
    assert_untouched(target)
    write_clips(target, examples.clips())
    kit.assert_conforms(target)
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("n_rows", [1, 1024, 100_003])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_large_arrays_survive_compression(tmp_path: Path, n_rows: int, dtype: str) -> None:
    array = np.random.default_rng(0).normal(scale=50, size=(n_rows, 5, 3)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_numbers(file, "a", array, dtype)
    with kit.edit(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a"], array)
        assert (file["a"].compression == "gzip") == (array.nbytes >= CONTIGUOUS_BELOW)


@pytest.mark.parametrize("shape", [(7,), (10_000_000,), (46, 119, 128), (2, 46, 500, 512), (3, 5_000_000)])
def test_chunks_are_as_many_whole_rows_as_fit(shape: tuple[int, ...]) -> None:
    chunk = chunk_shape(shape, 4)
    assert all(1 <= part <= whole for part, whole in zip(chunk, shape, strict=True))
    assert CHUNK_BYTES // 2 < 4 * np.prod(chunk) <= CHUNK_BYTES or chunk == shape


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_numbers(file, "a", np.random.default_rng(0).normal(size=(20_000, 3)), "float32")
    kit.flip_stored(tmp_path / "a.h5", "a")
    with kit.edit(tmp_path / "a.h5") as file, pytest.raises(OSError, match=r"inflate|filter"):
        file["a"][()]
