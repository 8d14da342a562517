"""The whole registration: calibrate on some frames, solve all of them, and derive everything a clips file holds.

Pure of files: `inputs` reads before, `results` writes after.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stac_mjx.body.body import Body
from stac_mjx.calibration.calibrate import Calibration, calibrate
from stac_mjx.config import FitConfig
from stac_mjx.inputs import Inputs, confidence_weights
from stac_mjx.inverse_kinematics.batches import Fit, Observation
from stac_mjx.inverse_kinematics.levenberg import Status
from stac_mjx.inverse_kinematics.tracker import Tracker
from stac_mjx.keypoints import Keypoints
from stac_mjx.keypoints.alignment import IDENTITY, Similarity
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.forward import body_poses, marker_positions
from stac_mjx.kinematics.tree import Tree, build_tree
from stac_mjx.validation import check_fit

LIMIT_TOLERANCE = 1e-4
"""A joint within this part of its range of a limit counts as sitting on it."""
Stage = Callable[[str, int | None], "Callable[[int], None]"]


@dataclass(frozen=True)
class Trajectory:
    """Poses of all frames and what follows from them; metres except `qpos` and `qvel` (model units).

    Attributes:
        qpos, qvel: (frame, nq), (frame, dof).
        xpos, xquat: (frame, body, 3), (frame, body, 4).
        marker_sites: (frame, keypoint, 3).
        at_limit: (frame, nq) bool.
        status: (frame,) `solver.Status`.
        clip_lengths: frames a clip.
        rate_hz: frames per second.
        keypoints: the recording these frames belong to, in the frame of the body, at the same rate.
    """

    qpos: Float[np.ndarray, "frame nq"]
    qvel: Float[np.ndarray, "frame dof"]
    xpos: Float[np.ndarray, "frame body 3"]
    xquat: Float[np.ndarray, "frame body 4"]
    marker_sites: Float[np.ndarray, "frame keypoint 3"]
    at_limit: np.ndarray
    status: Int[np.ndarray, " frame"]
    clip_lengths: Int[np.ndarray, " clip"]
    rate_hz: float
    keypoints: Keypoints

    @property
    def error_mm(self) -> Float[np.ndarray, "frame keypoint"]:
        """Distance of every keypoint from its marker, mm; NaN where missing."""
        away = np.linalg.norm(self.keypoints.positions - self.marker_sites, axis=-1) * 1000
        return np.where(self.keypoints.observed, away, np.nan)


@dataclass(frozen=True)
class Registration:
    """The result of a fit.

    Attributes:
        inputs: body and recording.
        config: settings.
        offsets: marker offsets in the frames of their bodies, (keypoint, 3), metres.
        calibration: how they came about; None where they were given.
        trajectory: poses and what follows.
        timings: seconds a stage took.
    """

    inputs: Inputs
    config: FitConfig
    offsets: Float[np.ndarray, "keypoint 3"]
    calibration: Calibration | None
    trajectory: Trajectory
    timings: dict[str, float]

    @property
    def body(self) -> Body:
        """The body."""
        return self.inputs.body


def no_stage(_name: str, _total: int | None) -> Callable[[int], None]:
    """Report progress to nobody."""
    return lambda _n: None


def register(
    inputs: Inputs,
    config: FitConfig,
    *,
    offsets: np.ndarray | None = None,
    similarity: Similarity = IDENTITY,
    stage: Stage = no_stage,
) -> Registration:
    """Calibrate (unless `offsets` are given, metres) and solve all frames.

    Args:
        inputs: body and recording.
        config: settings.
        offsets: known marker offsets, (keypoint, 3), metres.
        similarity: with known offsets, the transform from the recording to the body's frame.
        stage: called as ``stage(name, total)`` when a stage begins; what it returns is called with the amount done.

    Raises:
        ConfigError: when settings are impossible.
    """
    check_fit(config)
    body = inputs.body
    tracker = Tracker(build_tree(body.model), body, config.solver)
    unit = body.length_unit_m
    weight = confidence_weights(inputs.keypoints)
    seen = Observation(inputs.keypoints.positions / unit, weight, inputs.keypoints.clip_lengths)
    timings, begin = {}, time.perf_counter()
    calibration = None
    if offsets is None:
        tick = stage("calibrate", config.calibration.max_rounds)
        calibration = calibrate(
            tracker, seen, config.calibration, mode=config.alignment.mode, seed=config.seed, progress=lambda _e: tick(1)
        )
        offsets, similarity = calibration.offsets, calibration.similarity
        timings["calibrate_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    keypoints = replace(inputs.keypoints, positions=similarity.apply(inputs.keypoints.positions))
    seen = replace(seen, target=keypoints.positions / unit)
    if calibration is None:
        tracker.pilot(offsets / unit, seen)
    fit = solve_all(tracker, offsets / unit, seen, config, stage("solve", seen.n_frames))
    timings["solve_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    result = derive(tracker, offsets, fit, keypoints, config.trajectory.rate_hz)
    timings["derive_s"] = time.perf_counter() - begin
    return Registration(inputs, config, offsets, calibration, result, timings)


def solve_all(
    tracker: Tracker, offsets: np.ndarray, seen: Observation, config: FitConfig, tick: Callable[[int], None]
) -> Fit:
    """Solve segment by segment, and join overlapping segments of one clip by a crossfade (MIMIC-MJX section 4.3.1)."""
    qpos = np.empty((seen.n_frames, tracker.tree.n_qpos), np.float32)
    error, status = np.empty(seen.n_frames), np.empty(seen.n_frames, np.int64)
    for part in trajectory.segments(seen.clip_lengths, config.trajectory.segment, config.trajectory.overlap):
        span = slice(part.start, part.stop)
        lengths = _lengths_within(seen.clip_lengths, part.start, part.stop)
        fit = tracker.solve(offsets, Observation(seen.target[span], seen.weight[span], lengths), tick)
        shared = part.overlap
        if shared:
            fade = slice(part.start, part.start + shared)
            qpos[fade] = trajectory.crossfade(tracker.tree, qpos[fade], fit.qpos[:shared])
            status[fade] = np.maximum(status[fade], fit.status[:shared])
        fresh = slice(part.start + shared, part.stop)
        qpos[fresh], error[fresh], status[fresh] = fit.qpos[shared:], fit.error_mm[shared:], fit.status[shared:]
    return Fit(qpos, error, status)


def _lengths_within(clip_lengths: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Lengths of the pieces of clips that lie in frames `start` to `stop`."""
    stops = np.cumsum(clip_lengths)
    pieces = np.minimum(stops, stop) - np.maximum(stops - clip_lengths, start)
    return pieces[pieces > 0]


