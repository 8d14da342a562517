"""Inverse kinematics of a recording with known offsets: staged start, gaps, restarts, smoothness.

`batches.improve` improves poses; this module decides where each frame starts and which frames need more work:

1. Some keyframes are solved from the neutral pose in stages (Algorithm 1 of MIMIC-MJX): the root by Procrustes and a
   few steps on the trunk keypoints, each part on its own keypoints from several places, then all joints on all.
2. The other keyframes start between those, and all other frames between the keyframes. Each level is solved in
   parallel; no frame waits for the one before.
3. Frames whose error stays far above the rest start again from their neighbours' poses; the better result is kept.
4. Frames with missing keypoints are solved again with the neighbours in time, instead of the neutral pose, as prior.

Arrays are (frame, ...); lengths are in metres unless the name ends in ``_mm``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from stac_mjx.body.poses import marker_jacobian
from stac_mjx.inverse_kinematics.batches import Progress, Pull, improve, no_progress
from stac_mjx.inverse_kinematics.levenberg import Robust, Status
from stac_mjx.inverse_kinematics.pose_solver import (
    Fit,
    Observation,
    PoseSolver,
    Target,
    distances_mm,
    errors_mm,
    fit_target,
    markers_at,
)
from stac_mjx.keypoints.alignment import procrustes
from stac_mjx.kinematics import trajectory
from stac_mjx.records import thinned

ROBUST_MEDIANS, ROBUST_LEAST, PILOT_FRAMES = 4.0, 0.005, 200
"""Scale of the robust loss: medians of the marker distances, but at least this part of the body, because a narrower
loss has no slope to follow; frames it is estimated from where offsets are known."""
KEYFRAME_STRIDE, COARSE = 10, 8
"""Every so many frames one is a keyframe; of every so many keyframes one is solved from the neutral pose."""
KEYFRAME_ITERATIONS = (32, 12)
"""Iterations of keyframes from the neutral pose, and between others; they are starts, so they need not converge."""
PART_ITERATIONS, ROOT_ITERATIONS = 8, 6
OTHER_STARTS, CLEARLY = 8, 0.5
"""Places within its limits that a part starts from too; one is taken where it lowers the error to this part."""
RESTART_FACTOR = 3.0
"""Frames whose error exceeds this multiple of the median start again from a neighbour's pose."""
RESTARTS, RESTART_ITERATIONS, STUCK = 3, 12, 0.95
"""Passes that look for stuck frames, iterations each gets, and the part of a frame's own error below which the error of
a neighbour's pose shows that the frame is stuck."""
SMOOTHING_PASSES = 20
"""Passes over the frames that spread the smoothness term."""


def solve(
    solver: PoseSolver,
    observation: Observation,
    offsets: Float[np.ndarray, "keypoint 3"],
    *,
    robust_mm: Float[np.ndarray, " keypoint"] | None = None,
    progress: Progress = no_progress,
) -> Fit:
    """Find the poses of all frames from nothing but the keypoints.

    Args:
        solver: body and settings.
        observation: the frames.
        offsets: marker offsets, metres.
        robust_mm: scale of the robust loss of each keypoint (see `pilot`); None: the one of the settings.
        progress: called with the number of frames that are done.
    """
    target, lengths = fit_target(solver, observation, offsets, robust_mm), observation.clip_lengths
    known, qpos = np.zeros(observation.n_frames, bool), np.tile(solver.neutral, (observation.n_frames, 1))
    for level, step in enumerate((COARSE * KEYFRAME_STRIDE, KEYFRAME_STRIDE)):
        keys = keyframes(observation, step)
        keys = keys[~known[keys]]
        if not len(keys):
            continue
        part = target.take(keys)
        begin = qpos[keys] if level else start(solver, part)
        fit = improve(solver, part, begin, iterations=KEYFRAME_ITERATIONS[level])
        fit = _restart(solver, part, fit)
        known[keys], qpos[keys] = fit.status < Status.NO_MARKERS, fit.qpos
        qpos = trajectory.fill(solver.tree, qpos, known, lengths).copy()
    fit = improve(solver, target, qpos, progress=progress)
    fit = _restart(solver, target, fit)
    fit = _bridge_gaps(solver, target, fit)
    return _smooth(solver, target, fit)


