"""Solve all frames with known offsets, and derive everything a clips file holds; lengths are in metres."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from stac_mjx._common.hdf5.info import FileInfo
from stac_mjx._common.mjcf import qpos_units, qvel_labels, qvel_units
from stac_mjx._common.progress import Stage, silent
from stac_mjx._common.rotations import rotate
from stac_mjx.body.body import Body
from stac_mjx.body.poses import body_poses
from stac_mjx.calibration.pose_errors import PoseErrors
from stac_mjx.config import FitConfig
from stac_mjx.inputs import Inputs
from stac_mjx.inverse_kinematics.levenberg import Status
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver
from stac_mjx.inverse_kinematics.solve import solve
from stac_mjx.keypoints import Keypoints
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.tree import Tree
from stac_mjx.records import ReferenceClips

LIMIT_TOLERANCE = 1e-4
"""A joint within this part of its range of a limit counts as being at the limit."""
SEGMENT, OVERLAP = 32768, 40
"""Frames solved at once, and frames that two segments of a longer clip share; these are crossfaded."""


def solve_segments(
    solver: PoseSolver, observation: Observation, offsets: np.ndarray, robust_mm: np.ndarray, stage: Stage = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Solve segment by segment; crossfade overlapping segments of one clip (MIMIC-MJX section 4.3.1).

    Returns:
        Poses (frame, nq), metres, and the `levenberg.Status` of each frame.
    """
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
    return qpos, status


def _lengths_within(clip_lengths: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return the lengths of the pieces of clips within frames `start` to `stop`."""
    stops = np.cumsum(clip_lengths)
    pieces = np.minimum(stops, stop) - np.maximum(stops - clip_lengths, start)
    return pieces[pieces > 0]


def derive(
    inputs: Inputs,
    config: FitConfig,
    offsets: np.ndarray,
    qpos: np.ndarray,
    status: np.ndarray,
    errors: PoseErrors | None = None,
) -> ReferenceClips:
    """Return solved poses (frame, nq), metres, with kinematics, velocities and limits, at the rate of the settings.

    Args:
        inputs: the body and the recording in its frame.
        config: settings of the run.
        offsets: marker offsets, (keypoint, 3) metres.
        qpos: the poses.
        status: `levenberg.Status` of each frame.
        errors: of the poses; None: unknown.
    """
    body, keypoints, tree = inputs.body, inputs.keypoints, inputs.body.tree
    old_rate, new_rate = float(keypoints.rate_hz or 1.0), config.trajectory.rate_hz
    if new_rate is not None and new_rate != old_rate:
        plan = trajectory.resampling(keypoints.clip_lengths, old_rate, float(new_rate))
        keypoints = _resampled(keypoints, plan, float(new_rate))
        status = np.maximum(status[plan.first], status[plan.last])
        errors = errors and errors.resampled(plan)
        qpos = trajectory.between(tree, qpos[plan.first], qpos[plan.last], plan.fraction)
    qpos = trajectory.unwound(tree, qpos, keypoints.clip_lengths)
    qvel = trajectory.velocities(tree, qpos, keypoints.clip_lengths, float(keypoints.rate_hz or 1.0))
    xpos, xquat = body_poses(body, qpos)
    seen = keypoints.observed
    return ReferenceClips(
        info=_info(body, keypoints, config),
        clip_name=keypoints.clip_names,
        clip_length=np.asarray(keypoints.clip_lengths, np.int64),
        qpos=tree.to_model(qpos),
        qvel=(qvel / tree.dof_unit).astype(np.float32),
        xpos=xpos,
        xquat=xquat,
        kp_data=np.where(seen[..., None], keypoints.positions, np.nan).astype(np.float32),
        marker_sites=xpos[:, body.marker_body] + rotate(xquat[:, body.marker_body], offsets.astype(np.float32)),
        kp_confidence=np.where(seen, keypoints.confidence, 0.0).astype(np.float32),
        at_joint_limit=_at_limit(tree, qpos).astype(np.uint8),
        valid=(status < Status.NO_MARKERS).astype(np.uint8),
        solver_status=status.astype(np.uint8),
        names_qpos=body.qpos_names,
        names_qvel=qvel_labels(body.model),
        names_xpos=body.body_names,
        kp_names=body.marker_names,
        qpos_units=qpos_units(body.model, body.length_unit_m),
        qvel_units=qvel_units(body.model, body.length_unit_m),
        qpos_stderr=errors and _short_floats(errors.stderr / tree.dof_unit),
        qpos_resolution=errors and _short_floats(errors.resolution),
        kp_body=body.marker_body_names,
        offsets=offsets.astype(np.float32),
        trial_id=keypoints.trial_ids or None,
        clip_label=keypoints.labels or None,
        labels=dict(keypoints.more_labels),
        events=dict(keypoints.events),
    )


def _short_floats(values: np.ndarray) -> Float[np.ndarray, "frame column"]:
    """Round to float32 of four significant digits or so: the zeros behind them compress to nothing."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(1 << 10)) & np.uint32(0xFFFFF800)).view(np.float32)


def _info(body: Body, keypoints: Keypoints, config: FitConfig) -> FileInfo:
    """Return the description that the files of a run carry."""
    return FileInfo(
        title=f"{body.name}: keypoints registered to a MuJoCo body",
        model_name=body.name,
        mjcf_xml=body.mjcf_xml,
        length_unit_m=body.length_unit_m,
        rate_hz=float(keypoints.rate_hz or 1.0),
        assets=body.assets,
        source_files=keypoints.sources,
        random_seed=config.seed,
        synthetic=1 if keypoints.synthetic else None,
        subject_id=config.subject_id,
        session_id=config.session_id,
        root_body=body.body_names[body.root],
        end_effectors=body.end_effectors,
        skeleton=body.skeleton,
        config_yaml=config_yaml(config),
    )


def config_yaml(config: Any, **more: Any) -> str:
    """Return the resolved settings, and more entries, as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config) | more))


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


def _at_limit(tree: Tree, qpos: Float[np.ndarray, "frame nq"]) -> np.ndarray:
    """Return whether each coordinate is at a limit of its joint, (frame, nq) bool."""
    out = np.zeros(qpos.shape, bool)
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    low, high = tree.lower[dof], tree.upper[dof]
    margin = np.where(np.isfinite(high - low), LIMIT_TOLERANCE * (high - low), 0.0)
    out[:, qadr] = (qpos[:, qadr] <= low + margin) | (qpos[:, qadr] >= high - margin)
    return out
