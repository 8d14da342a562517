"""Small bodies of every joint type, and the real ones, for the tests of the numerical core."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import mujoco
import numpy as np
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.presets import body_preset
from stac_mjx.config import BodyConfig, MarkerConfig

EVERY_JOINT = """
<mujoco>
  <worldbody>
    <body name="root" pos="0.3 0.1 1" euler="10 20 30">
      <freejoint name="free"/><geom size="0.1"/>
      <body name="weld" pos="0.1 0 0" euler="0 45 0">
        <body name="hinged" pos="0.2 0 0.1" euler="5 0 0">
          <joint name="bend" axis="0 1 1" pos="0.02 0 0.03" range="-60 80" limited="true" ref="12"/>
          <joint name="twist" axis="1 0 0" pos="0 0.01 0"/>
          <geom size="0.1"/>
          <body name="ball" pos="0.3 0 0">
            <joint name="ball" type="ball" pos="0.01 0.02 0" range="0 70" limited="true"/><geom size="0.1"/>
            <body name="slider" pos="0.1 0.1 0">
              <joint name="slide" type="slide" axis="1 1 0" range="-0.2 0.3" limited="true"/><geom size="0.1"/>
            </body>
          </body>
        </body>
      </body>
      <body name="leg" pos="-0.2 0 0"><joint name="hip" axis="0 1 0"/><geom size="0.1"/></body>
    </body>
  </worldbody>
</mujoco>
"""
EVERY_JOINT_MARKERS = {
    "a": ("root", [0.1, 0.0, 0.05]),
    "b": ("root", [-0.1, 0.1, 0.0]),
    "c": ("weld", [0.0, 0.1, 0.0]),
    "d": ("hinged", [0.1, 0.0, 0.1]),
    "e": ("ball", [0.05, 0.1, -0.1]),
    "f": ("slider", [0.1, 0.0, 0.0]),
    "g": ("leg", [0.0, 0.05, -0.2]),
}
FINGER = """
<mujoco>
  <worldbody>
    <body name="upper" pos="0 0 0.1">
      <joint name="shoulder" axis="0 1 0" range="-100 100" limited="true"/>
      <joint name="roll" axis="1 0 0" range="-30 30" limited="true"/>
      <geom type="capsule" size="0.01" fromto="0 0 0 0.1 0 0"/>
      <body name="lower" pos="0.1 0 0">
        <joint name="elbow" axis="0 1 0" range="0 120" limited="true"/>
        <geom type="capsule" size="0.01" fromto="0 0 0 0.1 0 0"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
ARM_NAMES = ("Shoulder", "Elbow", "Wrist")
"""Keypoints of the embedded arm."""
QUICK = ("calibration.frames=10", "calibration.max_rounds=2", "report=false")
"""Settings that make a fit a matter of a second."""
REAL = {
    "rat": "rat/rodent.xml",
    "fly": "fly/fruitfly_force_free_nomesh.xml",
    "worm": "worm/celegans_primitives.xml",
    "stick": "stick/sungaya_inexpectata_box.xml",
    "mouse": "mouse/mouse_nomesh.xml",
    "mouse_arm": "mouse_arm/arm_muscle_nomesh.xml",
}


_FOLDER = tempfile.TemporaryDirectory()
"""Models of the bodies that all tests share; removed at the end."""


def body_of(folder: Path, xml: str, markers: dict[str, tuple[str, list[float]]], **settings: object) -> Body:
    """A body from inline MJCF; `markers` maps keypoint -> (body, offset in metres)."""
    path = folder / "body.xml"
    path.write_text(xml)
    entries = {name: MarkerConfig(body=body, offset=offset) for name, (body, offset) in markers.items()}
    return load_body(BodyConfig(name="test", mjcf=str(path), markers=entries, **settings))  # type: ignore[arg-type]


def _inline(xml: str, markers: dict[str, tuple[str, list[float]]]) -> Body:
    return body_of(Path(tempfile.mkdtemp(dir=_FOLDER.name)), xml, markers)


@cache
def every_joint() -> Body:
    """A floating tree with hinges, a ball, a slide, a weld and two branches; seven keypoints."""
    return _inline(EVERY_JOINT, EVERY_JOINT_MARKERS)


@cache
def finger() -> Body:
    """A fixed root, three hinges with limits, four keypoints."""
    markers = {
        "base": ("upper", [0.02, 0.02, 0.0]),
        "joint": ("upper", [0.09, 0.0, 0.02]),
        "mid": ("lower", [0.05, 0.015, 0.0]),
        "tip": ("lower", [0.1, 0.0, 0.01]),
    }
    return _inline(FINGER, markers)


@cache
def dense_finger() -> Body:
    """The same with nine keypoints, so that no joint hangs on one of them."""
    places = [("upper", x, y) for x in (0.02, 0.06, 0.09) for y in (0.02, -0.02)]
    places += [("lower", x, y) for x, y in ((0.03, 0.02), (0.07, -0.02), (0.1, 0.01))]
    return _inline(FINGER, {f"k{i}": (body, [x, y, 0.01]) for i, (body, x, y) in enumerate(places)})


def real_body(data_dir: Path, species: str) -> Body:
    """A preset on the model of the data folder."""
    return load_body(body_preset(species, mjcf=str(data_dir / REAL[species])))


def random_qpos(model: mujoco.MjModel, n_frames: int, seed: int, size: float = 0.5) -> np.ndarray:
    """Poses a random tangent step of the given size (rad, units) away from the reference one, not limited."""
    rng = np.random.default_rng(seed)
    out = np.tile(model.qpos0, (n_frames, 1))
    for pose in out:
        mujoco.mj_integratePos(model, pose, rng.normal(scale=size, size=model.nv), 1.0)
    return out