def compile_solver(solver: PoseSolver) -> None:
    """Compile what `solve` runs, on a frame without keypoints."""
    offsets = solver.body.marker_offset
    nothing = Observation(np.full((1, *offsets.shape), np.nan), np.zeros((1, len(offsets))), np.ones(1, np.int64))
    improve(solver, fit_target(solver, nothing, offsets), solver.neutral[None], iterations=1)


def pilot(solver: PoseSolver, observation: Observation, offsets: np.ndarray) -> Float[np.ndarray, " keypoint"]:
    """Estimate the scale of the robust loss (mm) from some frames spread over the recording."""
    if solver.robust is Robust.NONE or solver.settings.robust_mm is not None:
        return solver.default_robust_mm
    frames = thinned(observation.n_frames, PILOT_FRAMES)
    sample = replace(observation.take(frames), clip_lengths=np.ones(len(frames), np.int64))
    fit = solve(solver, sample, offsets)
    return robust_scale(solver, distances_mm(solver, offsets, sample, fit.qpos), sample.present)


def robust_scale(
    solver: PoseSolver, distances: Float[np.ndarray, "frame keypoint"], present: np.ndarray
) -> Float[np.ndarray, " keypoint"]:
    """Derive the scale of the robust loss (mm) from `distances` (mm) between keypoints and markers.

    A scale in the settings takes precedence. Each keypoint has its own scale, at least that of all together, so that a
    keypoint with a large error in every frame keeps its weight.
    """
    if solver.settings.robust_mm is not None or not present.any():
        return solver.default_robust_mm
    common = float(np.median(distances[present]))
    medians = [
        np.median(column[there]) if there.any() else common
        for column, there in zip(distances.T, present.T, strict=True)
    ]
    least = ROBUST_LEAST * 1000 * solver.body.size_m
    return np.maximum(ROBUST_MEDIANS * np.maximum(medians, common), max(least, 1e-3))


def start(solver: PoseSolver, target: Target) -> Float[np.ndarray, "frame nq"]:
    """Solve from the neutral pose in stages: the root, then each part (Algorithm 1)."""
    tree, body = solver.tree, solver.body
    qpos = _place_root(solver, target, np.tile(solver.neutral, (target.observation.n_frames, 1)))
    if len(tree.root_dofs) == tree.n_dof:
        return qpos
    if len(body.part_dofs) or len(tree.root_dofs) >= 3:
        part = target.only(solver.trunk, tree.root_dofs)
        qpos = improve(solver, part, qpos, iterations=ROOT_ITERATIONS).qpos
    marker_node = tree.body_node[body.marker_body]
    for dofs in body.part_dofs.values():
        moved = np.logical_or.reduce(tree.ancestors[marker_node][:, dofs], axis=1)
        qpos = _best_start(solver, target.only(moved, dofs), qpos, dofs)
    return qpos


def _best_start(
    solver: PoseSolver, target: Target, qpos: np.ndarray, dofs: np.ndarray
) -> Float[np.ndarray, "frame nq"]:
    """Improve a part from where it is, and from other places within its limits; keep the best of each frame.

    A limb of few markers has poses that no small step improves, as an elbow bent the wrong way.
    """
    tree, n = solver.tree, len(qpos)
    joint = np.isin(tree.scalar_dof, dofs) & np.isfinite(tree.upper - tree.lower)[tree.scalar_dof]
    low, high = (limit[tree.scalar_dof[joint]] for limit in (tree.lower, tree.upper))
    places = low + _places(len(low), OTHER_STARTS if len(low) else 0) * (high - low)
    starts = np.tile(qpos, (1 + len(places), 1))
    starts[n:, tree.scalar_qadr[joint]] = np.repeat(places, n, axis=0)
    fit = improve(solver, target.take(np.arange(len(starts)) % n), starts, iterations=PART_ITERATIONS)
    errors = fit.error_mm.reshape(-1, n)
    best = np.where(errors.min(axis=0) < CLEARLY * errors[0], errors.argmin(axis=0), 0)
    return fit.qpos.reshape(-1, n, tree.n_qpos)[best, np.arange(n)]


