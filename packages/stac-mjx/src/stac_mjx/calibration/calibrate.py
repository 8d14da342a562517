"""Where the keypoints sit on the body: STAC, offsets of the markers and poses fitted in turn.

With the poses held, the best offset of a keypoint has a closed form: a weighted mean of the keypoint in the frame of
its body, pulled toward its initial offset where asked:

    m = (mean_t w R_t' (y_t - p_t) + lambda m0) / (mean_t w + lambda)

The pull is always toward the *initial* offset and in units of one observation a frame, so it neither drifts over rounds
nor depends on how many frames are used. This alternation converges slowly where an offset and the mean angle of a joint
can compensate each other, so later rounds take Gauss-Newton steps in which the poses follow (`normal_equations`).
Optionally the frame of the recording is fitted along with the offsets. Arrays are (frame, keypoint, xyz), lengths in
metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from stac_mjx.calibration.normal_equations import NormalEquations, Sample, Step, Transforms, normal_equations
from stac_mjx.calibration.precision import FrameSample, OffsetErrors, offset_errors
from stac_mjx.calibration.sampling import spread_frames, spread_frames_of_clips
from stac_mjx.config import AlignmentConfig, CalibrationConfig
from stac_mjx.inverse_kinematics.batches import improve
from stac_mjx.inverse_kinematics.levenberg import Status, loss
from stac_mjx.inverse_kinematics.pose_solver import (
    Fit,
    Observation,
    PoseSolver,
    distances_mm,
    fit_target,
    markers_at,
)
from stac_mjx.inverse_kinematics.solve import robust_scale, solve
from stac_mjx.keypoints.alignment import Similarity, of_one_scale, robust_procrustes
from stac_mjx.kinematics import trajectory

ANCHOR = 0.001
"""Pull of every keypoint toward its initial offset, in units of one observation a frame: settles what the recording
leaves open, such as the zero of a joint's angle."""
CALM_ROUNDS = 4
"""Calibration stops after this many rounds in a row that hardly lower the objective."""
DOWN, UP, LEAST_DAMPING = 0.25, 4.0, 1e-3
"""Factors on the damping after a step that lowers the objective, and after one that does not; smallest damping."""


@dataclass(frozen=True)
class Calibration:
    """Marker offsets and how they were found."""

    offsets: Float[np.ndarray, "keypoint 3"]
    """In the frames of the bodies, metres."""
    errors: OffsetErrors
    """Errors of the offsets under the errors that the fit leaves; errors of a tracker last for some frames."""
    frames: Int[np.ndarray, " frame"]
    """Frames of the recording that were used."""
    sample: FrameSample
    """Where they are in the recording."""
    qpos: Float[np.ndarray, "frame nq"]
    """Their poses, metres."""
    weight: Float[np.ndarray, "frame keypoint"]
    """Weight of their keypoints: confidence, reduced by the robust loss."""
    mean_error_mm: Float[np.ndarray, " round"]
    """Mean distance of keypoints to markers after every round."""
    loss: Float[np.ndarray, " round"]
    """Objective after every round (`objective`), square metres."""
    T_body_recording: Similarity
    """Transform from the recording, or from each of its clips, to the frame of the body."""
    robust_mm: Float[np.ndarray, " keypoint"]
    """Scale of the robust loss in the last round."""
    converged: bool
    """False when `calibration.max_rounds` ended it."""


