"""A body: an MJCF model, exactly scaled, and the keypoints tied to it.

Units: the MJCF keeps its own length unit (the fly's is the centimetre), ``Body.length_unit_m`` says how long that is.
Offsets and sizes are in metres. Body and dof indices are MuJoCo's; body 0 is the world.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import mujoco
import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.errors import BodyError, raise_all
from stac_mjx._common.hdf5.info import model_sha256
from stac_mjx._common.mjcf import body_labels, qpos_labels, qpos_units, qvel_labels, qvel_units
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body_checks import body_faults, part_joints
from stac_mjx.body.mjcf import compile_spec, locate, read_spec
from stac_mjx.body.root import set_root
from stac_mjx.body.scale import scale_spec
from stac_mjx.config import BodyConfig


@dataclass(frozen=True, eq=False)
class Body:
    """A compiled body and its keypoints.

    Attributes:
        name: name of the body, written to every output.
        mjcf_xml: the scaled model; compiles with `assets` alone.
        assets: files the model needs, by bare name.
        model: the two compiled.
        unit: length unit of the MJCF ("m", "dm", "cm", "mm", "um").
        length_unit_m: metres per length unit of the MJCF.
        scale: factor the model has been scaled by.
        marker_names: keypoint names; the order of all marker arrays.
        marker_body: body each keypoint moves with, (keypoint,), MuJoCo body ids.
        marker_offset: initial offsets in the frame of that body, (keypoint, 3), metres.
        regularize: how firmly calibration holds each offset to the initial one, (keypoint,); 0: not.
        keypoint_order: order of the keypoints in files that hold no names.
        root_keypoint: keypoint closest to the root, or None.
        trunk_keypoints: keypoints that place the root; empty: all.
        part_dofs: part name -> dof (qvel) indices, ascending.
        end_effectors: bodies that touch the world or carry the task.
        skeleton: pairs of keypoints joined by a line in plots.
        rate_hz: usual frame rate of this animal's recordings, or None.
        config: the settings it was made from, or None.
    """

    name: str
    mjcf_xml: str
    assets: dict[str, bytes]
    model: mujoco.MjModel
    unit: str
    length_unit_m: float
    scale: float
    marker_names: tuple[str, ...]
    marker_body: Int[np.ndarray, " keypoint"]
    marker_offset: Float[np.ndarray, "keypoint 3"]
    regularize: Float[np.ndarray, " keypoint"]
    keypoint_order: tuple[str, ...]
    root_keypoint: str | None
    trunk_keypoints: tuple[str, ...]
    part_dofs: dict[str, np.ndarray]
    end_effectors: tuple[str, ...]
    skeleton: tuple[tuple[str, str], ...]
    rate_hz: float | None = None
    config: BodyConfig | None = None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the XML and of all assets with their names."""
        return model_sha256(self.mjcf_xml, self.assets)

    @cached_property
    def marker_rest(self) -> Float[np.ndarray, "keypoint 3"]:
        """Where the initial offsets put the markers in the default pose, metres."""
        data = self._at_rest()
        rotation = data.xmat.reshape(-1, 3, 3)[self.marker_body]
        origin = data.xpos[self.marker_body] * self.length_unit_m
        return origin + np.einsum("kij,kj->ki", rotation, self.marker_offset)

    @cached_property
    def size_m(self) -> float:
        """Largest distance between two markers (fewer than two: between two bodies) in the default pose, metres."""
        points = self.marker_rest if len(self.marker_names) > 1 else self._at_rest().xpos[1:] * self.length_unit_m
        return float(np.linalg.norm(points[:, None] - points[None], axis=-1).max(initial=0.0))

    def _at_rest(self) -> mujoco.MjData:
        data = mujoco.MjData(self.model)
        mujoco.mj_kinematics(self.model, data)
        return data

    @cached_property
    def body_names(self) -> tuple[str, ...]:
        """Name of every body, ``world`` first; unnamed ones are called ``body_<id>``."""
        return body_labels(self.model)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Name of every joint; unnamed ones are called ``joint_<id>``."""
        return tuple(self.model.joint(i).name or f"joint_{i}" for i in range(self.model.njnt))

    @cached_property
    def qpos_names(self) -> tuple[str, ...]:
        """Name of every qpos column: the joint's, or ``<joint>_x .. _qz`` (free), ``<joint>_qw .. _qz`` (ball)."""
        return qpos_labels(self.model)

    @cached_property
    def qvel_names(self) -> tuple[str, ...]:
        """Name of every qvel column: the joint's, or ``<joint>_vx .. _wz`` (free), ``<joint>_wx .. _wz`` (ball)."""
        return qvel_labels(self.model)

    @cached_property
    def qpos_units(self) -> tuple[str, ...]:
        """Unit of every qpos column: ``rad``, the MJCF's length unit, or ``1`` for quaternions."""
        return qpos_units(self.model, self.length_unit_m)

    @cached_property
    def qvel_units(self) -> tuple[str, ...]:
        """Unit of every qvel column: ``rad s-1`` or the MJCF's length unit per second."""
        return qvel_units(self.model, self.length_unit_m)


