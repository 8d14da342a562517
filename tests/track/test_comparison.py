"""Sweeps: the runs of a multirun, on one machine and through a job scheduler, and what they came to."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from track.clip_files import write_clips
from track.small_setups import command
from track_mjx.config import TrainConfig
from track_mjx.runs import compare as comparison
from track_mjx.runs.compare import as_text, compare
from track_mjx.runs.run_folder import CONFIG, METRICS, RECORD, RunFolder, RunRecord, config_yaml


def write_run(folder: Path, *, seed: int, rate: float, error: float, lines: int = 5) -> Path:
    """What a run leaves that comparisons read, with errors that fall linearly to `error`."""
    folder.mkdir(parents=True)
    settings = TrainConfig(clips=f"{seed}.h5", out=str(folder), seed=seed)
    settings.ppo.learning_rate = rate
    (folder / CONFIG).write_text(config_yaml(settings))
    record = RunRecord(settings.clips, "0" * 64, "arm", "0" * 64, (), (), "2026-01-01T00:00:00Z", {})
    (folder / RECORD).write_text(json.dumps(asdict(record)))
    points = [{"iteration": i, "steps": 100 * i, "reward": 0.1 * i} for i in range(1, lines + 1)]
    for point in points:
        point["eval/test/mean_body_error_mm"] = error + lines - point["iteration"]
    (folder / METRICS).write_text("".join(json.dumps(point) + "\n" for point in points))
    return folder


def test_runs_are_grouped_by_what_was_changed_and_averaged_over_seeds(tmp_path: Path) -> None:
    errors = {1e-3: [1.0, 1.4, 0.9], 1e-4: [2.0, 2.1]}
    for rate, finals in errors.items():
        for seed, error in enumerate(finals):
            write_run(tmp_path / f"{rate}_{seed}", seed=seed, rate=rate, error=error)
    groups = comparison.grouped([comparison.read_run(path) for path in comparison.find_runs(tmp_path)])
    assert [dict(group.settings) for group in groups] == [{"ppo.learning_rate": 1e-4}, {"ppo.learning_rate": 1e-3}]
    for group in groups:
        finals = errors[group.settings["ppo.learning_rate"]]
        found = group.outcomes["eval/test/mean_body_error_mm"]
        expected = stats.t.interval(0.95, len(finals) - 1, np.mean(finals), stats.sem(finals))
        assert found.mean == pytest.approx(np.mean(finals))
        assert (found.low, found.high) == pytest.approx(expected)
        assert found.n == len(finals)
        assert group.outcomes["eval/train/mean_body_error_mm"].n == 0


def test_one_seed_has_no_interval_and_a_number_that_is_missing_none_at_all(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=0, rate=1e-3, error=1.0)
    empty = write_run(tmp_path / "b", seed=0, rate=1e-4, error=1.0)
    (empty / METRICS).write_text("")
    groups = comparison.grouped([comparison.read_run(path) for path in comparison.find_runs(str(tmp_path / "*"))])
    found = [group.outcomes["eval/test/mean_body_error_mm"] for group in groups]
    assert found[0].mean == 1.0
    assert np.isnan([found[0].low, found[0].high, found[1].mean]).all()
    assert "[" not in as_text(groups).replace("[95 %", "")
    assert "learning_rate=0.0001" in as_text(groups)


def test_learning_curves_are_averaged_where_all_runs_have_numbers(tmp_path: Path) -> None:
    """Runs logged at different steps: a straight line stays one, its interval that of the two finals."""
    write_run(tmp_path / "a", seed=0, rate=1e-3, error=1.0)
    write_run(tmp_path / "b", seed=1, rate=1e-3, error=2.0, lines=9)
    (group,) = comparison.grouped([comparison.read_run(path) for path in comparison.find_runs(tmp_path)])
    curve = comparison.curve(group.runs, "eval/test/mean_body_error_mm", n_points=5)
    assert curve is not None
    steps, found = curve
    assert steps == pytest.approx([100, 200, 300, 400, 500])
    assert found.mean == pytest.approx([(1 + 4 - i + 2 + 8 - i) / 2 for i in range(5)])
    half = stats.t.ppf(0.975, 1) * np.std([1 + 4, 2 + 8], ddof=1) / np.sqrt(2)
    assert found.high - found.mean == pytest.approx(np.full(5, half))
    assert comparison.curve(group.runs, "eval/train/mean_body_error_mm") is None


def test_files_of_a_comparison(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"{seed}", seed=seed, rate=1e-3, error=1.0 + seed)
    text = compare(str(tmp_path), str(tmp_path / "out"))
    assert "2 [0, 4.484]" in text
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").read_text().splitlines()))
    assert float(rows[0]["eval/test/mean_body_error_mm mean"]) == pytest.approx(2.0)
    assert rows[0]["runs"] == "3"
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [run["seed"] for run in written["groups"][0]["runs"]] == [0, 1, 2]
    assert (tmp_path / "out" / "comparison.png").read_bytes()[:4] == b"\x89PNG"


def sweep(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    write_clips(folder / "clips.h5")
    every = [*command(folder, "run.steps=256"), "--multirun", *more]
    return subprocess.run(every, capture_output=True, text=True, check=False)


def needs(plugin: str, extra: str) -> pytest.MarkDecorator:
    absent = importlib.util.find_spec(f"hydra_plugins.{plugin}") is None
    return pytest.mark.skipif(absent, reason=f"pip install 'track-mjx[{extra}]'")


@pytest.mark.slow
@needs("hydra_joblib_launcher", "joblib")
def test_a_sweep_over_processes_of_one_machine(tmp_path: Path) -> None:
    """Two seeds of two settings through joblib, one of them impossible: the others run, and the exit code is not 0."""
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = sweep(tmp_path, *launcher, "seed=0,1", "ppo.minibatches=2,1000")
    assert done.returncode == 2, done.stderr
    names = [f"{i:03d}_ppo.minibatches-{(2, 1000)[i // 2]}_seed-{i % 2}" for i in range(4)]
    made = sorted(path.parent.name for path in (tmp_path / "run").glob("*/run.json"))
    assert made == names[:2]
    for name in names[2:]:
        assert f"job {name} failed: " in done.stderr
    assert [line["steps"] for line in RunFolder.open(tmp_path / "run" / names[0]).metrics()] == [128, 256]
    assert "mean over seeds" in done.stdout
    (group,) = json.loads((tmp_path / "run" / "comparison.json").read_text())["groups"]
    assert group["outcomes"]["eval/test/mean_body_error_mm"]["n"] == 2


@pytest.mark.slow
@needs("hydra_submitit_launcher", "slurm")
def test_a_sweep_through_a_job_scheduler(tmp_path: Path) -> None:
    """Through submitit, whose local executor runs the very jobs that its Slurm executor submits."""
    done = sweep(tmp_path, "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10", "seed=0,1")
    assert done.returncode == 0, done.stderr
    runs = [RunFolder.open(tmp_path / "run" / f"{i:03d}_seed-{i}") for i in (0, 1)]
    assert [run.config().seed for run in runs] == [0, 1]
    assert [run.metrics()[-1]["steps"] for run in runs] == [256, 256]
    assert runs[0].metrics()[-1]["reward"] != runs[1].metrics()[-1]["reward"]
    assert list((tmp_path / "run" / ".submitit").glob("*/*_log.out")), "each job's output is kept"
    assert "mean over seeds" in done.stdout


def test_settings_of_one_last_name_are_told_apart() -> None:
    settings = {"task.costs.control.weight": 0.1, "task.costs.energy.weight": 0.0, "ppo.n_envs": 8}
    assert comparison.labels([settings]) == ["control.weight=0.1, energy.weight=0.0, n_envs=8"]


def test_conditions_of_many_settings_are_named_by_what_departs_from_most() -> None:
    weights = np.ones((4, 4)) - np.eye(4)[[0, 0, 1, 2]]
    weights[0] = 1.0
    settings = [{f"task.rewards.{name}.weight": w for name, w in zip("abcd", row, strict=True)} for row in weights]
    assert comparison.labels(settings) == ["baseline", "a.weight=0.0", "b.weight=0.0", "c.weight=0.0"]


def test_intervals_end_where_errors_and_parts_end() -> None:
    part = comparison.estimate([0.5, 1.0], "eval/test/unterminated_fraction")
    error = comparison.estimate([0.5, 1.0], "eval/test/mean_body_error_mm")
    reward = comparison.estimate([0.5, 1.0], "reward")
    low, high = stats.t.interval(0.95, 1, 0.75, stats.sem([0.5, 1.0]))
    assert [(e.low, e.high) for e in (part, error, reward)] == [
        (0.0, 1.0),
        (0.0, pytest.approx(high)),
        pytest.approx((low, high)),
    ]
