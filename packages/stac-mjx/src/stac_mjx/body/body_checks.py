"""What can be wrong with a body's configuration, all of it at once, with the nearest valid names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase

import mujoco

from stac_mjx._common.errors import unknown
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.root import ROOTS
from stac_mjx.config import BodyConfig


def body_faults(config: BodyConfig, model: mujoco.MjModel) -> list[str]:
    """Return every fault of a body's configuration against its compiled model, one sentence each."""
    bodies = [model.body(i).name for i in range(model.nbody) if model.body(i).name]
    joints = [model.joint(i).name for i in range(model.njnt) if model.joint(i).name]
    return [
        *_plain_faults(config),
        *_marker_faults(config, bodies),
        *_keypoint_faults(config),
        *_part_faults(config, model, bodies, joints),
        *(f"end_effectors: {unknown('body', name, bodies)}" for name in config.end_effectors if name not in bodies),
        *_repeats("end_effectors", config.end_effectors),
    ]


def part_joints(model: mujoco.MjModel, name: str) -> list[int] | None:
    """Joint ids a part's name stands for: all joints of the body of that name, else the joint; None: neither.

    Bodies go first because several models name a body and one of its joints alike. A name with ``*`` or ``?``
    stands for all bodies that match it, or if none does for all joints that do.
    """
    bodies = [i for i in range(model.nbody) if fnmatchcase(model.body(i).name, name)]
    if bodies:
        return [int(model.body_jntadr[i]) + k for i in bodies for k in range(model.body_jntnum[i])]
    joints = [i for i in range(model.njnt) if fnmatchcase(model.joint(i).name, name)]
    return joints or None


def _plain_faults(config: BodyConfig) -> list[str]:
    faults = []
    if config.unit not in METRES_PER_UNIT:
        faults.append(f"unit: {unknown('length unit', str(config.unit), list(METRES_PER_UNIT))}")
    if not (math.isfinite(config.scale) and config.scale > 0):
        faults.append(f"scale: expected a positive number, got {config.scale}")
    if config.rate_hz is not None and not 0 < config.rate_hz < math.inf:
        faults.append(f"rate_hz: expected a positive number, got {config.rate_hz}")
    if config.root not in ROOTS:
        faults.append(f"root: expected {', '.join(ROOTS[:-1])} or {ROOTS[-1]}, got {config.root!r}")
    if not config.markers:
        faults.append("markers: there are none; name the keypoints and the bodies they move with")
    return faults


def _marker_faults(config: BodyConfig, bodies: list[str]) -> list[str]:
    faults = []
    for name, marker in config.markers.items():
        if marker.body not in bodies:
            faults.append(f"markers.{name}.body: {unknown('body', marker.body, bodies)}")
        offset = list(marker.offset)
        if len(offset) != 3 or not all(math.isfinite(value) for value in offset):
            faults.append(f"markers.{name}.offset: expected three finite numbers (metres), got {offset}")
        if not 0 <= marker.regularize < math.inf:
            faults.append(f"markers.{name}.regularize: expected no negative number, got {marker.regularize}")
    return faults


def _keypoint_faults(config: BodyConfig) -> list[str]:
    """Faults of the lists that name keypoints."""
    markers = [str(name) for name in config.markers]
    faults = []
    if config.root_keypoint is not None and config.root_keypoint not in markers:
        faults.append(f"root_keypoint: {unknown('keypoint', config.root_keypoint, markers)}")
    faults += [f"leave_out: {unknown('keypoint', name, markers)}" for name in config.leave_out if name not in markers]
    if markers and set(markers) <= set(config.leave_out):
        faults.append("leave_out: leaves no keypoint")
    strangers = [name for name in config.trunk_keypoints if name not in markers]
    faults += [f"trunk_keypoints: {unknown('keypoint', name, markers)}" for name in strangers]
    for pair in config.skeleton:
        if len(pair) != 2:
            faults.append(f"skeleton: expected pairs of keypoints, got {list(pair)}")
        faults += [f"skeleton: {unknown('keypoint', name, markers)}" for name in pair if name not in markers]
    order = list(config.keypoint_order)
    if order:
        missing = [name for name in markers if name not in order]
        faults += [f"keypoint_order: lacks marker {name!r}" for name in missing]
    return faults + _repeats("keypoint_order", order) + _repeats("trunk_keypoints", config.trunk_keypoints)


def _part_faults(config: BodyConfig, model: mujoco.MjModel, bodies: list[str], joints: list[str]) -> list[str]:
    faults = []
    for part, names in config.parts.items():
        found = {name: part_joints(model, name) for name in names}
        faults += [
            f"parts.{part}: {unknown('body or joint', name, [*bodies, *joints])}"
            for name, ids in found.items()
            if ids is None
        ]
        if None not in found.values() and not any(found.values()):
            faults.append(f"parts.{part}: no joint moves {list(names)}; name the joints, or the bodies that carry them")
        faults += _repeats(f"parts.{part}", names)
    return faults


def _repeats(where: str, names: Sequence[str]) -> list[str]:
    return [f"{where}: {name!r} stands there {count} times" for name, count in Counter(names).items() if count > 1]
