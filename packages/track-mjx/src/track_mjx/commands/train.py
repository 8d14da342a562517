"""`track-mjx train`: learn to follow clips."""

from __future__ import annotations

from track_mjx._common.cli import require
from track_mjx.config import TrainConfig


def run(config: TrainConfig) -> int:
    """Train from the start in a new run folder."""
    from track_mjx._common.progress import use_compilation_cache
    from track_mjx.clips import read_clips
    from track_mjx.learning.learning import learn
    from track_mjx.learning.setup import build, split
    from track_mjx.learning.trainer import verify
    from track_mjx.processes import by_chief, join_processes
    from track_mjx.runs.run_folder import RunFolder

    require(config.clips, "clips", "results/clips.h5")
    require(config.out, "out", "run")
    join_processes(config.run.distributed)
    use_compilation_cache()
    setup = build(config, read_clips(config.clips))
    verify(setup)
    train, test = split(len(setup.clips.clip_name), config.run.test_fraction, config.run.split_seed)
    folder = by_chief(
        lambda: RunFolder.create(config, setup.clips, train, test), lambda: RunFolder.open(str(config.out))
    )
    return learn(setup, folder, (train, test), resume=False)
