"""Films in tests: a walking capsule of any size, what is in a picture, and what is in a film."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SIZE = (240, 180)
GREEN, RED = (0.2, 0.6, 0.2), (1.0, 0.0, 0.0)
"""Colours of the body, and of the sky, floor and sites of its MJCF, which a film does not show."""
BODY = """
<mujoco>
  <asset><texture type="skybox" builtin="flat" rgb1="1 0 0" width="8" height="48"/></asset>
  <worldbody>
    <light pos="0 0 {far}"/>
    <camera name="above" pos="0 0 {far}"/>
    <geom type="plane" size="{far} {far} 1" rgba="1 0 0 1"/>
    <body name="trunk" pos="0 0 {far}">
      {joint}
      <inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>
      <geom type="capsule" size="{thick}" fromto="-{long} 0 0 {long} 0 0" rgba=".2 .6 .2 1"/>
      <site name="big" size="{far}" rgba="1 0 0 1"/>
    </body>
  </worldbody>
</mujoco>
"""


def capsule(length: float, joint: str = "<freejoint/>") -> str:
    """An MJCF whose body is a capsule of a length."""
    return BODY.format(far=40 * length, thick=0.1 * length, long=0.5 * length, joint=joint)


def near(pixels: np.ndarray, colour: tuple[float, ...]) -> np.ndarray:
    """Where a picture has the hue of a colour, however bright."""
    unit = pixels / np.maximum(np.linalg.norm(pixels, axis=-1, keepdims=True), 1e-6)
    return unit @ (np.array(colour) / np.linalg.norm(colour)) > 0.985


def assert_body_fills(pixels: np.ndarray) -> None:
    """The capsule is in view, large and well lit; nothing of its own sky, floor and sites is."""
    green = near(pixels, GREEN)
    columns = np.nonzero(green.any(axis=0))[0]
    assert 0.4 * SIZE[0] < np.ptp(columns) < SIZE[0] - 1
    assert 0.15 < pixels[green].max() < 0.9
    assert not near(pixels, RED).any()


def assert_film(path: Path, fps: float, n_pictures: int) -> None:
    """A film has this size, rate and number of pictures, and browsers can play it."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    frames = ffmpeg.read_frames(str(path))
    about = next(frames)
    frames.close()
    assert (about["size"], about["fps"], about["codec"]) == (SIZE, fps, "h264")
    assert ffmpeg.count_frames_and_secs(str(path))[0] == n_pictures