def _places(dimension: int, count: int) -> Float[np.ndarray, "place axis"]:
    """Return points spread evenly over the unit cube.

    Roberts (2018), The unreasonable effectiveness of quasirandom sequences: steps by powers of the root of
    ``x^(d + 1) = x + 1``.
    """
    ratio = 2.0
    for _ in range(30):
        ratio = (1 + ratio) ** (1 / (dimension + 1))
    return (0.5 + np.arange(1, count + 1)[:, None] * ratio ** -np.arange(1.0, dimension + 1)) % 1.0


def _place_root(solver: PoseSolver, target: Target, qpos: np.ndarray) -> np.ndarray:
    """Bring the root to the trunk (to all keypoints where the trunk is missing).

    A floating root is placed by Procrustes, one of slides by the mean distance along them, with the best quarter turn
    of one of its hinges.
    """
    tree, observation = solver.tree, target.observation
    root = tree.root_dofs
    weight = observation.weight * solver.trunk
    weight = np.where((weight > 0).sum(axis=1, keepdims=True) >= 3, weight, observation.weight)
    if tree.root_is_free:
        place = tree.ball_qadr[tree.ball_dof == root[3]][0] + np.arange(-3, 4)
        rest_pose = solver.neutral.copy()
        rest_pose[place] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
        rest = np.asarray(markers_at(solver, target.offsets, rest_pose[None]), np.float64)
        fit = procrustes(np.broadcast_to(rest, observation.target.shape), observation.target, weight)
        qpos = qpos.copy()
        qpos[:, place[:3]] = fit.translation
        qpos[:, place[3:]] = Rotation.from_matrix(fit.rotation).as_quat(scalar_first=True)
        return qpos
    slides = np.isin(np.arange(tree.n_dof), root[tree.is_slide[root]])
    if not slides.any():
        return qpos
    near, spin = replace(target, observation=replace(observation, weight=weight)), np.zeros((len(qpos), tree.n_dof))
    best = _slid(solver, near, qpos, slides)
    for hinge in root[np.isin(root, tree.scalar_dof) & ~slides[root]]:
        for turn in (np.pi / 2, np.pi, -np.pi / 2):
            spin[:, hinge] = turn
            turned = _slid(solver, near, trajectory.moved(tree, qpos, spin), slides)
            better = errors_mm(solver, near, turned) < errors_mm(solver, near, best)
            best = np.where(better[:, None], turned, best)
        spin[:, hinge] = 0.0
    return best


def _slid(solver: PoseSolver, target: Target, qpos: np.ndarray, slides: np.ndarray) -> np.ndarray:
    """Move slides (dof, bool) of the root by the weighted mean distance from markers to keypoints."""
    tree, observation = solver.tree, target.observation
    jacobian = marker_jacobian(solver.body, qpos[:1], target.offsets)[0]
    axes = np.where(slides, jacobian[solver.trunk].mean(axis=0), 0.0)
    away = observation.target - markers_at(solver, target.offsets, qpos)
    total = np.nansum(observation.weight[..., None] * away, axis=1)
    mean = total / np.maximum(observation.weight.sum(axis=1), 1e-12)[:, None]
    return trajectory.moved(tree, qpos, mean @ np.linalg.pinv(axes).T)


def _restart(solver: PoseSolver, target: Target, fit: Fit) -> Fit:
    """Start stuck frames, and those of large error, again from a neighbour's pose; a few passes free long stretches."""
    offset = 1
    for _ in range(RESTARTS):
        usable = fit.status < Status.NO_MARKERS
        if usable.sum() < 2:
            return fit
        far = fit.error_mm > RESTART_FACTOR * np.median(fit.error_mm[usable])
        best, source = _best_neighbour(solver, target, fit, usable, offset)
        stuck = np.flatnonzero(usable & (source >= 0) & (far | (best < STUCK * fit.error_mm)))
        offset *= 3
        if not len(stuck):
            continue
        again = improve(solver, target.take(stuck), fit.qpos[source[stuck]], iterations=RESTART_ITERATIONS)
        better = again.error_mm < 0.98 * fit.error_mm[stuck]
        fit = fit.with_frames(stuck[better], again, better)
    return fit


