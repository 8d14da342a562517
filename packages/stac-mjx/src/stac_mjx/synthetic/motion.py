"""Keypoints with known poses and offsets, for any body.

Poses are smooth and within the joint limits; markers follow by MuJoCo's own kinematics (C), so the truth does not
depend on the kinematics under test. Then noise, gaps and outliers are added. Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from stac_mjx._common.errors import ConfigError, raise_all
from stac_mjx._common.settings import limit_faults, setting
from stac_mjx.body.body import Body
from stac_mjx.body.poses import marker_frames
from stac_mjx.keypoints.keypoints import Keypoints
from stac_mjx.kinematics.tree import BALL, FREE, SLIDE


@dataclass(frozen=True)
class Motion:
    """How the body moves."""

    n_frames: int = setting(200, ge=1)
    """Frames a clip."""
    n_clips: int = setting(1, ge=1)
    """Independent clips."""
    rate_hz: float = setting(100.0, gt=0)
    cutoff_hz: float = setting(3.0, gt=0)
    """Nothing moves faster than this."""
    amplitude: float = 1.0
    """0: the default pose; 1: most of each joint's range; more: closer to the limits."""


@dataclass(frozen=True)
class Flaws:
    """Errors that the recording adds to the true positions."""

    noise_m: float = setting(0.0, ge=0)
    """Standard deviation of the noise on each coordinate, metres."""
    missing_fraction: float = setting(0.0, ge=0, lt=1)
    """Expected fraction of points that are missing."""
    gap_frames: float = setting(10.0, ge=1)
    """Mean length of a gap, frames."""
    outlier_fraction: float = setting(0.0, ge=0, lt=1)
    """Fraction of points that are moved away."""
    outlier_m: float = setting(0.05, ge=0)
    """Mean distance of an outlier from the truth, metres; they spread evenly from half to one and a half times this."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A recording of which everything is known."""

    qpos: Float[np.ndarray, "frame nq"]
    """True poses, in the length unit of the MJCF."""
    offsets: Float[np.ndarray, "keypoint 3"]
    """True marker offsets in the frames of their bodies, metres."""
    positions: Float[np.ndarray, "frame keypoint 3"]
    """True keypoint positions, metres."""
    outliers: Bool[np.ndarray, "frame keypoint"]
    """Points that were moved away."""
    keypoints: Keypoints
    """The recording: with noise, gaps and outliers, in metres."""


def make_truth(
    body: Body, motion: Motion | None = None, flaws: Flaws | None = None, *, offset_sd_m: float = 0.0, seed: int = 0
) -> Truth:
    """Move a body at random and record it.

    Args:
        body: the body, with its initial marker offsets.
        motion: how it moves.
        flaws: errors of the recording.
        offset_sd_m: true offsets are the initial ones plus noise of this standard deviation, metres.
        seed: everything follows from it.

    Raises:
        ConfigError: when a number of `motion` or `flaws` is impossible.
    """
    motion, flaws = motion or Motion(), flaws or Flaws()
    problems = [*limit_faults(motion, "motion."), *limit_faults(flaws, "flaws.")]
    if 2 * motion.cutoff_hz > motion.rate_hz:
        problems.append(f"motion.cutoff_hz: expected at most half of rate_hz={motion.rate_hz}, got {motion.cutoff_hz}")
    raise_all(ConfigError, "synthetic", problems)
    rng = np.random.default_rng(seed)
    offsets = body.marker_offset + rng.normal(0.0, offset_sd_m, body.marker_offset.shape)
    qpos = np.concatenate([random_poses(body, motion, rng) for _ in range(motion.n_clips)])
    names = tuple(f"synthetic_{i + 1:03d}" for i in range(motion.n_clips))
    lengths = np.full(motion.n_clips, motion.n_frames, dtype=np.int64)
    clips = {"clip_names": names, "clip_lengths": lengths, "rate_hz": motion.rate_hz}
    return record(body, qpos, offsets, flaws, rng, **clips)


def record(
    body: Body,
    qpos: Float[np.ndarray, "frame nq"],
    offsets: Float[np.ndarray, "keypoint 3"],
    flaws: Flaws,
    rng: np.random.Generator,
    **clips: Any,
) -> Truth:
    """Record known poses with known offsets: true positions, then noise, outliers and gaps.

    `clips` are fields of `Keypoints`: the rate, and names, lengths, events and labels of the clips.
    """
    positions = marker_positions(body, qpos, offsets)
    shape = positions.shape[:2]
    measured = positions + rng.normal(0.0, flaws.noise_m, positions.shape)
    outliers = rng.random(shape) < flaws.outlier_fraction
    direction = rng.normal(size=positions.shape)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    distance = flaws.outlier_m * rng.uniform(0.5, 1.5, (*shape, 1))
    measured = np.where(outliers[..., None], measured + distance * direction, measured)
    missing = gaps(shape, flaws, rng)
    measured[missing] = np.nan
    keypoints = Keypoints(
        positions=measured,
        confidence=(~missing).astype(np.float64),
        names=body.marker_names,
        unit="m",
        notes=("synthetic: poses and offsets are known",),
        synthetic=True,
        **clips,
    )
    return Truth(qpos, offsets, positions, outliers & ~missing, keypoints)


