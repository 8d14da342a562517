"""Film a clip: the body, the recorded keypoints and their sites on the body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_rgb

from stac_mjx._common.figures import ON_BODY, RECORDED, RED
from stac_mjx._common.mjcf import travels
from stac_mjx._common.render import video
from stac_mjx._common.render.canvas import open_canvas
from stac_mjx._common.render.extent import Extent, Motion, Surface, measure, pose
from stac_mjx._common.render.scene import CAPSULE, SPHERE, Stage, stage_model
from stac_mjx._common.render.video import Picture
from stac_mjx._common.settings import validate
from stac_mjx.config import RenderConfig
from stac_mjx.records import ReferenceClips, read_clips

X_RAY = 0.7
"""Markers inside the body shine through it this strongly."""
_LINK = (0.60, 0.60, 0.62)


def render_clip(config: RenderConfig, progress: Callable[[int, int], None] = lambda _done, _of: None) -> Path:
    """Make the film that a configuration describes, and return its path.

    `progress` is called after each picture with the number of pictures drawn and their total.

    Raises:
        ConfigError: if a setting is invalid, or the model has no such camera.
        InputError: if the clips cannot be read.
        OutputError: if this machine cannot draw or the film cannot be written.
    """
    clip = [] if isinstance(config.clip, int | str) else [f"clip={config.clip!r}: expected one name or number"]
    validate(config, "settings", [*video.film_problems(config), *clip])
    video.require_ffmpeg()
    clips = read_clips(Path(config.clips).expanduser(), [config.clip])
    time = np.arange(clips.n_frames) / float(clips.info.rate_hz or 1.0)
    frames = video.shown_samples(time, config, config.speed, clips.clip_name[0])
    out = video.film_path(config.out, Path(config.clips).expanduser(), clips.clip_name[0])
    model = stage_model(clips.info.mjcf_xml, clips.info.assets, config.width, config.height)
    with open_canvas(model, config.width, config.height) as canvas:
        scene = MarkerScene(clips, canvas)
        camera = scene.stage.camera(config.camera, config.azimuth, config.elevation)
        captions = video.Captions(config.height, [("recorded", to_rgb(RECORDED)), ("on the body", to_rgb(ON_BODY))])
        with video.film(out, config.fps) as write:
            for done, frame in enumerate(frames.tolist(), 1):
                text = _caption(clips, frame, config, scene)
                write(captions.put_on(scene.picture(frame, camera), text))
                progress(done, len(frames))
    return out


def _caption(clips: ReferenceClips, frame: int, config: RenderConfig, scene: MarkerScene) -> str:
    text = f"{clips.clip_name[0][:40]}   {clips.time[frame]:.2f} s"
    if config.speed != 1:
        text += f"   speed x {config.speed:g}"
    if scene.floor is not None:
        text += f"   grid {1000 * scene.extent.grid * clips.info.length_unit_m:g} mm"
    return text if clips.valid[frame] == 1 else f"{text}   (invalid pose)"


class MarkerScene:
    """The body of one clip with recorded keypoints and their sites, frame by frame."""

    def __init__(self, clips: ReferenceClips, canvas: mujoco.Renderer) -> None:
        """Prepare a canvas whose model was made by `stage_model`."""
        model, unit = canvas.model, clips.info.length_unit_m
        self._clips, self._data = clips, mujoco.MjData(model)
        self._recorded, self._sites = clips.kp_data / unit, clips.marker_sites / unit
        self._pairs = clips.skeleton
        # bodies without keypoints may be anywhere, so they do not count
        bodies = _body_ids(clips, clips.kp_body or ())
        motion = Motion(model, clips.qpos, 1 / float(clips.info.rate_hz or 1.0), unit, bodies=bodies)
        self.extent: Extent = measure(motion, self._sites)
        feet = _body_ids(clips, clips.info.end_effectors) or bodies
        self.floor = _floor_height(motion, feet) if travels(model) else None
        self.stage = Stage(canvas, self.extent, self.floor)
        self._marker = _marker_size(self._sites[motion.sampled], self.extent.radius)
        self._bare = not (model.geom_bodyid != 0).any()

    def picture(self, frame: int, camera: mujoco.MjvCamera) -> Picture:
        """Draw one frame. Markers are drawn twice, the second time alone, so that those inside the body show."""
        stage = self.stage
        pose(stage.model, self._data, self._clips.qpos[frame])
        stage.show(self._data, frame, camera)
        if self._bare:
            self._add_links()
        self._add_markers(frame)
        whole = stage.draw()
        stage.clear()
        self._add_markers(frame)
        return _overlay(whole, stage.draw())

    def _add_links(self) -> None:
        """Add lines between the bodies of a model without shapes."""
        parents = self.stage.model.body_parentid
        for body in range(1, len(parents)):
            if parents[body]:
                ends = (self._data.xpos[parents[body]], self._data.xpos[body])
                self.stage.join(CAPSULE, 0.02 * self.extent.radius, ends, _LINK)

    def _add_markers(self, frame: int) -> None:
        stage, size, recorded = self.stage, self._marker, self._recorded[frame]
        for keypoint, site in zip(recorded, self._sites[frame], strict=True):
            stage.add(SPHERE, (size, size, size), site, to_rgb(ON_BODY))
            stage.add(SPHERE, (size, size, size), keypoint, to_rgb(RECORDED))
            stage.join(CAPSULE, 0.4 * size, (site, keypoint), to_rgb(RED))
        for a, b in self._pairs:
            stage.join(CAPSULE, 0.3 * size, (recorded[a], recorded[b]), to_rgb(RECORDED))


def _body_ids(clips: ReferenceClips, names: Sequence[str]) -> tuple[int, ...]:
    return tuple(clips.names_xpos.index(name) for name in names if name in clips.names_xpos)


def _floor_height(motion: Motion, feet: Sequence[int]) -> float:
    """Return the usual height of the lowest foot; without known feet, of the lowest body with a keypoint."""
    surface = Surface(motion.model, feet)
    return float(np.percentile([surface.points(motion.qpos[frame])[:, 2].min() for frame in motion.sampled], 20.0))


def _marker_size(sites: Float[np.ndarray, "frame keypoint 3"], radius: float) -> float:
    """Return a fiftieth of the animal, less if keypoints are close together."""
    if sites.shape[1] < 2:
        return radius / 50
    distance = np.linalg.norm(sites[:, :, None] - sites[:, None], axis=-1)
    distance[:, np.arange(sites.shape[1]), np.arange(sites.shape[1])] = np.inf
    nearest = distance.min(axis=2)
    usual = np.percentile(nearest[np.isfinite(nearest)], 50.0) if np.isfinite(nearest).any() else 0.0
    return float(np.clip(usual / 5, radius / 150, radius / 50))


def _overlay(whole: Picture, markers: Picture) -> Picture:
    """Lay markers drawn on black over a picture. Half-covered pixels at their edges are dark, which outlines them."""
    brightest = markers.max(axis=2)
    rows, columns = np.nonzero(brightest)
    strength = X_RAY * np.minimum(brightest[rows, columns, None] / np.float32(60), 1)
    out = whole.copy()
    out[rows, columns] = (1 - strength) * whole[rows, columns] + strength * markers[rows, columns]
    return out
