"""Small sound files of every kind, for the tests of the contract.

The body has a free root, a ball, a hinge, a slide and an unnamed joint, a mesh among its assets, and is written in
millimetres, so that a mistake in names, units or assets shows.
"""

from __future__ import annotations

import copy
import struct
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from stac_mjx._common.hdf5.info import FileInfo, Source
from stac_mjx._common.hdf5.schema import load_schema
from stac_mjx._common.mjcf import body_labels, qpos_labels, qpos_units, qvel_labels, qvel_units
from stac_mjx.records import Offsets, ReferenceClips
from synthetic.writing import write_values

MJCF = """
<mujoco model="beetle">
  <asset><mesh name="shell" file="shell.stl"/></asset>
  <worldbody>
    <body name="trunk" pos="0 0 5">
      <freejoint name="root"/>
      <geom type="mesh" mesh="shell"/>
      <body name="head" pos="4 0 1">
        <joint name="neck" type="ball"/>
        <geom size=".8"/>
      </body>
      <body name="femur" pos="0 3 0">
        <joint name="hip" axis="1 0 0" range="-60 60"/>
        <geom type="capsule" size=".3" fromto="0 0 0 0 4 0"/>
        <body pos="0 4 0">
          <joint type="slide" axis="0 1 0" range="0 2"/>
          <geom size=".4"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="hip_motor" joint="hip"/>
    <muscle name="hip_muscle" joint="hip"/>
  </actuator>
</mujoco>
"""
LENGTH_UNIT_M = 1e-3
RATE_HZ = 200.0
KP_NAMES = ("nose", "back", "knee", "foot")
KP_BODY = ("head", "trunk", "femur", "body_4")
OFFSETS = np.array([[1e-3, 0, 0], [0, 0, 1e-3], [0, 4e-3, 0], [0, 1e-3, 0]])


def tetrahedron() -> bytes:
    """A binary STL of four triangles, 4 mm across."""
    corners = np.array([[-2, -2, -1], [2, -2, -1], [0, 2, -1], [0, 0, 2]], np.float32)
    faces = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))
    triangles = b"".join(struct.pack("<12fH", 0, 0, 0, *corners[list(face)].ravel(), 0) for face in faces)
    return bytes(80) + struct.pack("<I", len(faces)) + triangles


def info(**changes) -> FileInfo:
    settings = {
        "title": "a beetle walking",
        "model_name": "beetle",
        "mjcf_xml": MJCF,
        "assets": {"shell.stl": tetrahedron()},
        "length_unit_m": LENGTH_UNIT_M,
        "rate_hz": RATE_HZ,
        "source_files": (Source(Path("walk.h5"), "ab" * 32),),
        "random_seed": 3,
        "subject_id": "beetle 7",
        "root_body": "trunk",
        "end_effectors": ("femur",),
        "skeleton": (("nose", "back"), ("back", "knee")),
        "config_yaml": "body:\n  name: beetle\n",
    }
    return FileInfo(**(settings | changes))


def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(MJCF, {"shell.stl": tetrahedron()})


