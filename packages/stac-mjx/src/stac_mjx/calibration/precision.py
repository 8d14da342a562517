"""How well poses and offsets can be known: the errors that noise on the keypoints must cause, to first order.

The solver minimises ``sum w |y - p(q, m)|^2 + c |q - q0|^2`` over poses q, calibration over offsets m as well, with a
pull ``lambda`` of every offset toward its initial one. Around the solution p is linear, with Jacobian J for the pose
and the rotations R of the bodies for the offsets, so noise n of standard deviation s on every coordinate leads to

    dq_t = A_t^-1 J_t' W (n_t - R_t dm),    A_t = J_t' W J_t + C
    dm   = S^-1 sum_t R_t' W P_t n_t,       P_t = I - J_t A_t^-1 J_t' W,   S = sum_t R_t' W P_t R_t + T lambda

(the normal equations of both together, with the poses eliminated by a Schur complement: bundle adjustment). Without
priors these are the Cramer-Rao bounds. `resolution` says how far an estimate comes from the data (1) or the prior (0).
Joints that sit on a limit are taken as fixed. Offsets and the mean angle of a joint can compensate each other (turning
a marker about a hinge looks like turning the hinge): along such directions only the initial offsets decide, and the
error of the initial offsets is part of what must be expected.

`offset_errors` states the errors of a calibration from its own residuals r, without a model of their size:

    cov(dm) = S^-1 (B + T^2 lambda s0^2 lambda) S^-1 + b b'

B is the variance of the sum of the scores ``g_t = R_t' W P_t r_t`` (a sandwich estimate: it holds for any variance of
single keypoints), times the factor by which errors that last make the frames count for fewer: correlations of the
scores between frames are fitted with ``a phi^lag``. s0 is the standard error of the initial offsets: where the data
decide, the offsets have moved away from them by as much (with Student's factor for so few coordinates). b b' stands for
two known errors: what the pull of the neutral pose does to the offsets, and the step to the minimum that calibration
still had to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit

from stac_mjx.body.poses import marker_frames, marker_jacobian
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver, markers_at
from stac_mjx.kinematics.trajectory import steps
from stac_mjx.records import thinned

MOST_FRAMES = 500
"""Frames that standard errors are computed from; a few megabytes each for a body of 200 degrees of freedom."""
LENGTHS, LONGEST, SIGNIFICANT = 60, 8.0, 12.0
"""Lengths of correlations that are tried, from half a frame to this part of the longest clip; a correlation counts when
it lowers the misfit by this multiple of the mean squared misfit of a pair."""


@dataclass(frozen=True)
class Linear:
    """The fit of poses around a solution, mm: J, W and A of every frame, and the rotations of the bodies."""

    jacobian: Float[np.ndarray, "frame coordinate dof"]
    weight: Float[np.ndarray, "frame coordinate 1"]
    matrix: Float[np.ndarray, "frame dof dof"]
    turn: Float[np.ndarray, "frame keypoint 3 3"]

    @property
    def force(self) -> Float[np.ndarray, "frame dof coordinate"]:
        """J' W."""
        return np.swapaxes(self.weight * self.jacobian, 1, 2)

    @cached_property
    def gain(self) -> Float[np.ndarray, "frame dof coordinate"]:
        """A^-1 J' W."""
        return np.linalg.solve(self.matrix, self.force)

    @property
    def resolution(self) -> Float[np.ndarray, "frame dof"]:
        """Part of each estimate that comes from the keypoints."""
        return np.einsum("fik,fki->fi", self.gain, self.jacobian)

    def spread(self, covariance: Float[np.ndarray, "size size"]) -> Float[np.ndarray, "frame dof"]:
        """Return the variance of poses under a covariance of the offsets, mm^2."""
        rotated = times_turn(self.gain, self.turn)
        return np.einsum("fia,ab,fib->fi", rotated, covariance, rotated, optimize=True)

    @property
    def left(self) -> Float[np.ndarray, "frame coordinate coordinate"]:
        """R' W P."""
        projection = self.weight * (np.eye(self.jacobian.shape[1]) - self.jacobian @ self.gain)
        return np.swapaxes(times_turn(np.swapaxes(projection, 1, 2), self.turn), 1, 2)


