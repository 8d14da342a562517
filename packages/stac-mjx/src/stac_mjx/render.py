"""A video of a clip: the body, the recorded keypoints and their sites on the body."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from stac_mjx._common.errors import ConfigError, raise_all, unknown
from stac_mjx._common.figures import ON_BODY, RECORDED
from stac_mjx._common.files import output_folder, replace_file
from stac_mjx._common.render.canvas import Canvas
from stac_mjx._common.render.extent import Extent, extent_of
from stac_mjx._common.render.scene import Scene, stage_model
from stac_mjx._common.render.video import video, video_writer
from stac_mjx.config import RenderConfig
from stac_mjx.records import ReferenceClips, read_clips

LONGEST_S = 20.0
"""Length of the stretch shown where none is asked for, s."""
_SMALLEST, _LARGEST = 64, 8192


def render_clip(config: RenderConfig, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Path:
    """Make the video a configuration describes, and return its path.

    Args:
        config: what to show; `clips` must be set.
        progress: called with the number of pictures drawn and their total after each.

    Raises:
        ConfigError: when a setting makes no sense, or the model has no such camera.
        InputError: when the clips cannot be read.
        OutputError: when this machine cannot draw or the video cannot be written.
    """
    _check(config)
    ffmpeg = video_writer()
    clips = read_clips(Path(config.clips).expanduser(), [config.clip])
    frames = shown_frames(clips, config)
    out = _video_path(config, clips.clip_name[0])
    model = stage_model(clips.info, config.width, config.height)
    extent = extent_of(clips, model)
    with Canvas(model, config.width, config.height) as canvas:
        scene = Scene(clips, model, extent)
        camera = _camera(scene, model, config)
        captions = Captions(clips, extent, config)
        output_folder(str(out.parent), "")
        size = config.width, config.height
        with replace_file(out) as temporary, video(ffmpeg, temporary, size, config.fps) as write:
            for done, frame in enumerate(frames.tolist(), 1):
                write(captions.put_on(scene.picture(canvas, frame, camera), frame))
                progress(done, len(frames))
    return out


def _check(config: RenderConfig) -> None:
    faults = []
    for name in ("width", "height"):
        pixels = getattr(config, name)
        if not _SMALLEST <= pixels <= _LARGEST or pixels % 2:
            faults.append(f"{name}={pixels}: expected an even number from {_SMALLEST} to {_LARGEST}")
    if not 1 <= config.fps <= 240:
        faults.append(f"fps={config.fps}: expected a number from 1 to 240")
    if not 0 < config.speed < np.inf:
        faults.append(f"speed={config.speed}: expected a number above 0")
    if config.duration_s is not None and not config.duration_s > 0:
        faults.append(f"duration_s={config.duration_s}: expected a number above 0")
    if not isinstance(config.clip, int | str):
        faults.append(f"clip={config.clip!r}: expected one name or number")
    if config.out is not None and not config.out.lower().endswith(".mp4"):
        faults.append(f"out={config.out}: expected a file that ends in .mp4")
    raise_all(ConfigError, "settings", faults)


def shown_frames(clips: ReferenceClips, config: RenderConfig) -> Int[np.ndarray, " picture"]:
    """The frame of the recording that each picture of the video shows: the nearest one in time.

    Raises:
        ConfigError: when the stretch asked for begins outside the clip.
    """
    rate = float(clips.info.rate_hz or 1.0)
    length = clips.n_frames / rate
    if not 0 <= config.start_s < length:
        raise ConfigError(f"start_s={config.start_s}: clip {clips.clip_name[0]!r} lasts {length:g} s")
    wanted = LONGEST_S if config.duration_s is None else config.duration_s
    stretch = min(wanted, length - config.start_s)
    count = max(1, round(stretch / config.speed * config.fps))
    times = config.start_s + np.arange(count) * config.speed / config.fps
    return np.minimum(np.round(times * rate).astype(np.int64), clips.n_frames - 1)


def _video_path(config: RenderConfig, clip: str) -> Path:
    if config.out is not None:
        return Path(config.out).expanduser()
    path = Path(config.clips).expanduser()
    return path.with_name(f"{path.stem}_{re.sub(r'[^A-Za-z0-9._-]+', '_', clip)[:80]}.mp4")


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


class Captions:
    """What is written on the pictures: clip, time and speed below, the meaning of the colours above."""

    def __init__(self, clips: ReferenceClips, extent: Extent, config: RenderConfig) -> None:
        """Prepare for the pictures of one clip."""
        self._clips = clips
        size = max(11, config.height // 36)
        self._margin = size // 2
        self._font: Any = ImageFont.load_default(size)
        speed = "" if config.speed == 1 else f"   speed x {config.speed:g}"
        grid = "" if extent.floor is None else f"   grid {extent.grid_mm:g} mm"
        self._end = speed + grid

    def put_on(self, picture: UInt8[np.ndarray, "row column 3"], frame: int) -> UInt8[np.ndarray, "row column 3"]:
        """The picture of a frame with its captions."""
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        clips, margin = self._clips, self._margin
        text = f"{clips.clip_name[0][:40]}   {clips.time[frame]:.2f} s{self._end}"
        if clips.valid[frame] != 1:
            text += "   (pose not to be used)"
        at: tuple[float, float] = (margin, image.height - margin)
        draw.text(at, text, font=self._font, fill="#222222", anchor="ld")
        x = float(margin)
        for label, colour in (("recorded", RECORDED), ("on the body", ON_BODY)):
            across = 1.2 * margin
            draw.ellipse((x, 1.1 * margin, x + across, 1.1 * margin + across), fill=colour, outline="#222222")
            draw.text((x + 1.6 * across, 0.6 * margin), label, font=self._font, fill="#222222", anchor="la")
            x += 1.6 * across + draw.textlength(label, font=self._font) + 2 * margin
        return np.asarray(image)
