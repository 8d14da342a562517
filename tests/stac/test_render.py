"""Films of clips: framing and light by the animal's size, the right frame at the right time, clear messages."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mujoco
import numpy as np
import pytest
from contract import examples
from matplotlib.colors import to_rgb
from pictures import GREEN, SIZE, assert_body_fills, assert_film, capsule, near
from stac_mjx import cli, render
from stac_mjx._common.errors import ConfigError, InputError, OutputError
from stac_mjx._common.figures import ON_BODY, RECORDED
from stac_mjx._common.render.canvas import open_canvas
from stac_mjx._common.render.scene import stage_model
from stac_mjx.config import RenderConfig
from stac_mjx.records import ReferenceClips, write_clips


def animal(length: float, n_frames: int = 20, joint: str = "<freejoint/>") -> ReferenceClips:
    """A capsule as long as `length` (units of its MJCF, each 1 mm) that walks two lengths along x."""
    xml = capsule(length, joint)
    model = mujoco.MjModel.from_xml_string(xml)
    place = np.zeros((n_frames, 3))
    place[:, 2] = 0.3 * length
    if model.nq == 7:
        place[:, 0] = np.linspace(0, 2 * length, n_frames)
    qpos = np.tile(model.qpos0, (n_frames, 1))
    qpos[:, :3] = place if model.nq == 7 else qpos[:, :3]
    offsets = np.array([[0.6 * length, 0, 0], [-0.6 * length, 0, 0]]) * 1e-3
    xpos = np.stack([np.zeros((n_frames, 3)), place * 1e-3], axis=1)
    sites = xpos[:, 1:] + offsets
    info = examples.info(mjcf_xml=xml, assets={}, skeleton=(("front", "rear"),), end_effectors=(), rate_hz=10.0)
    markers = {"kp_names": ("front", "rear"), "kp_body": ("trunk", "trunk"), "offsets": offsets}
    above = sites + np.array([0, 0, 0.2e-3 * length])
    xquat = np.tile([1.0, 0, 0, 0], (n_frames, 2, 1))
    return examples.clips_of(model, qpos, xpos, xquat, sites, info=info, kp_data=above, **markers)


@contextmanager
def scene_of(clips: ReferenceClips) -> Iterator[render.MarkerScene]:
    model = stage_model(clips.info.mjcf_xml, clips.info.assets, *SIZE)
    with open_canvas(model, *SIZE) as canvas:
        yield render.MarkerScene(clips, canvas)


def picture(clips: ReferenceClips, frame: int) -> np.ndarray:
    with scene_of(clips) as scene:
        return scene.picture(frame, scene.stage.camera(None, 90.0, -20.0)).astype(float) / 255


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.parametrize("length", [1e-3, 1.0, 300.0])
def test_animals_of_any_size_fill_the_picture_and_are_lit_alike(length):
    clips = animal(length)
    for frame in (0, 19):
        pixels = picture(clips, frame)
        assert_body_fills(pixels)
        assert near(pixels, to_rgb(RECORDED)).sum() > 10
        assert near(pixels, to_rgb(ON_BODY)).sum() > 10
        corner = pixels[:8, :8].mean(axis=(0, 1))
        assert corner.min() > 0.6


@pytest.mark.usefixtures("canvas_here")
def test_a_marker_inside_the_body_shines_through():
    clips = animal(1.0)
    clips = examples.changed(clips, kp_data=np.full_like(clips.kp_data, np.nan))
    inside = examples.changed(clips, marker_sites=clips.xpos[:, 1:] + 0.3 * np.asarray(clips.offsets))
    outside, shining = (picture(record, 5) for record in (clips, inside))
    body = near(outside, GREEN) & (np.abs(shining - outside).max(-1) > 0.05)
    assert (shining[body, 2] > shining[body, 1]).any()


@pytest.mark.usefixtures("canvas_here")
def test_poses_and_keypoints_that_are_not_finite_are_left_out():
    clips = animal(1.0)
    broken = examples.changed(
        clips, qpos=clips.qpos.copy(), marker_sites=clips.marker_sites.copy(), xpos=clips.xpos.copy()
    )
    for array in (broken.qpos, broken.marker_sites, broken.xpos):
        array[7] = np.nan
    missing = examples.changed(broken, kp_data=np.full_like(clips.kp_data, np.nan))
    assert not near(picture(missing, 7), to_rgb(RECORDED)).any()
    assert near(picture(missing, 6), to_rgb(ON_BODY)).any()


@pytest.mark.usefixtures("canvas_here")
def test_extent_is_that_of_the_animal_in_its_own_unit():
    with scene_of(animal(300.0)) as scene:
        assert scene.extent.radius == pytest.approx(180, rel=0.05)
        assert scene.floor == pytest.approx(0.3 * 300 - 0.1 * 300, abs=1)
        assert scene.extent.grid == 50
        np.testing.assert_allclose(scene.extent.centre[:, 0], np.linspace(0, 600, 20), atol=1)  # the camera follows
        assert scene.extent.distance(np.eye(3), (1.0, 1.0)) >= 180
    with scene_of(animal(300.0, joint='<joint axis="0 0 1"/>')) as still:
        assert still.floor is None
        assert np.ptp(still.extent.centre, axis=0).max() == 0


def written(tmp_path: Path, clips: ReferenceClips) -> str:
    write_clips(tmp_path / "clips.h5", clips)
    return str(tmp_path / "clips.h5")


@pytest.mark.usefixtures("canvas_here")
def test_command_writes_a_video_of_the_right_length(tmp_path: Path):
    pytest.importorskip("imageio_ffmpeg")
    path = written(tmp_path, examples.clips())
    config = RenderConfig(clips=path, clip="walk_1", speed=0.05, fps=20, width=SIZE[0], height=SIZE[1])
    cli.render(config)
    video = tmp_path / "clips_walk_1.mp4"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clips.h5", video.name]
    assert_film(video, 20.0, 5)  # 10 ms, 20 times slower, at 20 pictures/s


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.parametrize("failure", ["interrupt", "file size limit", "incomplete"])
def test_an_unfinished_video_leaves_nothing_behind(failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "mine.mp4").write_bytes(b"the earlier one")
    config = RenderConfig(
        clips=written(tmp_path, animal(1.0)), out=str(tmp_path / "mine.mp4"), width=SIZE[0], height=SIZE[1]
    )

    def stop(done: int, _of: int) -> None:
        if done == 2 and failure == "interrupt":
            raise KeyboardInterrupt

    if failure == "incomplete":
        monkeypatch.setattr(ffmpeg, "count_frames_and_secs", lambda _path: (3, 0.1))
    error = KeyboardInterrupt if failure == "interrupt" else OutputError
    with file_size_limit(4096 if failure == "file size limit" else None), pytest.raises(error):
        render.render_clip(config, stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clips.h5", "mine.mp4"]
    assert (tmp_path / "mine.mp4").read_bytes() == b"the earlier one"


@contextmanager
def file_size_limit(size: int | None) -> Iterator[None]:
    """Let no file of this process and its children grow beyond a size, as a full disk would."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_all_senseless_settings_are_named_at_once(tmp_path: Path):
    config = RenderConfig(
        clips="x.h5", clip=[1], width=33, height=4, fps=0, speed=-1.0, duration_s=0.0, out=str(tmp_path / "a.gif")
    )
    with pytest.raises(ConfigError) as caught:
        render.render_clip(config)
    for word in ("width=33", "height", "fps", "speed", "duration_s", "clip=[1]", "a.gif"):
        assert word in str(caught.value)


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"clip": "wolk"}, InputError, "did you mean 'walk'"),
        ({"clip": 3}, InputError, "clip 3"),
        ({"start_s": 2.0}, ConfigError, "lasts 1.9 s"),
        ({"camera": "abov"}, ConfigError, "did you mean 'above'"),
    ],
)
def test_what_is_not_in_the_clips_is_refused(settings, error, words, tmp_path: Path):
    pytest.importorskip("imageio_ffmpeg")
    path = written(tmp_path, animal(1.0))
    with pytest.raises(error, match=words):
        render.render_clip(RenderConfig(clips=path, width=SIZE[0], height=SIZE[1], **settings))
    assert [p.name for p in tmp_path.iterdir()] == ["clips.h5"]


