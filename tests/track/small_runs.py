"""Runs on the small bodies: trained for a few updates, with everything a run folder holds."""

from __future__ import annotations

from pathlib import Path

from track_mjx.learning.setup import Setup, split
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.run_folder import RunFolder


def trained(setup: Setup, steps: int = 800, name: str = "run") -> RunFolder:
    """A run of this setup, trained to its end."""
    setup.config.out = str(Path(setup.config.clips).parent / name)
    setup.config.run.steps = steps
    train, test = split(len(setup.clips.clip_name), setup.config.run.test_fraction, 0)
    RunFolder.create(setup.config, setup.clips, train, test)
    trainer = Trainer(setup, RunFolder.open(setup.config.out), train, test)
    trainer.run()
    return trainer.folder