def marker_positions(
    body: Body, qpos: Float[np.ndarray, "frame nq"], offsets: Float[np.ndarray, "keypoint 3"]
) -> Float[np.ndarray, "frame keypoint 3"]:
    """Compute marker positions in the world, metres, by MuJoCo's own kinematics."""
    return marker_frames(body, body.tree.from_model(qpos)).points(offsets)


def random_poses(body: Body, motion: Motion, rng: np.random.Generator) -> Float[np.ndarray, "frame nq"]:
    """Return smooth random poses around the default one, strictly within all joint limits.

    Hinges and slides with limits swing through their range, rotations of ball and free joints turn up to about a
    radian (yaw of a free joint: two), free joints travel about half the body's size.
    """
    model = body.model
    size = body.size_m / body.length_unit_m
    qpos = np.tile(model.qpos0, (motion.n_frames, 1))
    for joint in range(model.njnt):
        kind, at = int(model.jnt_type[joint]), int(model.jnt_qposadr[joint])
        limits = model.jnt_range[joint] if model.jnt_limited[joint] else None
        if kind == FREE:
            qpos[:, at : at + 3] += 0.5 * size * smooth_noise(motion, 3, rng)
            turn = smooth_noise(motion, 3, rng) * np.array([0.3, 0.3, 2.0])
            qpos[:, at + 3 : at + 7] = _turned(model.qpos0[at + 3 : at + 7], turn)
        elif kind == BALL:
            reach = 1.0 if limits is None else limits[1]
            turn = 0.5 * smooth_noise(motion, 3, rng)
            angle = np.linalg.norm(turn, axis=-1, keepdims=True)
            # a smooth saturation of the angle keeps the rotation within its cone
            turn *= reach * np.tanh(angle / reach) / np.maximum(angle, 1e-12)
            qpos[:, at : at + 4] = _turned(model.qpos0[at : at + 4] if limits is None else np.eye(4)[0], turn)
        else:
            noise = smooth_noise(motion, 1, rng)[:, 0]
            free_swing = 0.5 if kind != SLIDE else 0.1 * size
            qpos[:, at] = _within(model.qpos0[at], limits, noise, free_swing)
    return qpos


def smooth_noise(motion: Motion, n_signals: int, rng: np.random.Generator) -> Float[np.ndarray, "frame signal"]:
    """Return the band-limited noise of standard deviation `motion.amplitude`: sines of random frequency and phase."""
    n_sines = 8
    time = np.arange(motion.n_frames) / motion.rate_hz
    frequency = rng.uniform(0.1, 1.0, (n_sines, n_signals)) * motion.cutoff_hz
    phase = rng.uniform(0.0, 2 * np.pi, (n_sines, n_signals))
    waves = np.sin(2 * np.pi * frequency * time[:, None, None] + phase)
    return motion.amplitude * waves.sum(axis=1) * np.sqrt(2.0 / n_sines)


def gaps(shape: tuple[int, int], flaws: Flaws, rng: np.random.Generator) -> Bool[np.ndarray, "frame keypoint"]:
    """Draw runs of missing points of geometric length; `flaws.missing_fraction` of all is missing on average."""
    n_frames, n_keypoints = shape
    missing = np.zeros(shape, dtype=bool)
    fraction = flaws.missing_fraction
    if fraction == 0.0:
        return missing
    close = 1.0 / flaws.gap_frames
    open_ = min(1.0, close * fraction / (1.0 - fraction))
    for keypoint in range(n_keypoints):
        inside = bool(rng.random() < fraction)
        frame = 0
        while frame < n_frames:
            length = int(rng.geometric(close if inside else open_))
            missing[frame : frame + length, keypoint] = inside
            frame += length
            inside = not inside
    return missing


def _within(centre: float, limits: np.ndarray | None, noise: np.ndarray, free_swing: float) -> np.ndarray:
    """Map noise to a joint coordinate: a logistic curve between the limits, or a plain swing without limits."""
    if limits is None:
        return centre + free_swing * noise
    lower, upper = limits
    # a default pose at a limit would leave no room to swing
    share = np.clip((centre - lower) / (upper - lower), 0.1, 0.9)
    return lower + (upper - lower) / (1.0 + np.exp(-(np.log(share / (1.0 - share)) + noise)))


def _turned(quat: np.ndarray, rotvec: np.ndarray) -> np.ndarray:
    """Rotate `quat` (wxyz) by rotation vectors in its own frame; successive quaternions stay in one hemisphere."""
    turned = (Rotation.from_quat(quat, scalar_first=True) * Rotation.from_rotvec(rotvec)).as_quat(scalar_first=True)
    flips = np.cumprod(np.where((turned[1:] * turned[:-1]).sum(axis=-1) < 0, -1.0, 1.0))
    turned[1:] *= flips[:, None]
    return turned
