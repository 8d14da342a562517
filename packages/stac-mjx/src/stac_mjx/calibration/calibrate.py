"""Where the keypoints sit on the body: STAC, the alternation of poses and marker offsets.

With the poses held, the best offset of a keypoint has a closed form: a weighted mean of the keypoint in the frame of
its body, pulled toward its initial offset where asked:

    m = (mean_t w R_t' (y_t - p_t) + lambda m0) / (mean_t w + lambda)

The pull is always toward the *initial* offset and in units of one observation a frame, so it neither drifts over rounds
nor depends on how many frames are used. The alternation converges slowly where an offset and the mean angle of a joint
can compensate each other; rounds are therefore combined (`Anderson`). Optionally the frame of the recording is fitted
along with the offsets. Arrays are (frame, keypoint, xyz), lengths in metres.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

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
from stac_mjx.keypoints.alignment import Similarity, of_one_scale, procrustes, robust_procrustes
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.forward import body_poses
from stac_mjx.kinematics.tree import Tree

ANCHOR = 0.001
"""Pull of every keypoint toward its initial offset, in units of one observation a frame: settles what the recording
leaves open, such as the zero of a joint's angle."""
CALM_ROUNDS = 4
"""Calibration stops after this many rounds in a row without a gain."""
WORSE = 1.001
"""A round that raises the mean error by more than this factor restarts the acceleration."""


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
    errors, losses, calm, accelerated = [], [], 0, Anderson()
    frame = (state.T_body_recording, _middles(raw, state), solver.body.size_m)
    for _ in range(config.max_rounds):
        before = state
        if mode != "none":  # poses follow between the two, which would otherwise correct the same error
            state = _refined(solver, _next_similarity(solver, raw, state, mode), config.iterations)
        best = _best_offsets_of(solver, state, importance, pull)
        state = replace(state, offsets=best)
        if mode == "none":
            state = replace(state, offsets=accelerated.propose(before.offsets, best))
        else:
            ends = (_coordinates(one, *frame) for one in (before, state))
            state = _with_coordinates(state, raw, accelerated.propose(*ends), *frame)
        state = _refined(solver, state, config.iterations)
        count = importance[:, None] * state.sample.present
        errors.append(float((count * state.distances_mm(solver)).sum() / count.sum()))
        losses.append(objective(solver, state, importance, pull))
        progress(errors[-1], frames, state)
        ratio = errors[-1] / errors[-2] if len(errors) > 1 and errors[-2] > 0 else 0.0
        if ratio > WORSE:
            accelerated.reset()
        calm = calm + 1 if ratio > 1 - config.tolerance else 0
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


