"""A video of rollouts: the body that was simulated, and its reference as a translucent ghost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Int

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx._common.files import output_folder, replace_file
from track_mjx._common.render.canvas import Canvas
from track_mjx._common.render.extent import Extent, measure
from track_mjx._common.render.scene import GHOST, TIGHT, Scene, muscles_of_tendons, stage_model
from track_mjx._common.render.video import video, video_writer
from track_mjx.config import RenderConfig
from track_mjx.render.captions import Captions
from track_mjx.render.footage import Footage, read_footage

LONGEST_S = 20.0
"""Longest stretch of a rollout shown where none is asked for, s."""
_PLEASANT_S = 5.0
"""A short rollout is slowed down to last about this long, where no speed is asked for."""
_SPEEDS = tuple(step / power for power in (1, 10, 100, 1000) for step in (1.0, 0.5, 0.2))
_HELD_S = 0.8
"""A rollout that ended early holds its last state this long."""
_SMALLEST, _LARGEST = 64, 8192


def render(config: RenderConfig, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Path:
    """Make the video a configuration describes, and return its path.

    Args:
        config: what to show; `rollouts` must be set.
        progress: called with the number of pictures drawn and their total after each.

    Raises:
        ConfigError: when a setting makes no sense, or the file has no such clip, seed or camera.
        UserError: when the rollouts cannot be read.
        OutputError: when this machine cannot draw or the video cannot be written.
    """
    check(config)
    ffmpeg = video_writer()
    body, takes = read_footage(config.rollouts, wanted_clips(config.clip), config.seed)
    model = stage_model(body, config.width, config.height)
    speeds = [config.speed or pleasant_speed(take) for take in takes]
    plans = [shown_states(take, config, speed) for take, speed in zip(takes, speeds, strict=True)]
    out, total, done = _path(config, takes), sum(len(plan) for plan in plans), 0
    output_folder(str(out.parent), "")
    with (
        Canvas(model, config.width, config.height) as canvas,
        replace_file(out) as temporary,
        video(ffmpeg, temporary, (config.width, config.height), config.fps) as write,
    ):
        captions = Captions(config.height, _legend(model, config))
        for take, speed, states in zip(takes, speeds, plans, strict=True):
            dt = float(take.time[1] - take.time[0]) if len(take.time) > 1 else 1.0
            extent = measure(model, (take.qpos, take.qpos_ref), dt, body.length_unit_m)
            scene = Scene(take, model, extent, config.ghost)
            camera = _camera(scene, model, config)
            end = _end_of_caption(extent, speed, body.length_unit_m)
            for state in states.tolist():
                error_mm = 1000 * body.length_unit_m * scene.body_error(state)
                text = f"{take.clip[:40]}   {take.time[state]:.3f} s{end}   off by {error_mm:.2f} mm"
                ended = f"ended: {take.ending}" if take.ending and state == len(take.time) - 1 else ""
                write(captions.put_on(scene.picture(canvas, state, camera), text, ended))
                done += 1
                progress(done, total)
    return out


def check(config: RenderConfig) -> None:
    """Refuse settings that make no sense.

    Raises:
        ConfigError: with all that is wrong.
    """
    faults = []
    for name in ("width", "height"):
        pixels = getattr(config, name)
        if not _SMALLEST <= pixels <= _LARGEST or pixels % 2:
            faults.append(f"{name}={pixels}: expected an even number from {_SMALLEST} to {_LARGEST}")
    if not 1 <= config.fps <= 240:
        faults.append(f"fps={config.fps}: expected a number from 1 to 240")
    for name in ("speed", "duration_s"):
        value = getattr(config, name)
        if value is not None and not 0 < value < np.inf:
            faults.append(f"{name}={value}: expected a number above 0")
    if not 0 <= config.start_s < np.inf:
        faults.append(f"start_s={config.start_s}: expected 0 or more")
    if not 0 <= config.ghost <= 1:
        faults.append(f"ghost={config.ghost}: expected 0 (no reference) to 1 (solid)")
    several = config.clip if isinstance(config.clip, list) else [config.clip]
    if not several or not all(isinstance(one, int | str) and not isinstance(one, bool) for one in several):
        faults.append(f"clip={config.clip!r}: expected a name or number, a list of these, or all")
    if config.out is not None and not config.out.lower().endswith(".mp4"):
        faults.append(f"out={config.out}: expected a file that ends in .mp4")
    raise_all(ConfigError, "settings", faults)


def wanted_clips(clip: int | str | list) -> Sequence[int | str]:
    """Clips as a list; empty for all."""
    if clip == "all":
        return []
    return clip if isinstance(clip, list) else [clip]


def pleasant_speed(footage: Footage) -> float:
    """Life's own speed, or slower by 2, 5 or 10 and so on where a rollout is over too soon to be seen."""
    length = max(float(footage.time[-1]), 1e-6)
    return next((speed for speed in _SPEEDS if length / speed >= 0.6 * _PLEASANT_S), _SPEEDS[-1])


def shown_states(footage: Footage, config: RenderConfig, speed: float) -> Int[np.ndarray, " picture"]:
    """The state that each picture of the video shows: the nearest one in time.

    Raises:
        ConfigError: when the stretch asked for begins after the end of the rollout.
    """
    length = float(footage.time[-1])
    if config.start_s > length:
        raise ConfigError(f"start_s={config.start_s}: the rollout of {footage.clip!r} lasts {length:g} s")
    stretch = min(LONGEST_S if config.duration_s is None else config.duration_s, length - config.start_s)
    count = 1 + int(stretch / speed * config.fps + 1e-6)
    times = config.start_s + np.arange(count) * speed / config.fps
    borders = (footage.time[1:] + footage.time[:-1]) / 2
    states = np.searchsorted(borders, times - 1e-9)
    to_the_end = config.start_s + stretch >= length - 1e-9
    if footage.ending and to_the_end:
        states = np.concatenate([states, np.full(round(_HELD_S * config.fps), len(footage.time) - 1)])
    return states.astype(np.int64)


def _path(config: RenderConfig, takes: Sequence[Footage]) -> Path:
    if config.out is not None:
        return Path(config.out).expanduser()
    path = Path(config.rollouts).expanduser()
    path = path / "rollouts.h5" if path.is_dir() else path
    name = takes[0].clip if len(takes) == 1 else f"{len(takes)}_clips"
    return path.with_name(f"{path.stem}_{re.sub(r'[^A-Za-z0-9._-]+', '_', name)[:80]}.mp4")


def _legend(model: mujoco.MjModel, config: RenderConfig) -> list[tuple[str, tuple[float, float, float]]]:
    found = [("reference", GHOST)] if config.ghost > 0 else []
    return [*found, ("active muscle", TIGHT)] if muscles_of_tendons(model) else found


def _end_of_caption(extent: Extent, speed: float, length_unit_m: float) -> str:
    grid = "" if extent.floor is None else f"   grid {1000 * extent.grid * length_unit_m:g} mm"
    return ("" if speed == 1 else f"   speed x {speed:g}") + grid


def _camera(scene: Scene, model: mujoco.MjModel, config: RenderConfig) -> mujoco.MjvCamera:
    if config.camera is None:
        return scene.following_camera(config.azimuth, config.elevation)
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA.value, config.camera)
    if number < 0:
        names = [model.camera(i).name for i in range(model.ncam)]
        raise ConfigError(
            f"camera: {unknown('camera', config.camera, names)}" if names else "camera: the model has none"
        )
    camera = mujoco.MjvCamera()
    camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED.value, number
    return camera
