"""Learning curves and experiment trackers: what a run's metrics become besides numbers."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from track_mjx._common.errors import ConfigError
from track_mjx.config import TrainConfig
from track_mjx.runs.curves import draw_curves
from track_mjx.runs.loggers import open_trackers

LINES = [
    {"steps": 1000 * i, "reward": 0.1 * i, "terms/joints": 0.5, "eval/test/mean_body_error_mm": 3.0} for i in range(5)
]


def test_curves_are_a_picture_and_nothing_else_is_written_unless_asked_for(tmp_path: Path) -> None:
    draw_curves([], tmp_path / "none.png")
    with ExitStack() as stack:
        assert open_trackers(TrainConfig(), tmp_path, stack) == []
    draw_curves(LINES, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize(("module", "setting"), [("tensorboardX", "tensorboard"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, setting: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)  # what Python sees where it is not installed
    config = TrainConfig()
    setattr(config.run, setting, "project" if setting == "wandb" else True)
    with ExitStack() as stack, pytest.raises(ConfigError, match=rf"track-mjx\[{setting}\]"):
        open_trackers(config, tmp_path, stack)


def test_tensorboard_files_hold_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    config = TrainConfig()
    config.run.tensorboard = True
    with ExitStack() as stack:
        [log] = open_trackers(config, tmp_path, stack)
        for line in LINES:
            log({**line, "note": json.dumps("text is left out")})
    [events] = list((tmp_path / "tensorboard").iterdir())
    assert all(name.encode() in events.read_bytes() for name in LINES[0])
