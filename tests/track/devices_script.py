"""Run in a process of its own: trains on one and on several devices, and compares the results.

usage: python devices_script.py FOLDER ENGINE
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
from track.clip_files import ARM, HINGE
from track.small_setups import arm, assert_sound, trainer
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.checkpoints import flatten


def trained(folder: Path, engine: str, n_devices: int) -> Trainer:
    """A small run of three updates, each a change; of the native engine, saved and restored before the last."""
    folder = folder / str(n_devices)
    folder.mkdir()
    setup = arm(folder, clips={"xml": ARM if engine == "native" else HINGE})
    setup.config.physics.engine, setup.config.run.devices = engine, n_devices
    run = trainer(setup)
    before = flatten(run.learner.parameters)
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
    after = flatten(run.learner.parameters)
    assert all(np.isfinite(leaf).all() for leaf in after.values())
    assert any(np.abs(leaf - before[name]).max() > 1e-4 for name, leaf in after.items())
    return run


def program_of(run: Trainer) -> list[str]:
    """Which of these words are in the program that collects steps."""
    arguments = (run.learner.policy, run.followed, run.physics, run.carry, jax.random.key(0))
    text = run.collector._scan.lower(*arguments).as_text()
    return [word for word in ("while", "callback") if word in text]


def main(folder: Path, engine: str) -> None:
    one, four = trained(folder, engine, 1), trained(folder, engine, jax.device_count())
    devices = [four.devices.count]
    devices += [len(leaf.sharding.device_set) for leaf in jax.tree.leaves((four.carry, four.learner))]
    if engine == "mjx":  # policy, physics, rewards and resets are one program on the device
        devices.append(len(four.physics.qpos.sharding.device_set))
        assert program_of(one) == ["while"], "nothing calls back to the host"
        assert_sound(one._numbers())
    assert set(devices) == {4}, devices
    for part in ("learner", "carry", "physics"):
        a, b = flatten(one.state()[part]), flatten(four.state()[part])
        differing = [name for name in a if not np.allclose(a[name], b[name], rtol=1e-3, atol=1e-4)]
        assert differing == [], part
        largest = max(np.abs(a[n].astype(float) - b[n].astype(float)).max(initial=0) for n in a if a[n].dtype != bool)
        assert part != "learner" or largest > 0, "sums are taken in another order; equality would mean one device"


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
