"""Film rollouts: the simulated body, and its reference as a translucent ghost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Int

from track_mjx._common.render import video
from track_mjx._common.render.canvas import open_canvas
from track_mjx._common.render.scene import stage_model
from track_mjx._common.settings import validate
from track_mjx.config import RenderConfig
from track_mjx.render.footage import Footage, read_footage
from track_mjx.render.scene import GHOST, GOAL, TIGHT, GhostScene, muscles_of_tendons

_PLEASANT_S = 5.0
"""By default, a short rollout is slowed down to last about this long."""
_SPEEDS = tuple(step / power for power in (1, 10, 100, 1000) for step in (1.0, 0.5, 0.2))
_HELD_S = 0.8
"""A rollout that ended early holds its last state this long."""


def render(config: RenderConfig, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Path:
    """Make the film that a configuration describes, and return its path.

    Args:
        config: what to show; `rollouts` must be set.
        progress: called after each picture with the number of pictures drawn and their total.

    Raises:
        ConfigError: if a setting is invalid, or the file has no such clip, seed or camera.
        UserError: if the rollouts cannot be read.
        OutputError: if this machine cannot draw or the film cannot be written.
    """
    _check(config)
    video.require_ffmpeg()
    body, takes = read_footage(config.rollouts, wanted_clips(config.clip), config.seed)
    model = stage_model(body.mjcf_xml, body.assets, config.width, config.height)
    speeds = [config.speed or pleasant_speed(take) for take in takes]
    plans = [shown_states(take, config, speed) for take, speed in zip(takes, speeds, strict=True)]
    source = Path(config.rollouts).expanduser()
    name = takes[0].clip if len(takes) == 1 else f"{len(takes)}_clips"
    out = video.film_path(config.out, source / "rollouts.h5" if source.is_dir() else source, name)
    total, done = sum(len(plan) for plan in plans), 0
    captions = video.Captions(config.height, _legend(model, config, takes))
    with open_canvas(model, config.width, config.height) as canvas, video.film(out, config.fps) as write:
        for take, speed, states in zip(takes, speeds, plans, strict=True):
            scene = GhostScene(take, canvas, body.length_unit_m, config.ghost)
            camera = scene.stage.camera(config.camera, config.azimuth, config.elevation)
            for state in states.tolist():
                text = _caption(take, scene, state, speed, 1000 * body.length_unit_m)
                ended = f"ended: {take.ending}" if take.ending and state == len(take.time) - 1 else ""
                write(captions.put_on(scene.picture(state, camera), text, ended))
                done += 1
                progress(done, total)
    return out


def _check(config: RenderConfig) -> None:
    problems = video.film_problems(config)
    given = config.clip if isinstance(config.clip, list) else [config.clip]
    if not given or any(isinstance(one, bool) or not isinstance(one, int | str) for one in given):
        problems.append(f"clip={config.clip!r}: expected a name or number, a list of these, or all")
    validate(config, "settings", problems)


def wanted_clips(clip: int | str | list) -> Sequence[int | str]:
    """Return the clips as a list; empty for all."""
    if clip == "all":
        return []
    return clip if isinstance(clip, list) else [clip]


def pleasant_speed(footage: Footage) -> float:
    """Return 1, or 0.5, 0.2, 0.1 and so on for a rollout too short to watch at its own speed."""
    length = max(float(footage.time[-1]), 1e-6)
    return next((speed for speed in _SPEEDS if length / speed >= 0.6 * _PLEASANT_S), _SPEEDS[-1])


def shown_states(footage: Footage, config: RenderConfig, speed: float) -> Int[np.ndarray, " picture"]:
    """Return the state that each picture shows; a rollout that ended early is held at its end."""
    states = video.shown_samples(footage.time, config, speed, footage.clip)
    last = len(footage.time) - 1
    reaches_end = footage.time[last] - footage.time[states[-1]] <= speed / config.fps
    held = round(_HELD_S * config.fps) if footage.ending and reaches_end else 0
    return np.concatenate([states, np.full(held, last)])


def _legend(model: mujoco.MjModel, config: RenderConfig, takes: Sequence[Footage]) -> list[tuple[str, video.Colour]]:
    ghost = [("reference", GHOST)] if config.ghost > 0 and any(take.followed for take in takes) else []
    goal = [("target", GOAL)] if any(take.goal is not None for take in takes) else []
    return [*ghost, *goal, *([("active muscle", TIGHT)] if muscles_of_tendons(model) else [])]


def _caption(take: Footage, scene: GhostScene, state: int, speed: float, mm_per_unit: float) -> str:
    text = f"{take.clip[:40]}   {take.time[state]:.3f} s"
    if speed != 1:
        text += f"   speed x {speed:g}"
    if scene.floor is not None:
        text += f"   grid {mm_per_unit * scene.extent.grid:g} mm"
    return f"{text}   off by {mm_per_unit * scene.body_error(state):.2f} mm" if take.followed else text
