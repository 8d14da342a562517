"""Files of earlier versions stay readable by every reader; a newer minor version is read, a newer major one refused."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import reach_analysis.data.rollouts
import stac_mjx.keypoints.formats.stac
import track_mjx.render.footage
from contract import examples, kit
from contract.mutations import mutate_hdf5
from contract.readers import READERS, Reader
from stac_mjx._common.hdf5.schema import KINDS

KEPT = Path(__file__).parent / "kept"

KEYPOINTS = Reader("stac_mjx", mutate_hdf5, lambda _: [], stac_mjx.keypoints.formats.stac.read)
READERS_OF: dict[str, tuple[Reader, ...]] = {
    "reference_clips": (
        *(READERS[name] for name in ("stac clips", "stac check", "track clips", "reach clips")),
        KEYPOINTS,
    ),
    "offsets": (READERS["stac offsets"], READERS["stac check"]),
    "rollouts": (READERS["stac check"], READERS["track rollouts"], READERS["reach rollouts"]),
}  # fmt: skip
CASES = [(kind, reader) for kind, readers in READERS_OF.items() for reader in readers]


def test_a_file_of_every_kind_is_kept() -> None:
    assert {path.name.split("-")[0] for path in KEPT.iterdir()} == {kind.removeprefix("mimic.") for kind in KINDS}
    assert READERS_OF.keys() == {kind.removeprefix("mimic.") for kind in KINDS}
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 400_000


@pytest.mark.parametrize("path", sorted(KEPT.iterdir()), ids=lambda path: path.name)
def test_kept_files_still_conform(path: Path) -> None:
    kit.assert_conforms(path)


@pytest.mark.parametrize(("kind", "reader"), CASES)
def test_every_reader_reads_kept_files(kind: str, reader: Reader) -> None:
    kept = sorted(KEPT.glob(f"{kind}-1.*.h5"))
    assert f"{kind}-1.0.h5" in [path.name for path in kept]
    for path in kept:
        reader.read(path)


def test_kept_rollouts_hold_what_was_written(tmp_path: Path) -> None:
    kept, fresh = KEPT / "rollouts-1.0.h5", tmp_path / "rollouts.h5"
    examples.write_rollouts(fresh)
    old, new = reach_analysis.data.rollouts.read_rollouts(kept), reach_analysis.data.rollouts.read_rollouts(fresh)
    assert (old.trials, old.names, old.layers, old.contacts) == (new.trials, new.names, new.layers, new.contacts)
    for name in ("qpos", "act", "metrics"):
        for a, b in zip(old.series(name).values, new.series(name).values, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_kept_rollouts_of_a_run_are_read() -> None:
    """Two passes of a walker whose episodes end early, as track-mjx 0.1.0 wrote them before common/hdf5."""
    path = KEPT / "rollouts-1.0-run.h5"
    rollouts = reach_analysis.data.rollouts.read_rollouts(path, seed=5)
    with h5py.File(path) as opened:
        file: Any = opened
        assert file["seed"][()].tolist() == [3, 5]
        steps = file["valid"][1].sum(axis=1).tolist()
        stored = {name: file[name][1] for name in ("qpos", "reward", "activations/decoder/layer_0")}
    assert rollouts.n_steps.tolist() == steps
    assert all(reason is not None for reason in rollouts.ended)
    for name, values in stored.items():
        for rows, all_rows, count in zip(rollouts.series(name).values, values, steps, strict=True):
            np.testing.assert_array_equal(rows, all_rows.reshape(len(all_rows), -1)[: count + (name == "qpos")])
    body, films = track_mjx.render.footage.read_footage(path, [], 5)
    assert [len(film.time) for film in films] == [count + 1 for count in steps]
    assert body.length_unit_m > 0


@pytest.mark.parametrize(("kind", "reader"), CASES)
def test_newer_files(kind: str, reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "newer.h5"
    shutil.copyfile(KEPT / f"{kind}-1.0.h5", path)
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = "1.9"
        file.attrs["an_attribute_of_1_9"] = "new"
        file["a_data_set_of_1_9"] = np.arange(3.0)
    with caplog.at_level(logging.WARNING):
        reader.read(path)
    assert re.search(r"is newer than 1\.[0-3]; what it adds is ignored", caplog.text)
    for version in ("2.0", "0.9"):
        with h5py.File(path, "r+") as file:
            file.attrs["schema_version"] = version
        with pytest.raises(reader.error, match=r"1\.x"):
            reader.read(path)
