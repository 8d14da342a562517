"""The examples after the first run, at small scale: a new body, a custom reward, a sweep, reading a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from contract.kit import assert_conforms
from stac_mjx.cli import main as stac_mjx
from synthetic.reach import ReachSettings, write_reaches
from track_mjx.cli import main as track_mjx

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def example(repository: Path, tmp_path: Path) -> Run:
    """Runs an example in an empty folder."""
    sources = [str(repository / "packages" / name / "src") for name in ("stac-mjx", "track-mjx", "reach-analysis")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sources, os.environ.get("PYTHONPATH", "")])}
    environment.pop("MIMIC_DATA", None)

    def run(name: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(repository / "examples" / name), *arguments]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended

    return run


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded reaches, registered."""
    out = tmp_path_factory.mktemp("registered")
    assert stac_mjx(["fit", f"out={out}", "report=false", "calibration.frames=50"]) == 0
    return out / "clips.h5"


def test_rat_without_a_recording_says_what_to_give(example: Run) -> None:
    assert "--recording FILE" in example("02_rat.py", code=1).stderr
    assert "nowhere.mat: no such file" in example("02_rat.py", "--recording", "nowhere.mat", code=1).stderr


@pytest.mark.slow
def test_new_body(example: Run, tmp_path: Path) -> None:
    ended = example("03_new_body.py", "--out", "leg", "--steps", "10240")
    assert_conforms(tmp_path / "leg" / "registered" / "clips.h5")
    movement = [float(found) for found in re.findall(r"movement to ([\d.]+) deg", ended.stdout)]
    assert len(movement) == 3
    assert max(movement) < 3, ended.stdout


@pytest.mark.slow
def test_the_embedded_arm_has_the_strength_for_the_embedded_reaches(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert track_mjx(["check", f"clips={clips}"]) == 0
    found = re.search(r"hold the pose in (\d+)% of the frames, make the movement in (\d+)%", capsys.readouterr().out)
    assert found is not None
    held, made = map(int, found.groups())
    assert held >= 95
    assert made >= 70


@pytest.mark.slow
def test_custom_reward(example: Run, clips: Path, tmp_path: Path) -> None:
    example("04_custom_reward.py", "--clips", str(clips), "--out", "gentle", "--steps", "10240")
    header = (tmp_path / "gentle" / "run" / "metrics.csv").read_text().splitlines()[0]
    assert {"terms/body_height_exp", "terms/gentle"} <= set(header.split(","))


@pytest.mark.slow
def test_control_cost_sweep(example: Run, clips: Path, tmp_path: Path) -> None:
    weights = "task.costs.control.weight=0.0,0.2"
    example("05_control_cost_sweep.py", "--clips", str(clips), "--out", "sweep", "--steps", "10240", weights)
    names = sorted(path.parent.name for path in (tmp_path / "sweep" / "runs").glob("*/run.json"))
    assert names == ["000_task.costs.control.weight=0.0,seed=0", "001_task.costs.control.weight=0.2,seed=0"]
    assert any((tmp_path / "sweep" / "comparison").iterdir())


def test_reading_a_file_needs_none_of_our_packages(example: Run, repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    write_reaches(path, ReachSettings(n_trials=3))
    printed = example("06_read_rollouts.py", str(path)).stdout
    assert "deg rms" in printed
    assert "first three components hold" in printed
    assert "mm in clip" in printed
    source = (repository / "examples" / "06_read_rollouts.py").read_text()
    assert not any(name in source for name in ("stac_mjx", "track_mjx", "reach_analysis"))
