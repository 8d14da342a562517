"""Parts of a body that a task leaves out: locked joints and dropped actuators (paper B, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import mujoco
import numpy as np

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx._common.mjcf import actuator_labels, body_errors, exact_xml, joint_labels, quick_compile
from track_mjx.clips import Clips

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)


def matching(setting: str, kind: str, patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that match one of the patterns (``*`` for any letters), in their order."""
    idle = [pattern for pattern in patterns if "*" not in pattern and pattern not in names]
    raise_all(ConfigError, setting, [unknown(kind, pattern, names) for pattern in idle])
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def drop_actuators(spec: mujoco.MjSpec, patterns: Sequence[str]) -> None:
    """Delete the actuators whose names match."""
    labels = actuator_labels(quick_compile(spec)) if patterns else ()
    found = matching("arena.drop_actuators", "actuator", patterns, labels)
    for actuator in [actuator for actuator in spec.actuators if patterns and labels[actuator.id] in found]:
        spec.delete(actuator)


def lock_joints(clips: Clips, patterns: Sequence[str]) -> Clips:
    """Delete the joints whose names match, so that their bodies keep the angles of the model's reference pose.

    Whatever acts on such a joint is deleted too: actuators, tendons over it, equality constraints. The clips lose its
    columns.
    """
    if not patterns:
        return clips
    model = clips.model()
    labels = joint_labels(model)
    locked = set(matching("arena.lock_joints", "joint", patterns, labels))
    free = [labels[j] for j in range(model.njnt) if model.jnt_type[j] == _FREE and labels[j] in locked]
    raise_all(ConfigError, "arena.lock_joints", [f"{name!r} frees the root; it cannot be locked" for name in free])
    kept = np.array([label not in locked for label in labels])
    coordinates = np.append(model.jnt_qposadr, model.nq)
    qpos = np.repeat(kept, np.diff(coordinates))
    spec = mujoco.MjSpec.from_string(clips.mjcf_xml, assets=dict(clips.assets))
    with body_errors():
        quick_compile(spec)  # gives joints their numbers
        _delete_joints(spec, [joint for joint in spec.joints if not kept[joint.id]])
        quick_compile(spec)
    return replace(clips, mjcf_xml=exact_xml(spec), qpos=clips.qpos[:, qpos], qvel=clips.qvel[:, kept[model.dof_jntid]])


def _delete_joints(spec: mujoco.MjSpec, joints: Sequence[mujoco.MjsJoint]) -> None:
    """Delete joints and what refers to them."""
    names = {joint.name for joint in joints if joint.name}
    tendons = [t for t in spec.tendons if any(getattr(part.target, "name", None) in names for part in t.path)]
    tendon_names = {tendon.name for tendon in tendons}
    moved = {mujoco.mjtTrn.mjTRN_JOINT: names, mujoco.mjtTrn.mjTRN_TENDON: tendon_names}
    actuators = [actuator for actuator in spec.actuators if actuator.target in moved.get(actuator.trntype, ())]
    equalities = [e for e in spec.equalities if {e.name1, e.name2} & (names | tendon_names)]
    measured = {
        mujoco.mjtObj.mjOBJ_JOINT: names, mujoco.mjtObj.mjOBJ_TENDON: tendon_names,
        mujoco.mjtObj.mjOBJ_ACTUATOR: {actuator.name for actuator in actuators},
    }  # fmt: skip
    sensors = [sensor for sensor in spec.sensors if sensor.objname in measured.get(sensor.objtype, ())]
    for element in (*sensors, *spec.keys, *equalities, *actuators, *tendons, *joints):
        spec.delete(element)
