"""What the task knows of the body: names of bodies, joints and actuators turned into places in arrays, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx._common.mjcf import actuator_labels, body_labels, joint_labels
from track_mjx.body.arena import CONTACT_SENSOR, Arena

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_MUSCLE = int(mujoco.mjtDyn.mjDYN_MUSCLE)


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Static facts about a body in its arena; lengths in the MJCF's unit.

    Attributes:
        arena: the body in its world.
        length_unit_m: metres per length unit.
        ctrl_dt: seconds of a control step.
    """

    arena: Arena
    length_unit_m: float
    ctrl_dt: float

    @property
    def model(self) -> mujoco.MjModel:
        """The compiled model."""
        return self.arena.model

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
        """Number of the root body."""
        return self.bodies.index(self.arena.root_body)

    @cached_property
    def moving_bodies(self) -> list[int]:
        """Numbers of the bodies that some joint moves."""
        model = self.model
        moved = [False] * model.nbody
        for body in range(1, model.nbody):
            moved[body] = bool(model.body_jntnum[body]) or moved[int(model.body_parentid[body])]
        return [body for body in range(model.nbody) if moved[body]]

    def body_ids(self, names: Sequence[str] | None) -> list[int]:
        """Numbers of the bodies named; None: all that move.

        Raises:
            ConfigError: when none is named, or a name is no body.
        """
        if names is None:
            return self.moving_bodies
        _some(names, "bodies")
        faults = [unknown("body", name, self.bodies) for name in names if name not in self.bodies]
        raise_all(ConfigError, "bodies", faults)
        return [self.bodies.index(name) for name in names]

    def actuator_ids(self, names: Sequence[str] | None) -> list[int]:
        """Numbers of the actuators named; None: all.

        Raises:
            ConfigError: when none is named, or a name is no actuator.
        """
        if names is None:
            return list(range(self.model.nu))
        _some(names, "actuators")
        faults = [unknown("actuator", name, self.actuators) for name in names if name not in self.actuators]
        raise_all(ConfigError, "actuators", faults)
        return [self.actuators.index(name) for name in names]

    def joint_columns(self, names: Sequence[str] | None) -> tuple[list[int], list[int]]:
        """Places in qpos and qvel of the hinges and slides named; None: all but those of a free root.

        Raises:
            ConfigError: when none is named, a name is no joint, or a joint of another type.
        """
        _some(names, "joints")
        labels, model = joint_labels(self.model), self.model
        simple = [
            name for name, kind in zip(labels, model.jnt_type.tolist(), strict=True) if kind not in (_FREE, _BALL)
        ]
        names = simple if names is None else names
        raise_all(ConfigError, "joints", [unknown("hinge or slide", n, simple) for n in names if n not in simple])
        ids = [labels.index(name) for name in names]
        return [int(model.jnt_qposadr[j]) for j in ids], [int(model.jnt_dofadr[j]) for j in ids]

    @cached_property
    def quaternions(self) -> list[tuple[int, int]]:
        """Places of each quaternion: its first element in qpos, its first angular velocity in qvel."""
        model = self.model
        out = []
        for kind, q, v in zip(
            model.jnt_type.tolist(), model.jnt_qposadr.tolist(), model.jnt_dofadr.tolist(), strict=True
        ):
            if kind == _FREE:
                out.append((q + 3, v + 3))
            elif kind == _BALL:
                out.append((q, v))
        return out

    @cached_property
    def balls(self) -> list[tuple[int, int]]:
        """The same for ball joints alone."""
        model = self.model
        kinds = zip(model.jnt_type.tolist(), model.jnt_qposadr.tolist(), model.jnt_dofadr.tolist(), strict=True)
        return [(q, v) for kind, q, v in kinds if kind == _BALL]

    @cached_property
    def act_columns(self) -> list[int]:
        """Place in ``act`` of each actuator's state; -1 where it has none."""
        return [
            int(a) if n else -1 for a, n in zip(self.model.actuator_actadr, self.model.actuator_actnum, strict=True)
        ]

    @cached_property
    def ctrl_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest control of each actuator: its range, 0..1 for muscles without one, else -1..1."""
        model = self.model
        muscle = model.actuator_dyntype == _MUSCLE
        limited = model.actuator_ctrllimited.astype(bool)
        low = np.where(limited, model.actuator_ctrlrange[:, 0], np.where(muscle, 0.0, -1.0))
        high = np.where(limited, model.actuator_ctrlrange[:, 1], 1.0)
        return low.astype(np.float32), high.astype(np.float32)

    @cached_property
    def contact_columns(self) -> dict[str, list[int]]:
        """Places in the sensor data that say whether an end effector touches the floor."""
        found = {self.model.sensor(i).name: int(self.model.sensor_adr[i]) for i in range(self.model.nsensor)}
        columns = {
            body: [found[CONTACT_SENSOR + geom] for geom in geoms if CONTACT_SENSOR + geom in found]
            for body, geoms in self.arena.contact_geoms.items()
        }
        return {body: places for body, places in columns.items() if places}

    @property
    def to_model_units(self) -> float:
        """Model units per metre."""
        return 1.0 / self.length_unit_m


def _some(names: Sequence[str] | None, what: str) -> None:
    """Refuse an empty list: a term of nothing is constant, and would look learned."""
    if names is not None and len(names) == 0:
        raise ConfigError(f"{what}: the list is empty; name some, or leave it out for all")
