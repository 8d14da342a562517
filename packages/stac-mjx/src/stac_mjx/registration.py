"""Solve all frames with known offsets, and derive everything a clips file holds; lengths are in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.progress import Stage, silent
from stac_mjx.body.body import Body
from stac_mjx.inverse_kinematics.levenberg import Status
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver, pad_rows, slices
from stac_mjx.inverse_kinematics.solve import solve
from stac_mjx.keypoints import Keypoints
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.forward import body_poses, marker_positions
from stac_mjx.kinematics.tree import Tree

LIMIT_TOLERANCE = 1e-4
"""A joint within this part of its range of a limit counts as being at the limit."""
SEGMENT, OVERLAP = 32768, 40
"""Frames solved at once, and frames that two segments of a longer clip share; these are crossfaded."""
KINEMATICS_BATCH = 4096


@dataclass(frozen=True)
class Trajectory:
    """Poses of all frames and what follows from them."""

    qpos: Float[np.ndarray, "frame nq"]
    """Poses, in the length unit of the MJCF."""
    qvel: Float[np.ndarray, "frame dof"]
    """Velocities, in the length unit of the MJCF."""
    xpos: Float[np.ndarray, "frame body 3"]
    """Body positions, metres."""
    xquat: Float[np.ndarray, "frame body 4"]
    """Body orientations, wxyz."""
    marker_sites: Float[np.ndarray, "frame keypoint 3"]
    """Marker positions, metres."""
    at_limit: np.ndarray
    """Whether each coordinate is at a limit, (frame, nq) bool."""
    status: Int[np.ndarray, " frame"]
    """`levenberg.Status` of each frame."""
    clip_lengths: Int[np.ndarray, " clip"]
    """Frames of each clip."""
    rate_hz: float
    keypoints: Keypoints
    """The recording of these frames, in the frame of the body and at the same rate."""

    @property
    def error_mm(self) -> Float[np.ndarray, "frame keypoint"]:
        """Distance of every keypoint from its marker, mm; NaN where missing."""
        away = np.linalg.norm(self.keypoints.positions - self.marker_sites, axis=-1) * 1000
        return np.where(self.keypoints.observed, away, np.nan)


class Poses(NamedTuple):
    """Solved poses (frame, nq), metres, and the `levenberg.Status` of each frame."""

    qpos: Float[np.ndarray, "frame nq"]
    status: Int[np.ndarray, " frame"]


def solve_segments(
    solver: PoseSolver, observation: Observation, offsets: np.ndarray, robust_mm: np.ndarray, stage: Stage = silent
) -> Poses:
    """Solve segment by segment; crossfade overlapping segments of one clip (MIMIC-MJX section 4.3.1)."""
    qpos = np.empty((observation.n_frames, solver.tree.n_qpos), np.float32)
    status = np.empty(observation.n_frames, np.int64)
    parts = trajectory.segments(observation.clip_lengths, SEGMENT, OVERLAP)
    tick = stage("solve", sum(part.stop - part.start for part in parts))
    for part in parts:
        span = slice(part.start, part.stop)
        lengths = _lengths_within(observation.clip_lengths, part.start, part.stop)
        frames = Observation(observation.target[span], observation.weight[span], lengths)
        fit = solve(solver, frames, offsets, robust_mm=robust_mm, progress=tick)
        shared, fresh = part.overlap, slice(part.start + part.overlap, part.stop)
        if shared:
            fade = slice(part.start, part.start + shared)
            qpos[fade] = trajectory.crossfade(solver.tree, qpos[fade], fit.qpos[:shared])
            status[fade] = np.maximum(status[fade], fit.status[:shared])
        qpos[fresh], status[fresh] = fit.qpos[shared:], fit.status[shared:]
    return Poses(qpos, status)


def _lengths_within(clip_lengths: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the lengths of the pieces of clips within frames `start` to `stop`."""
    stops = np.cumsum(clip_lengths)
    pieces = np.minimum(stops, stop) - np.maximum(stops - clip_lengths, start)
    return pieces[pieces > 0]


