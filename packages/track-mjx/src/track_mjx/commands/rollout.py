"""`track-mjx rollout`: what body and network did on every clip, as a file."""

from __future__ import annotations

import sys
from pathlib import Path

from track_mjx._common.cli import require
from track_mjx.config import RolloutConfig


def run(config: RolloutConfig) -> int:
    """Play the clips, one pass a seed, and write a mimic.rollouts file."""
    from track_mjx._common.errors import ConfigError
    from track_mjx._common.progress import use_compilation_cache
    from track_mjx.rollouts.playback import roll_out
    from track_mjx.runs.run_folder import RunFolder

    if not config.seeds:
        raise ConfigError("seeds: at least one is needed; for example seeds=[0]")
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"seeds: each may occur once, got {list(config.seeds)}")
    if config.deterministic and len(config.seeds) > 1:
        raise ConfigError("seeds: the means are the same for every seed; set deterministic=false to draw")
    folder = RunFolder.open(require(config.run, "run", "run"))
    use_compilation_cache()
    path = Path(config.out).expanduser() if config.out else folder.path / "rollouts.h5"
    n_clips = roll_out(folder, config, path)
    sys.stdout.write(f"{path}: {n_clips} clips\n")
    return 0
