"""Register a new body: its model, its keypoints, and a comparison with the ground truth.

    python examples/03_new_body.py [--out results_leg] [--steps 300000]

The leg has three hinges and a toe. Its keypoints are synthetic, so the ground truth is known: a known gait, offsets
that the preset does not contain, and noise of 0.3 mm. After the registration a controller learns the gait. For your own
body, replace LEG by your MJCF, PRESET by your pairs of keypoint and body, and the recording by yours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import h5py
import mujoco
import numpy as np

LEG = """
<mujoco model="leg">
  <option gravity="0 0 0"/>
  <default>
    <geom type="capsule" size="0.003" density="1000"/>
    <joint type="hinge" axis="0 1 0" damping="0.0002" armature="0.000005"/>
    <position kp="0.02" ctrlrange="-2 2" ctrllimited="true"/>
  </default>
  <worldbody>
    <body name="thigh">
      <joint name="hip" range="-80 80"/>
      <geom fromto="0 0 0 0 0 -0.03"/>
      <body name="shank" pos="0 0 -0.03">
        <joint name="knee" range="0 120"/>
        <geom fromto="0 0 0 0 0 -0.03"/>
        <body name="foot" pos="0 0 -0.03">
          <joint name="ankle" range="-60 60"/>
          <geom fromto="0 0 0 0.02 0 0"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="hip" joint="hip"/>
    <position name="knee" joint="knee"/>
    <position name="ankle" joint="ankle"/>
  </actuator>
</mujoco>
"""
PRESET = """
name: leg
mjcf: {mjcf}
markers:
  Hip: {{body: thigh}}
  Knee: {{body: shank}}
  Ankle: {{body: foot}}
  Toe: {{body: foot, offset: [0.02, 0, 0], regularize: 1}}
root_keypoint: Hip
trunk_keypoints: [Hip]
end_effectors: [foot]
skeleton: [[Hip, Knee], [Knee, Ankle], [Ankle, Toe]]
rate_hz: 100
"""
TRUE_OFFSETS = {
    "Hip": ("thigh", [0.002, 0, 0]), "Knee": ("shank", [0.003, 0, 0.001]), "Ankle": ("foot", [-0.002, 0, 0.002]),
    "Toe": ("foot", [0.02, 0, 0]),
}  # fmt: skip
TRAINING = (
    "preset=mouse_arm_quick", "task.rewards.body_position_exp.bodies=[foot]",
    "~task.regions.elbow", "~task.regions.wrist", "task.regions.foot=[foot]",
    "task.proprioception.muscle_activation=null", "physics.sim_dt_s=0.001", "physics.ctrl_dt_s=0.01", "task.clip_s=1.0",
)  # fmt: skip


def run(program: str, *arguments: str) -> None:
    """Run one command; exit if it fails."""
    print(f"\n{program} {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", program.replace("-", "_"), *arguments], check=True)


def record(folder: Path, n_frames: int = 400) -> np.ndarray:
    """Write model, preset and recording; return the true joint angles, (frame, joint), rad."""
    (folder / "body").mkdir(parents=True, exist_ok=True)
    (folder / "leg.xml").write_text(LEG)
    (folder / "body" / "leg.yaml").write_text(PRESET.format(mjcf=folder / "leg.xml"))
    model = mujoco.MjModel.from_xml_string(LEG)
    data = mujoco.MjData(model)
    time = np.arange(n_frames) / 100
    truth = np.stack([0.5 * np.sin(6 * time), 0.9 + 0.5 * np.cos(6 * time), 0.4 * np.sin(6 * time + 1)], axis=1)
    keypoints = np.zeros((n_frames, len(TRUE_OFFSETS), 3))
    for frame, pose in enumerate(truth):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        for k, (body, offset) in enumerate(TRUE_OFFSETS.values()):
            keypoints[frame, k] = data.body(body).xpos + data.body(body).xmat.reshape(3, 3) @ offset
    keypoints += np.random.default_rng(0).normal(0, 0.0003, keypoints.shape)
    with h5py.File(folder / "walk.h5", "w") as file:  # as SLEAP-Anipose writes it: frames, animals, keypoints, xyz
        file["tracks"], file["node_names"] = keypoints[:, None], list(TRUE_OFFSETS)
    return truth


def compare(clips: Path, truth: np.ndarray) -> None:
    """Print the errors of angles and markers."""
    with h5py.File(clips) as file:
        names = list(file["names_qpos"].asstr())
        wrong = np.degrees(file["qpos"][:][:, [names.index(name) for name in ("hip", "knee", "ankle")]] - truth)
        error = 1000 * np.nanmean(file["residual"][:])
    print(f"markers: {error:.2f} mm from the keypoints, whose noise alone is 0.48 mm")
    for joint, shift, spread in zip(("hip", "knee", "ankle"), wrong.mean(axis=0), wrong.std(axis=0), strict=True):
        print(
            f"{joint}: movement to {spread:.1f} deg; shift of its zero, which no recording determines: {shift:.1f} deg"
        )


def main() -> None:
    """Record, register, compare, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results_leg"), help="folder of the results")
    parser.add_argument("--steps", type=int, default=300_000, help="control steps of training")
    arguments = parser.parse_args()
    out: Path = arguments.out
    truth = record(out)
    recording = (f"keypoints.path={out / 'walk.h5'}", "keypoints.unit=m", f"out={out / 'registered'}")
    run("stac-mjx", "fit", "--config-dir", str(out), "body=leg", *recording)
    clips = out / "registered" / "clips.h5"
    compare(clips, truth)
    run("track-mjx", "train", *TRAINING, f"clips={clips}", f"out={out / 'run'}", f"run.steps={arguments.steps}")
    run("track-mjx", "evaluate", f"run={out / 'run'}")


if __name__ == "__main__":
    main()
