"""Read a rollouts file with h5py and with xarray, without any package of this project.

    python examples/06_read_rollouts.py rollouts.h5

docs/schema/rollouts.md describes the contents and the alignment of steps and states.
"""

from __future__ import annotations

import sys

import h5py
import numpy as np
import xarray


def with_h5py(path: str) -> None:
    """Print joint errors, muscle activity, and the dimensionality of the decoder layers."""
    with h5py.File(path) as file:
        joints, muscles = list(file["names_qpos"].asstr()), list(file["actuator"].asstr())
        valid = file["valid"][:].astype(bool)  # clip, step: rollouts that ended early are padded with NaN
        error = file["qpos"][:, 1:] - file["qpos_ref"][:, 1:]  # step k leads to state k + 1
        for j, name in enumerate(joints):
            if file["qpos"].attrs["column_units"][j] == "rad":
                print(f"{name}: {np.degrees(np.sqrt(np.nanmean(error[valid][:, j] ** 2))):.1f} deg rms")
        if "act" in file:
            activity = np.nanmean(file["act"][:], axis=(0, 1))
            print("most active:", ", ".join(muscles[i] for i in np.argsort(-activity)[:3]))
        layers = file["activations/decoder"]
        for name in sorted(key for key in layers if key.startswith("layer_")):
            values = layers[name][:][valid]
            spectrum = np.linalg.svd(values - values.mean(0), compute_uv=False) ** 2
            share = 100 * spectrum[:3].sum() / spectrum.sum()
            print(f"decoder {name} ({values.shape[1]} units): first three components explain {share:.0f} %")


def with_xarray(path: str) -> None:
    """Print reward terms by name and the path length of a body, with labelled axes."""
    with xarray.open_datatree(path, engine="h5netcdf") as file:
        rewards = file["metrics"].mean(("clip", "step_time"))
        terms = [f"{name} {float(rewards.sel(metric=name)):.3f}" for name in rewards["metric"].values]
        print("terms of the reward, mean:", ", ".join(terms))
        last = str(file["names_xpos"].values[-1])
        path_of = file["xpos"].sel(names_xpos=last).isel(clip=0)
        length = float(np.sqrt((path_of.diff("state_time") ** 2).sum("space")).sum())
        print(f"{last} moves {1000 * length:.1f} mm in clip {file['clip_name'].values[0]}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with_h5py(sys.argv[1])
    with_xarray(sys.argv[1])
