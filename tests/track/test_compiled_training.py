"""Training with physics in JAX: policy, physics, rewards and resets are one compiled program on the device."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest
from track.small_setups import arm
from track_mjx.learning.setup import Setup, split
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.checkpoints import flatten
from track_mjx.runs.run_folder import RunFolder


def trainer(setup: Setup) -> Trainer:
    sets = split(len(setup.clips.clip_name), setup.config.run.test_fraction, 0)
    return Trainer(setup, RunFolder.create(setup.config, setup.clips, *sets), *sets)


def trains(run: Trainer, n: int) -> None:
    """Learn from some unrolls, and see that this is what happened."""
    before = flatten(run.learner.parameters)
    for _ in range(n):
        run.advance()
    line = run._numbers()
    after = flatten(run.learner.parameters)
    assert all(np.isfinite(leaf).all() for leaf in after.values())
    assert any(np.abs(leaf - before[name]).max() > 1e-4 for name, leaf in after.items())
    assert line["learning/first_ratio_error"] < 1e-4
    assert line["reward"] > 0
    assert line["episodes"] > 0, "resets happen inside"
    assert line["ended/non_finite"] == 0


@pytest.mark.slow
def test_an_arm_with_muscles_trains_on_mjx_without_leaving_the_device(tmp_path: Path) -> None:
    """2560 control steps, 5120 physics steps; nothing of the collecting program calls back to the host."""
    setup = arm(tmp_path, n_envs=32, unroll=10)
    setup.config.physics.engine = "mjx"
    run = trainer(setup)
    trains(run, 8)
    assert run.progress.steps == 2560
    arguments = (run.learner.policy, run.followed, run.physics, run.carry, jax.random.key(0))
    program = run.collector._scan.lower(*arguments).as_text()
    assert "while" in program
    assert "callback" not in program


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("warp"), reason="pip install 'track-mjx[warp]'")
def test_the_small_arm_trains_on_warp(tmp_path: Path) -> None:
    setup = arm(tmp_path)
    setup.config.physics.engine = "warp"
    trains(trainer(setup), 4)
