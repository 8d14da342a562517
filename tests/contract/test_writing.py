"""A reader sees the old file or the whole new one, whatever happens while the new one is written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from contract import examples, kit
from stac_mjx._common.errors import ContractError, OutputError
from stac_mjx._common.hdf5.writing import CHUNK_BYTES, CONTIGUOUS_BELOW, atomic_hdf5, chunk_shape, write_numbers
from stac_mjx.records import write_clips, write_offsets

OLD = b"the old file"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "clips.h5"
    path.write_bytes(OLD)
    return path


def assert_untouched(target: Path):
    assert target.read_bytes() == OLD
    assert [entry.name for entry in target.parent.iterdir()] == [target.name], "a temporary file was left behind"


def failing(function, calls: int, error: BaseException):
    """Return a function that works for some calls and then always raises."""
    left = [calls]

    def replacement(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return function(*args, **kwargs)

    return replacement


def n_calls(monkeypatch: pytest.MonkeyPatch, owner, name: str, path: Path) -> int:
    """Count how often writing calls a function."""
    function, count = getattr(owner, name), [0]

    def counted(*args, **kwargs):
        count[0] += 1
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    write_clips(path, examples.clips())
    monkeypatch.setattr(owner, name, function)
    return count[0]


@pytest.mark.parametrize(
    ("call", "error", "expected"),
    [
        ("fsync", OSError(errno.EIO, "Input/output error"), OutputError),
        ("fsync", OSError(errno.EDQUOT, "Disk quota exceeded"), OutputError),
        ("replace", PermissionError(errno.EACCES, "Permission denied"), OutputError),
        ("replace", KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_the_old_file_stays_when_a_system_call_fails(
    target: Path, monkeypatch: pytest.MonkeyPatch, call, error, expected
):
    clips = examples.clips()
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(getattr(os, call), 0, error))
        with pytest.raises(expected):
            write_clips(target, clips)
    assert_untouched(target)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), RuntimeError("HDF5 failed"), OSError("bad")])
def test_the_old_file_stays_when_hdf5_fails_between_two_data_sets(
    target: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, error
):
    clips = examples.clips()
    n_datasets = n_calls(monkeypatch, h5py.Group, "create_dataset", tmp_path_factory.mktemp("count") / "clips.h5")
    for done in (0, n_datasets // 2, n_datasets - 1):
        with monkeypatch.context() as patch:
            patch.setattr(h5py.Group, "create_dataset", failing(h5py.Group.create_dataset, done, error))
            with pytest.raises((OutputError, type(error))):
                write_clips(target, clips)
        assert_untouched(target)


def test_a_process_that_may_not_write_so_much_ends_cleanly(target: Path):
    resource = pytest.importorskip("resource", reason="limits on the size of files exist on Unix only")
    program = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from stac_mjx._common.hdf5.writing import atomic_hdf5\n"
        "from stac_mjx._common.errors import OutputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    with atomic_hdf5(Path(sys.argv[1])) as file:\n"
        "        for i in range(300):\n"
        "            file[f'small_{i}'] = np.arange(1000.0)\n"
        "except OutputError as error:\n"
        "    sys.exit(str(error))\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run([sys.executable, "-c", program, target], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert "ulimit" in done.stderr
    assert_untouched(target)


def test_folders_that_cannot_be_written_to_are_named(tmp_path: Path):
    offsets = examples.offsets()
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.h5").mkdir()
    for path, reason in (
        (tmp_path / "missing" / "a.h5", "no folder"),
        (tmp_path / "file" / "a.h5", "is not a folder"),
        (tmp_path / "folder.h5", "a folder has this name"),
    ):
        with pytest.raises(OutputError, match=reason):
            write_offsets(path, offsets)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.h5"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write"):
        write_offsets(tmp_path / "a.h5", examples.offsets())


def test_writing_replaces_the_old_file(target: Path):
    write_clips(target, examples.clips())
    kit.assert_conforms(target)
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]


def test_nothing_is_written_when_the_record_is_wrong(target: Path):
    with pytest.raises(ContractError):
        write_offsets(target, examples.offsets(kp_names=("nose", "nose", "knee", "foot")))
    assert_untouched(target)


@pytest.mark.parametrize("n_rows", [1, 1023, 1024, 100_003])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_large_arrays_survive_compression(tmp_path: Path, n_rows: int, dtype):
    array = np.random.default_rng(0).normal(scale=50, size=(n_rows, 5, 3)).astype(dtype)
    with atomic_hdf5(tmp_path / "a.h5") as file:
        write_numbers(file, "a", array, dtype)
    with kit.edit(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a"], array)
        assert (file["a"].compression == "gzip") == (array.nbytes >= CONTIGUOUS_BELOW)
        assert file["a"].id.get_storage_size() < max(array.nbytes, CONTIGUOUS_BELOW)


@pytest.mark.parametrize(
    "shape", [(7,), (10_000_000,), (1000, 67, 3), (46, 119, 128), (2, 46, 500, 512), (3, 5_000_000)]
)
def test_chunks_are_as_many_whole_rows_as_fit(shape):
    chunk = chunk_shape(shape, 4)
    assert len(chunk) == len(shape)
    assert all(1 <= part <= whole for part, whole in zip(chunk, shape, strict=True))
    assert 4 * np.prod(chunk) <= CHUNK_BYTES
    assert 4 * np.prod(chunk) > CHUNK_BYTES // 2 or chunk == shape


def test_a_flipped_bit_is_noticed(tmp_path: Path):
    path = tmp_path / "a.h5"
    with atomic_hdf5(path) as file:
        write_numbers(file, "a", np.random.default_rng(0).normal(size=(20_000, 3)), "float32")
    kit.flip_stored(path, "a")
    with kit.edit(path) as file, pytest.raises(OSError, match=r"inflate|filter"):
        file["a"][()]
