"""Learning curves and experiment trackers: what a run's metrics become besides numbers."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from track_mjx._common.errors import ConfigError
from track_mjx.config import TrainConfig
from track_mjx.runs.curves import draw_curves
from track_mjx.runs.loggers import open_trackers
from track_mjx.runs.run_folder import CONFIG, RECORD, RunFolder, config_yaml

LINES = [
    {"steps": 1000 * i, "reward": 0.1 * i, "terms/joints": 0.5, "eval/test/mean_body_error_mm": 3.0} for i in range(5)
]


def folder_of(path: Path, config: TrainConfig) -> RunFolder:
    """What a run folder holds before its training."""
    (path / CONFIG).write_text(config_yaml(config))
    record = {"clips": "", "clips_sha256": "", "model_name": "", "model_sha256": "", "train": [], "test": []}
    (path / RECORD).write_text(json.dumps({**record, "started_utc": "", "environment": {}, "tracker_id": "a1b2"}))
    return RunFolder(path)


def test_curves_are_a_picture_and_nothing_else_is_written_unless_asked_for(tmp_path: Path) -> None:
    draw_curves([], tmp_path / "none.png")
    draw_curves(LINES, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    with ExitStack() as stack:
        assert open_trackers(TrainConfig(), folder_of(tmp_path, TrainConfig()), 0, stack) == []


@pytest.mark.parametrize(("module", "setting"), [("tensorboardX", "tensorboard"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, setting: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)  # what Python sees where it is not installed
    config = TrainConfig()
    setattr(config.run, setting, "project" if setting == "wandb" else True)
    with ExitStack() as stack, pytest.raises(ConfigError, match=rf"track-mjx\[{setting}\]"):
        open_trackers(config, folder_of(tmp_path, config), 0, stack)


def test_tensorboard_files_hold_every_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    config = TrainConfig()
    config.run.tensorboard = True
    with ExitStack() as stack:
        [log] = open_trackers(config, folder_of(tmp_path, config), 0, stack)
        for line in LINES:
            log({**line, "note": json.dumps("text is left out")})
    [events] = list((tmp_path / "tensorboard").iterdir())
    assert all(name.encode() in events.read_bytes() for name in LINES[0])


class FakeWandb:
    """Weights & Biases as far as it is used: notes what it is given, and refuses a project called secret."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def init(self, **given: Any) -> FakeWandb:
        if given["project"] == "secret":
            raise self.Error("api_key not configured (no-tty).\nCall wandb.login")
        self.given.append(given)
        return self

    def finish(self) -> None:
        pass


def test_a_resumed_run_stays_one_run_and_a_refusal_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb, config = FakeWandb(), TrainConfig()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    config.run.wandb = "project"
    for done in (0, 640):
        with ExitStack() as stack:
            open_trackers(config, folder_of(tmp_path, config), done, stack)
    assert [given["id"] for given in wandb.given] == ["a1b2", "a1b2"]
    config.run.wandb = "secret"
    with (
        ExitStack() as stack,
        pytest.raises(ConfigError, match=r"run\.wandb: api_key not configured \(no-tty\)\. Call"),
    ):
        open_trackers(config, folder_of(tmp_path, config), 0, stack)
