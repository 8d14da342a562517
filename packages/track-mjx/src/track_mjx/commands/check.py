"""`track-mjx check`: can these clips be trained on?"""

from __future__ import annotations

import sys

from track_mjx.app import require
from track_mjx.config import CheckConfig


def run(config: CheckConfig) -> int:
    """Read the file, build the arena and print what there is; exit code 2 when it cannot be used."""
    from track_mjx.arena import build_arena
    from track_mjx.clips import read_clips
    from track_mjx.config import ArenaConfig, PhysicsConfig
    from track_mjx.errors import shorten
    from track_mjx.labels import actuator_labels

    clips = read_clips(require(config.clips, "clips", "results/clips.h5"))
    arena = build_arena(clips, ArenaConfig(), PhysicsConfig())
    model = arena.model
    lengths = clips.clip_length / clips.rate_hz
    sys.stdout.write(
        f"{clips.path}: can be trained on\n"
        f"  body {clips.model_name}, unit {clips.length_unit_m:g} m, {model.nv} degrees of freedom, "
        f"{model.nu} actuators ({shorten(actuator_labels(model), 6)})\n"
        f"  {len(clips.clip_name)} clips of {lengths.min():.3g} to {lengths.max():.3g} s at {clips.rate_hz:g} Hz\n"
        f"  root {arena.root_body}, end effectors {shorten(arena.end_effectors) or 'none'}, "
        f"floor {arena.floor or 'none'}\n"
    )
    return 0