def _best_offsets_of(
    solver: PoseSolver, state: Alternation, importance: np.ndarray, pull: np.ndarray
) -> Float[np.ndarray, "keypoint 3"]:
    """Return the best offsets for the present poses."""
    weight = _trust(solver, state) * importance[:, None]
    target, qpos = jnp.asarray(state.sample.target, jnp.float32), jnp.asarray(state.fit.qpos)
    local = np.asarray(in_body_frames(solver.tree, jnp.asarray(solver.body.marker_body), qpos, target))
    return best_offsets(local, weight, solver.body.marker_offset, pull)


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
    one, divided by the sum of the weights as well.
    """
    weight = importance[:, None] * state.sample.weight
    squared = jnp.asarray(state.distances_mm(solver) ** 2, jnp.float32)
    rho = np.asarray(loss(squared, jnp.asarray(state.robust_mm, jnp.float32), solver.robust)[0])
    neutral = jnp.asarray(np.tile(solver.neutral, (len(importance), 1)))
    away = np.asarray(trajectory.steps(solver.tree, jnp.asarray(state.fit.qpos), neutral))
    poses = (importance * (solver.prior_weight * away**2).sum(axis=1)).sum()
    moved_mm = 1000 * np.linalg.norm(state.offsets - solver.body.marker_offset, axis=1)
    offsets = len(importance) * (pull * moved_mm**2).sum()
    return float(((weight * rho).sum() + poses + offsets) / max(weight.sum(), 1e-12)) * 1e-6


def best_offsets(
    local: Float[np.ndarray, "frame keypoint 3"],
    weight: Float[np.ndarray, "frame keypoint"],
    initial: Float[np.ndarray, "keypoint 3"],
    pull: Float[np.ndarray, " keypoint"],
) -> Float[np.ndarray, "keypoint 3"]:
    """Return the closed form above; keypoints that are never observed keep their initial offset."""
    mean_weight = weight.mean(axis=0)
    mean = np.where(weight[..., None] > 0, weight[..., None] * local, 0.0).mean(axis=0)
    total = (mean_weight + pull)[:, None]
    return np.where(total > 0, (mean + pull[:, None] * initial) / np.where(total > 0, total, 1.0), initial)


@partial(jax.jit, static_argnames="tree")
def in_body_frames(tree: Tree, body: jax.Array, qpos: jax.Array, target: jax.Array) -> jax.Array:
    """Express keypoints (frame, keypoint, 3) in the frames of their bodies at poses `qpos`."""
    poses = body_poses(tree, qpos)
    position, quat = poses.xpos[:, body], poses.xquat[:, body]
    away = target - position
    w, v = quat[..., :1], -quat[..., 1:]
    turn = 2 * jnp.cross(v, away)
    return away + w * turn + jnp.cross(v, turn)


def _refined(solver: PoseSolver, state: Alternation, iterations: int) -> Alternation:
    """Improve the poses, then estimate the scale of the robust loss again."""
    target = fit_target(solver, state.sample, state.offsets, state.robust_mm)
    return _with_scale(solver, replace(state, fit=improve(solver, target, state.fit.qpos, iterations=iterations)))


def _middles(raw: Observation, state: Alternation) -> Float[np.ndarray, "group 3"]:
    """Return the middle of the observed keypoints that share a transform."""
    each = zip(state.grouped(raw.target), state.grouped(raw.present), strict=True)
    return np.array([points[seen].mean(axis=0) if seen.any() else np.zeros(3) for points, seen in each])


def _coordinates(state: Alternation, first: Similarity, middle: np.ndarray, size_m: float) -> np.ndarray:
    """Return offsets, and transforms of the recording against the `first`, as one vector of lengths.

    Rotations about the `middle` of the recording and scales count as what they do at a body's size from there.
    """
    T_now = state.T_body_recording
    turn = Rotation.from_matrix(T_now.rotation @ np.swapaxes(first.rotation, -1, -2)).as_rotvec()
    stretch = np.log(T_now.scale / first.scale)[:1]
    shift = T_now.apply(middle) - first.apply(middle)
    return np.concatenate([state.offsets.ravel(), shift.ravel(), size_m * turn.ravel(), size_m * stretch])


def _with_coordinates(
    state: Alternation, raw: Observation, vector: np.ndarray, first: Similarity, middle: np.ndarray, size_m: float
) -> Alternation:
    """Return the state with the offsets and the transforms of such a vector."""
    ends = state.offsets.size + np.array([0, middle.size, 2 * middle.size])
    offsets, shift, turn, stretch = np.split(vector, ends)
    rotation = Rotation.from_rotvec(turn.reshape(middle.shape) / size_m).as_matrix() @ first.rotation
    turned = Similarity(rotation, np.zeros(middle.shape), np.asarray(first.scale * np.exp(stretch[0] / size_m)))
    translation = first.apply(middle) + shift.reshape(middle.shape) - turned.apply(middle)
    return replace(state.moved(replace(turned, translation=translation), raw), offsets=offsets.reshape(-1, 3))


def _with_scale(solver: PoseSolver, state: Alternation) -> Alternation:
    return replace(state, robust_mm=robust_scale(solver, state.distances_mm(solver), state.sample.present))


def _trust(solver: PoseSolver, state: Alternation) -> Float[np.ndarray, "frame keypoint"]:
    """Return the weight of every keypoint for the offsets: its confidence, reduced by the robust loss."""
    squared = jnp.asarray(state.distances_mm(solver) ** 2, jnp.float32)
    reweight = np.asarray(loss(squared, jnp.asarray(state.robust_mm, jnp.float32), solver.robust)[1])
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


def _next_similarity(solver: PoseSolver, raw: Observation, state: Alternation, mode: str) -> Alternation:
    """Refit the frame of the recording: the body is fitted to the recording, because the reverse would shrink both."""
    markers = np.asarray(markers_at(solver, state.offsets, state.fit.qpos), np.float64)
    columns = [state.grouped(values) for values in (markers, raw.target, raw.weight)]
    parts = [
        (source.reshape(-1, 3), target.reshape(-1, 3), weight.ravel())
        for source, target, weight in zip(*columns, strict=True)
    ]
    return state.moved(of_one_scale(parts, procrustes, mode == "similarity").inverse(), raw)


class Anderson:
    """Anderson acceleration: fewer rounds for an alternation that converges slowly.

    An alternation repeats x <- g(x). The next x is the combination of the last results g(x_i) whose steps g(x_i) - x_i
    cancel best (Walker and Ni 2011, Anderson acceleration for fixed-point iterations, SIAM Journal on Numerical
    Analysis 49:1715). Near a solution this is a quasi-Newton method, for the price of a small least-squares problem.
    """

    DEPTH = 4
    """Earlier rounds that are combined with the last one."""
    SMALLEST = 1e-3
    """Combinations of differences below this part of the largest are noise and left out."""

    def __init__(self) -> None:
        self._rounds: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=self.DEPTH + 1)

    def propose(self, x: np.ndarray, result: np.ndarray) -> np.ndarray:
        """Return the next `x` after a round led from `x` to `result`; the first time `result`."""
        self._rounds.append((x.ravel().copy(), result.ravel().copy()))
        if len(self._rounds) == 1:
            return result
        results = np.array([g for _, g in self._rounds])
        steps = results - [x for x, _ in self._rounds]
        share = np.linalg.lstsq(np.diff(steps, axis=0).T, steps[-1], rcond=self.SMALLEST)[0]
        return (results[-1] - np.diff(results, axis=0).T @ share).reshape(x.shape)

    def reset(self) -> None:
        """Forget earlier rounds, after a proposal that raised the error."""
        self._rounds.clear()