def test_command_needs_clips():
    with pytest.raises(ConfigError, match="clips is not set"):
        cli.render(RenderConfig())


def test_missing_video_library_is_named_with_its_extra(monkeypatch, tmp_path: Path):
    real = builtins.__import__

    def without(name, *rest):
        if name == "imageio_ffmpeg":
            raise ImportError("No module named 'imageio_ffmpeg'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OutputError, match=r"pip install 'stac-mjx\[render\]'"):
        render.render_clip(RenderConfig(clips=str(tmp_path / "clips.h5")))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems draw without MUJOCO_GL")
@pytest.mark.parametrize("settings", [{"MUJOCO_GL": "glfw", "DISPLAY": ":987"}, {"MUJOCO_GL": "off"}])
def test_machines_that_cannot_draw_say_what_to_install(settings, tmp_path: Path):
    path = written(tmp_path, animal(1.0))
    done = rendered_elsewhere(path, **settings)
    assert done.returncode == 2
    assert "MUJOCO_GL" in done.stderr
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["clips.h5"]


@pytest.mark.usefixtures("canvas_here")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems draw without MUJOCO_GL")
def test_linux_without_a_screen_draws_with_egl(tmp_path: Path):
    done = rendered_elsewhere(written(tmp_path, animal(1.0)))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clips_walk.mp4").stat().st_size > 1000


def rendered_elsewhere(path: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """MuJoCo chooses how to draw once a process, so this starts a new one."""
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "PYOPENGL_PLATFORM", "MUJOCO_GL"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    return subprocess.run(
        [sys.executable, "-m", "stac_mjx", "render", f"clips={path}", "width=64", "height=64", "duration_s=0.1"],
        env={**environment, **settings}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