def calibrate(
    solver: PoseSolver,
    observation: Observation,
    config: CalibrationConfig,
    *,
    alignment: AlignmentConfig | None = None,
    seed: int = 0,
    progress: Callable[[float, np.ndarray, Alternation], None] = lambda _error_mm, _frames, _state: None,
) -> Calibration:
    """Find the offsets of all keypoints, and the frame of the recording, or of each clip, where `alignment` asks so.

    Args:
        solver: body and settings.
        observation: the whole recording.
        config: settings.
        alignment: `mode` and `per_clip` count; None: the frame is known.
        seed: chooses the frames.
        progress: called after every round with the mean error in mm, the frames used, and what is found so far.
    """
    rng = np.random.default_rng(seed)
    mode, per_clip = ("none", False) if alignment is None else (alignment.mode, alignment.per_clip)
    spread = spread_frames_of_clips if per_clip else spread_frames
    frames, importance = spread(observation, config.frames, solver.trunk, rng)
    clip = np.repeat(np.arange(len(observation.clip_lengths)), observation.clip_lengths)[frames]
    # one frame a clip: the sampled frames are not neighbours in time
    raw = replace(observation.take(frames), clip_lengths=np.ones(len(frames), np.int64))
    group, n_groups = (clip, len(observation.clip_lengths)) if per_clip else (np.zeros_like(clip), 1)
    state = _first_state(solver, raw, mode, group, n_groups)
    pull = offset_pull(solver, config)
    given, equations, damping = _Given(raw, importance, pull, mode, _middles(raw, state)), None, 1.0
    errors, losses, calm, fall = [], [], 0, DOWN
    for _ in range(config.max_rounds):
        equations = equations or _equations(solver, state, given)
        trial = _refined(solver, _stepped(state, given, equations.step(damping)), config.iterations)
        same_loss = replace(trial, robust_mm=state.robust_mm)
        before, after = (objective(solver, one, importance, pull) for one in (state, same_loss))
        if after < before:
            state, equations, damping, fall = trial, None, max(damping * fall, LEAST_DAMPING), DOWN
        else:
            damping, fall = min(1.0, damping * UP), 1.0  # it falls no further at the next step that is taken
        count = importance[:, None] * state.sample.present
        errors.append(float((count * state.distances_mm(solver)).sum() / count.sum()))
        losses.append(objective(solver, state, importance, pull))
        progress(errors[-1], frames, state)
        calm = calm + 1 if after > (1 - config.tolerance) * before else 0
        if calm >= CALM_ROUNDS:
            break
    known = replace(state.sample, weight=_trust(solver, state))
    sample = FrameSample(frames, clip, importance)
    precision = offset_errors(solver, state.fit.qpos, state.offsets, known, pull, sample)
    return Calibration(
        offsets=state.offsets,
        errors=precision,
        frames=frames,
        sample=sample,
        qpos=state.fit.qpos,
        weight=known.weight,
        mean_error_mm=np.array(errors),
        loss=np.array(losses),
        T_body_recording=state.T_body_recording if per_clip else state.T_body_recording.of_clips(0),
        robust_mm=state.robust_mm,
        converged=calm >= CALM_ROUNDS,
    )


def offset_pull(solver: PoseSolver, config: CalibrationConfig) -> Float[np.ndarray, " keypoint"]:
    """Return the pull of each offset toward its initial one, in units of one observation a frame."""
    return ANCHOR + config.regularization * solver.body.regularize


