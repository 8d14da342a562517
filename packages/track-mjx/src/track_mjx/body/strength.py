"""Whether a body's actuators can produce the recorded movement: inverse dynamics, then static optimisation.

In each frame, the joint torques of the movement are distributed over the actuators, each within its range, with the
smallest possible residual (Crowninshield & Brand 1981, J. Biomech. 14:793, without their fatigue criterion). Torques
are weighted by the inverse inertia, as in Gauss's principle, so that a missing torque counts by the missing
acceleration.

No controller can follow a movement that needs more strength than the body has.
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx.body.anatomy import Anatomy
from track_mjx.body.servos import moment_arms
from track_mjx.clips import Clips

LACKING = 0.3
"""Missing part of the torque above which a frame counts as beyond the body's strength."""
_RIDGE = 1e-3
"""Weight of low effort against matching torques, as a part of the mean effect of an actuator."""

_SWEEPS = 200
"""Passes of the coordinate descent over all actuators."""


class Strength(NamedTuple):
    """What a movement requires of actuators."""

    lacking: Float[np.ndarray, " frame"]
    """Part of the required torque that no control produces, in the norm of Gauss's principle: 0 none, 1 all of it.

    The required torque excludes the torque of idle actuators, which is the passive pull of muscles.
    """
    effort: Float[np.ndarray, "frame actuator"]
    """Force of each actuator: 0 idle, 1 its maximum in one direction."""


def strength_of_clips(body: Anatomy, clips: Clips, most: int = 500) -> tuple[Strength, Strength]:
    """Assess holding the poses of clips, and moving as in them, at up to `most` frames spread over all clips."""
    chosen = np.unique(np.linspace(0, len(clips.qpos) - 1, min(most, len(clips.qpos))).astype(np.int64))
    qpos, qvel = clips.qpos[chosen].astype(np.float64), clips.qvel[chosen].astype(np.float64)
    qacc = np.zeros(clips.qvel.shape)
    for start, length in zip(clips.clip_start.tolist(), clips.clip_length.tolist(), strict=True):
        if length > 1:
            rows = slice(start, start + length)
            qacc[rows] = np.gradient(clips.qvel[rows].astype(np.float64), 1 / clips.rate_hz, axis=0)
    still = np.zeros_like(qvel)
    return strength(body, qpos, still, still), strength(body, qpos, qvel, qacc[chosen])


def can_be_judged(body: Anatomy) -> bool:
    """Return whether torques follow from the movement alone: each joint has an actuator, so the floor adds no force."""
    model = body.model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return bool((np.abs(moment_arms(model, data)).sum(0) > 0).all())


def strength(
    body: Anatomy,
    qpos: Float[np.ndarray, "frame qpos"],
    qvel: Float[np.ndarray, "frame dof"],
    qacc: Float[np.ndarray, "frame dof"],
) -> Strength:
    """Assess poses with their velocities and accelerations (zeros for holding a pose).

    Muscles are assumed to have reached their activation; their delay is ignored.
    """
    effects, idle, needs = _demands(body, qpos, qvel, qacc)
    use = np.array([_share_out(*frame) for frame in zip(effects, idle, needs, strict=True)])
    needed = np.maximum(_missing(effects, idle, needs), np.finfo(float).tiny)
    lacking = _missing(effects, use, needs) / needed
    return Strength(lacking, np.abs(use - idle) / np.maximum(idle, 1 - idle))


def producing_use(body: Anatomy, *movement: Float[np.ndarray, "frame _"]) -> Float[np.ndarray, "frame actuator"]:
    """Return the part of each actuator's control range, 0 to 1, that produces a movement; idle where nothing does.

    The movement is qpos, qvel and qacc. The same least squares as in `strength`, solved for all frames at once by
    coordinate descent within the bounds.
    """
    effects, idle, needs = _demands(body, *movement)
    ridge = _RIDGE * (effects**2).sum(2).mean(1)[:, None]
    quadratic = effects @ effects.swapaxes(1, 2)
    quadratic += ridge[:, :, None] * np.eye(idle.shape[1])
    linear = np.einsum("fad,fd->fa", effects, needs) + ridge * idle
    use = idle.copy()
    for _ in range(_SWEEPS):
        for i in range(use.shape[1]):
            slope = linear[:, i] - np.einsum("fa,fa->f", quadratic[:, i], use)
            curvature = np.maximum(quadratic[:, i, i], np.finfo(float).tiny)
            use[:, i] = np.clip(use[:, i] + slope / curvature, 0.0, 1.0)
    enough = _missing(effects, use, needs) < LACKING * _missing(effects, idle, needs)
    return np.where(enough[:, None], use, idle)


def _missing(
    effects: Float[np.ndarray, "frame actuator dof"],
    use: Float[np.ndarray, "frame actuator"],
    needs: Float[np.ndarray, "frame dof"],
) -> Float[np.ndarray, " frame"]:
    """Return the norm of the torques that the actuators leave missing."""
    return np.linalg.norm(needs - np.einsum("fad,fa->fd", effects, use), axis=1)


def _demands(
    body: Anatomy, qpos: np.ndarray, qvel: np.ndarray, qacc: np.ndarray
) -> tuple[
    Float[np.ndarray, "frame actuator dof"], Float[np.ndarray, "frame actuator"], Float[np.ndarray, "frame dof"]
]:
    """Return the requirements of each frame.

    These are the effect of each actuator's whole range, its use with the least force, and the torque needed beyond that
    of all actuators at their lowest use.
    """
    model, n = body.model, len(qpos)
    data = mujoco.MjData(model)
    columns = np.array(body.act_columns)
    has_state = columns >= 0
    inertia, arms = np.zeros((n, model.nv, model.nv)), np.zeros((n, model.nu, model.nv))
    required, forces = np.zeros((n, model.nv)), np.zeros((2, n, model.nu))
    for i in range(n):
        data.qpos[:], data.qvel[:], data.qacc[:] = qpos[i], qvel[i], qacc[i]
        mujoco.mj_inverse(model, data)
        mujoco.mj_fullM(model, data, inertia[i])
        for control, force in zip(body.ctrl_range, forces[:, i], strict=True):
            data.ctrl[:], data.act[columns[has_state]] = control, control[has_state]
            mujoco.mj_fwdActuation(model, data)
            force[:] = data.actuator_force
        arms[i], required[i] = moment_arms(model, data), data.qfrc_inverse
    reach = forces[1] - forces[0]
    torques = [arms * reach[:, :, None], (required - np.einsum("fad,fa->fd", arms, forces[0]))[:, None]]
    weighted = np.linalg.solve(np.linalg.cholesky(inertia), np.concatenate(torques, 1).swapaxes(1, 2)).swapaxes(1, 2)
    idle = np.clip(np.divide(-forces[0], reach, out=np.zeros_like(reach), where=reach != 0), 0.0, 1.0)
    return weighted[:, :-1], idle, weighted[:, -1]


def _share_out(
    effects: Float[np.ndarray, "actuator dof"], idle: Float[np.ndarray, " actuator"], needs: Float[np.ndarray, " dof"]
) -> Float[np.ndarray, " actuator"]:
    """Solve least squares within 0..1, with a small ridge towards idleness."""
    from scipy.optimize import lsq_linear  # loads slowly

    ridge = np.sqrt(_RIDGE * (effects**2).sum(1).mean()) * np.eye(len(idle))
    return lsq_linear(np.vstack([effects.T, ridge]), np.concatenate([needs, ridge @ idle]), (0, 1), "bvls").x
