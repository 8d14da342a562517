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
error of the initial offsets, given as `initial_mm`, is part of what must be expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from stac_mjx._common.rotations import quat_to_mat
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver, distances_mm
from stac_mjx.kinematics.forward import body_poses, marker_jacobian
from stac_mjx.records import thinned

MOST_FRAMES = 500
"""Frames that standard errors are computed from; a few megabytes each for a body of 200 degrees of freedom."""


@dataclass(frozen=True)
class Precision:
    """Expected standard errors."""

    joint: Float[np.ndarray, "frame dof"]
    """Of every degree of freedom, rad (slides: metres)."""
    resolution: Float[np.ndarray, "frame dof"]
    """Part of each estimate that comes from the keypoints."""
    offset_covariance: Float[np.ndarray, "size size"]
    """Of all coordinates of all offsets in the frames of the bodies, (3 keypoint, 3 keypoint), mm^2; zero where offsets
    were taken as known. Some directions are known far better than others: compare errors with it as a whole, because a
    median over coordinates says little."""

    @property
    def offset_mm(self) -> Float[np.ndarray, "keypoint 3"]:
        """Standard error of every coordinate of every offset, mm."""
        return np.sqrt(np.diag(self.offset_covariance)).reshape(-1, 3)


@dataclass(frozen=True)
class OffsetPrior:
    """What is known of the offsets beforehand."""

    pull: Float[np.ndarray, " keypoint"]
    """Pull toward the initial offsets, observations a frame."""
    initial_mm: float | None = None
    """Standard error of the initial offsets. None: derived from the pull, because an initial offset that counts as
    much as `pull` observations in every frame is claimed to be that good."""


def expected_errors(
    solver: PoseSolver,
    qpos: Float[np.ndarray, "frame nq"],
    offsets: Float[np.ndarray, "keypoint 3"],
    observation: Observation,
    noise_mm: float,
    prior: OffsetPrior | None = None,
) -> Precision:
    """Return standard errors of poses (and, with `prior`, of offsets calibrated on these frames) under noise.

    Args:
        solver: body and settings.
        qpos: poses around which to linearise.
        offsets: marker offsets, metres.
        observation: which keypoints were observed, with what weight.
        noise_mm: standard deviation of the noise on each coordinate.
        prior: None where the offsets are known.
    """
    body, tree = solver.body, solver.tree
    poses, local = jnp.asarray(qpos, jnp.float32), jnp.asarray(offsets, jnp.float32)
    jacobian = 1000 * np.asarray(marker_jacobian(tree, body.marker_body, poses, local), np.float64)
    n_frames, n_keypoints, _, n_dof = jacobian.shape
    jacobian = jacobian.reshape(n_frames, 3 * n_keypoints, n_dof) * _movable(solver, qpos)[:, None, :]
    weight = np.repeat(observation.weight, 3, axis=1)[..., None]
    weighted = np.swapaxes(weight * jacobian, 1, 2)
    normal = weighted @ jacobian
    ridge = np.maximum(solver.prior_weight, 1e-9)
    gain = np.linalg.solve(normal + np.eye(n_dof) * ridge, weighted)
    resolution = np.einsum("fik,fki->fi", gain, jacobian)
    variance = noise_mm**2 * (gain**2).sum(axis=2)
    covariance = np.zeros((3 * n_keypoints, 3 * n_keypoints))
    if prior is not None:
        turn = quat_to_mat(np.asarray(body_poses(tree, poses).xquat, np.float64)[:, body.marker_body])
        covariance = _offset_covariance(jacobian, gain, weight, turn, noise_mm, prior)
        rotated = _times_turn(gain, turn)
        variance += np.einsum("fia,ab,fib->fi", rotated, covariance, rotated)
    return Precision(np.sqrt(variance), np.clip(resolution, 0.0, 1.0), covariance)


def offset_errors(
    solver: PoseSolver,
    qpos: Float[np.ndarray, "frame nq"],
    offsets: Float[np.ndarray, "keypoint 3"],
    observation: Observation,
    pull: Float[np.ndarray, " keypoint"],
) -> Float[np.ndarray, "keypoint 3"]:
    """Return standard errors of calibrated offsets, metres, under the noise that the fit itself leaves; NaN: unknown.

    The variance of a coordinate is the weighted sum of squares over the number of coordinates less the parameters they
    determine: the resolutions of all poses, and three an offset. Args as for `expected_errors`; the pull represents how
    well the initial offsets are known. Long recordings are thinned, because errors fall with the root of the number of
    frames.
    """
    frames = thinned(len(qpos), MOST_FRAMES)
    some, poses = observation.take(frames), qpos[frames]
    per_mm = expected_errors(solver, poses, offsets, some, 1.0, OffsetPrior(pull))
    squares = float((some.weight * distances_mm(solver, offsets, some, poses) ** 2).sum())
    freedom = 3 * int(some.present.sum()) - float(per_mm.resolution.sum()) - offsets.size
    noise_mm = np.sqrt(squares / freedom) if freedom > 0 else np.nan
    ever = np.atleast_1d(observation.present.any(axis=0))
    error_mm = noise_mm * per_mm.offset_mm * np.sqrt(len(frames) / len(qpos))
    return np.where(ever[:, None], error_mm / 1000, np.nan)


def _movable(solver: PoseSolver, qpos: np.ndarray) -> Float[np.ndarray, "frame dof"]:
    """Return 1 where a joint is off its limits, else 0."""
    tree = solver.tree
    out = np.ones((len(qpos), tree.n_dof))
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    out[:, dof] = (qpos[:, qadr] > tree.lower[dof] + 1e-6) & (qpos[:, qadr] < tree.upper[dof] - 1e-6)
    return out


def _times_turn(matrix: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return the product of (frame, row, 3 keypoint) with the block-diagonal rotations (frame, keypoint, 3, 3)."""
    blocks = matrix.reshape(*matrix.shape[:2], -1, 3)
    return np.einsum("frkc,fkcd->frkd", blocks, turn).reshape(matrix.shape)


def _offset_covariance(
    jacobian: np.ndarray, gain: np.ndarray, weight: np.ndarray, turn: np.ndarray, noise_mm: float, prior: OffsetPrior
) -> np.ndarray:
    """Return the covariance of all offsets, mm^2: noise through the Schur complement, and the prior's."""
    n_frames, size, _ = jacobian.shape
    projection = weight * (np.eye(size) - jacobian @ gain)  # W P
    left = np.swapaxes(_times_turn(np.swapaxes(projection, 1, 2), turn), 1, 2)  # R' W P
    pull = n_frames * np.repeat(np.maximum(prior.pull, 1e-12), 3)
    schur = _times_turn(left, turn).sum(axis=0) + np.diag(pull)
    inverse = np.linalg.inv(schur)
    noise = noise_mm**2 * np.einsum("fai,fbi->ab", left, left)
    held = np.diag(noise_mm**2 * pull if prior.initial_mm is None else (pull * prior.initial_mm) ** 2)
    return inverse @ (noise + held) @ inverse
