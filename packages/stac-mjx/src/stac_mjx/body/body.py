"""A body: an exactly scaled MJCF model and its keypoints.

The MJCF keeps its length unit (the fly's is the centimetre); ``Body.length_unit_m`` gives its size. Offsets and sizes
are in metres. Body and dof indices are MuJoCo's; body 0 is the world.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.errors import BodyError, ConfigError, raise_all, unknown
from stac_mjx._common.hdf5.info import model_sha256
from stac_mjx._common.mjcf import body_labels, compile_enclosed, joint_labels, qpos_labels, unit_name
from stac_mjx._common.settings import configure, limit_faults, plain_yaml
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.mjcf import compile_spec, locate, read_spec, set_root
from stac_mjx.body.scale import scale_segments, scale_spec
from stac_mjx.config import BodyConfig, MarkerConfig
from stac_mjx.kinematics.tree import Tree, build_tree
from stac_mjx.records import Offsets


@dataclass(frozen=True, eq=False)
class Body:
    """A compiled body and its keypoints."""

    name: str
    mjcf_xml: str
    """The scaled model; compiles with `assets` alone."""
    assets: dict[str, bytes]
    """Files of the model, by bare name."""
    model: mujoco.MjModel
    unit: str
    """Length unit of the MJCF ("m", "dm", "cm", "mm", "um")."""
    length_unit_m: float
    """Metres per length unit of the MJCF."""
    scale: float
    """Factor by which the model was scaled."""
    marker_names: tuple[str, ...]
    """Keypoint names; the order of all marker arrays."""
    marker_body: Int[np.ndarray, " keypoint"]
    """MuJoCo id of the body that each keypoint moves with."""
    marker_offset: Float[np.ndarray, "keypoint 3"]
    """Initial offsets in the frame of that body, metres."""
    regularize: Float[np.ndarray, " keypoint"]
    """Weight that keeps each calibrated offset near the initial one; 0: none."""
    keypoint_order: tuple[str, ...]
    """Order of the keypoints in files without names."""
    root_keypoint: str | None
    """Keypoint closest to the root."""
    trunk_keypoints: tuple[str, ...]
    """Keypoints that place the root; empty: all."""
    part_dofs: dict[str, np.ndarray]
    """Part name -> dof (qvel) indices, ascending."""
    segments: dict[str, tuple[str, ...]]
    """Group of segments -> bodies that share one scale."""
    end_effectors: tuple[str, ...]
    """Bodies that touch the world or carry the task."""
    skeleton: tuple[tuple[str, str], ...]
    """Pairs of keypoints joined by a line in plots."""
    rate_hz: float | None = None
    """Usual frame rate of recordings of this animal."""
    config: BodyConfig | None = None
    """The settings it was made from."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the XML and of all assets with their names."""
        return model_sha256(self.mjcf_xml, self.assets)

    @cached_property
    def tree(self) -> Tree:
        """Kinematic tree, in metres."""
        return _tree_of(self.model, self.length_unit_m, self.root)

    @cached_property
    def root(self) -> int:
        """MuJoCo id of the body that represents the animal: of those with joints, the one that carries most markers.

        Of equals it is the first, which the others hang on. A ball or wheel of the scene carries none.
        """
        carried = np.zeros(self.model.nbody, np.int64)
        for body in self.marker_body.tolist():
            while body:
                carried[body] += 1
                body = int(self.model.body_parentid[body])
        return int(np.argmax(np.where(self.model.body_jntnum > 0, carried, -1)))

    @cached_property
    def marker_body_names(self) -> tuple[str, ...]:
        """Name of the body that each keypoint moves with."""
        return tuple(self.body_names[b] for b in self.marker_body)

    @cached_property
    def marker_rest(self) -> Float[np.ndarray, "keypoint 3"]:
        """Positions of the markers at their initial offsets in the default pose, metres."""
        place, turn = self.rest
        return place[self.marker_body] + np.einsum("kij,kj->ki", turn[self.marker_body], self.marker_offset)

    @cached_property
    def size_m(self) -> float:
        """Largest distance between two markers (two bodies, if there are fewer) in the default pose, metres."""
        points = self.marker_rest if len(self.marker_names) > 1 else self.rest[0][1:]
        return float(np.linalg.norm(points[:, None] - points[None], axis=-1).max(initial=0.0))

    @cached_property
    def rest(self) -> tuple[Float[np.ndarray, "body 3"], Float[np.ndarray, "body 3 3"]]:
        """Positions (metres) and rotations of all bodies in the default pose."""
        data = mujoco.MjData(self.model)
        mujoco.mj_kinematics(self.model, data)
        return data.xpos * self.length_unit_m, data.xmat.reshape(-1, 3, 3).copy()

    @cached_property
    def body_names(self) -> tuple[str, ...]:
        """Name of each body, ``world`` first; unnamed ones are called ``body_<id>``."""
        return body_labels(self.model)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Name of each joint; unnamed ones are called ``joint_<id>``."""
        return joint_labels(self.model)

    @cached_property
    def qpos_names(self) -> tuple[str, ...]:
        """Name of each qpos column: the joint's, or ``<joint>_x .. _qz`` (free), ``<joint>_qw .. _qz`` (ball)."""
        return qpos_labels(self.model)


