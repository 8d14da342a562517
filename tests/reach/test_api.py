"""Studies from Python give the numbers of the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import reach_analysis
from reach_analysis.cli import main
from synthetic.reach import ReachSettings, write_reaches


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "rollouts.h5"
    write_reaches(path, ReachSettings(n_trials=6))
    return path


def test_a_study_has_the_numbers_of_the_command(rollouts: Path, tmp_path: Path) -> None:
    study = reach_analysis.analyse("pca", rollouts, resamples=100)
    study.save(tmp_path / "python")
    assert main(["pca", f"rollouts={rollouts}", "resamples=100", f"out={tmp_path / 'command'}"]) == 0
    python, command = (json.loads((tmp_path / way / "pca.json").read_text()) for way in ("python", "command"))
    assert python["results"] == command["results"]
    assert {**python["settings"], "out": None} == {**command["settings"], "out": None}
    assert study.figures


def test_unknown_studies_and_settings_name_the_nearest(rollouts: Path) -> None:
    with pytest.raises(reach_analysis.ReachError, match="forecast"):
        reach_analysis.analyse("forcast", rollouts)
    with pytest.raises(reach_analysis.ReachError, match="resamples"):
        reach_analysis.analyse("pca", rollouts, resample=100)


def test_settings_that_are_maps_are_those_of_the_command(rollouts: Path, tmp_path: Path) -> None:
    study = reach_analysis.analyse("survival", rollouts, levels={"session": "^(synthetic)"})
    command = ["survival", f"rollouts={rollouts}", "levels={session:'^(synthetic)'}", f"out={tmp_path}"]
    assert main(command) == 0
    assert study.settings.levels == json.loads((tmp_path / "survival.json").read_text())["settings"]["levels"]
    with pytest.raises(reach_analysis.ReachError, match=r"unknown setting 'recording.rate'"):
        reach_analysis.analyse("emg", rollouts, recording={"rate": 1.0})


def test_public_names_are_documented() -> None:
    assert set(reach_analysis.__all__) <= set(dir(reach_analysis))
    assert all(getattr(reach_analysis, name).__doc__ for name in reach_analysis.__all__)