def derive(body: Body, offsets: np.ndarray, poses: Poses, keypoints: Keypoints, rate_hz: float | None) -> Trajectory:
    """Compute kinematics, velocities and limits of solved poses, at `rate_hz` if given."""
    tree, (qpos, status) = body.tree, poses
    old_rate = float(keypoints.rate_hz or 1.0)
    if rate_hz is not None and rate_hz != old_rate:
        plan = trajectory.resampling(keypoints.clip_lengths, old_rate, float(rate_hz))
        keypoints = _resampled(keypoints, plan, float(rate_hz))
        status = np.maximum(status[plan.first], status[plan.last])
        before, fraction = jnp.asarray(qpos), jnp.asarray(plan.fraction, jnp.float32)
        qpos = np.asarray(trajectory.between(tree, before[plan.first], before[plan.last], fraction))
    qpos = trajectory.unwound(tree, qpos, keypoints.clip_lengths)
    rate = float(keypoints.rate_hz or 1.0)
    qvel = trajectory.velocities(tree, qpos, keypoints.clip_lengths, rate)
    xpos, xquat, sites = _kinematics(body, qpos, offsets)
    return Trajectory(
        qpos=tree.to_model(qpos),
        qvel=(qvel / tree.dof_unit).astype(np.float32),
        xpos=xpos,
        xquat=xquat,
        marker_sites=sites,
        at_limit=at_limit(tree, qpos),
        status=status,
        clip_lengths=keypoints.clip_lengths,
        rate_hz=rate,
        keypoints=keypoints,
    )


def _resampled(keypoints: Keypoints, plan: trajectory.Resampling, rate_hz: float) -> Keypoints:
    """Interpolate the recording linearly to a new rate; a point next to a missing one is missing."""
    fraction = plan.fraction[:, None, None]
    first, last = keypoints.positions[plan.first], keypoints.positions[plan.last]
    positions = np.where(fraction == 0, first, (1 - fraction) * first + fraction * last)
    confidence = np.minimum(keypoints.confidence[plan.first], keypoints.confidence[plan.last])
    return replace(
        keypoints,
        positions=positions,
        confidence=np.where(np.isfinite(positions).all(axis=-1), confidence, 0.0),
        clip_lengths=plan.clip_lengths,
        rate_hz=rate_hz,
    )


def _kinematics(body: Body, qpos: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return body positions, orientations and marker sites, computed in batches of one size."""
    tree, n_frames = body.tree, len(qpos)
    size = min(KINEMATICS_BATCH, n_frames)
    xpos = np.empty((n_frames, len(tree.body_node), 3), np.float32)
    xquat = np.empty((n_frames, len(tree.body_node), 4), np.float32)
    sites = np.empty((n_frames, len(offsets), 3), np.float32)
    local = jnp.asarray(offsets, jnp.float32)
    for part in slices(n_frames, size):
        poses, count = jnp.asarray(pad_rows(qpos[part], size)), part.stop - part.start
        bodies = body_poses(tree, poses)
        xpos[part], xquat[part] = np.asarray(bodies.xpos)[:count], np.asarray(bodies.xquat)[:count]
        sites[part] = np.asarray(marker_positions(tree, body.marker_body, poses, local))[:count]
    return xpos, xquat, sites


def at_limit(tree: Tree, qpos: Float[np.ndarray, "frame nq"]) -> np.ndarray:
    """Return whether each coordinate is at a limit of its joint, (frame, nq) bool."""
    out = np.zeros(qpos.shape, bool)
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    low, high = tree.lower[dof], tree.upper[dof]
    margin = np.where(np.isfinite(high - low), LIMIT_TOLERANCE * (high - low), 0.0)
    out[:, qadr] = (qpos[:, qadr] <= low + margin) | (qpos[:, qadr] >= high - margin)
    return out


def failed(status: np.ndarray) -> np.ndarray:
    """Return which frames have no usable pose."""
    return status >= Status.NO_MARKERS
