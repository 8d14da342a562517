"""Small sound files of every kind, for the tests of the contract.

The body has a free root, a ball, a hinge, a slide and an unnamed joint, a mesh among its assets, and is written in
millimetres, so that a mistake in names, units or assets shows.
"""

from __future__ import annotations

import copy
import struct
from pathlib import Path

import h5py
import mujoco
import numpy as np
from stac_mjx._common.hdf5.info import FileInfo, Source, info_attributes, info_values
from stac_mjx._common.hdf5.schema import load_schema
from stac_mjx._common.mjcf import body_labels, qpos_labels, qpos_units, qvel_labels, qvel_units
from stac_mjx.records import Offsets, ReferenceClips

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


def write_rollouts(path: Path, n_clips: int = 2, n_steps: int = 6, seeds: tuple[int, ...] = ()) -> None:
    """Write a rollouts file with plain h5py, from docs/schema alone, as the controller's package will."""
    schema = load_schema("mimic.rollouts")
    rng = np.random.default_rng(1)
    beetle = model()
    lead = (len(seeds),) if seeds else ()
    n_reference = 9
    sizes = {
        "clip": n_clips, "state_time": n_steps + 1, "step_time": n_steps, "latent_unit": 4,
        "reference/reference_frame": n_reference,
        **{f"activations/{part}/unit_{layer}": 8 for part in ("encoder", "decoder") for layer in range(2)},
    }  # fmt: skip
    labels = {
        "names_qpos": qpos_labels(beetle), "names_qvel": qvel_labels(beetle), "names_xpos": body_labels(beetle),
        "space": ("x", "y", "z"), "quat": ("w", "x", "y", "z"), "actuator": ("hip_motor", "hip_muscle"),
        "metric": ("joint_reward", "ctrl_cost"),
    }  # fmt: skip
    text = h5py.string_dtype("utf-8")
    with h5py.File(path, "w", track_order=True) as file:
        for name, value in info_attributes(info(skeleton=()), schema.kind).items():
            if value is not None:
                file.attrs[name] = value
        for name, value in {
            "ctrl_dt_s": 0.005, "sim_dt_s": 0.00125, "n_substeps": 4, "rate_hz": 200.0, "reference_rate_hz": 200.0,
            "checkpoint_sha256": "cd" * 32, "checkpoint_step": 1_000_000, "engine": "mujoco 3.17.0", "deterministic": 1,
            "alignment": "ctrl[k], activations[k] act on state k and give state k+1",
        }.items():  # fmt: skip
            file.attrs[name] = value
        for group in ("activations", "activations/encoder", "activations/decoder", "reference", "contact"):
            file.create_group(group, track_order=True)
        file.create_group("provenance", track_order=True).create_group("assets", track_order=True)
        for dim, names in labels.items():
            file.create_dataset(dim, data=list(names), dtype=text).make_scale(dim)
        for dim, size in sizes.items():
            seconds = dim.endswith("_time")
            scale = file.create_dataset(dim, data=np.arange(size) * (0.005 if seconds else 1))
            scale.attrs["units"] = "s" if seconds else "1"
            scale.make_scale(dim.rsplit("/", 1)[-1])
        if seeds:
            file.create_dataset("seed", data=np.array(seeds)).make_scale("seed")
            file["seed"].attrs["units"] = "1"
        lengths = {**sizes, **{dim: len(names) for dim, names in labels.items()}, "seed": len(seeds)}
        paths = [p for p in schema.datasets if "*" not in p]
        paths += [f"activations/{part}/layer_{layer}" for part in ("encoder", "decoder") for layer in range(2)]
        n_poses = int(np.prod([*lead, n_clips, n_steps + 1]))
        qpos, _, xpos, xquat = poses(n_poses, rng, beetle)
        moving = {"qpos": qpos, "xpos": xpos, "xquat": xquat}
        strings = {**info_values(info()), "clip_name": ("walk_0", "walk_1"), "trial_id": ("trial 0", "trial 1")}
        for where in [*paths, "contact/femur", "provenance/assets/shell.stl"]:
            rule = schema.dataset(where)
            assert rule is not None
            if rule.dtype == "string":
                value = list(strings[where]) if rule.dims else strings[where]
                dataset = file.create_dataset(where, data=value, dtype=text)
                dims = rule.dims
            elif where.startswith("provenance/assets/"):
                dataset = file.create_dataset(where, data=np.frombuffer(tetrahedron(), np.uint8))
                dataset.make_scale("shell.stl")
                dims = ()
            else:
                dims = (("seed",) if seeds and schema.takes_leading(where, rule.dims) else ()) + rule.dims
                shape = tuple(lengths[dim] for dim in dims)
                value = moving[where].reshape(shape) if where in moving else rng.uniform(size=shape)
                value = {
                    "valid": np.ones(shape), "terminated": np.zeros(shape), "termination_reason": np.zeros(shape),
                    "reference/clip_start": np.array([0, 4]), "reference/clip_length": np.array([4, 5]),
                    "reference/time": np.array([0, 1, 2, 3, 0, 1, 2, 3, 4]) / 200,
                }.get(where, value)  # fmt: skip
                dataset = file.create_dataset(where, data=np.asarray(value).astype(rule.dtype))
            for axis, dim in enumerate(dims):
                dataset.dims[axis].attach_scale(file[dim])
            if rule.units is not None:
                dataset.attrs["units"] = rule.units
            if rule.flag_values:
                dataset.attrs["flag_values"] = np.array(rule.flag_values, np.uint8)
                dataset.attrs["flag_meanings"] = " ".join(rule.flag_meanings)
            if rule.free_flags:
                dataset.attrs["flag_values"] = np.array([0, 1], np.uint8)
                dataset.attrs["flag_meanings"] = "clip_end fall"
            own = {
                "quaternion_order": "wxyz", "sampled": "last substep", "stage": "after ELU and layer norm", "width": 8,
                "deterministic": 1,
            }  # fmt: skip
            for attribute in rule.attributes:
                if attribute.name == "column_units":
                    units = {
                        "names_qpos": qpos_units(beetle, LENGTH_UNIT_M),
                        "names_qvel": qvel_units(beetle, LENGTH_UNIT_M),
                    }.get(rule.dims[-1], ("1",) * lengths[rule.dims[-1]])
                    dataset.attrs.create("column_units", list(units), dtype=text)
                else:
                    dataset.attrs[attribute.name] = own[attribute.name]


def changed(record, **fields):
    """Copy a record with other fields, past the shape checks that tests (and only tests) run on construction."""
    other = copy.copy(record)
    for derived in ("frame_clip", "time", "residual"):
        other.__dict__.pop(derived, None)
    for name, value in fields.items():
        object.__setattr__(other, name, value)
    return other