def poses(
    n_frames: int, rng: np.random.Generator, beetle: mujoco.MjModel, unit_m: float = LENGTH_UNIT_M
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Random poses: qpos, qvel, and MuJoCo's xpos (metres) and xquat for them."""
    qpos = np.tile(beetle.qpos0, (n_frames, 1))
    for frame in range(n_frames):
        mujoco.mj_integratePos(beetle, qpos[frame], rng.normal(size=beetle.nv), 0.5)
    return qpos, rng.normal(size=(n_frames, beetle.nv)), *kinematics(beetle, qpos, unit_m)


def kinematics(beetle: mujoco.MjModel, qpos: np.ndarray, unit_m: float) -> tuple[np.ndarray, np.ndarray]:
    """MuJoCo's xpos (metres) and xquat for qpos."""
    data = mujoco.MjData(beetle)
    xpos, xquat = np.empty((len(qpos), beetle.nbody, 3)), np.empty((len(qpos), beetle.nbody, 4))
    for frame, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(beetle, data)
        xpos[frame], xquat[frame] = data.xpos * unit_m, data.xquat
    return xpos, xquat


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    out = np.empty((*np.broadcast_shapes(quaternion.shape[:-1], vector.shape[:-1]), 3))
    for index in np.ndindex(out.shape[:-1]):
        mujoco.mju_rotVecQuat(out[index], vector[index[-1]], quaternion[index])
    return out


def clips(lengths: tuple[int, ...] = (7, 3, 5), **changes) -> ReferenceClips:
    """A sound record of a few clips, with one missing keypoint and one frame that must not be used."""
    rng = np.random.default_rng(0)
    n_frames = sum(lengths)
    beetle = model()
    qpos, qvel, xpos, xquat = poses(n_frames, rng, beetle)
    ids = [body_labels(beetle).index(name) for name in KP_BODY]
    sites = xpos[:, ids] + rotate(xquat[:, ids], OFFSETS)
    kp_data = sites + rng.normal(scale=2e-4, size=sites.shape)
    confidence = rng.uniform(0.5, 1, size=sites.shape[:2])
    kp_data[0, 1], confidence[0, 1] = np.nan, 0
    valid, status = np.ones(n_frames, np.uint8), np.zeros(n_frames, np.uint8)
    valid[-1], status[-1] = 0, 2
    qvel[-1] = np.nan
    fields = {
        "info": info(),
        "clip_name": tuple(f"walk_{i}" for i in range(len(lengths))),
        "clip_length": np.array(lengths),
        "qvel": qvel,
        "kp_data": kp_data,
        "kp_confidence": confidence,
        "at_joint_limit": rng.integers(0, 2, qpos.shape).astype(bool),
        "valid": valid,
        "solver_status": status,
        "kp_names": KP_NAMES,
        "kp_body": KP_BODY,
        "offsets": OFFSETS,
        "qpos_stderr": rng.uniform(0.01, 1, qvel.shape),
        "qpos_resolution": rng.uniform(0, 1, qvel.shape),
        "trial_id": tuple(f"trial {i}" for i in range(len(lengths))),
        "events": {"lift_off": np.array([np.nan] + [0.005] * (len(lengths) - 1))},
    }
    return clips_of(beetle, qpos, xpos, xquat, sites, **(fields | changes))


def clips_of(body: mujoco.MjModel, qpos: np.ndarray, xpos: np.ndarray, xquat: np.ndarray, sites: np.ndarray, **changes):
    """A record of one clip without anything missing, whose markers are the first bodies unless `changes` say more."""
    n_frames, unit_m, names = len(qpos), changes["info"].length_unit_m, body_labels(body)
    fields = {
        "clip_name": ("walk",),
        "clip_length": np.array([n_frames]),
        "qpos": qpos,
        "qvel": np.zeros((n_frames, body.nv)),
        "xpos": xpos,
        "xquat": xquat,
        "kp_data": sites,
        "marker_sites": sites,
        "kp_confidence": np.ones(sites.shape[:2]),
        "at_joint_limit": np.zeros(qpos.shape, np.uint8),
        "valid": np.ones(n_frames, np.uint8),
        "solver_status": np.zeros(n_frames, np.uint8),
        "names_qpos": qpos_labels(body),
        "names_qvel": qvel_labels(body),
        "names_xpos": names,
        "kp_names": names[1 : 1 + sites.shape[1]],
        "qpos_units": qpos_units(body, unit_m),
        "qvel_units": qvel_units(body, unit_m),
        "kp_body": names[1 : 1 + sites.shape[1]],
        "offsets": np.zeros((sites.shape[1], 3)),
    }
    return ReferenceClips(**(fields | changes))


def offsets(**changes) -> Offsets:
    """A sound record of offsets."""
    fields = {
        "info": info(title="offsets of a beetle"),
        "kp_names": KP_NAMES,
        "kp_body": KP_BODY,
        "offsets": OFFSETS,
        "offset_initial": OFFSETS * 0.9,
        "regularised": np.array([True, False, False, True]),
        "scale_factor": 1.0,
        "keypoint_scale_factor": 1.1,
        "loss_history": np.array([4e-6, 1e-6, 0.9e-6]),
        "offset_std": np.full((4, 3), 1e-5),
        "fit_frames": np.array([0, 3, 9]),
        "mean_error_history": np.array([2e-3, 1e-3, 0.9e-3]),
    }
    return Offsets(**(fields | changes))


def write_rollouts(path: Path, seeds: tuple[int, ...] = ()) -> None:
    """Write a rollouts file of random numbers that holds everything in docs/schema."""
    schema, rng, beetle = load_schema("mimic.rollouts"), np.random.default_rng(1), model()
    labels = {
        "names_qpos": qpos_labels(beetle), "names_qvel": qvel_labels(beetle), "names_xpos": body_labels(beetle),
        "space": ("x", "y", "z"), "quat": ("w", "x", "y", "z"), "actuator": ("hip_motor", "hip_muscle"),
        "metric": ("joint_reward", "ctrl_cost"), "clip_name": ("walk_0", "walk_1"), "trial_id": ("trial 0", "trial 1"),
    }  # fmt: skip
    layers = [f"{part}/{{}}_{layer}" for part in ("activations/encoder", "activations/decoder") for layer in range(2)]
    lengths = {
        "seed": len(seeds), "clip": 2, "state_time": 7, "step_time": 6, "latent_unit": 4,
        "reference/reference_frame": 9, **dict.fromkeys((layer.format("unit") for layer in layers), 8),
        **{name: len(texts) for name, texts in labels.items()},
    }  # fmt: skip
    n_poses = max(1, len(seeds)) * 2 * 7
    qpos, _, xpos, xquat = poses(n_poses, rng, beetle)
    moving = {"qpos": qpos, "xpos": xpos, "xquat": xquat}
    given = moving | {
        "valid": 1, "terminated": 0, "termination_reason": 0, "reference/clip_start": [0, 4],
        "reference/clip_length": [4, 5], "reference/time": np.array([0, 1, 2, 3, 0, 1, 2, 3, 4]) / RATE_HZ,
    }  # fmt: skip
    values: dict[str, Any] = {"seed": np.array(seeds)} if seeds else {}
    paths = [name for name in schema.datasets if "*" not in name and not name.startswith("provenance/")]
    for name in [*paths, *(layer.format("layer") for layer in layers), "contact/femur"]:
        rule = schema.dataset(name)
        assert rule is not None, name
        if rule.dtype != "string":
            dims = ("seed", *rule.dims) if seeds and schema.takes_leading(name, rule.dims) else rule.dims
            shape = tuple(lengths[dim] for dim in dims)
            drawn = rng.uniform(size=0 if name in moving else shape)
            value = given.get(name, drawn)
            values[name] = np.reshape(value, shape) if np.size(value) > 1 else np.full(shape, value)
    units = {"names_qpos": qpos_units(beetle, LENGTH_UNIT_M), "names_qvel": qvel_units(beetle, LENGTH_UNIT_M)}
    about = {"checkpoint_sha256": "cd" * 32, "checkpoint_step": 1_000_000, "engine": "mujoco 3.17.0"}
    write_values(path, info(skeleton=()), labels | values, units, **about)


def changed(record, **fields):
    """Copy a record with other fields, past the shape checks that tests (and only tests) run on construction."""
    other = copy.copy(record)
    for derived in ("frame_clip", "time", "residual"):
        other.__dict__.pop(derived, None)
    for name, value in fields.items():
        object.__setattr__(other, name, value)
    return other
