"""The body as the task uses it: names of bodies, joints and actuators resolved to array indices."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx._common.mjcf import actuator_labels, body_labels, joint_labels
from track_mjx._common.rotations import Array
from track_mjx.body.arena import Arena
from track_mjx.body.ground import floor_height
from track_mjx.body.parts import matching
from track_mjx.body.sensors import CONTACT_SENSOR, is_contact_of
from track_mjx.body.servos import position_servos
from track_mjx.body.terrain import Surface, surface_of
from track_mjx.compiled import ByContent, digest_of

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_MUSCLE, _INTEGRATOR = int(mujoco.mjtDyn.mjDYN_MUSCLE), int(mujoco.mjtDyn.mjDYN_INTEGRATOR)
_ON_JOINT, _ON_JOINT_IN_PARENT = int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)


@dataclass(frozen=True, eq=False)
class Anatomy(ByContent):
    """Static properties of a body in its arena; lengths in the MJCF's unit."""

    arena: Arena
    length_unit_m: float
    ctrl_dt: float
    """Duration of a control step, s."""

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model."""
        return self.arena.model

    @cached_property
    def content(self) -> Hashable:
        """Numbers and names of the model, and what else is known of the arena."""
        others = [repr(getattr(self.arena, entry.name)) for entry in fields(self.arena) if entry.name != "model"]
        return digest_of(self.model), *others, self.length_unit_m, self.ctrl_dt

    @cached_property
    def bodies(self) -> tuple[str, ...]:
        """Names of all bodies, ``world`` first."""
        return body_labels(self.model)

    @cached_property
    def actuators(self) -> tuple[str, ...]:
        """Names of all actuators."""
        return actuator_labels(self.model)

    @cached_property
    def root(self) -> int:
        """Id of the root body."""
        return self.bodies.index(self.arena.root_body)

    @cached_property
    def moving_bodies(self) -> list[int]:
        """Ids of the bodies that a joint moves."""
        model = self.model
        moved = [False] * model.nbody
        for body in range(1, model.nbody):
            moved[body] = bool(model.body_jntnum[body]) or moved[int(model.body_parentid[body])]
        return [body for body in range(model.nbody) if moved[body]]

    def body_ids(self, names: Sequence[str] | None) -> list[int]:
        """Return the ids of the named bodies; None: all that move."""
        return self.moving_bodies if names is None else _indices("body", "bodies", names, self.bodies)

    def actuator_ids(self, names: Sequence[str] | None) -> list[int]:
        """Return the ids of the named actuators; None: all."""
        return list(range(self.model.nu)) if names is None else _indices("actuator", "actuators", names, self.actuators)

    def joint_columns(self, names: Sequence[str] | None, *, root: bool = False) -> tuple[list[int], list[int]]:
        """Return the indices in qpos and qvel of the named hinges and slides; None: all.

        Those of a root that travels on slides are among all only where `root` is set.
        """
        model = self.model
        simple = np.flatnonzero(~np.isin(model.jnt_type, (_FREE, _BALL))).tolist()
        labels = joint_labels(model)
        known = [labels[joint] for joint in simple]
        posture = [joint for joint in simple if root or joint not in self.root_joints]
        ids = posture if names is None else [simple[i] for i in _indices("hinge or slide", "joints", names, known)]
        return [int(model.jnt_qposadr[j]) for j in ids], [int(model.jnt_dofadr[j]) for j in ids]

    @cached_property
    def root_joints(self) -> list[int]:
        """Ids of the hinges and slides of a root that travels on slides, as one that stays upright."""
        model = self.model
        first, count = int(model.body_jntadr[self.root]), int(model.body_jntnum[self.root])
        joints = list(range(first, first + count))
        slides = any(model.jnt_type[joint] == _SLIDE for joint in joints) and model.body_parentid[self.root] == 0
        return joints if slides else []

    @cached_property
    def quaternions(self) -> list[tuple[int, int]]:
        """Indices of each quaternion: its first element in qpos, its first angular velocity in qvel."""
        shift = {_FREE: 3, _BALL: 0}
        return [(q + shift[kind], v + shift[kind]) for kind, q, v in self._joints() if kind in shift]

    @cached_property
    def balls(self) -> list[tuple[int, int]]:
        """The same for ball joints only."""
        return [(q, v) for kind, q, v in self._joints() if kind == _BALL]

    def _joints(self) -> list[tuple[int, int, int]]:
        """Return type, first qpos index and first qvel index of each joint."""
        model = self.model
        return list(zip(model.jnt_type.tolist(), model.jnt_qposadr.tolist(), model.jnt_dofadr.tolist(), strict=True))

    @cached_property
    def act_columns(self) -> list[int]:
        """Index in ``act`` of each actuator's state; -1 for an actuator without one."""
        return [
            int(a) if n else -1 for a, n in zip(self.model.actuator_actadr, self.model.actuator_actnum, strict=True)
        ]

    @cached_property
    def ctrl_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest control of each actuator: its range; without one 0..1 for muscles, else -1..1.

        A position servo without a range takes the controls that hold its joint at its limits, if it has these.
        """
        model = self.model
        muscle = model.actuator_dyntype == _MUSCLE
        limited = model.actuator_ctrllimited.astype(bool)
        low = np.where(limited, model.actuator_ctrlrange[:, 0], np.where(muscle, 0.0, -1.0))
        high = np.where(limited, model.actuator_ctrlrange[:, 1], 1.0)
        bias, gain, joint = model.actuator_biasprm, model.actuator_gainprm[:, 0], model.actuator_trnid[:, 0]
        on_joint = np.isin(model.actuator_trntype, (_ON_JOINT, _ON_JOINT_IN_PARENT))
        speeds = model.actuator_dyntype == _INTEGRATOR
        for i in np.flatnonzero(position_servos(model) & on_joint & ~limited & ~speeds):
            if model.jnt_limited[joint[i]]:
                ends = -(bias[i, 0] + bias[i, 1] * model.actuator_gear[i, 0] * model.jnt_range[joint[i]]) / gain[i]
                low[i], high[i] = ends.min(), ends.max()
        return low.astype(np.float32), high.astype(np.float32)

    @cached_property
    def joint_dofs(self) -> list[int]:
        """Indices in qvel of all joints but those of a root that travels; balls have three."""
        model, joints = self.model, self.model.dof_jntid.tolist()
        return [v for v, j in enumerate(joints) if model.jnt_type[j] != _FREE and j not in self.root_joints]

    @cached_property
    def floor_height(self) -> float:
        """Height of a level floor, in the model's unit; 0 where there is none."""
        return floor_height(self.model, self.arena.floor)

    @cached_property
    def surface(self) -> Surface | None:
        """The ground, where it is a height field."""
        return surface_of(self.model, self.arena.floor)

    def height_above_ground(self, position: Float[Array, "*batch 3"]) -> Float[Array, "*batch"]:
        """Return the height of positions above the ground below them, in the model's unit."""
        ground = self.floor_height if self.surface is None else self.surface.height(position[..., :2])
        return position[..., 2] - ground

    @cached_property
    def contact_columns(self) -> dict[str, list[int]]:
        """Indices in the sensor data for contact of each end effector with the floor."""
        columns = {
            body: [c for geom in geoms for name, at in self._sensors.items() if is_contact_of(name, geom) for c in at]
            for body, geoms in self.arena.contact_geoms.items()
        }
        return {body: indices for body, indices in columns.items() if indices}

    @cached_property
    def _sensors(self) -> dict[str, range]:
        """Indices in the sensor data of each sensor."""
        model = self.model
        address = zip(model.sensor_adr.tolist(), model.sensor_dim.tolist(), strict=True)
        return {model.sensor(i).name: range(first, first + n) for i, (first, n) in enumerate(address)}

    def sensor_columns(self, patterns: Sequence[str]) -> list[int]:
        """Return the indices in the sensor data of the sensors whose names match, contacts with the floor left out."""
        names = [name for name in self._sensors if not name.startswith(CONTACT_SENSOR)]
        return [c for name in matching("names", "sensor", patterns, names) for c in self._sensors[name]]

    @property
    def to_model_units(self) -> float:
        """Model units per metre."""
        return 1.0 / self.length_unit_m


def _indices(kind: str, setting: str, names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Return the places of names. An empty list is rejected: a term over nothing is constant, so it looks learned."""
    if not names:
        raise ConfigError(f"{setting}: the list is empty; name at least one, or leave it out for all")
    problems = [unknown(kind, name, known) for name in names if name not in known]
    problems += [f"{name!r} is named twice" for name in dict.fromkeys(names) if list(names).count(name) > 1]
    raise_all(ConfigError, setting, problems)
    return [known.index(name) for name in names]
