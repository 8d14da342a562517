"""`bench` measures what it says: the same results on both sides, and honest scaling."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reach_analysis.bench import Contest, measure
from reach_analysis.cli import main


def test_a_part_of_the_work_is_scaled_to_all_of_it_and_a_difference_is_observed() -> None:
    values = np.array([0.0, 1.0, 2.0])
    contest = Contest("sleep", lambda: values, lambda: time.sleep(0.02) or values + 0.5, scale=10.0)
    row = measure(contest, 3)
    assert row["pyedm_s"] >= 0.2
    assert row["largest_difference"] == pytest.approx(0.5 / np.std(values))
    assert row["measured"] == pytest.approx(0.1)


def test_both_sides_compute_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "trials=6", "samples=30", "permutations=30", "repeats=1", f"out={tmp_path}"]) == 0
    rows = json.loads((tmp_path / "bench.json").read_text())["speed"]
    assert [row["name"].split(",")[0] for row in rows] == ["simplex", "30 trial permutations of it", "S-map"]
    assert capsys.readouterr().out.count("\n") == 2 + len(rows)
    assert all(row["largest_difference"] < 1e-9 and row["ours_s"] > 0 for row in rows)
    assert [row["measured"] for row in rows] == pytest.approx([1, 0.1, 1])


@pytest.mark.parametrize("setting", ["trials=3", "samples=20", "repeats=0"])
def test_bad_settings(setting: str, tmp_path: Path, refuses: Callable[..., str]) -> None:
    assert setting.partition("=")[0] in refuses("bench", setting, f"out={tmp_path}")