_tree_of = lru_cache(maxsize=4)(build_tree)  # programs are compiled for a tree: bodies of the same model share it


def load_body(config: BodyConfig, *, complete: bool = True) -> Body:
    """Read, scale and compile the body that a configuration describes; `complete`: it must have keypoints."""
    path = locate(config.mjcf, config.default_mjcf, config.name)
    spec, assets = read_spec(path)
    set_root(spec, assets, config.root, str(path), [marker.body for marker in config.markers.values()])
    if config.scale != 1.0 and 0 < config.scale < math.inf:
        assets = scale_spec(spec, assets, float(config.scale), scale_inertia=bool(config.scale_inertia))
    xml, model = compile_spec(spec, assets, str(path))
    name = config.name or path.stem
    if complete or config.markers:
        wanted = {marker.body for marker in config.markers.values()}
        if config.default_mjcf and wanted.isdisjoint(part.name for part in spec.bodies):
            raise BodyError(
                f"{path}: has no body of the preset {name!r}. For another animal choose body=NAME, or pair its "
                "keypoints with bodies: stac-mjx studio, or a preset of your own (docs/bodies.md)"
            )
        raise_all(BodyError, f"body {name!r} ({path})", body_problems(config, model))
    return _body(config, name, xml, assets, model)


def with_keypoints(body: Body, config: BodyConfig) -> Body:
    """Return the same model with the keypoints of other settings; it may have none."""
    raise_all(BodyError, f"body {body.name!r}", body_problems(config, body.model) if config.markers else [])
    return _body(config, body.name, body.mjcf_xml, body.assets, body.model)


def with_segments(body: Body, factors: Mapping[str, float]) -> Body:
    """Return a body whose segments, by name, are scaled by their own factors; initial offsets scale with them.

    Raises:
        BodyError: when the model has flexes or skins.
    """
    spec = mujoco.MjSpec.from_string(body.mjcf_xml, assets=body.assets)
    scale_segments(spec, factors, scale_inertia=bool(body.config and body.config.scale_inertia))
    xml, model = compile_spec(spec, body.assets, body.name)
    own = np.array([factors.get(name, 1.0) for name in body.marker_body_names])
    return replace(body, mjcf_xml=xml, model=model, marker_offset=own[:, None] * body.marker_offset)


def enclosed_body(offsets: Offsets, changes: Mapping[str, Any]) -> Body:
    """Return the body that an offsets file encloses, with the settings of its fit, some of them changed.

    A file without settings of a body has those that follow from its names.

    Raises:
        BodyError: when the model does not compile, or lacks a body of the settings.
    """
    info = offsets.info
    try:
        stored = plain_yaml(info.config_yaml)["body"]
        config = configure(BodyConfig(), {key: stored[key] for key in stored if hasattr(BodyConfig(), key)}, "offsets")
    except (ValueError, KeyError, TypeError, ConfigError):
        rows = zip(offsets.kp_names, offsets.kp_body, offsets.offset_initial.tolist(), strict=True)
        markers = {name: MarkerConfig(body=body, offset=offset) for name, body, offset in rows}
        config = BodyConfig(name=info.model_name, unit=unit_name(info.length_unit_m), markers=markers)
    config = replace(config, **changes)
    model = compile_enclosed(info.mjcf_xml, info.assets)
    where = f"body {info.model_name!r} (the body that the offsets enclose)"
    raise_all(BodyError, where, body_problems(config, model))
    return _body(config, info.model_name, info.mjcf_xml, dict(info.assets), model)


def _body(config: BodyConfig, name: str, xml: str, assets: dict[str, bytes], model: mujoco.MjModel) -> Body:
    used = without(config, config.leave_out)
    markers = used.markers
    return Body(
        name=name,
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
        segments={name: _segment(model, list(names)) for name, names in config.segments.items()},
        part_dofs={part: _part_dofs(model, list(names)) for part, names in config.parts.items()},
        end_effectors=tuple(config.end_effectors),
        skeleton=tuple((pair[0], pair[1]) for pair in used.skeleton),
        rate_hz=config.rate_hz,
        config=copy.deepcopy(config),
    )


def without(config: BodyConfig, keypoints: Sequence[str]) -> BodyConfig:
    """Return the settings of the same body without some keypoints."""
    return replace(
        config,
        markers={name: marker for name, marker in config.markers.items() if name not in keypoints},
        root_keypoint=None if config.root_keypoint in keypoints else config.root_keypoint,
        trunk_keypoints=[name for name in config.trunk_keypoints if name not in keypoints],
        skeleton=[pair for pair in config.skeleton if not set(pair) & set(keypoints)],
    )


