"""Commands whose results do not fit on the disk: one message, exit code 2, nothing half-written, old results kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import reach_analysis.cli
import stac_mjx.cli
import track_mjx.cli
from contract import disks
from stac.quick import QUICK
from synthetic.reach import ReachSettings, write_reaches
from track.small_runs import trained
from track.small_setups import arm, command

RESAMPLED = "resamples:100"
FEW_STUDIES = (
    "studies={pca:{resamples:0,layers:[latent_mean]},similarity:{layers:[latent_mean],draws:19},synergies:{largest:2,"
    f"folds:2}},errors:{{{RESAMPLED}}},spectra:{{{RESAMPLED},low_hz:50}},coupling:{{permutations:19,samples:2,"
    f"sizes:[2,3],joints:[elbow]}},forecast:{{permutations:19,surrogates:0,{RESAMPLED},folds:2,sweep_E:2,sweep_tau:1,"
    "sweep_Tp:1,E:[2],tau:[-1],nonlinear:false}}"
)


class Case(NamedTuple):
    """A command, what it is given, where it writes to, and the file that a person looks for there."""

    main: Callable[[list[str]], int]
    arguments: list[str]
    out: str
    result: str


CASES = {
    "stac-mjx fit": Case(stac_mjx.cli.main, ["fit", "keypoints.stop=60", *QUICK], "results", "results/clips.h5"),
    "track-mjx train": Case(track_mjx.cli.main, command(Path("FOLDER"), "run.steps=400")[3:], "run", ""),
    "track-mjx rollout": Case(track_mjx.cli.main, ["rollout", "run=FOLDER/run"], "r.h5", "r.h5"),
    "track-mjx render": Case(
        track_mjx.cli.main, ["render", "rollouts=FOLDER/rollouts.h5", "width=320", "height=240"], "f.mp4", "f.mp4"
    ),
    "track-mjx evaluate": Case(track_mjx.cli.main, ["evaluate", "run=FOLDER/run"], "ev", "ev/summary.json"),
    "reach-analysis forecast": Case(
        reach_analysis.cli.main,
        [
            "forecast", "rollouts=FOLDER/reaches.h5", "permutations=19", "surrogates=0", "resamples=100", "E=[2]",
            "tau=[-1]", "folds=2", "sweeps=false", "nonlinear=false",
        ],
        "forecast",
        "forecast/forecast.json",
    ),
    "reach-analysis report": Case(
        reach_analysis.cli.main, ["report", "rollouts=FOLDER/reaches.h5", FEW_STUDIES], "report", "report/report.html"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, a run on them, its rollouts, and rollouts of made-up reaches."""
    folder = tmp_path_factory.mktemp("given")
    run = trained(arm(folder, {"regions": {"elbow": ["fore"], "wrist": ["hand"]}}), steps=160).path
    assert track_mjx.cli.main(["rollout", f"run={run}", f"out={folder / 'rollouts.h5'}"]) == 0
    write_reaches(folder / "reaches.h5", ReachSettings(n_trials=4, duration_s=0.1, n_units=4))
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from disks.full(tmp_path / "full", "16k")


@pytest.mark.parametrize("name", CASES)
def test_a_full_disk_is_one_message(name: str, folder: Path, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main, arguments, out, result = CASES[name]
    if result:
        (disk / result).parent.mkdir(exist_ok=True)
        (disk / result).write_bytes(disks.OLD)
    given = [argument.replace("FOLDER", str(folder)) for argument in arguments if not argument.startswith("out=")]
    assert main([*given, f"out={disk / out}"]) == 2
    said = capsys.readouterr().err
    assert said.count("cannot be written: the disk of ") == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"{name}: {disk}")
    left = [path for path in disk.rglob("*") if path.is_file()]
    assert [path.name for path in left if path.name.startswith(".")] == []
    assert not result or (disk / result).read_bytes() == disks.OLD
