"""Cloning: what is copied are the angles of the reference, and networks come to put them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from track import small_setups
from track.small_setups import episode_at
from track_mjx._common.errors import ConfigError
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig
from track_mjx.learning.setup import Setup, build, verify

SERVOS = {"actuators": "servo", "servo_hz": 8.0}


def setup_of(folder: Path, action: str = "reference", steps: int = 6400) -> Setup:
    plain = small_setups.walker(folder, {"terminations": {}, "action": "affine"}, SERVOS, epochs=10, n_envs=32)
    config = plain.config
    config.task.action, config.cloning.steps, config.cloning.lead = action, steps, 3
    config.arena = ArenaConfig(**SERVOS)
    return build(config, read_clips(config.clips))


def test_networks_come_to_put_out_the_angles_of_the_reference_some_steps_ahead(tmp_path: Path) -> None:
    setup = setup_of(tmp_path)
    task, frames = setup.task, np.arange(20)
    action = task.demonstrated(setup.followed, episode_at(setup, 0, frames, 20), 3)
    columns = [setup.task.body.model.joint(name).qposadr[0] for name in task.body.actuators]
    expected = np.asarray(setup.reference.qpos)[np.minimum(frames + 3, setup.reference.length[0] - 1)][:, columns]
    ctrl = np.asarray(task.ctrl(setup.followed, task.episode(20), action))
    np.testing.assert_allclose(ctrl, np.clip(expected, *task.body.ctrl_range), atol=1e-5)
    trainer = small_setups.trainer(setup)
    trainer.config.run.steps = 8000
    trainer.run()
    lines = trainer.folder.metrics()
    cloned = [line["learning/policy_loss"] for line in lines if line["steps"] <= 6400]
    assert cloned[-1] < 0.25 * cloned[0]
    assert {line["learning/rate"] for line in lines if line["steps"] > 6400} == {setup.config.ppo.learning_rate}
    assert lines[-1]["learning/policy_loss"] < 0.1, "PPO takes over"


@pytest.mark.parametrize("action", ["offset", "tanh_clip"])
def test_actions_that_are_no_angles_are_refused(tmp_path: Path, action: str) -> None:
    with pytest.raises(ConfigError, match=r"cloning\.steps: only task\.action=affine or reference"):
        verify(setup_of(tmp_path, action))
