"""Where an animal is and how large, as a camera needs to know. Lengths are in the MJCF's unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter1d

from ..mjcf import travels
from .shapes import body_shapes

_FOLLOW_S = 0.4
"""Time over which the camera's path is smoothed."""
_SAMPLES, _SAMPLE_S = 40, 0.1
"""Least number of states that are measured, and the longest time between them."""
_IN_VIEW = 95.0
"""Percentage of the states in which all of an animal that travels is in view."""
_GHOST_SPACE = 1.6
"""A reference far from the body makes the picture at most this many times wider."""


def pose(model: mujoco.MjModel, data: mujoco.MjData, qpos: Float[np.ndarray, " qpos"]) -> None:
    """Put a body into a pose; a pose that is not finite leaves it where it was."""
    if np.isfinite(qpos).all():
        data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
    mujoco.mj_tendon(model, data)


class Surface:
    """Points around some bodies of a model, for any pose."""

    def __init__(self, model: mujoco.MjModel, bodies: Sequence[int] = ()) -> None:
        """Prepare for `bodies`, MuJoCo ids; empty: everything that moves."""
        self._model, self._data = model, mujoco.MjData(model)
        moving = np.flatnonzero(model.body_weldid != 0)
        if not len(bodies) and len(moving):
            # a limb without a shape begins at its parent body
            parents = model.body_parentid[moving]
            bodies = np.union1d(moving, parents[parents != 0]).tolist()
        self._bodies = np.array(bodies or range(1, model.nbody), int)
        shapes = body_shapes(model, 1.0)
        chosen = np.isin(shapes.body, self._bodies)
        self._owner, self._points = shapes.body[chosen], shapes.points[chosen]

    def points(self, qpos: Float[np.ndarray, " qpos"]) -> Float[np.ndarray, "point 3"]:
        """Return points around visible geoms, paths of tendons, and origins of bodies."""
        data = self._data
        pose(self._model, data, qpos)
        rotation = data.xmat[self._owner].reshape(-1, 3, 3)
        surface = np.einsum("gij,gpj->gpi", rotation, self._points) + data.xpos[self._owner][:, None]
        paths = data.wrap_xpos.reshape(-1, 3)[: int(data.ten_wrapnum.sum())]
        return np.concatenate([surface.reshape(-1, 3), paths, data.xpos[self._bodies]])


@dataclass(frozen=True)
class Motion:
    """Poses that a film shows."""

    model: mujoco.MjModel
    qpos: Float[np.ndarray, "state qpos"]
    dt_s: float
    """Time between states."""
    length_unit_m: float
    """Metres per length unit of the MJCF."""
    reference: Float[np.ndarray, "state qpos"] | None = None
    """Poses shown as a ghost."""
    bodies: tuple[int, ...] = ()
    """MuJoCo ids of the bodies that must be in view; empty: everything that moves."""

    @property
    def sampled(self) -> Int[np.ndarray, " sample"]:
        """States with a finite pose, thinned out."""
        finite = np.flatnonzero(np.isfinite(self.qpos).all(axis=1))
        count = max(_SAMPLES, round(len(self.qpos) * self.dt_s / _SAMPLE_S))
        if not len(finite):
            return np.zeros(1, int)
        return finite[np.unique(np.linspace(0, len(finite) - 1, count).astype(int))]


@dataclass(frozen=True)
class Extent:
    """Where the animal is and how large."""

    centre: Float[np.ndarray, "state 3"]
    """What the camera looks at in each state."""
    radius: float
    """Radius of the sphere around the centre that contains the animal in nearly all states."""
    around: tuple[Float[np.ndarray, "_ 3"], ...]
    """Points of the body in some states, relative to the centre."""
    ghost: tuple[Float[np.ndarray, "_ 3"], ...]
    """The same of the reference."""
    grid: float
    """Distance between the lines on the floor."""
    in_view: float
    """Percentage of the states in which all of the animal is in view."""

    def distance(self, axes: Float[np.ndarray, "3 3"], widest: tuple[float, float]) -> float:
        """Return from what distance a camera that looks at the centre sees the whole animal.

        The rows of `axes` point right, up and ahead for the camera; `widest` is half of the picture at unit distance.
        """

        def needed(points: np.ndarray) -> float:
            right, up, ahead = axes @ points.T
            return (np.maximum(np.abs(right) / widest[0], np.abs(up) / widest[1]) - ahead).max()

        body = np.percentile([needed(points) for points in self.around], self.in_view)
        ghost = np.percentile([needed(points) for points in self.ghost], self.in_view) if self.ghost else 0.0
        return float(max(body, min(ghost, _GHOST_SPACE * body), 0.1 * self.radius))


def measure(motion: Motion, extra: Float[np.ndarray, "state point 3"] | None = None) -> Extent:
    """Measure a motion; `extra` holds points that must be in view too, NaN where they are missing."""
    model, states = motion.model, motion.sampled
    surface = Surface(model, motion.bodies)
    around = [surface.points(motion.qpos[state]) for state in states]
    if extra is not None:
        added = [points[np.isfinite(points).all(axis=1)] for points in extra[states]]
        around = [np.concatenate(pair) for pair in zip(around, added, strict=True)]
    ghost = [surface.points(motion.reference[state]) for state in states] if motion.reference is not None else []
    middles = np.stack([_middle(points) for points in around])
    n_states, moves = len(motion.qpos), travels(model)
    if moves:
        path = np.stack([np.interp(np.arange(n_states), states, column) for column in middles.T], axis=1)
        centre = _smoothed(path, _FOLLOW_S / motion.dt_s)
    else:
        middles[:] = _middle(np.concatenate([*around, *ghost]))
        centre = np.tile(middles[0], (n_states, 1))
    reach = [np.linalg.norm(points - middle, axis=-1).max() for points, middle in zip(around, middles, strict=True)]
    radius = float(np.percentile(reach, 90.0)) or float(model.stat.extent)
    return Extent(
        centre=centre,
        radius=radius,
        around=tuple(points - centre[state] for state, points in zip(states, around, strict=True)),
        ghost=tuple(points - centre[state] for state, points in zip(states, ghost, strict=False)),
        grid=round_length(radius * motion.length_unit_m / 2) / motion.length_unit_m,
        in_view=_IN_VIEW if moves else 100.0,
    )


def _smoothed(path: Float[np.ndarray, "state 3"], sigma: float) -> Float[np.ndarray, "state 3"]:
    """Smooth a path. It is continued in its direction beyond both ends, so that the camera does not lag there."""
    width = int(3 * sigma) + 1
    longer = np.pad(path, ((width, width), (0, 0)), mode="reflect", reflect_type="odd")
    return gaussian_filter1d(longer, sigma, axis=0)[width:-width]


def _middle(points: Float[np.ndarray, "point 3"]) -> Float[np.ndarray, " 3"]:
    return (points.min(axis=0) + points.max(axis=0)) / 2


def round_length(length: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is at most `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(power * max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))