def linearised(solver: PoseSolver, qpos: np.ndarray, offsets: np.ndarray, observation: Observation) -> Linear:
    """Linearise the fit of poses `qpos` (metres) to keypoints."""
    jacobian = 1000 * marker_jacobian(solver.body, qpos, offsets)
    n_frames, n_keypoints, _, n_dof = jacobian.shape
    jacobian = jacobian.reshape(n_frames, 3 * n_keypoints, n_dof) * _movable(solver, qpos)[:, None, :]
    weight = np.repeat(observation.weight, 3, axis=1)[..., None]
    ridge = np.eye(n_dof) * np.maximum(solver.prior_weight, 1e-9)
    matrix = np.swapaxes(weight * jacobian, 1, 2) @ jacobian + ridge
    return Linear(jacobian, weight, matrix, marker_frames(solver.body, qpos).rotation)


class OffsetErrors(NamedTuple):
    """Errors of calibrated offsets."""

    covariance: Float[np.ndarray, "size size"]
    """Of all coordinates of all offsets, metres^2; NaN: unknown."""
    effective_frames: float
    """Independent frames that would determine the offsets as well."""

    @property
    def standard_error(self) -> Float[np.ndarray, "keypoint 3"]:
        """Of each offset, metres; NaN: unknown."""
        return np.sqrt(np.diag(self.covariance)).reshape(-1, 3)


def offset_errors(
    solver: PoseSolver,
    qpos: Float[np.ndarray, "frame nq"],
    offsets: Float[np.ndarray, "keypoint 3"],
    observation: Observation,
    pull: Float[np.ndarray, " keypoint"],
    sample: FrameSample,
) -> OffsetErrors:
    """Return standard errors of calibrated offsets under the errors that the fit itself leaves.

    `pull` is that of calibration, `sample` where its frames are in the recording. Long samples are thinned. The
    transform of the recording (`alignment.mode`) is taken as known.
    """
    frames = thinned(len(qpos), MOST_FRAMES)
    some, poses, part = observation.take(frames), qpos[frames], sample.take(frames)
    linear, n_frames = linearised(solver, poses, offsets, some), len(frames)
    freedom = 3 * int(some.present.sum()) - float(linear.resolution.sum()) - offsets.size
    if freedom <= 0:
        return OffsetErrors(np.full((offsets.size, offsets.size), np.nan), 0.0)
    residual = 1000 * (np.where(some.present[..., None], some.target, 0.0) - markers_at(solver, offsets, poses))
    residual = np.where(some.present[..., None], residual, 0.0).reshape(n_frames, -1)
    importance = part.importance[:, None]
    left = linear.left
    held = n_frames * np.repeat(np.maximum(pull, 1e-12), 3)
    data = (importance[..., None] * times_turn(left, linear.turn)).sum(axis=0)
    inverse = np.linalg.inv(data + np.diag(held))
    scores = importance * np.einsum("fab,fb->fa", left, residual)
    scores -= scores.mean(axis=0)
    lasting = lasting_factor(scores, part)
    noise = lasting * inverse @ (scores.T @ scores) @ inverse
    moved = 1000 * (offsets - solver.body.marker_offset).ravel()
    decided = inverse @ data
    initial = max(0.0, float(moved @ moved - np.trace(noise))) / max(float((decided**2).sum()), 1e-9)
    # the size of the initial errors is itself known from few coordinates: intervals of 1.96 errors are Student's
    initial *= float(stdtrit(max(1.0, np.trace(decided)), 0.975) / ndtri(0.975)) ** 2
    away = steps(solver.tree, np.tile(solver.neutral, (n_frames, 1)), poses)
    back = np.einsum("fdk,fd->fk", linear.gain, solver.prior_weight * away)  # W J A^-1 C (q - q0)
    drawn = inverse @ (importance * times_turn(back[:, None, :], linear.turn)[:, 0]).sum(axis=0)
    # the step that calibration would still make
    slope = (importance * times_turn((linear.weight[..., 0] * residual)[:, None, :], linear.turn)[:, 0]).sum(axis=0)
    ahead = inverse @ (slope - held * moved)
    covariance = noise * n_frames / len(qpos) + (inverse * (initial * held**2)) @ inverse
    covariance = covariance + np.outer(drawn, drawn) + np.outer(ahead, ahead)
    ever = np.repeat(np.atleast_1d(observation.present.any(axis=0)), 3)
    covariance[~ever], covariance[:, ~ever] = np.nan, np.nan
    return OffsetErrors(covariance * 1e-6, len(qpos) / lasting)


