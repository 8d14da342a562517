"""Drive a body by an exported policy, with MuJoCo and onnxruntime or NumPy, without any package of this project.

    track-mjx export run=run out=policy
    python examples/07_plain_mujoco.py policy clips.h5 [rollouts.h5]

For policies with the observations of the preset `mouse_arm_quick`; for others, `policy.json` names what to observe.
With a rollouts file the example prints how far its movement is from that of `track-mjx rollout`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import mujoco
import numpy as np

Policy = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def onnx_policy(folder: Path) -> Policy:
    """From raw observations (n, ...) to actions and controls, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "policy.onnx")
    return lambda reference, senses: tuple(
        session.run(["action", "ctrl"], {"reference": reference, "proprioception": senses})
    )


def numpy_policy(folder: Path) -> Policy:
    """The same by NumPy."""
    arrays, facts = dict(np.load(folder / "policy.npz")), json.loads((folder / "policy.json").read_text())
    low, high = (np.asarray(facts["action"][f"ctrl_{end}"]) for end in ("low", "high"))

    def scaled(part: str, x: np.ndarray) -> np.ndarray:
        return np.clip((x - arrays[f"{part}/mean"]) * arrays[f"{part}/scale"], -10, 10)

    def mean(part: str, last: str, x: np.ndarray) -> np.ndarray:
        layer = 0
        while f"{part}/dense_{layer}/kernel" in arrays:
            x = x @ arrays[f"{part}/dense_{layer}/kernel"] + arrays[f"{part}/dense_{layer}/bias"]
            x = x / (1 + np.exp(-x))
            if f"{part}/norm_{layer}/scale" in arrays:
                x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
                x = x * arrays[f"{part}/norm_{layer}/scale"] + arrays[f"{part}/norm_{layer}/bias"]
            layer += 1
        x = x @ arrays[f"{part}/{last}/kernel"] + arrays[f"{part}/{last}/bias"]
        return x[..., : x.shape[-1] // 2]

    def act(reference: np.ndarray, senses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        latent = mean("encoder", "latent", scaled("reference", reference))
        action = np.tanh(mean("decoder", "action", np.concatenate([latent, scaled("proprioception", senses)], -1)))
        return action, low + (action + 1) / 2 * (high - low)

    return act


def play(folder: Path, policy: Policy, qpos: np.ndarray, qvel: np.ndarray, activation: np.ndarray) -> np.ndarray:
    """Follow poses and velocities at the control rate; return the poses of the simulated body."""
    facts = json.loads((folder / "policy.json").read_text())
    model = mujoco.MjModel.from_xml_path(str(folder / "body" / "body.xml"))
    data = mujoco.MjData(model)
    data.qpos, data.qvel, data.act = qpos[0], qvel[0], activation
    action, poses = np.zeros(model.nu), [qpos[0]]
    for step in range(len(qpos) - 1):
        ahead = np.minimum(step + np.asarray(facts["window"]), len(qpos) - 1)
        reference = np.concatenate([(qpos[ahead] - data.qpos).ravel(), qvel[step]])
        senses = np.concatenate([data.qpos, data.qvel, data.act, action])
        actions, ctrl = policy(reference[None].astype(np.float32), senses[None].astype(np.float32))
        action, data.ctrl = actions[0], ctrl[0]
        mujoco.mj_step(model, data, facts["n_substeps"])
        poses.append(data.qpos.copy())
    return np.array(poses)


def main(folder: Path, clips: str, rollouts: str | None = None) -> None:
    """Play the first clip; compare with a rollouts file."""
    dt = json.loads((folder / "policy.json").read_text())["ctrl_dt_s"]
    with h5py.File(clips) as file:
        frames = np.arange(file["clip_length"][0])
        times = np.arange(0, len(frames) - 1 + 1e-6, dt * file.attrs["rate_hz"])  # hinges: linear interpolation
        qpos, qvel = (
            np.stack([np.interp(times, frames, column[: len(frames)]) for column in file[name][:].T], -1)
            for name in ("qpos", "qvel")
        )
    recorded, activation = None, 0.0
    if rollouts is not None:
        with h5py.File(rollouts) as file:
            row = int(np.argmin(np.abs(file["qpos_ref"][:, 0] - qpos[0]).max(-1)))
            recorded, activation = file["qpos"][row, : len(qpos)], file["act"][row, 0]
    for name, policy in (("onnx", onnx_policy(folder)), ("numpy", numpy_policy(folder))):
        poses = play(folder, policy, qpos, qvel, activation)
        print(f"{name}: {np.degrees(np.abs(poses - qpos).mean()):.2f} deg from the reference")
        if recorded is not None:
            print(f"{name}: at most {np.nanmax(np.abs(poses - recorded)):.1e} rad from the rollouts file")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
