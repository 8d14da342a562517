"""The benchmark measures what it says, on any machine; its numbers are not tested."""

import json
from pathlib import Path

import numpy as np
import pytest
from stac_mjx import bench
from stac_mjx.cli import main
from stac_mjx.config import BenchConfig, SolverConfig


@pytest.mark.slow
def test_bench_writes_table_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bodies=[mouse_arm]", "frames=128", "repeats=1", f"out={tmp_path}"]
    assert main(["bench", *arguments]) == 0
    assert "| mouse_arm | False | 4 | 3 | 128 |" in capsys.readouterr().out
    record = json.loads((tmp_path / "bench.json").read_text())
    row = record["bodies"][0]
    assert row["frames_per_s"] == pytest.approx(128 / row["seconds"])
    assert row["rmse_mm"] == pytest.approx(row["converged_rmse_mm"], rel=0.02)
    assert record["machine"]["cores"] >= 1


def test_recordings_are_played_forward_and_backward() -> None:
    case = bench.find_case("mouse_arm", None)
    seen = bench.played(case, 2500)
    assert seen.target.shape == (2500, 3, 3)
    np.testing.assert_array_equal(seen.target[1000:2000], seen.target[:1000][::-1])
    steps = np.linalg.norm(np.diff(seen.target, axis=0), axis=-1)
    assert steps.max() <= np.linalg.norm(np.diff(seen.target[:1000], axis=0), axis=-1).max() + 1e-12


def test_unknown_bodies_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "bodies=[mouse_amr]", f"out={tmp_path / 'bench'}"]) == 2
    assert "mouse_arm" in capsys.readouterr().err
    assert not (tmp_path / "bench").exists()


def test_settings_of_the_solver_are_the_ones_measured() -> None:
    case, few, usual = bench.find_case("mouse_arm", None), SolverConfig(max_iterations=1), SolverConfig()
    poor, good = (bench.measure(case, BenchConfig(repeats=1, solver=one), 64, converge=False) for one in (few, usual))
    assert good.rmse_mm <= poor.rmse_mm