class FrameSample(NamedTuple):
    """Frames of a calibration: number in the recording, clip, and importance (mean 1)."""

    frame: Int[np.ndarray, " frame"]
    clip: Int[np.ndarray, " frame"]
    importance: Float[np.ndarray, " frame"]

    def take(self, rows: np.ndarray) -> FrameSample:
        """Return some of the frames."""
        return FrameSample(*(column[rows] for column in self))


def lasting_factor(scores: Float[np.ndarray, "frame coordinate"], sample: FrameSample) -> float:
    """Return the variance of the sum of scores over that of independent ones; at least 1.

    The correlation of scores at a lag of n frames in one clip is taken to be ``a phi^n`` and fitted to that of all
    pairs of frames, pooled over the coordinates, each in units of its own size. Because the scores of a fit add up to
    zero, every correlation is lower by the variance of their mean, which is part of the fit.
    """
    n_frames, size = len(scores), np.sqrt((scores**2).mean(axis=0))
    unit = scores[:, size > 1e-9 * size.max(initial=1e-30)] / size[size > 1e-9 * size.max(initial=1e-30)]
    if n_frames < 3 or not unit.size:
        return 1.0
    first, second = np.triu_indices(n_frames, 1)
    together = sample.clip[first] == sample.clip[second]
    lag = (sample.frame[second] - sample.frame[first])[together]
    if not len(lag):
        return 1.0
    found = (unit @ unit.T / unit.shape[1])[first[together], second[together]]
    best, factor, usual = np.inf, 1.0, float(((found + (1 - found) / n_frames) ** 2).mean())
    lags, which = np.unique(lag, return_inverse=True)  # pairs of one lag are fitted by the same value
    pairs, sums = np.bincount(which), np.bincount(which, found)
    for length in np.geomspace(0.5, max(1.0, float(lag.max()) / LONGEST), LENGTHS):
        decay = np.exp(-lags / length)
        total = 2 * float(pairs @ decay) / n_frames
        # least squares of a in found (1 - s) + s = a decay, with s = (1 + a total) / n_frames
        above = float(pairs @ decay - sums @ decay)
        below = float(pairs @ decay**2) - above * total / n_frames
        a = (float(sums @ decay) + above / n_frames) / below if below > 0 else 1.0
        a = float(np.clip(a, 0.0, 1.0))
        share = min((1 + a * total) / n_frames, 1 - 1 / n_frames)
        left = share - a * decay  # misfit: of found (1 - s) + left, over all pairs
        misfit = float(found @ found) + float((2 * (1 - share) * sums + pairs * left) @ left) / (1 - share) ** 2
        if misfit < min(best, usual * (len(lag) - SIGNIFICANT)):
            best, factor = misfit, (1 + a * total) / (1 - share)
    return max(1.0, factor)


def _movable(solver: PoseSolver, qpos: np.ndarray) -> Float[np.ndarray, "frame dof"]:
    """Return 1 where a joint is off its limits, else 0."""
    tree = solver.tree
    out = np.ones((len(qpos), tree.n_dof))
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    out[:, dof] = (qpos[:, qadr] > tree.lower[dof] + 1e-6) & (qpos[:, qadr] < tree.upper[dof] - 1e-6)
    return out


def times_turn(matrix: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return the product of (frame, row, 3 keypoint) with the block-diagonal rotations (frame, keypoint, 3, 3)."""
    blocks = matrix.reshape(*matrix.shape[:2], -1, 3)
    return np.einsum("frkc,fkcd->frkd", blocks, turn).reshape(matrix.shape)
