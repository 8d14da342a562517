"""`track-mjx check`: can these clips be trained on?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from track_mjx._common.cli import require
from track_mjx.config import CheckConfig

if TYPE_CHECKING:
    from track_mjx.body.anatomy import Anatomy
    from track_mjx.clips import Clips


def run(config: CheckConfig) -> int:
    """Read the file, build the arena and print what there is; exit code 2 when it cannot be used."""
    from track_mjx._common.errors import shorten
    from track_mjx._common.mjcf import actuator_labels
    from track_mjx.body.anatomy import Anatomy
    from track_mjx.body.arena import build_arena
    from track_mjx.clips import read_clips
    from track_mjx.config import ArenaConfig, PhysicsConfig

    clips = read_clips(require(config.clips, "clips", "results/clips.h5"))
    arena = build_arena(clips, ArenaConfig(), PhysicsConfig())
    model = arena.model
    lengths = clips.clip_length / clips.rate_hz
    spread = " to ".join(dict.fromkeys(f"{length:.3g}" for length in (lengths.min(), lengths.max())))
    sys.stdout.write(
        f"{clips.path}: can be trained on\n"
        f"  body {clips.model_name}, unit {clips.length_unit_m:g} m, {model.nv} degrees of freedom, "
        f"{model.nu} actuators ({shorten(actuator_labels(model), 6)})\n"
        f"  {len(lengths)} clip{'s' if len(lengths) > 1 else ''} of {spread} s at {clips.rate_hz:g} Hz\n"
        f"  root {arena.root_body}, end effectors {shorten(arena.end_effectors) or 'none'}, "
        f"floor {arena.floor or 'none'}\n"
    )
    body = Anatomy(arena, clips.length_unit_m, PhysicsConfig().ctrl_dt_s)
    sys.stdout.write("".join(f"  {line}\n" for line in strength_lines(body, clips)))
    return 0


def strength_lines(body: Anatomy, clips: Clips) -> list[str]:
    """What to say of the body's strength for the movement."""
    import numpy as np

    from track_mjx.body.strength import LACKING, can_be_judged, strength_of_clips

    if not can_be_judged(body):
        return ["strength not judged: some joints have no actuator, or the body is free and pushes against the world"]
    holding, moving = strength_of_clips(body, clips)
    held, made = (float(np.mean(part.lacking < LACKING)) for part in (holding, moving))
    lines = [f"strength: actuators can hold the pose in {held:.0%} of the frames, make the movement in {made:.0%}"]
    if held < 0.9:
        full = (holding.effort[holding.lacking >= LACKING] > 0.99).mean(0)
        strained = [f"{body.actuators[i]} {full[i]:.0%}" for i in np.argsort(-full)[:3] if full[i] > 0]
        lines.append(
            f"WARNING: no controller can hold {1 - held:.0%} of the poses "
            f"(at full force there: {', '.join(strained) or 'none'}): are muscles stretched far beyond their optimum, "
            "too weak, or the body too heavy?"
        )
    return lines
