"""Match joints, bodies and keypoints of a public stac-mjx file by name to those of a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import BodyError, InputError, raise_all, unknown
from stac_mjx.body.body import Body
from stac_mjx.config import ConvertConfig
from stac_mjx.convert.public_files import PublicOutput

_WIDTHS = {int(mujoco.mjtJoint.mjJNT_FREE): (7, 6), int(mujoco.mjtJoint.mjJNT_BALL): (4, 3)}
_ONE = (1, 1)


class MarkerOffsets(NamedTuple):
    """Final and initial offsets of a file, in the frames of our bodies, metres; whether it regularised them."""

    final: Float[np.ndarray, "keypoint 3"]
    initial: Float[np.ndarray, "keypoint 3"]
    regularised: np.ndarray


def in_model_order(output: PublicOutput, body: Body, rename: Mapping[str, str]) -> PublicOutput:
    """Return a file with poses and velocities in the order of the model's joints; velocities of other joints: None."""
    model, n_columns, qvel = body.model, output.qpos.shape[1], output.qvel
    kinds = [_WIDTHS.get(int(kind), _ONE) for kind in model.jnt_type]
    width = dict(zip(body.joint_names, kinds, strict=True))
    qvel = None if qvel is None or qvel.shape[1] != model.nv else qvel
    if output.joints is None:
        if n_columns != model.nq:
            raise BodyError(f"{output.path}: qpos has {n_columns} columns and no names, the model has {model.nq}")
        return replace(output, qvel=qvel)
    joints = _joints(output.joints, n_columns, width, rename)
    raise_all(BodyError, f"{output.path}: does not fit body {body.name!r}", _joint_problems(joints, width, n_columns))
    qvel = None if qvel is None else qvel[:, _columns(joints, width, 1)]
    return replace(output, qpos=output.qpos[:, _columns(joints, width, 0)], qvel=qvel)


def _joints(
    names: Sequence[str], n_columns: int, width: Mapping[str, tuple[int, int]], rename: Mapping[str, str]
) -> list[tuple[str, int]]:
    """Return the model's names of the joints of a file, with their numbers of columns."""
    if len(names) == n_columns:  # one name a column, else one a joint
        joints = [(rename.get(name, name), len(list(same))) for name, same in groupby(names)]
    else:
        renamed = [rename.get(name, name) for name in names]
        joints = [(name, width.get(name, _ONE)[0]) for name in renamed]
    # a free joint often has no name
    ours = [name for name, sizes in width.items() if sizes[0] == 7]
    if len(ours) == 1 and [n for _, n in joints].count(7) == 1:
        return [(ours[0] if n == 7 else name, n) for name, n in joints]
    return joints


def _joint_problems(joints: list[tuple[str, int]], width: Mapping[str, tuple[int, int]], n_columns: int) -> list[str]:
    expected, stored = list(width), dict(joints)
    problems = [
        f"names_qpos: {unknown('joint', name, expected)} (to map it: joint_rename={{{name}:NAME}})"
        for name in stored
        if name not in width
    ]
    problems += [f"names_qpos: missing joint {name!r} of the model" for name in expected if name not in stored]
    problems += [
        f"names_qpos: joint {name!r} has {n} columns, expected {width[name][0]}"
        for name, n in joints
        if name in width and n != width[name][0]
    ]
    if len(stored) < len(joints):
        problems.append("names_qpos: a joint is listed at two places")
    if not problems and sum(stored.values()) != n_columns:
        problems.append(f"names_qpos: its joints have {sum(stored.values())} coordinates, qpos has {n_columns}")
    return problems


def _columns(joints: list[tuple[str, int]], width: Mapping[str, tuple[int, int]], which: int) -> np.ndarray:
    start, first = 0, {}
    for name, _ in joints:
        first[name] = start
        start += width[name][which]
    return np.concatenate([np.arange(first[name], first[name] + sizes[which]) for name, sizes in width.items()])


def match_offsets(output: PublicOutput, body: Body, config: ConvertConfig) -> MarkerOffsets:
    """Return the offsets of the body's markers, in the frames of their bodies here.

    A keypoint that the file ties to another body of the same rigid piece is converted exactly.
    """
    rename = config.keypoint_rename
    names = [rename.get(name, name) for name in output.kp_names or body.keypoint_order]
    if len(names) != len(output.offsets):
        raise InputError(f"{output.path}: offsets: got {len(output.offsets)} of {len(names)} keypoints (kp_names)")
    final = output.offsets[[names.index(name) for name in body.marker_names]]
    settings = output.model_settings
    pairs = _renamed(settings.get("KEYPOINT_MODEL_PAIRS"), rename)
    pairs = {name: config.body_rename.get(str(theirs), str(theirs)) for name, theirs in pairs.items()}
    carry = _carrier(output, body, pairs)
    started = {n: vector(v) for n, v in _renamed(settings.get("KEYPOINT_INITIAL_OFFSETS"), rename).items()}
    rows = [started.get(name) for name in body.marker_names]
    known = np.array([row is not None for row in rows])
    initial = carry(np.array([np.zeros(3) if row is None else row for row in rows]).reshape(-1, 3))
    held = settings.get("SITES_TO_REGULARIZE")
    held = [rename.get(str(name), str(name)) for name in held] if isinstance(held, list) else []
    return MarkerOffsets(
        carry(final), np.where(known[:, None], initial, body.marker_offset), np.isin(body.marker_names, held)
    )


def _carrier(output: PublicOutput, body: Body, pairs: Mapping[str, str]) -> Any:
    """Return a function that converts offsets (keypoint, 3) from the frames of the file's bodies to ours."""
    place, turn = body.rest
    piece, ours = body.tree.body_node, body.marker_body
    theirs, problems = ours.copy(), []
    for k, name in enumerate(body.marker_names):
        other = pairs.get(name, body.body_names[ours[k]])
        if other not in body.body_names:
            problems.append(
                f"keypoint {name!r} is tied to {unknown('body', other, body.body_names)} "
                f"(to map it: body_rename={{{other}:NAME}})"
            )
            continue
        theirs[k] = body.body_names.index(other)
        if piece[theirs[k]] != piece[ours[k]]:
            problems.append(
                f"keypoint {name!r} is tied to body {other!r}, here to {body.body_names[ours[k]]!r}, which moves "
                f"relative to it. Set body.markers.{name}.body={other}"
            )
    raise_all(BodyError, f"{output.path}: does not fit body {body.name!r}", problems)

    def carry(points: np.ndarray) -> np.ndarray:
        world = place[theirs] + np.einsum("kij,kj->ki", turn[theirs], points)
        moved = np.einsum("kji,kj->ki", turn[ours], world - place[ours])
        return np.where((theirs == ours)[:, None], points, moved)

    return carry


def _renamed(value: Any, rename: Mapping[str, str]) -> dict[str, Any]:
    return {rename.get(str(k), str(k)): v for k, v in value.items()} if isinstance(value, Mapping) else {}


def vector(value: Any) -> np.ndarray | None:
    """Return three numbers from ``"0. 0. 0."`` or a list, else None."""
    parts = value.split() if isinstance(value, str) else value
    try:
        numbers = np.array([float(part) for part in parts])
    except (TypeError, ValueError):
        return None
    return numbers if numbers.shape == (3,) else None
