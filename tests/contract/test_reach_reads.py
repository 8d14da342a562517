"""What reach-analysis writes and reads, held against the checker and the example files of the other packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from contract.examples import write_rollouts
from contract.kit import assert_conforms
from reach_analysis._common.errors import DataError
from reach_analysis._common.hdf5.check import check_file, errors_in
from reach_analysis.data.rollouts import read_rollouts
from synthetic.reach import ReachSettings, write_reaches
from synthetic.walk import WalkSettings, write_walks


def test_synthetic_rollouts_conform(tmp_path: Path) -> None:
    write_reaches(tmp_path / "reach.h5", ReachSettings(n_trials=3, duration_s=0.1, n_units=6, hazard_per_s=8.0))
    assert_conforms(tmp_path / "reach.h5")
    write_walks(tmp_path / "walk.h5", WalkSettings(n_clips=2, duration_s=0.5, hazard_per_s=1.0))
    assert_conforms(tmp_path / "walk.h5")


@pytest.mark.parametrize("seeds", [(), (5, 9)])
def test_both_checkers_agree_on_a_sound_file(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    write_rollouts(tmp_path / "rollouts.h5", seeds=seeds)
    assert errors_in(check_file(tmp_path / "rollouts.h5")) == []


def test_repeats_are_read_one_seed_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "seeds.h5"
    write_rollouts(path, seeds=(5, 9))
    with h5py.File(path) as file:
        qpos: Any = np.asarray(file["qpos"])
    assert read_rollouts(path).seeds == (5, 9)
    np.testing.assert_array_equal(read_rollouts(path).series("qpos").padded(), qpos[0])
    np.testing.assert_array_equal(read_rollouts(path, seed=9).series("qpos").padded(), qpos[1])
    with pytest.raises(DataError, match="rollouts_seed: unknown seed '7'"):
        read_rollouts(path, seed=7)
    assert errors_in(check_file(path)) == []
