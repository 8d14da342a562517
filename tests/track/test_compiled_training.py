"""Training with physics in JAX on Warp; test_devices has it on MJX."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from track.small_setups import arm, trainer
from track_mjx.runs.checkpoints import flatten


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("warp"), reason="pip install 'track-mjx[warp]'")
def test_the_small_arm_trains_on_warp(tmp_path: Path) -> None:
    setup = arm(tmp_path)
    setup.config.physics.engine = "warp"
    run = trainer(setup)
    before = flatten(run.learner.parameters)
    for _ in range(4):
        run.advance()
    line, after = run._numbers(), flatten(run.learner.parameters)
    assert all(np.isfinite(leaf).all() for leaf in after.values())
    assert any(np.abs(leaf - before[name]).max() > 1e-4 for name, leaf in after.items())
    assert line["learning/first_ratio_error"] < 1e-4
    assert line["reward"] > 0
    assert line["episodes"] > 0, "resets happen inside"
    assert line["ended/non_finite"] == 0
