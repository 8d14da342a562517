"""A leg and its recording without a preset, as a newcomer brings them: other unit, axes and size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from stac.bodies_for_tests import body_of
from stac.keypoint_files import write_sleap
from stac_mjx.config import BodyConfig, CalibrationConfig, FitConfig, KeypointsConfig
from stac_mjx.synthetic.motion import Flaws, Motion, random_poses, record

LEG = """
<mujoco>
  <worldbody>
    <body name="femur" pos="0 0 0.3">
      <joint name="hip" axis="0 1 0" range="-60 60" limited="true"/>
      <joint name="hip_roll" axis="1 0 0" range="-30 30" limited="true"/>
      <geom type="capsule" size="0.02" fromto="0 0 0 0.1 0 -0.1"/>
      <body name="tibia" pos="0.1 0 -0.1">
        <joint name="knee" axis="0 1 0" range="-20 100" limited="true"/>
        <geom type="capsule" size="0.015" fromto="0 0 0 -0.1 0 -0.1"/>
        <body name="foot" pos="-0.1 0 -0.1">
          <joint name="ankle" axis="0 1 0" range="-40 40" limited="true"/>
          <geom type="box" size="0.05 0.02 0.01" pos="0.05 0 0"/>
        </body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""
PLACES = {
    "Hip": ("femur", [0.0, 0.03, 0.02]),
    "Thigh": ("femur", [0.05, -0.03, -0.04]),
    "Knee": ("tibia", [0.0, 0.03, 0.0]),
    "Shin": ("tibia", [-0.05, -0.03, -0.05]),
    "Ankle": ("foot", [0.0, 0.03, 0.0]),
    "Toe": ("foot", [0.1, 0.0, 0.02]),
}
SIZE = 1.25
"""Of the animal, relative to the model."""


def leg_config(folder: Path) -> FitConfig:
    """Write model and recording (one keypoint never observed), and return the settings that name both."""
    body = body_of(folder, LEG, PLACES, scale=SIZE)
    model = folder / "body.xml"
    rng = np.random.default_rng(3)
    qpos = random_poses(body, Motion(n_frames=80, cutoff_hz=4.0), rng)
    truth = record(
        body,
        qpos,
        SIZE * body.marker_offset,
        Flaws(noise_m=3e-4),
        rng,
        rate_hz=100.0,
        clip_names=("steps",),
        clip_lengths=np.array([80]),
    )
    points = truth.keypoints.positions @ Rotation.from_euler("zyx", [50, 20, -10], degrees=True).as_matrix().T
    points = np.concatenate([1000 * (points + np.array([0.4, -0.2, 0.1])), np.full((80, 1, 3), np.nan)], axis=1)
    path = write_sleap(folder / "leg.h5", points[:, None], (*PLACES, "Heel"), units="mm", fps=100.0)
    return FitConfig(
        body=BodyConfig(mjcf=str(model), name="leg"),
        keypoints=KeypointsConfig(path=str(path)),
        calibration=CalibrationConfig(frames=20, max_rounds=10),
    )
