"""Trajectories on the joint manifold: segments and their crossfade, velocities, interpolation, resampling.

Arrays are ``(frame, nq)`` or ``(frame, dof)``. Nothing here reaches across a clip border.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stac_mjx.kinematics import forward as kinematics
from stac_mjx.kinematics.tree import Tree

CROSSFADE_CENTRE, CROSSFADE_STEEPNESS = 0.5, 10.0


class Segment(NamedTuple):
    """Frames `start` to `stop` of the recording, solved together; it shares the first `overlap` with the one before."""

    start: int
    stop: int
    overlap: int


def segments(clip_lengths: Int[np.ndarray, " clip"], length: int, overlap: int) -> list[Segment]:
    """Cut clips into segments of at most `length` frames that share `overlap` frames; short clips are packed together.

    Clips are never shared between two segments unless one clip is longer than `length`.
    """
    out: list[Segment] = []
    start = filled = 0
    for frames in clip_lengths.tolist():
        if filled and filled + frames > length:
            out.append(Segment(start, start + filled, 0))
            start, filled = start + filled, 0
        filled += frames
        shared = 0
        while filled > length:
            out.append(Segment(start, start + length, shared))
            shared = min(overlap, length // 2)
            start, filled = start + length - shared, filled - length + shared
        if shared:
            out.append(Segment(start, start + filled, shared))
            start, filled = start + filled, 0
    if filled:
        out.append(Segment(start, start + filled, 0))
    return out


def crossfade_weights(n_frames: int) -> Float[np.ndarray, " frame"]:
    """Return the weight of the later segment over the overlap (MIMIC-MJX section 4.3.1: centre 0.5, steepness 10)."""
    x = np.linspace(0.0, 1.0, n_frames) if n_frames > 1 else np.array([0.5])
    return 0.5 * (1 + np.tanh(CROSSFADE_STEEPNESS * (x - CROSSFADE_CENTRE) / 2))


def between(
    tree: Tree, a: Float[np.ndarray, "frame nq"], b: Float[np.ndarray, "frame nq"], fraction: np.ndarray
) -> Float[np.ndarray, "frame nq"]:
    """Return the pose at `fraction` (frame,) of the way from `a` to `b` along the geodesic."""
    return moved(tree, a, steps(tree, a, b) * fraction[:, None].astype(a.dtype))


def moved(
    tree: Tree, qpos: Float[np.ndarray, "frame nq"], step: Float[np.ndarray, "frame dof"]
) -> Float[np.ndarray, "frame nq"]:
    """Return poses a tangent step away, within the limits."""
    return kinematics.retract(tree, qpos.T, step.T.astype(qpos.dtype)).T


def crossfade(tree: Tree, a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, "frame nq"]:
    """Blend the overlap of two segments, pose by pose, along geodesics of the joint manifold.

    The paper mixes coordinates; for quaternions that needs a sign convention and leaves the unit sphere.
    """
    return between(tree, a, b, crossfade_weights(len(a)))


def steps(
    tree: Tree, start: Float[np.ndarray, "frame nq"], end: Float[np.ndarray, "frame nq"]
) -> Float[np.ndarray, "frame dof"]:
    """Return tangent steps that lead from `start` to `end`, without the whole turns of hinges without limits."""
    step, endless = kinematics.difference(tree, start.T, end.T).T, _endless(tree)
    step[:, endless] -= 2 * np.pi * np.round(step[:, endless] / (2 * np.pi))
    return step


def _endless(tree: Tree) -> Bool[np.ndarray, " dof"]:
    """Return which degrees of freedom are hinges without limits."""
    hinge = np.zeros(tree.n_dof, bool)
    hinge[tree.scalar_dof] = ~tree.is_slide[tree.scalar_dof]
    return hinge & np.isinf(tree.lower) & np.isinf(tree.upper)


def unwound(
    tree: Tree, qpos: Float[np.ndarray, "frame nq"], clip_lengths: Int[np.ndarray, " clip"]
) -> Float[np.ndarray, "frame nq"]:
    """Unwrap hinges without limits: they turn by less than half a turn from frame to frame of a clip."""
    columns = tree.scalar_qadr[_endless(tree)[tree.scalar_dof]]
    out = qpos.copy()
    for stop, length in zip(np.cumsum(clip_lengths).tolist(), clip_lengths.tolist(), strict=True):
        rows = slice(stop - length, stop)
        out[rows, columns] = np.unwrap(qpos[rows, columns], axis=0)
    return out


def velocities(
    tree: Tree, qpos: Float[np.ndarray, "frame nq"], clip_lengths: Int[np.ndarray, " clip"], rate_hz: float
) -> Float[np.ndarray, "frame dof"]:
    """Return generalised velocities (MuJoCo's qvel) by central differences on the manifold, one-sided at clip borders.

    Uses the rate of the data; a clip of one frame is at rest. Rotations are in the body frame at the frame itself: the
    mean of the steps from the frame before and to the frame after, each of which is its own axis in either frame.
    """
    n_frames = len(qpos)
    if n_frames < 2:
        return np.zeros((n_frames, tree.n_dof), np.float32)
    forward = steps(tree, qpos[:-1], qpos[1:])
    inside = np.ones(n_frames - 1, np.float32)
    inside[np.cumsum(clip_lengths)[:-1] - 1] = 0.0
    forward *= inside[:, None]
    velocity = np.zeros((n_frames, tree.n_dof), np.float32)
    velocity[:-1] += forward
    velocity[1:] += forward
    neighbours = np.zeros(n_frames, np.float32)
    neighbours[:-1] += inside
    neighbours[1:] += inside
    return velocity * np.float32(rate_hz) / np.maximum(neighbours, 1)[:, None]


def fill(
    tree: Tree, qpos: Float[np.ndarray, "frame nq"], known: np.ndarray, clip_lengths: Int[np.ndarray, " clip"]
) -> Float[np.ndarray, "frame nq"]:
    """Replace the poses of frames that are not `known` by interpolation between the known ones of the same clip.

    Before the first and after the last known frame of a clip the nearest one is held; clips without any stay as they
    are.
    """
    before, after = neighbours(known, clip_lengths)
    gap = np.maximum(after - before, 1)
    return between(tree, qpos[before], qpos[after], (np.arange(len(known)) - before) / gap)


def neighbours(known: np.ndarray, clip_lengths: Int[np.ndarray, " clip"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest `known` frames before and after (or at) every frame of a clip, else the frame itself."""
    frames = np.arange(len(known))
    clip = np.repeat(np.arange(len(clip_lengths)), clip_lengths)
    before = np.maximum.accumulate(np.where(known, frames, -1))
    after = np.minimum.accumulate(np.where(known, frames, len(known))[::-1])[::-1]
    has_before = (before >= 0) & (clip[np.maximum(before, 0)] == clip)
    has_after = (after < len(known)) & (clip[np.minimum(after, len(known) - 1)] == clip)
    first = np.where(has_before, before, np.where(has_after, after, frames))
    last = np.where(has_after, after, np.where(has_before, before, frames))
    return first, last


class Resampling(NamedTuple):
    """Where frames at a new rate lie among the old ones: between `first` and `last`, at `fraction`."""

    first: np.ndarray
    last: np.ndarray
    fraction: np.ndarray
    clip_lengths: np.ndarray


def resampling(clip_lengths: Int[np.ndarray, " clip"], rate_hz: float, new_rate_hz: float) -> Resampling:
    """Plan the change of rate of all clips: the first frame of a clip stays, the last is not overshot."""
    lengths = np.floor((clip_lengths - 1) * (new_rate_hz / rate_hz) + 1e-9).astype(np.int64) + 1
    starts = np.concatenate([[0], np.cumsum(clip_lengths)[:-1]])
    clip = np.repeat(np.arange(len(lengths)), lengths)
    index = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    last_frame = clip_lengths[clip] - 1
    place = np.minimum(index * (rate_hz / new_rate_hz), last_frame)
    whole = np.minimum(place.astype(np.int64), np.maximum(last_frame - 1, 0))
    first = starts[clip] + whole
    return Resampling(first, starts[clip] + np.minimum(whole + 1, last_frame), place - whole, lengths)