def derive(tracker: Tracker, offsets: np.ndarray, fit: Fit, keypoints: Keypoints, rate_hz: float | None) -> Trajectory:
    """Kinematics, velocities and limits of solved poses; at another rate if asked. `offsets` in metres."""
    tree, body = tracker.tree, tracker.body
    qpos, status = fit.qpos, fit.status
    old_rate = float(keypoints.rate_hz or 1.0)
    if rate_hz is not None and rate_hz != old_rate:
        plan = trajectory.resampling(keypoints.clip_lengths, old_rate, float(rate_hz))
        keypoints = _resampled(keypoints, plan, float(rate_hz))
        status = np.maximum(status[plan.first], status[plan.last])
        poses, fraction = jnp.asarray(qpos), jnp.asarray(plan.fraction, jnp.float32)
        qpos = np.asarray(trajectory.between(tree, poses[plan.first], poses[plan.last], fraction))
    qpos = trajectory.unwound(tree, qpos, keypoints.clip_lengths)
    rate = float(keypoints.rate_hz or 1.0)
    xpos, xquat, sites = _kinematics(tree, body, qpos, offsets)
    return Trajectory(
        qpos=qpos,
        qvel=trajectory.velocities(tree, qpos, keypoints.clip_lengths, rate),
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
    """The recording at a new rate, linearly interpolated; a point next to a missing one is missing."""
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


def _kinematics(
    tree: Tree, body: Body, qpos: np.ndarray, offsets: np.ndarray, size: int = 4096
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Body positions (m), orientations and marker sites (m), in portions of one size."""
    n_frames, unit = len(qpos), body.length_unit_m
    size = min(size, n_frames)
    xpos = np.empty((n_frames, len(tree.body_node), 3), np.float32)
    xquat = np.empty((n_frames, len(tree.body_node), 4), np.float32)
    sites = np.empty((n_frames, len(offsets), 3), np.float32)
    local = jnp.asarray(offsets / unit, jnp.float32)
    for start in range(0, n_frames, size):
        start = min(start, n_frames - size)
        part = slice(start, start + size)
        poses = jnp.asarray(qpos[part])
        bodies = body_poses(tree, poses)
        xpos[part], xquat[part] = np.asarray(bodies.xpos) * unit, np.asarray(bodies.xquat)
        sites[part] = np.asarray(marker_positions(tree, body.marker_body, poses, local)) * unit
    return xpos, xquat, sites


def at_limit(tree: Tree, qpos: Float[np.ndarray, "frame nq"]) -> np.ndarray:
    """Whether each coordinate sits on a limit of its joint, (frame, nq) bool."""
    out = np.zeros(qpos.shape, bool)
    dof, qadr = tree.scalar_dof, tree.scalar_qadr
    low, high = tree.lower[dof], tree.upper[dof]
    margin = np.where(np.isfinite(high - low), LIMIT_TOLERANCE * (high - low), 0.0)
    out[:, qadr] = (qpos[:, qadr] <= low + margin) | (qpos[:, qadr] >= high - margin)
    return out


def failed(status: np.ndarray) -> np.ndarray:
    """Frames whose pose must not be used."""
    return status >= Status.NO_MARKERS