@dataclass(frozen=True)
class Alternation:
    """Current values of everything that calibration fits."""

    sample: Observation
    """The sampled frames, in the frame of the body."""
    fit: Fit
    offsets: Float[np.ndarray, "keypoint 3"]
    T_body_recording: Similarity
    """That of the recording, a batch of one, or those of its clips."""
    group: Int[np.ndarray, " frame"]
    """Which of them each frame has."""
    robust_mm: Float[np.ndarray, " keypoint"]

    def moved(self, T_body_recording: Similarity, raw: Observation) -> Alternation:
        """Return the same with other transforms of the `raw` sample."""
        target = T_body_recording.of_clips(self.group).apply(raw.target)
        return replace(self, T_body_recording=T_body_recording, sample=replace(raw, target=target))

    def grouped(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the frames that share each transform."""
        return _by_group(values, self.group, len(self.T_body_recording.scale))

    def distances_mm(self, solver: PoseSolver) -> Float[np.ndarray, "frame keypoint"]:
        """Return the distances between keypoints and markers."""
        return distances_mm(solver, self.offsets, self.sample, self.fit.qpos)


def objective(solver: PoseSolver, state: Alternation, importance: np.ndarray, pull: np.ndarray) -> float:
    """Return what calibration minimises, m^2: the weighted mean of the loss on squared distances, plus regularisation.

    Weights are the confidence of a keypoint times the importance of its frame. The loss is the robust one at its
    current scale. Regularisation is the pull of the offsets toward the initial ones and of the poses toward the neutral
    one, divided by the sum of the weights as well. In the size of the recording: a smaller scale does not lower it.
    """
    weight = importance[:, None] * state.sample.weight
    rho = loss(state.distances_mm(solver) ** 2, state.robust_mm, solver.robust)[0]
    away = trajectory.steps(solver.tree, state.fit.qpos, np.tile(solver.neutral, (len(importance), 1)))
    poses = (importance * (solver.prior_weight * away**2).sum(axis=1)).sum()
    moved_mm = 1000 * np.linalg.norm(state.offsets - solver.body.marker_offset, axis=1)
    offsets = len(importance) * (pull * moved_mm**2).sum()
    size = float(np.mean(state.T_body_recording.scale))
    return float(((weight * rho).sum() + poses + offsets) / max(weight.sum(), 1e-12)) * 1e-6 / size**2


def _refined(solver: PoseSolver, state: Alternation, iterations: int) -> Alternation:
    """Improve the poses, then estimate the scale of the robust loss again."""
    target = fit_target(solver, state.sample, state.offsets, state.robust_mm)
    return _with_scale(solver, replace(state, fit=improve(solver, target, state.fit.qpos, iterations=iterations)))


def _middles(raw: Observation, state: Alternation) -> Float[np.ndarray, "group 3"]:
    """Return the middle of the observed keypoints that share a transform."""
    each = zip(state.grouped(raw.target), state.grouped(raw.present), strict=True)
    return np.array([points[seen].mean(axis=0) if seen.any() else np.zeros(3) for points, seen in each])


class _Given(NamedTuple):
    """What does not change from round to round."""

    raw: Observation
    """The sampled frames, in the frame of the recording."""
    importance: Float[np.ndarray, " frame"]
    pull: Float[np.ndarray, " keypoint"]
    mode: str
    middle: Float[np.ndarray, "group 3"]
    """Middle of the keypoints that share a transform, which it turns about, in the frame of the recording."""


def _equations(solver: PoseSolver, state: Alternation, given: _Given) -> NormalEquations:
    """Return the normal equations around a state."""
    known = Sample(replace(state.sample, weight=_trust(solver, state)), given.importance, given.pull)
    transforms = Transforms(given.mode, state.T_body_recording.apply(given.middle), state.group)
    return normal_equations(solver, state.fit.qpos, state.offsets, known, transforms)


def _stepped(state: Alternation, given: _Given, step: Step) -> Alternation:
    """Return the state after a step."""
    T_now, place = state.T_body_recording, state.T_body_recording.apply(given.middle)
    rotation = Rotation.from_rotvec(step.turn).as_matrix() @ T_now.rotation
    turned = Similarity(rotation, np.zeros(place.shape), T_now.scale * np.exp(step.stretch))
    T_next = replace(turned, translation=place + step.shift - turned.apply(given.middle))
    return replace(state.moved(T_next, given.raw), offsets=state.offsets + step.offsets)


def _with_scale(solver: PoseSolver, state: Alternation) -> Alternation:
    return replace(state, robust_mm=robust_scale(solver, state.distances_mm(solver), state.sample.present))


def _trust(solver: PoseSolver, state: Alternation) -> Float[np.ndarray, "frame keypoint"]:
    """Return the weight of every keypoint for the offsets: its confidence, reduced by the robust loss."""
    reweight = loss(state.distances_mm(solver) ** 2, state.robust_mm, solver.robust)[1]
    return np.where((state.fit.status < Status.NO_MARKERS)[:, None], state.sample.weight * reweight, 0.0)


def _first_state(
    solver: PoseSolver, raw: Observation, mode: str, group: Int[np.ndarray, " frame"], n_groups: int
) -> Alternation:
    """Solve from the neutral pose, in the frame of the recording or the one fitted to it, whichever fits."""
    offsets, states = solver.body.marker_offset, []
    same = Similarity(np.tile(np.eye(3), (n_groups, 1, 1)), np.zeros((n_groups, 3)), np.ones(n_groups))
    for T_body_recording in [same] if mode == "none" else [same, _to_neutral(solver, raw, mode, group, n_groups)]:
        sample = replace(raw, target=T_body_recording.of_clips(group).apply(raw.target))
        fit = solve(solver, sample, offsets)
        states.append(Alternation(sample, fit, offsets, T_body_recording, group, solver.default_robust_mm))
    # compared in the size of the recording, so that a smaller scale is not an advantage
    best = min(states, key=lambda state: float(np.median(state.fit.error_mm)) / float(state.T_body_recording.scale[0]))
    return _with_scale(solver, best)


def _to_neutral(solver: PoseSolver, raw: Observation, mode: str, group: np.ndarray, n_groups: int) -> Similarity:
    """Fit the median keypoints to the neutral pose (MIMIC-MJX section 4.2, fruit fly)."""
    rest = np.asarray(markers_at(solver, solver.body.marker_offset, solver.neutral[None])[0], np.float64)
    parts = []
    for points in _by_group(np.where(raw.present[..., None], raw.target, np.nan), group, n_groups):
        observed = np.isfinite(points).all(axis=-1).any(axis=0)
        middle = np.zeros(points.shape[1:])
        middle[observed] = np.nanmedian(points[:, observed], axis=0)
        parts.append((rest, middle, observed.astype(float)))
    return of_one_scale(parts, robust_procrustes, mode == "similarity").inverse()


def _by_group(values: np.ndarray, group: np.ndarray, n_groups: int) -> list[np.ndarray]:
    """Return the frames that share each transform."""
    return [values[group == number] for number in range(n_groups)]
