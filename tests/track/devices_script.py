"""Run in a process of its own: trains on one and on several devices, and prints how far the results differ.

usage: python devices_script.py FOLDER ENGINE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from track.small_setups import arm
from track_mjx.learning.setup import split
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.checkpoints import flatten
from track_mjx.runs.run_folder import RunFolder


def trained(folder: Path, engine: str, n_devices: int) -> Trainer:
    """A small run of three updates; of the native engine, saved and restored before the last."""
    folder = folder / str(n_devices)
    folder.mkdir()
    setup = arm(folder)
    setup.config.physics.engine, setup.config.run.devices = engine, n_devices
    train, test = split(len(setup.clips.clip_name), 0.25, 0)
    RunFolder.create(setup.config, setup.clips, train, test)
    run = Trainer(setup, RunFolder.open(folder / "run"), train, test)
    run.advance()
    run.advance()
    if engine == "native":
        run.save()
        run.advance()
        expected = flatten(run.state()["learner"])
        run.restore()
    run.advance()
    if engine == "native":
        assert all(np.array_equal(leaf, expected[name]) for name, leaf in flatten(run.state()["learner"]).items())
    return run


def main(folder: Path, engine: str) -> None:
    one, four = trained(folder, engine, 1), trained(folder, engine, jax.device_count())
    found: dict[str, Any] = {
        "devices": four.devices.count,
        "batch_on": len(jax.tree.leaves(four.carry.latent)[0].sharding.device_set),
        "parameters_on": len(jax.tree.leaves(four.learner.parameters)[0].sharding.device_set),
        "state_on": 0 if engine == "native" else len(four.physics.qpos.sharding.device_set),
    }
    for part in ("learner", "carry", "physics"):
        a, b = flatten(one.state()[part]), flatten(four.state()[part])
        same = {name: np.allclose(a[name], b[name], rtol=1e-3, atol=1e-4) for name in a}
        largest = max(np.abs(a[n].astype(float) - b[n].astype(float)).max(initial=0) for n in a if a[n].dtype != bool)
        found[part] = {"differ": [name for name, close in same.items() if not close], "largest": float(largest)}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
