"""Every numbered example runs at small scale; its commands run in this process, which has JAX loaded."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from contract.kit import assert_conforms
from stac_mjx.cli import main as stac_mjx
from synthetic.reach import ReachSettings, write_reaches
from track_mjx.cli import main as track_mjx

Run = Callable[..., object]
SMALL = ("--steps", "5120")
QUICK = {
    "fit": ["calibration.frames=50"],
    "train": ["ppo.n_envs=128", "run.evaluate_clips=4"],  # as in docs: the programs are compiled already
    "report": [
        "studies={forecast:{permutations:19,surrogates:19,resamples:100,folds:3},synergies:{largest:3,folds:3},"
        "coupling:{permutations:19,samples:3},similarity:{draws:39},comparison:{resamples:100}}"
    ],
}
"""Settings added to the commands of an example to save time; their own settings count more."""


_run = subprocess.run


def run_here(command: list[str], *, check: bool = False, **other: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE ...`` of one of our packages in this process, and other commands as they are."""
    if command[1] != "-m":
        return _run(command, check=check, **other)
    code = import_module(f"{command[2]}.cli").main([command[3], *QUICK.get(command[3], []), *command[4:]])
    if check and code:
        raise subprocess.CalledProcessError(code, command)
    return subprocess.CompletedProcess(command, code)


@pytest.fixture
def example(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs an example in an empty folder; returns what it ended with, None for success."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIMIC_DATA", raising=False)
    monkeypatch.setattr(subprocess, "run", run_here)

    def run(name: str, *arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(repository / "examples" / name), run_name="__main__")
        except SystemExit as end:
            return end.code or None

    return run


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded reaches, registered."""
    out = tmp_path_factory.mktemp("registered")
    assert stac_mjx(["fit", f"out={out}", "report=false", "calibration.frames=50"]) == 0
    return out / "clips.h5"


@pytest.mark.slow
def test_reach_pipeline(example: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results"
    assert example("01_reach_pipeline.py", "--out", str(out), "--no-video", *SMALL) is None
    assert_conforms(out / "registered" / "clips.h5")
    for controller in ("joint_only", "physics_aware"):
        assert_conforms(out / f"{controller}.h5")
        assert (out / controller / "evaluation" / "summary.json").exists()
    assert "physics_aware" in json.dumps(json.loads((out / "report" / "report.json").read_text()))
    assert str(out / "report" / "report.html") in capfd.readouterr().out.replace("\n", "")


def test_what_is_left_follows_the_steps_already_taken(repository: Path) -> None:
    pipeline = runpy.run_path(str(repository / "examples" / "01_reach_pipeline.py"))
    steps = pipeline["plan"](Path("out"), 5_000_000, video=True)
    nominal = [step.seconds for step in steps]
    # a machine of half the speed, on which learning is slower still
    taken = [2 * s * (1.5 if step.command[1] == "train" else 1.0) for step, s in zip(steps, nominal, strict=True)]
    assert pipeline["seconds_left"](steps, []) == sum(nominal)
    for done in range(2, len(steps)):
        assert pipeline["seconds_left"](steps, taken[:done]) == pytest.approx(sum(taken[done:]), rel=0.2)


def test_rat_without_a_recording_names_the_option(example: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (((), "--recording FILE"), (("--recording", "nowhere.mat"), "nowhere.mat")):
        end = example("02_rat.py", *arguments)
        assert end is not None
        assert words in f"{end}{capsys.readouterr().err}"


@pytest.mark.slow
def test_new_body(example: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert example("03_new_body.py", "--out", "leg", *SMALL) is None
    assert_conforms(tmp_path / "leg" / "registered" / "clips.h5")
    movement = [float(deg) for deg in re.findall(r"movement to ([\d.]+) deg", capsys.readouterr().out)]
    assert len(movement) == 3
    assert max(movement) < 3


@pytest.mark.slow
def test_the_embedded_arm_has_the_strength_for_the_embedded_reaches(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track_mjx(["check", f"clips={clips}"]) == 0
    shares = re.search(r"hold the pose in (\d+)% of the frames, make the movement in (\d+)%", capsys.readouterr().out)
    assert shares is not None
    assert int(shares[1]) >= 95
    assert int(shares[2]) >= 70


@pytest.mark.slow
def test_custom_reward(example: Run, clips: Path, tmp_path: Path) -> None:
    assert example("04_custom_reward.py", "--clips", str(clips), "--out", "gentle", *SMALL) is None
    header = (tmp_path / "gentle" / "run" / "metrics.csv").read_text().splitlines()[0]
    assert {"terms/body_height_exp", "terms/gentle"} <= set(header.split(","))


@pytest.mark.slow
def test_control_cost_sweep(example: Run, clips: Path, tmp_path: Path) -> None:
    weights = "task.costs.control.weight=0.0,0.2"
    assert example("05_control_cost_sweep.py", "--clips", str(clips), "--out", "sweep", *SMALL, weights) is None
    names = sorted(path.parent.name for path in (tmp_path / "sweep" / "runs").glob("*/run.json"))
    assert names == ["000_task.costs.control.weight-0.0_seed-0", "001_task.costs.control.weight-0.2_seed-0"]
    assert any((tmp_path / "sweep" / "comparison").iterdir())


def test_reading_a_file_needs_none_of_our_packages(
    example: Run, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reaches(tmp_path / "rollouts.h5", ReachSettings(n_trials=3))
    assert example("06_read_rollouts.py", str(tmp_path / "rollouts.h5")) is None
    printed = capsys.readouterr().out
    assert [words for words in ("deg rms", "first three components", "mm in clip") if words not in printed] == []
    source = (repository / "examples" / "06_read_rollouts.py").read_text()
    assert not any(name in source for name in ("stac_mjx", "track_mjx", "reach_analysis"))


@pytest.mark.slow
def test_the_script_for_a_gpu_measures_every_part(example: Run, clips: Path, tmp_path: Path) -> None:
    assert example("../scripts/gpu_check.py", "--small", "--clips", str(clips), "--out", str(tmp_path)) is None
    record = json.loads((tmp_path / "gpu_check.json").read_text())
    assert [(one["name"], one.get("exit_code")) for one in record["measurements"] if one.get("exit_code") != 0] == []
    assert {(row["part"], row["n_envs"]) for row in record["training"]} == {
        (part, 8) for part in ("physics", "learning")
    }
    assert record["registration"][0]["frames_per_s"] > 0
    assert record["curve"][-1]["steps"] == 640