def load_body(config: BodyConfig) -> Body:
    """Read, scale and compile the body a configuration describes.

    Raises:
        BodyError: when the model is missing or does not compile, or when the configuration names bodies, joints or
            keypoints that do not exist; all faults in one message.
    """
    path = locate(config.mjcf, config.default_mjcf, config.name)
    spec, assets = read_spec(path)
    set_root(spec, assets, config.root, str(path))
    if config.scale != 1.0 and 0 < config.scale < math.inf:
        assets = scale_spec(spec, assets, float(config.scale), scale_inertia=bool(config.scale_inertia))
    xml, model = compile_spec(spec, assets, str(path))
    raise_all(BodyError, f"body {config.name!r} ({path})", body_faults(config, model))
    used = without(config, config.leave_out)
    markers = used.markers
    return Body(
        name=config.name or path.stem,
        mjcf_xml=xml,
        assets=assets,
        model=model,
        unit=config.unit,
        length_unit_m=METRES_PER_UNIT[config.unit],
        scale=float(config.scale),
        marker_names=tuple(str(name) for name in markers),
        marker_body=np.array([model.body(m.body).id for m in markers.values()], dtype=np.int64),
        marker_offset=np.array([list(m.offset) for m in markers.values()], dtype=np.float64).reshape(-1, 3),
        regularize=np.array([m.regularize for m in markers.values()], dtype=np.float64),
        keypoint_order=tuple(config.keypoint_order) or tuple(str(name) for name in config.markers),
        root_keypoint=used.root_keypoint,
        trunk_keypoints=tuple(used.trunk_keypoints),
        part_dofs={part: _part_dofs(model, list(names)) for part, names in config.parts.items()},
        end_effectors=tuple(config.end_effectors),
        skeleton=tuple((pair[0], pair[1]) for pair in used.skeleton),
        rate_hz=config.rate_hz,
        config=copy.deepcopy(config),
    )


def without(config: BodyConfig, keypoints: Sequence[str]) -> BodyConfig:
    """The settings of the same body with some keypoints fewer."""
    return replace(
        config,
        markers={name: marker for name, marker in config.markers.items() if name not in keypoints},
        root_keypoint=None if config.root_keypoint in keypoints else config.root_keypoint,
        trunk_keypoints=[name for name in config.trunk_keypoints if name not in keypoints],
        skeleton=[pair for pair in config.skeleton if not set(pair) & set(keypoints)],
    )


def _part_dofs(model: mujoco.MjModel, names: list[str]) -> np.ndarray:
    """Dof indices of the joints a part names, ascending."""
    widths = (6, 3, 1, 1)
    joints = sorted({joint for name in names for joint in part_joints(model, name) or ()})
    dofs = [model.jnt_dofadr[j] + k for j in joints for k in range(widths[model.jnt_type[j]])]
    return np.array(dofs, dtype=np.int64)
