"""Where an animal is and how large: what a camera and a floor need to know. Lengths are in the MJCF's unit."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

_FOLLOW_S = 0.4
"""Time over which the camera's path is smoothed."""
_SAMPLE = 40
"""States that are measured, at least."""
_SAMPLE_S = 0.1
"""Longest time between them."""
_IN_VIEW = 95.0
"""Percentage of the states in which all of an animal that travels is in view; one that does not always is."""
_GHOST_ROOM = 1.6
"""A reference that leaves the body behind makes the picture at most this many times wider."""
_HIDDEN_GROUP = 3
"""MuJoCo shows groups 0 to 2 and keeps higher ones, collision shapes mostly, hidden."""
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


@dataclass(frozen=True)
class Extent:
    """Where the animal is and how large.

    Attributes:
        centre: what the camera looks at in each state.
        radius: of the sphere around the centre that holds the animal in nearly all states.
        around: points of the body in some states, from the centre.
        ghost: the same of the reference.
        floor: height of the floor; None where there is none.
        grid: distance of the floor's lines.
        in_view: percentage of the states in which all of the animal is in view.
    """

    centre: Float[np.ndarray, "state 3"]
    radius: float
    around: tuple[Float[np.ndarray, "_ 3"], ...]  # other states, other numbers of points
    ghost: tuple[Float[np.ndarray, "_ 3"], ...]
    floor: float | None
    grid: float
    in_view: float

    def framing(
        self, axes: Float[np.ndarray, "3 3"], widest: tuple[float, float]
    ) -> tuple[Float[np.ndarray, " 3"], float]:
        """Where a camera has to look, from the centre, and from how far, to see the animal in the middle.

        Args:
            axes: where right, up and ahead point for the camera, unit vectors in rows.
            widest: half the width and half the height of the picture at unit distance.
        """
        aside = np.zeros(2)
        distance = self._distance(axes, widest, aside)
        for _ in range(4):  # what is near looks larger, so middle and distance depend on each other
            every = np.concatenate(self.around) @ axes.T
            seen = (every[:, :2] - aside) / np.maximum(distance + every[:, 2:], 0.1 * distance)
            aside = aside + distance * (seen.min(axis=0) + seen.max(axis=0)) / 2
            distance = self._distance(axes, widest, aside)
        return aside @ axes[:2], distance

    def _distance(self, axes: np.ndarray, widest: tuple[float, float], aside: np.ndarray) -> float:
        own, reference = (self._needed(points, axes, widest, aside) for points in (self.around, self.ghost))
        return max(own, min(reference, _GHOST_ROOM * own), 0.1 * self.radius)

    def _needed(
        self, points: tuple[np.ndarray, ...], axes: np.ndarray, widest: tuple[float, float], aside: np.ndarray
    ) -> float:
        needed = []
        for some in points:
            right, up, ahead = axes @ some.T
            across = np.maximum(np.abs(right - aside[0]) / widest[0], np.abs(up - aside[1]) / widest[1])
            needed.append((across - ahead).max())
        return float(np.percentile(needed, self.in_view))


def measure(
    model: mujoco.MjModel,
    poses: tuple[Float[np.ndarray, "state qpos"], Float[np.ndarray, "state qpos"]],
    dt: float,
    length_unit_m: float,
) -> Extent:
    """Measure a rollout.

    Args:
        model: the body in its arena.
        poses: of the body and of its reference.
        dt: time between states, s.
        length_unit_m: metres per length unit of the MJCF.
    """
    own, reference = (np.where(np.isfinite(p), p, model.qpos0) for p in poses)
    count = max(_SAMPLE, round(len(own) * dt / _SAMPLE_S))
    some = np.unique(np.linspace(0, len(own) - 1, count).astype(int)).tolist()
    surface = Surface(model)
    around = [surface.points(own[state]) for state in some]
    ghost = [surface.points(reference[state]) for state in some]
    middles = np.stack([_middle(points) for points in around])
    moves = travels(model)
    if moves:
        between = np.stack([np.interp(np.arange(len(own)), some, column) for column in middles.T], axis=1)
        centre = _smoothed(between, _FOLLOW_S / dt)
    else:
        centre = np.tile(_middle(np.concatenate([*around, *ghost])), (len(own), 1))
    near = tuple(points - centre[state] for state, points in zip(some, around, strict=True))
    near_ghost = tuple(points - centre[state] for state, points in zip(some, ghost, strict=True))
    still = middles if moves else centre[some]
    reach = [np.linalg.norm(points - at, axis=-1).max() for points, at in zip(around, still, strict=True)]
    radius = float(np.percentile(reach, 90.0)) or float(model.stat.extent)
    grid = _round_length(radius * length_unit_m / 2) / length_unit_m
    floor = max((height for _, height in level_floors(model)), default=None)
    return Extent(centre, radius, near, near_ghost, floor, grid, _IN_VIEW if moves else 100.0)


class Surface:
    """Points around everything that moves, for any pose of a model."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model, self._data = model, mujoco.MjData(model)
        moving = model.body_weldid != 0
        shown = moving[model.geom_bodyid] & (model.geom_group < _HIDDEN_GROUP) & (model.geom_rgba[:, 3] > 0)
        self._geoms = np.flatnonzero(shown)
        self._bodies = np.flatnonzero(moving) if moving.any() else np.arange(1, model.nbody)
        # a limb without a shape begins at the body it hangs on
        parents = model.body_parentid[self._bodies]
        self._bodies = np.union1d(self._bodies, parents[parents != 0])

    def points(self, qpos: Float[np.ndarray, " qpos"]) -> Float[np.ndarray, "point 3"]:
        """Corners of the boxes around visible geoms, paths of tendons, and origins of bodies."""
        model, data = self._model, self._data
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_tendon(model, data)
        centre, half = model.geom_aabb[self._geoms, None, :3], model.geom_aabb[self._geoms, None, 3:]
        turn = data.geom_xmat[self._geoms].reshape(-1, 3, 3)
        corners = np.einsum("gij,gpj->gpi", turn, centre + half * _CORNERS) + data.geom_xpos[self._geoms, None]
        paths = data.wrap_xpos.reshape(-1, 3)[: int(data.ten_wrapnum.sum())]
        return np.concatenate([corners.reshape(-1, 3), paths, data.xpos[self._bodies]])


def travels(model: mujoco.MjModel) -> bool:
    """Say whether the body travels: a free joint, or sliding joints on a body of the first level."""
    kinds = (int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_SLIDE))
    joints = zip(model.jnt_type.tolist(), model.jnt_bodyid.tolist(), strict=True)
    return any(kind in kinds and model.body_parentid[body] == 0 for kind, body in joints)


def level_floors(model: mujoco.MjModel) -> list[tuple[int, float]]:
    """Geom and height of every level plane that stands still."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    still = (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE) & (model.body_weldid[model.geom_bodyid] == 0)
    level = still & (data.geom_xmat[:, 8] > 1 - 1e-6)
    return [(int(geom), float(data.geom_xpos[geom, 2])) for geom in np.flatnonzero(level)]


def _smoothed(path: Float[np.ndarray, "state 3"], states: float) -> Float[np.ndarray, "state 3"]:
    """A path without its wobble (Gaussian). Beyond its ends it goes on as it came, so that nothing lags there."""
    reach = int(3 * states) + 1
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(states, 1e-9)) ** 2)
    longer = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd") if len(path) > 1 else path
    if len(path) == 1:
        return path
    return np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in longer.T], axis=1)


def _middle(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " 3"]:
    return (points.min(axis=0) + points.max(axis=0)) / 2


def _round_length(length: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))
