"""The errors that noise of known size must cause, to first order: without priors, the Cramer-Rao bounds."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from stac_mjx.calibration.precision import linearised, times_turn
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver


def pose_bound(
    solver: PoseSolver, qpos: np.ndarray, offsets: np.ndarray, seen: Observation, noise_mm: float
) -> Float[np.ndarray, "frame dof"]:
    """Standard error of every degree of freedom (rad; slides: metres) where the offsets are known."""
    gain = linearised(solver, qpos.astype(np.float32), offsets, seen).gain
    return np.sqrt(noise_mm**2 * (gain**2).sum(axis=2))


def calibration_bound(
    solver: PoseSolver,
    qpos: np.ndarray,
    offsets: np.ndarray,
    seen: Observation,
    noise_mm: float,
    *,
    pull: float,
    initial_mm: float,
) -> tuple[Float[np.ndarray, "frame dof"], Float[np.ndarray, "size size"]]:
    """The same where offsets are calibrated on these frames, and the covariance of all their coordinates, mm^2.

    Offsets are pulled, by `pull` observations a frame, toward initial ones of standard error `initial_mm`.
    """
    linear = linearised(solver, qpos.astype(np.float32), offsets, seen)
    held, left = len(qpos) * max(pull, 1e-12) * np.eye(offsets.size), linear.left
    inverse = np.linalg.inv(times_turn(left, linear.turn).sum(axis=0) + held)
    noise = noise_mm**2 * np.einsum("fai,fbi->ab", left, left)
    covariance = inverse @ (noise + (held * initial_mm) ** 2) @ inverse
    joint = pose_bound(solver, qpos, offsets, seen, noise_mm)
    return np.sqrt(joint**2 + linear.spread(covariance)), covariance
