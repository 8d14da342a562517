"""Exported rollouts hold the numbers of the file, up to the last state that was reached."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from track import small_setups
from track_mjx._common.hdf5 import reading
from track_mjx.cli import main

pd: Any = pytest.importorskip("pandas")
pynwb: Any = pytest.importorskip("pynwb")


def test_rollouts_are_exported_as_they_are_in_the_file(tmp_path: Path) -> None:
    setup = small_setups.arm(tmp_path, clips={"lengths": (8, 6)})
    setup = replace(setup, clips=replace(setup.clips, synthetic=1))
    path, out = small_setups.write_rollouts(setup, tmp_path / "rollouts.h5", (3, 5)), tmp_path / "out"
    settings = ["formats=[csv,mot,sto,nwb]", "nwb.start=2026-11-02T14:05:00+01:00", "seed=5"]
    assert main(["export", f"rollouts={path}", f"out={out}", *settings]) == 0
    with reading.open_contract(path, "mimic.rollouts") as file:
        assert reading.attribute(file, "synthetic") == 1, "rollouts of synthetic clips say so"
        row = reading.read_numbers(reading.require(file, "seed")).tolist().index(5)
        numbers = {
            n: reading.read_numbers(reading.require(file, n))[row] for n in ("qpos", "qpos_ref", "qvel", "valid")
        }
        names, labels = (list(reading.read_strings(reading.require(file, n))) for n in ("names_qpos", "clip_name"))
    reached = [1 + int((valid != 0).sum()) for valid in numbers["valid"]]
    for folder, values in ((out, numbers["qpos"]), (out / "reference", numbers["qpos_ref"])):
        table = pd.read_csv(folder / "coordinates.csv")
        for clip, label in enumerate(labels):
            expected = values[clip, : reached[clip]]
            np.testing.assert_array_equal(table[table["clip"] == label][names].to_numpy(np.float32), expected)
            text = (folder / f"{label}.mot").read_text().partition("endheader\n")[2]
            np.testing.assert_array_equal(
                pd.read_csv(io.StringIO(text), sep="\t")[names].to_numpy(np.float32), expected
            )
    assert not (out / "reference" / "velocities.csv").exists()
    with pynwb.NWBHDF5IO(str(out / "movement.nwb"), "r") as file:
        found = file.read().processing["behavior"]["velocities_rad_per_s"].data[:]
    expected = np.concatenate([numbers["qvel"][clip, : reached[clip]] for clip in range(len(labels))])
    np.testing.assert_array_equal(found.astype(np.float32), expected)
