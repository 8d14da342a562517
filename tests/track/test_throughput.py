"""`track-mjx bench`: it counts the steps it says it counts, and says what it left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from track import small_setups
from track.clip_files import ARM, write_clips
from track_mjx import cli
from track_mjx.bench import measure, parts
from track_mjx.config import BenchConfig
from track_mjx.learning.setup import Setup
from track_mjx.physics.native import NativeEngine, NativeState


def bench_config(folder: Path, **changes: object) -> BenchConfig:
    path = write_clips(folder / "clips.h5", ARM)
    given = small_setups.config(path, small_setups.ARM_TASK)
    shared = {name: getattr(given, name) for name in ("physics", "task", "network", "ppo", "run")}
    settings = {"engines": ["native"], "n_envs": [4, 8], "steps": 5, **changes}
    return BenchConfig(clips=str(path), out=str(folder / "bench"), **shared, **settings)


def test_command_measures_every_combination_and_writes_table_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SECONDS", 0.0)
    cli.bench(bench_config(tmp_path, parts=["physics", "learning"]))
    record = json.loads((tmp_path / "bench/bench.json").read_text())
    measured = [(one["engine"], one["part"], one["n_envs"]) for one in record["rows"]]
    assert measured == [("native", part, n) for part in ("physics", "learning") for n in (4, 8)]
    for one in record["rows"]:
        assert one["physics_steps_per_s"] == pytest.approx(2 * one["control_steps_per_s"])
        assert 0 < one["slowest"] <= one["control_steps_per_s"] * 1.000001 <= one["fastest"] * 1.000002
        assert one["blocks"] >= measure.BLOCKS
    assert record["left_out"] == []
    assert capsys.readouterr().out.count("| native | learning |") == 2


@pytest.mark.parametrize("part", ["task", "policy", "learning"])
def test_a_block_takes_the_steps_it_is_credited_with(
    part: str, arm_setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    step = NativeEngine.step

    def counted(self: NativeEngine, state: NativeState, ctrl: np.ndarray) -> NativeState:
        taken.append(len(ctrl))
        return step(self, state, ctrl)

    monkeypatch.setattr(NativeEngine, "step", counted)
    assert next(parts.blocks(part, arm_setup, 6, 3)) == sum(taken)
    assert sum(taken) == 6 * (3 if part != "learning" else arm_setup.config.ppo.unroll)


def test_what_does_not_fit_into_the_time_is_left_out(tmp_path: Path) -> None:
    config = bench_config(tmp_path, max_minutes=1e-9)
    lines: list[str] = []
    result = measure.run_bench(config, small_setups.arm(tmp_path).clips, lines.append)
    assert (result.rows, lines) == ([], [])
    assert len(result.left_out) == 8
    assert all("max_minutes" in text for text in result.left_out)
