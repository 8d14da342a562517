"""`bench` measures what it says: the same results on both sides, counts that follow from the lags, honest scaling."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from reach_analysis.bench.speed import Contest, contests, kept, measure
from reach_analysis.cli import main
from reach_analysis.config import BenchConfig

SMALL = BenchConfig(trials=6, samples=30, largest_E=2, permutations=30, pyedm_permutations=2, repeats=1)


def test_both_sides_compute_the_same() -> None:
    rows = [measure(contest, 1) for contest in contests(SMALL)]
    assert [row.name.split(",")[0].split(" on ")[0] for row in rows] == [
        "simplex", "simplex", "30 trial permutations of it", "S-map", "S-map", "CCM both ways",
    ]  # fmt: skip
    for row in rows:
        assert row.largest_difference < 1e-9, row.name
        assert min(row.ours_s, row.pyedm_s, row.ours_processor_s) > 0
        assert row.ratio == pytest.approx(row.pyedm_s / row.ours_s)
    assert [row.measured for row in rows] == pytest.approx([1, 1, 2 / 30, 1, 1, 1])


def test_a_part_of_the_work_is_scaled_to_all_of_it_and_a_difference_is_seen() -> None:
    values = np.array([0.0, 1.0, 2.0])
    contest = Contest("sleep", "little", lambda: values, lambda: time.sleep(0.02) or values + 0.5, scale=10.0)
    row = measure(contest, 3)
    assert row.pyedm_s >= 0.2
    assert row.pyedm_processor_s < row.pyedm_s, "sleeping takes no processor time"
    assert row.largest_difference == pytest.approx(0.5 / np.std(values))
    assert row.measured == pytest.approx(0.1)


@pytest.mark.slow
def test_every_valid_prediction_is_kept_and_padding_loses_some() -> None:
    """On 46 trials of 60 samples, as in paper A."""
    rows = kept(BenchConfig())
    for row in rows:
        assert row["ours"] == 46 * (60 - (row["E"] - 1) * -row["tau"] - row["Tp"])
        assert row["pyedm_masked"] == row["ours"]
        assert row["pyedm_padded"] < row["ours"]
        assert row["crossing_unpadded"] == 45 * ((row["E"] - 1) * -row["tau"] + row["Tp"])
        assert row["largest_difference_masked"] < 1e-12
    loss = {row["Tp"]: 1 - row["pyedm_padded"] / row["ours"] for row in rows}
    assert loss[1] < loss[5] < loss[10], "the further ahead, the more samples without a target"


def test_the_command_writes_the_page_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trials=6", "samples=30", "largest_E=2", "permutations=30", "pyedm_permutations=2", "repeats=1"]
    assert main(["bench", *arguments, "truths=true", "data_sets=20", f"out={tmp_path}"]) == 0
    page = (tmp_path / "BENCHMARKS.md").read_text()
    assert capsys.readouterr().out == page
    assert "`reach-analysis bench truths=true trials=6 samples=30 largest_E=2" in page
    assert page.count("\n## ") == 3
    found = json.loads((tmp_path / "bench.json").read_text())
    assert len(found["speed"]) == 6
    assert len(found["kept"]) == 5
    assert {row["data_sets"] for row in found["calibration"]} == {20}
    assert all(0 <= row["false_positives"] <= 20 for row in found["calibration"])
    assert found["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["trials=3"], "at least 5 trials"),
        (["samples=20", "largest_E=10"], "three times largest_E"),
        (["repeats=0"], "must be at least 1"),
        (["data_sets=5"], "data_sets must be at least 20"),
    ],
)
def test_bad_settings(settings: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *settings, f"out={tmp_path}"]) == 2
    assert message in capsys.readouterr().err
