"""Learning curves and experiment trackers: what a run's metrics become besides numbers."""

from __future__ import annotations

import io
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence
from track_mjx._common.errors import ConfigError
from track_mjx._common.render import video
from track_mjx.config import TrainConfig
from track_mjx.runs.curves import draw_curves
from track_mjx.runs.films import FILMS, Films
from track_mjx.runs.loggers import as_gif, open_trackers
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


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of black, then a second of white."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with video.film(path, 5) as append:
        for shade in [0] * 5 + [255] * 5:
            append(np.full((32, 48, 3), shade, np.uint8))
    return path


def test_tensorboard_shows_films(tmp_path: Path, film: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    config = TrainConfig()
    config.run.tensorboard = True
    with ExitStack() as stack:
        [log] = open_trackers(config, folder_of(tmp_path, config), 0, stack)
        log({**LINES[1], "film/test": film})
    [events] = list((tmp_path / "tensorboard").iterdir())
    assert b"film/test" in events.read_bytes()
    assert b"GIF89a" in events.read_bytes()


def test_films_become_gifs_of_another_rate(film: Path) -> None:
    with Image.open(io.BytesIO(as_gif(film, 10))) as gif:
        pictures = [np.asarray(frame.convert("L")).mean() for frame in ImageSequence.Iterator(gif)]
    assert len(pictures) == pytest.approx(20, abs=2)
    assert pictures[0] < 50 < 200 < pictures[-1]


def test_films_are_drawn_in_the_background_and_handed_out_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_text(sys.argv[3]); sys.exit(sys.argv[3] == 'bad')"
    for clip in ("reach[0:9]", "bad"):
        films = Films(tmp_path, clip, 0.0, draw)
        assert films.at(LINES[1]) == LINES[1]
        assert films._process is not None
        films._process.wait()
        ready = films.at(LINES[2])
        assert ready == (
            {**LINES[2], "film/test": tmp_path / FILMS / f"{1000:015d}.mp4"} if clip != "bad" else LINES[2]
        )
        films.close()
    assert (tmp_path / FILMS / f"{1000:015d}.mp4").read_text() == "bad"
    assert "could not be drawn" in caplog.text


class FakeWandb:
    """Weights & Biases as far as it is used: notes what it is given, and refuses a project called secret."""

    class Error(Exception):
        pass

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []
        self.logged: list[tuple[dict[str, Any], int]] = []

    def Video(self, path: str, format: str) -> tuple[str, str]:
        return path, format

    def log(self, line: dict[str, Any], step: int) -> None:
        self.logged.append((line, step))

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
            [log] = open_trackers(config, folder_of(tmp_path, config), done, stack)
            log({**LINES[1], "film/test": Path("a.mp4")})
    assert wandb.logged[1] == ({**LINES[1], "film/test": ("a.mp4", "mp4")}, 1000)
    assert [given["id"] for given in wandb.given] == ["a1b2", "a1b2"]
    config.run.wandb = "secret"
    with (
        ExitStack() as stack,
        pytest.raises(ConfigError, match=r"run\.wandb: api_key not configured \(no-tty\)\. Call"),
    ):
        open_trackers(config, folder_of(tmp_path, config), 0, stack)