def _best_neighbour(
    solver: PoseSolver, target: Target, fit: Fit, usable: np.ndarray, offset: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the error (mm) of the better of the poses `offset` frames before and after, and its frame (-1: none)."""
    n_frames, lengths = len(usable), target.observation.clip_lengths
    clip = np.repeat(np.arange(len(lengths)), lengths)
    best, source = np.full(n_frames, np.inf), np.full(n_frames, -1)
    for shift in (-offset, offset):
        other = np.clip(np.arange(n_frames) + shift, 0, n_frames - 1)
        valid = (clip[other] == clip) & (np.abs(other - np.arange(n_frames)) == offset) & usable[other]
        error = np.where(valid, errors_mm(solver, target, fit.qpos[other]), np.inf)
        source = np.where(error < best, other, source)
        best = np.minimum(best, error)
    return best, source


def _bridge_gaps(solver: PoseSolver, target: Target, fit: Fit) -> Fit:
    """Solve incomplete frames again with the pose between complete neighbours, not the neutral one, as prior."""
    lengths, present = target.observation.clip_lengths, target.observation.present
    usable = fit.status < Status.NO_MARKERS
    complete = usable & present[:, present.any(axis=0)].all(axis=1)
    incomplete = np.flatnonzero(usable & ~complete)
    if len(incomplete) and complete.any():
        between = trajectory.fill(solver.tree, fit.qpos, complete, lengths)[incomplete]
        pull = Pull(between, np.tile(solver.prior_weight, (len(incomplete), 1)))
        again = improve(solver, target.take(incomplete), between, pull=pull)
        keep = again.error_mm < 1.05 * fit.error_mm[incomplete] + 1e-3
        fit = fit.with_frames(incomplete[keep], again, keep)
    return replace(fit, qpos=trajectory.fill(solver.tree, fit.qpos, usable, lengths))


def _smooth(solver: PoseSolver, target: Target, fit: Fit) -> Fit:
    """Add the smoothness term by majorisation: every pass pulls each frame to the middle of its neighbours.

    For a pair of neighbours a, b now at a0, b0:  |a - b|^2 <= 2 |a - m|^2 + 2 |b - m|^2  with m = (a0 + b0) / 2,
    and equal at a0, b0. So passes over independent frames lower the sum over the whole clip, in any order.
    """
    weight, n_frames, tree = solver.settings.smoothness_mm**2, target.observation.n_frames, solver.tree
    if weight == 0 or n_frames < 2:
        return fit
    first = np.zeros(n_frames, bool)
    first[np.concatenate([[0], np.cumsum(target.observation.clip_lengths)[:-1]]).astype(int)] = True
    last = np.roll(first, -1)
    neutral = np.tile(solver.neutral, (n_frames, 1))
    total = 2 * weight * ((~first).astype(float) + ~last)[:, None] + solver.prior_weight
    for _ in range(SMOOTHING_PASSES):
        poses = fit.qpos
        back = trajectory.steps(tree, poses, np.roll(poses, 1, axis=0)) * ~first[:, None]
        ahead = trajectory.steps(tree, poses, np.roll(poses, -1, axis=0)) * ~last[:, None]
        home = trajectory.steps(tree, poses, neutral)
        step = (weight * (back + ahead) + solver.prior_weight * home) / np.maximum(total, 1e-12)
        middle = trajectory.moved(tree, fit.qpos, step)
        pull = Pull(middle, np.broadcast_to(total, step.shape).astype(np.float32))
        fit = improve(solver, target, fit.qpos, iterations=2, pull=pull)
    return fit


def keyframes(observation: Observation, stride: int) -> Int[np.ndarray, " keyframe"]:
    """Choose the first, the last and every `stride`-th frame of every clip, moved to a well-observed neighbour."""
    quality = observation.present.sum(axis=1)
    out = []
    start = 0
    for length in observation.clip_lengths.tolist():
        for frame in np.unique(np.append(np.arange(0, length, max(1, stride)), length - 1)):
            near = np.arange(start + frame, min(start + frame + max(1, stride // 2), start + length))
            out.append(near[np.argmax(quality[near])])
        start += length
    return np.unique(np.array(out, np.int64))
