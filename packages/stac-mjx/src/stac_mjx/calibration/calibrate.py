"""Where the keypoints sit on the body: STAC, the alternation of poses and marker offsets.

With the poses held, the best offset of a keypoint has a closed form (a weighted mean of where it was seen in the frame
of its body, pulled toward its initial offset where asked):

    m = (mean_t w R_t' (y_t - p_t) + lambda d m0) / (mean_t w + lambda d)

The pull is always toward the *initial* offset and in units of one observation a frame, so it neither drifts over rounds
nor depends on how many frames are used. The alternation creeps where an offset and the mean angle of a joint can trade
places, and would seem to stand still long before it has arrived; rounds are therefore combined (`acceleration`).
Optionally the frame of the recording is fitted along with the offsets.
Arrays are (frame, keypoint, xyz), lengths in model units; only `Calibration` speaks metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from stac_mjx.calibration.acceleration import Anderson
from stac_mjx.calibration.precision import offset_errors_mm
from stac_mjx.config import CalibrationConfig
from stac_mjx.inverse_kinematics.batches import Fit, Observation
from stac_mjx.inverse_kinematics.levenberg import Status, loss
from stac_mjx.inverse_kinematics.tracker import Tracker
from stac_mjx.keypoints.alignment import IDENTITY, Similarity, procrustes, robust_procrustes
from stac_mjx.kinematics.forward import body_poses, marker_positions
from stac_mjx.kinematics.tree import Tree

CALM_ROUNDS = 4
"""Rounds in a row that must gain next to nothing before calibration stops."""
WORSE = 1.001
"""A round that raises the mean error by more than this factor makes the acceleration start anew."""


@dataclass(frozen=True)
class Calibration:
    """Marker offsets and how they came about.

    Attributes:
        offsets: in the frames of the bodies, (keypoint, 3), metres.
        standard_error: of each offset under the noise that the fit leaves, (keypoint, 3), metres; NaN where unknown.
        frames: frames of the recording that were used, (frame,).
        mean_error_mm, rmse_mm: mean and root mean square distance of keypoints to markers after every round, (round,).
        similarity: transform from the recording to the frame of the body, metres.
        converged: False when the rounds ran out first.
    """

    offsets: Float[np.ndarray, "keypoint 3"]
    standard_error: Float[np.ndarray, "keypoint 3"]
    frames: Int[np.ndarray, " frame"]
    mean_error_mm: Float[np.ndarray, " round"]
    rmse_mm: Float[np.ndarray, " round"]
    similarity: Similarity
    converged: bool


class Sample(NamedTuple):
    """Frames chosen for calibration, ascending, and how much of the recording each stands for (mean 1)."""

    frames: Int[np.ndarray, " frame"]
    importance: Float[np.ndarray, " frame"]


def spread_frames(seen: Observation, count: int, trunk: np.ndarray, rng: np.random.Generator) -> Sample:
    """Choose `count` frames that spread over the postures of a recording.

    Postures are keypoint sets turned onto one of them by their trunk; each next frame is drawn with a probability that
    grows with its distance from those chosen (k-means++ seeding), among frames whose keypoints are mostly there. Rare
    postures would so count for more than they are; each frame is therefore weighted by how many it is nearest to.
    """
    there = (seen.weight > 0).sum(axis=1)
    candidates = np.flatnonzero(there >= max(3, np.median(there) - 0.25 * seen.weight.shape[1]))
    if not len(candidates):
        candidates = np.flatnonzero(there > 0)
    if len(candidates) <= count:
        return Sample(candidates, np.ones(len(candidates)))
    candidates = np.sort(rng.choice(candidates, min(len(candidates), 20 * count), replace=False))
    posture = _postures(seen.target[candidates], seen.weight[candidates], trunk)
    chosen = [int(rng.integers(len(candidates)))]
    nearest, owner = np.full(len(candidates), np.inf), np.zeros(len(candidates), np.int64)
    while True:
        distance = ((posture - posture[chosen[-1]]) ** 2).sum(axis=1)
        owner = np.where(distance < nearest, len(chosen) - 1, owner)
        nearest = np.minimum(nearest, distance)
        if len(chosen) == count:
            break
        odds = np.sqrt(nearest)
        odds[chosen] = 0.0
        chosen.append(int(rng.choice(len(candidates), p=odds / odds.sum())) if odds.sum() > 0 else _unused(chosen))
    importance = np.bincount(owner, minlength=count) * (count / len(candidates))
    order = np.argsort(candidates[chosen])
    return Sample(candidates[chosen][order], importance[order])


def _unused(chosen: list[int]) -> int:
    return next(i for i in range(len(chosen) + 1) if i not in chosen)


def _postures(target: np.ndarray, weight: np.ndarray, trunk: np.ndarray) -> Float[np.ndarray, "frame coordinate"]:
    present = (weight > 0)[..., None]
    on_trunk = np.where((weight > 0) & trunk, 1.0, 0.0)
    enough = (on_trunk.sum(axis=1, keepdims=True)) >= 3
    on_trunk = np.where(enough, on_trunk, weight > 0)
    reference = target[np.argmax((weight > 0).sum(axis=1))]
    both = on_trunk * np.isfinite(reference).all(axis=-1)
    fit = procrustes(target, np.broadcast_to(reference, target.shape), both)
    turned = np.einsum("fij,fkj->fki", fit.rotation, np.where(present, target, 0.0)) + fit.translation[:, None]
    count = np.maximum(present.sum(axis=0), 1)
    mean = (turned * present).sum(axis=0) / count
    return np.where(present, turned - mean, 0.0).reshape(len(target), -1)


@partial(jax.jit, static_argnames="tree")
def in_body_frames(tree: Tree, body: jax.Array, qpos: jax.Array, target: jax.Array) -> jax.Array:
    """Keypoints (frame, keypoint, 3) expressed in the frames of their bodies at poses `qpos`."""
    poses = body_poses(tree, qpos)
    position, quat = poses.xpos[:, body], poses.xquat[:, body]
    away = target - position
    w, v = quat[..., :1], -quat[..., 1:]
    turn = 2 * jnp.cross(v, away)
    return away + w * turn + jnp.cross(v, turn)


def best_offsets(
    local: Float[np.ndarray, "frame keypoint 3"],
    weight: Float[np.ndarray, "frame keypoint"],
    initial: Float[np.ndarray, "keypoint 3"],
    pull: Float[np.ndarray, " keypoint"],
) -> Float[np.ndarray, "keypoint 3"]:
    """The closed form above; keypoints never seen keep their initial offset."""
    mean_weight = weight.mean(axis=0)
    seen = np.where(weight[..., None] > 0, weight[..., None] * local, 0.0).mean(axis=0)
    total = (mean_weight + pull)[:, None]
    return np.where(total > 0, (seen + pull[:, None] * initial) / np.where(total > 0, total, 1.0), initial)


def calibrate(
    tracker: Tracker,
    seen: Observation,
    config: CalibrationConfig,
    *,
    mode: str = "none",
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Calibration:
    """Find the offsets of all keypoints (and with `mode` rigid or similarity the frame of the recording).

    Args:
        tracker: body, tree and solver settings.
        seen: the whole recording, model units.
        config: settings.
        mode: alignment.mode.
        seed: chooses the frames.
        progress: called after every round with the mean error in mm.
    """
    body = tracker.body
    unit = body.length_unit_m
    rng = np.random.default_rng(seed)
    frames, importance = spread_frames(seen, config.frames, tracker.trunk, rng)
    raw = Observation(seen.target[frames], seen.weight[frames], np.ones(len(frames), np.int64))
    initial = body.marker_offset / unit
    pull = config.anchor + config.regularization * body.regularize
    fit, sample, similarity = _first_fit(tracker, raw, initial, mode)
    tracker.choose_scale(tracker.distances_mm(initial, sample, fit.qpos), sample.weight > 0)
    offsets, errors, calm, accelerated = initial, [], 0, Anderson()
    for turn in range(config.max_rounds):
        # one at a time: both would take up the same error, and overshoot
        if mode != "none" and turn % 2 == 0:
            similarity = _next_similarity(tracker, raw, fit, offsets, mode)
            sample = replace(raw, target=similarity.apply(raw.target))
        else:
            weight = _trust(tracker, offsets, sample, fit) * importance[:, None]
            best = best_offsets(_local(tracker, fit.qpos, sample.target), weight, initial, pull)
            offsets = accelerated.propose(offsets, best)
        fit = tracker.refine(offsets, sample, fit.qpos, config.iterations)
        errors.append(_errors_mm(tracker, offsets, sample, fit, importance))
        if progress is not None:
            progress(errors[-1][0])
        ratio = errors[-1][0] / errors[-2][0] if len(errors) > 1 and errors[-2][0] > 0 else 0.0
        if ratio > WORSE:
            accelerated.forget()
        calm = calm + 1 if ratio > 1 - config.tolerance else 0
        if calm >= CALM_ROUNDS:
            break
    known = replace(sample, weight=_trust(tracker, offsets, sample, fit))
    metric = replace(similarity, translation=similarity.translation * unit)
    return Calibration(
        offsets=offsets * unit,
        standard_error=offset_errors_mm(tracker, fit.qpos, offsets, known, pull) / 1000,
        frames=frames,
        mean_error_mm=np.array(errors)[:, 0],
        rmse_mm=np.array(errors)[:, 1],
        similarity=metric,
        converged=calm >= CALM_ROUNDS,
    )


def _errors_mm(
    tracker: Tracker, offsets: np.ndarray, sample: Observation, fit: Fit, importance: np.ndarray
) -> tuple[float, float]:
    """Mean and root mean square distance of keypoints to markers; also sets the scale of the robust loss by them."""
    distances = tracker.distances_mm(offsets, sample, fit.qpos)
    tracker.choose_scale(distances, sample.weight > 0)
    count = importance[:, None] * (sample.weight > 0)
    mean, square = ((count * distances**power).sum() / count.sum() for power in (1, 2))
    return float(mean), float(np.sqrt(square))


def _trust(tracker: Tracker, offsets: np.ndarray, sample: Observation, fit: Fit) -> Float[np.ndarray, "frame keypoint"]:
    """Weight of every keypoint for the offsets: its confidence, less where the robust loss sees an outlier."""
    squared = jnp.asarray(tracker.distances_mm(offsets, sample, fit.qpos) ** 2, jnp.float32)
    reweight = np.asarray(loss(squared, jnp.asarray(tracker.robust_mm, jnp.float32), tracker.robust)[1])
    return np.where((fit.status < Status.NO_MARKERS)[:, None], sample.weight * reweight, 0.0)


def _local(tracker: Tracker, qpos: np.ndarray, target: np.ndarray) -> np.ndarray:
    body = jnp.asarray(tracker.body.marker_body)
    return np.asarray(in_body_frames(tracker.tree, body, jnp.asarray(qpos), jnp.asarray(target, jnp.float32)))


def _first_fit(
    tracker: Tracker, raw: Observation, offsets: np.ndarray, mode: str
) -> tuple[Fit, Observation, Similarity]:
    """Poses from the neutral one, in the frame the recording came in or the one fitted to it, whichever fits."""
    tries = []
    for similarity in [IDENTITY] if mode == "none" else [IDENTITY, _to_neutral(tracker, raw, offsets, mode)]:
        # one frame a clip: the sampled frames are no neighbours in time
        sample = replace(raw, target=similarity.apply(raw.target))
        fit = tracker.solve(offsets, sample)
        # compared in the size of the recording, so that shrinking it is no gain
        tries.append((float(np.median(fit.error_mm)) / float(similarity.scale), fit, sample, similarity))
    return min(tries, key=lambda entry: entry[0])[1:]


def _to_neutral(tracker: Tracker, raw: Observation, offsets: np.ndarray, mode: str) -> Similarity:
    """Median keypoints onto the neutral pose (MIMIC-MJX section 4.2, fruit fly)."""
    neutral = jnp.asarray(tracker.neutral)[None]
    body = tracker.body
    rest = marker_positions(tracker.tree, body.marker_body, neutral, jnp.asarray(offsets, jnp.float32))[0]
    points = np.where(raw.weight[..., None] > 0, raw.target, np.nan)
    seen = np.isfinite(points).all(axis=-1).any(axis=0)
    middle = np.zeros(points.shape[1:])
    middle[seen] = np.nanmedian(points[:, seen], axis=0)
    fit = robust_procrustes(np.asarray(rest, np.float64), middle, seen.astype(float), with_scale=mode == "similarity")
    return fit.inverse()


def _next_similarity(tracker: Tracker, raw: Observation, fit: Fit, offsets: np.ndarray, mode: str) -> Similarity:
    """Refit the frame of the recording: the body is fitted to the recording, for the reverse would shrink both."""
    body = tracker.body
    markers = marker_positions(tracker.tree, body.marker_body, jnp.asarray(fit.qpos), jnp.asarray(offsets, jnp.float32))
    source, target = np.asarray(markers, np.float64).reshape(-1, 3), raw.target.reshape(-1, 3)
    return procrustes(source, target, raw.weight.reshape(-1), with_scale=mode == "similarity").inverse()
