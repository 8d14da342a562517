"""Several devices: a training divided among them is the training of one."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import arm, assert_sound, command, trainer
from track_mjx.clips import read_clips
from track_mjx.config import DistributedConfig, TrainConfig
from track_mjx.learning.setup import Setup, build, open_setup
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.checkpoints import flatten
from track_mjx.runs.run_folder import RunFolder

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["native", "mjx"])
def test_four_devices_train_as_one_does(tmp_path: Path, engine: str) -> None:
    """After three iterations all numbers agree to 1e-3 of their size, or 1e-4: sums are taken in another order."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), environment.get("PYTHONPATH", "")])
    script = Path(__file__).with_name("devices_script.py")
    command = [sys.executable, "-W", "error", str(script), str(tmp_path), engine]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("warp"), reason="pip install 'track-mjx[warp]'")
def test_the_small_arm_trains_on_warp(tmp_path: Path) -> None:
    setup = arm(tmp_path)
    setup.config.physics.engine = "warp"
    run = trainer(setup)
    before = flatten(run.learner.parameters)
    for _ in range(4):
        run.advance()
    assert_sound(run._numbers())
    after = flatten(run.learner.parameters)
    assert all(np.isfinite(leaf).all() for leaf in after.values())
    assert any(np.abs(leaf - before[name]).max() > 1e-4 for name, leaf in after.items())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def in_processes(command: list[str], prefix: str = "run.distributed") -> list[subprocess.CompletedProcess[str]]:
    """Run a command of `track-mjx` in two processes that know of each other."""
    where = [f"{prefix}.on=true", f"{prefix}.coordinator=127.0.0.1:{free_port()}", f"{prefix}.processes=2"]
    started = [
        subprocess.Popen(
            [*command, *where, f"{prefix}.process={i}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for i in range(2)
    ]
    ended = []
    for process in started:
        out, err = process.communicate(timeout=600)
        ended.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return ended


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    """Physics on the threads of each, gradients over both (gloo); a run of two processes is resumed in one."""
    write_clips(tmp_path / "clips.h5")
    ended = in_processes(command(tmp_path, "run.steps=384"))
    assert [done.returncode for done in ended] == [0, 0], ended[0].stderr + ended[1].stderr
    assert "held-out" in ended[0].stderr
    assert "held-out" not in ended[1].stderr, "only process 0 logs and writes"
    folder = RunFolder.open(tmp_path / "run")
    assert [line["iteration"] for line in folder.metrics()] == [2, 4, 6]
    assert folder.config().run.distributed.on
    config = folder.config()
    config.run.distributed.on = False
    setup = build(config, read_clips(config.clips))
    alone = trainer(setup, "alone")
    alone.run()
    ours, theirs = folder.checkpoints.load("last")[1], alone.folder.checkpoints.load("last")[1]
    for name in ours.keys() - {"seconds"}:
        assert np.allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4), name
    for both, one in zip(folder.metrics(), alone.folder.metrics(), strict=True):
        assert both["reward"] == pytest.approx(one["reward"], rel=1e-3)
        assert both["episodes"] == one["episodes"]
    settings = folder.config()
    settings.run.distributed, settings.run.steps = DistributedConfig(), 512
    again = Trainer(*open_again(folder, settings))
    again.restore()
    again.run()
    assert [line["iteration"] for line in folder.metrics()] == [2, 4, 6, 8]


def open_again(folder: RunFolder, settings: TrainConfig) -> tuple[Setup, RunFolder, list[int], list[int]]:
    setup, train, test = open_setup(folder, settings)
    return setup, folder, train, test


@pytest.mark.slow
def test_where_one_process_cannot_begin_none_does(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips.h5")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    ended = in_processes(command(tmp_path, "run.steps=384"))
    assert [done.returncode for done in ended] == [2, 2], ended[0].stderr + ended[1].stderr
    assert "there is a run already" in ended[0].stderr
    assert "process 0 could not begin" in ended[1].stderr
