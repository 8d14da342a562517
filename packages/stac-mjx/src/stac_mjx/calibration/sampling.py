"""Choose the frames for calibration: spread over the postures of a recording."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from stac_mjx.inverse_kinematics.pose_solver import Observation
from stac_mjx.keypoints.alignment import procrustes

CLIP_FRAMES = 20
"""Fewest frames chosen of each clip, where each has a transform of its own."""


class Sample(NamedTuple):
    """Frames chosen for calibration, ascending, and how much of the recording each represents (mean 1)."""

    frames: Int[np.ndarray, " frame"]
    importance: Float[np.ndarray, " frame"]


def spread_frames(observation: Observation, count: int, trunk: np.ndarray, rng: np.random.Generator) -> Sample:
    """Choose `count` frames that spread over the postures of a recording.

    Postures are keypoint sets rotated onto one of them by their trunk. Each next frame is drawn with a probability that
    grows with its distance from those chosen (k-means++ seeding), among frames with most of their keypoints. To undo
    the preference for rare postures, each frame is weighted by how many frames it is nearest to.
    """
    there = observation.present.sum(axis=1)
    candidates = np.flatnonzero(there >= max(3, np.median(there) - 0.25 * observation.weight.shape[1]))
    if not len(candidates):
        candidates = np.flatnonzero(there > 0)
    if len(candidates) <= count:
        return Sample(candidates, np.ones(len(candidates)))
    candidates = np.sort(rng.choice(candidates, min(len(candidates), 20 * count), replace=False))
    posture = _postures(observation.target[candidates], observation.weight[candidates], trunk)
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
        unused = min(set(range(len(chosen) + 1)) - set(chosen))
        chosen.append(int(rng.choice(len(candidates), p=odds / odds.sum())) if odds.sum() > 0 else unused)
    importance = np.bincount(owner, minlength=count) * (count / len(candidates))
    order = np.argsort(candidates[chosen])
    return Sample(candidates[chosen][order], importance[order])


def spread_frames_of_clips(observation: Observation, count: int, trunk: np.ndarray, rng: np.random.Generator) -> Sample:
    """Choose frames as `spread_frames` does, in each clip."""
    lengths, chosen = observation.clip_lengths, []
    count = max(CLIP_FRAMES, count // len(lengths))
    for start, length in zip((np.cumsum(lengths) - lengths).tolist(), lengths.tolist(), strict=True):
        frames, importance = spread_frames(observation.take(np.arange(start, start + length)), count, trunk, rng)
        chosen.append((start + frames, importance * length / max(len(frames), 1)))
    frames, importance = (np.concatenate(column) for column in zip(*chosen, strict=True))
    return Sample(frames, importance / importance.mean())


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