def _part_dofs(model: mujoco.MjModel, names: list[str]) -> np.ndarray:
    """Return the dof indices of the joints that a part names, ascending."""
    widths = (6, 3, 1, 1)
    joints = sorted({joint for name in names for joint in part_joints(model, name) or ()})
    dofs = [model.jnt_dofadr[j] + k for j in joints for k in range(widths[model.jnt_type[j]])]
    return np.array(dofs, dtype=np.int64)


def _segment(model: mujoco.MjModel, patterns: list[str]) -> tuple[str, ...]:
    """Return the names of the bodies that match any of the patterns."""
    names = [model.body(i).name for i in range(1, model.nbody)]
    return tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))


def body_problems(config: BodyConfig, model: mujoco.MjModel) -> list[str]:
    """List all problems of a body's configuration with its compiled model."""
    bodies = [model.body(i).name for i in range(model.nbody) if model.body(i).name]
    markers = [str(name) for name in config.markers]
    problems = [*limit_faults(config), *_marker_problems(config, bodies)]
    if not markers:
        problems.append("markers: empty; set the keypoints and the bodies they move with")
    elif set(markers) <= set(config.leave_out):
        problems.append("leave_out: leaves no keypoint")
    keypoints = {
        "root_keypoint": [] if config.root_keypoint is None else [config.root_keypoint],
        "leave_out": config.leave_out,
        "trunk_keypoints": config.trunk_keypoints,
        "skeleton": [name for pair in config.skeleton for name in pair],
    }
    for field, names in keypoints.items():
        problems += [f"{field}: {unknown('keypoint', name, markers)}" for name in names if name not in markers]
    wrong = [list(pair) for pair in config.skeleton if len(pair) != 2]
    problems += [f"skeleton: expected pairs of keypoints, got {pair}" for pair in wrong]
    missing = [name for name in markers if config.keypoint_order and name not in config.keypoint_order]
    problems += [f"keypoint_order: marker {name!r} is missing" for name in missing]
    wrong = [name for name in config.end_effectors if name not in bodies]
    problems += [f"end_effectors: {unknown('body', name, bodies)}" for name in wrong]
    repeated = {field: getattr(config, field) for field in ("end_effectors", "keypoint_order", "trunk_keypoints")}
    repeated |= {f"parts.{part}": names for part, names in config.parts.items()}
    for field, names in repeated.items():
        problems += [f"{field}: {name!r} is listed {n} times" for name, n in Counter(names).items() if n > 1]
    return problems + _segment_problems(config, model, bodies) + _part_problems(config, model, bodies)


def part_joints(model: mujoco.MjModel, name: str) -> list[int] | None:
    """Return the ids of the joints that a part names: all joints of a body, else a joint; None if there is neither.

    Bodies come first, because in several models a body has the same name as one of its joints. A name with ``*`` or
    ``?`` means all matching bodies, or all matching joints if no body matches.
    """
    bodies = [i for i in range(model.nbody) if fnmatchcase(model.body(i).name, name)]
    if bodies:
        return [int(model.body_jntadr[i]) + k for i in bodies for k in range(model.body_jntnum[i])]
    joints = [i for i in range(model.njnt) if fnmatchcase(model.joint(i).name, name)]
    return joints or None


def _marker_problems(config: BodyConfig, bodies: list[str]) -> list[str]:
    problems = []
    for name, marker in config.markers.items():
        if marker.body not in bodies:
            problems.append(f"markers.{name}.body: {unknown('body', marker.body, bodies)}")
        offset = list(marker.offset)
        if len(offset) != 3 or not all(math.isfinite(value) for value in offset):
            problems.append(f"markers.{name}.offset: expected three finite numbers (metres), got {offset}")
    return problems


def _segment_problems(config: BodyConfig, model: mujoco.MjModel, bodies: list[str]) -> list[str]:
    groups = {group: _segment(model, list(names)) for group, names in config.segments.items()}
    problems = [
        f"segments.{group}: {unknown('body', name, bodies)}"
        for group, names in config.segments.items()
        for name in names
        if not _segment(model, [name])
    ]
    counts = Counter(name for names in groups.values() for name in names)
    return problems + [f"segments: body {name!r} is in {n} groups" for name, n in counts.items() if n > 1]


def _part_problems(config: BodyConfig, model: mujoco.MjModel, bodies: list[str]) -> list[str]:
    joints = [model.joint(i).name for i in range(model.njnt) if model.joint(i).name]
    problems = []
    for part, names in config.parts.items():
        joint_ids = {name: part_joints(model, name) for name in names}
        problems += [
            f"parts.{part}: {unknown('body or joint', name, [*bodies, *joints])}"
            for name, ids in joint_ids.items()
            if ids is None
        ]
        if None not in joint_ids.values() and not any(joint_ids.values()):
            problems.append(f"parts.{part}: no joint moves {list(names)}; name joints, or bodies with joints")
    return problems
