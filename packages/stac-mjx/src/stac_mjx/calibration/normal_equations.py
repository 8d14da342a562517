"""Steps of all marker offsets, and of the frame of the recording, with the poses eliminated.

The residuals r of a frame are linear in a step u of the offsets and of the transform of the recording, and in the step
of the pose that follows: ``r - G u - J dq``. With ``A = J' W J + C`` (C the pull of the neutral pose q0), the best dq
for a given u is ``A^-1 (J' (W r - W G u) + C (q0 - q))``. What is left are normal equations in u alone, the Schur
complement of the poses (variable projection; bundle adjustment):

    sum (G' W G - M' J' W G) u = sum (G' W r - M' (J' W r + C (q0 - q))),    M = A^-1 J' W G

plus the pull of the offsets. With the poses held instead, the matrix is ``sum G' W G``: the alternation of STAC, whose
best offset is a weighted mean of the keypoint in the frame of its body. `NormalEquations.step` goes from one to the
other, as Levenberg and Marquardt go from gradient descent to Gauss-Newton. Lengths are in mm here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stac_mjx.calibration.precision import linearised, times_turn
from stac_mjx.inverse_kinematics.levenberg import MM
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver, markers_at
from stac_mjx.kinematics.trajectory import steps

OF_MODE = {"none": 0, "rigid": 6, "similarity": 7}
"""Unknowns of the transform of the recording: three of its place, three of its rotation, one of its scale."""
RIDGE = 1e-9
"""Added to the diagonal, as a part of its largest value: what nothing determines stays."""


class Step(NamedTuple):
    """A step of the offsets and of the transform of the recording, or of each clip."""

    offsets: Float[np.ndarray, "keypoint 3"]
    """Metres."""
    shift: Float[np.ndarray, "group 3"]
    """Of the middle of the recording, or of each clip, metres."""
    turn: Float[np.ndarray, "group 3"]
    """Rotation vector about that middle, rad."""
    stretch: float
    """Logarithm of a factor on the scale of the recording."""


class Sample(NamedTuple):
    """The frames that calibration uses."""

    observation: Observation
    """In the frame of the body; its weights include those of the robust loss."""
    importance: Float[np.ndarray, " frame"]
    """How many frames of the recording each one stands for; mean 1."""
    pull: Float[np.ndarray, " keypoint"]
    """Of each offset toward its initial one, in units of one observation a frame."""


class Transforms(NamedTuple):
    """How transforms of the recording are fitted."""

    mode: str
    """``none``, ``rigid`` or ``similarity``."""
    middle: Float[np.ndarray, "group 3"]
    """About which each one turns, in the frame of the body, metres."""
    group: Int[np.ndarray, " frame"]
    """Which of them each frame has."""


@dataclass(frozen=True)
class NormalEquations:
    """Normal equations of offsets and transforms around the present state, with the pull of the offsets."""

    following: Float[np.ndarray, "unknown unknown"]
    """With poses that follow."""
    held: Float[np.ndarray, "unknown unknown"]
    """With poses held."""
    slope_following: Float[np.ndarray, " unknown"]
    slope_held: Float[np.ndarray, " unknown"]
    transforms: Transforms
    size_mm: float
    """Of the body: rotations and the logarithm of the scale count as what they do at this distance."""

    def step(self, damping: float) -> Step:
        """Return the step for a part of `damping` (0..1) of poses held."""
        matrix = (1 - damping) * self.following + damping * self.held
        matrix += RIDGE * matrix.diagonal().max() * np.eye(len(matrix))
        step = np.linalg.solve(matrix, (1 - damping) * self.slope_following + damping * self.slope_held)
        n_groups, each = len(self.transforms.middle), OF_MODE[self.transforms.mode]
        n_offsets = len(step) - n_groups * min(each, 6) - (each == 7)
        offsets, rigid, stretch = np.split(step, [n_offsets, n_offsets + n_groups * min(each, 6)])
        shift, turn = np.split(rigid.reshape(n_groups, -1) if each else np.zeros((n_groups, 6)), 2, axis=1)
        return Step(
            offsets.reshape(-1, 3) / MM,
            shift / MM,
            turn / self.size_mm,
            float(stretch.sum()) / self.size_mm,
        )


def normal_equations(
    solver: PoseSolver,
    qpos: Float[np.ndarray, "frame nq"],
    offsets: Float[np.ndarray, "keypoint 3"],
    sample: Sample,
    transforms: Transforms,
) -> NormalEquations:
    """Return the normal equations at poses `qpos` and `offsets`, metres."""
    size_mm = MM * solver.body.size_m
    terms = _terms(solver, qpos, offsets, sample, transforms)
    n, each = offsets.size, terms.by_transform.shape[2]
    n_groups, n_own = len(transforms.middle), min(each, 6)
    size = n + n_own * n_groups + (each == 7)
    totals = [np.zeros((size,) * axes) for axes in (2, 2, 1, 1)]
    for group in range(n_groups):
        own = n + n_own * group + np.arange(n_own)
        rows = np.concatenate([np.arange(n), own, [size - 1] * (each == 7)]).astype(int)
        for total, part in zip(totals, terms.sums(transforms.group == group), strict=True):
            total[np.ix_(*[rows] * total.ndim)] += part
    pull, away = np.zeros(size), np.zeros(size)
    pull[:n] = len(qpos) * np.repeat(sample.pull, 3)
    away[:n] = MM * (offsets - solver.body.marker_offset).ravel()
    following, held, slope_following, slope_held = totals
    return NormalEquations(
        following + np.diag(pull), held + np.diag(pull), slope_following - pull * away, slope_held - pull * away,
        transforms, size_mm,
    )  # fmt: skip


class _Terms(NamedTuple):
    """What each frame adds, with G = [R, D]: R the rotations of the bodies (block-diagonal), D `by_transform`."""

    weight: Float[np.ndarray, "frame coordinate 1"]
    residual: Float[np.ndarray, "frame coordinate 1"]
    turn: Float[np.ndarray, "frame keypoint 3 3"]
    by_transform: Float[np.ndarray, "frame coordinate transform"]
    moved: Float[np.ndarray, "frame dof local"]
    """M, times the importance of the frame, as `weight`."""
    pushed: Float[np.ndarray, "frame dof local"]
    """J' W G."""
    drawn: Float[np.ndarray, "frame dof"]
    """J' W r + C (q0 - q)."""

    def sums(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return G' W G - M' J' W G, G' W G, and both slopes, summed over some frames."""
        weight, residual, turn, by_transform, moved, pushed, drawn = (values[frames] for values in self)
        both = weight * np.concatenate([residual, by_transform], axis=2)
        offsets = times_turn(np.swapaxes(both, 1, 2), turn).sum(axis=0)
        own = np.tensordot(by_transform, both, ([0, 1], [0, 1]))
        square = np.diag(weight.sum(axis=(0, 2)))  # R' W R, with one weight a keypoint
        held = np.block([[square, offsets[1:].T], [offsets[1:], own[:, 1:]]])
        slope = np.concatenate([offsets[0], own[:, 0]])
        following = held - np.tensordot(moved, pushed, ([0, 1], [0, 1]))
        return following, held, slope - np.tensordot(moved, drawn, ([0, 1], [0, 1])), slope


def _terms(solver: PoseSolver, qpos: np.ndarray, offsets: np.ndarray, sample: Sample, transforms: Transforms) -> _Terms:
    observation, importance = sample.observation, sample.importance[:, None, None]
    linear = linearised(solver, qpos, offsets, observation)
    markers = markers_at(solver, offsets, qpos)
    seen = observation.present[..., None]
    residual = MM * np.where(seen, observation.target - markers, 0.0).reshape(linear.weight.shape)
    by_transform = _by_transform(np.where(seen, observation.target, markers), markers, transforms, solver.body.size_m)
    force = linear.force
    pushed = np.concatenate([times_turn(force, linear.turn), force @ by_transform], axis=2)
    moved = importance * np.linalg.solve(linear.matrix, pushed)
    away = steps(solver.tree, qpos, np.tile(solver.neutral, (len(qpos), 1)))
    drawn = (force @ residual)[..., 0] + solver.prior_weight * away
    return _Terms(importance * linear.weight, residual, linear.turn, by_transform, moved, pushed, drawn)


def _by_transform(
    target: np.ndarray, markers: np.ndarray, transforms: Transforms, size_m: float
) -> Float[np.ndarray, "frame coordinate transform"]:
    """Return minus the derivative of residuals to place, rotation and scale of the recording.

    Residuals are those in the size of the recording: a smaller scale does not lower them.
    """
    middle = transforms.middle[transforms.group][:, None]
    arm, reach = (target - middle) / size_m, (markers - middle) / size_m
    columns = [
        np.broadcast_to(-np.eye(3), (*arm.shape, 3)),
        -np.cross(np.eye(3), arm[:, :, None]).swapaxes(2, 3),
        -reach[..., None],
    ]
    return np.concatenate(columns, axis=-1)[..., : OF_MODE[transforms.mode]].reshape(len(arm), arm[0].size, -1)
