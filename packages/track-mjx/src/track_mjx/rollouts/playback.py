"""From a run to a rollouts file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from track_mjx._common.files import output_file
from track_mjx.config import RolloutConfig
from track_mjx.learning.setup import load_policy, open_setup, sets_of
from track_mjx.policy.play import Player
from track_mjx.rollouts.writing import RolloutInfo, policy_sha256, write_rollouts
from track_mjx.runs.run_folder import RunFolder, config_yaml


def roll_out(folder: RunFolder, config: RolloutConfig, path: Path) -> int:
    """Play the clips of a run, or of another file, once a seed, and write them; return how many clips.

    Raises:
        UserError: when run, checkpoint or clips do not fit, or the file cannot be written.
    """
    settings = folder.config()
    settings.physics.engine = config.engine or settings.physics.engine
    setup, train, test = open_setup(folder, settings, config.clips)
    step, policy = load_policy(folder, setup, config.checkpoint)
    clips = sets_of(setup, train, test, config.clip_set)[config.clip_set]
    output_file(path)
    player = Player(setup.task, setup.networks, setup.engine(all_fields=True))
    reference = setup.on_device(setup.followed)
    seeds = [None] if config.deterministic else list(config.seeds)
    played = [player.play(policy, reference, np.asarray(clips), seed=seed, record=True) for seed in seeds]
    info = RolloutInfo(
        engine=player.engine.name,
        seeds=tuple(config.seeds),
        deterministic=config.deterministic,
        checkpoint_step=step,
        checkpoint_sha256=policy_sha256(folder.checkpoints.load(config.checkpoint)[1]),
        config_yaml=config_yaml(settings),
        activations=config.activations,
    )
    write_rollouts(path, setup, clips, played, info)
    return len(clips)
