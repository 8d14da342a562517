"""Clips at the control rate: what an episode follows, as arrays that are handed to compiled functions.

Every clip is brought to the control rate once, on the joint manifold, so that the clock of the task counts whole
control steps. Where the rates agree in whole steps, recorded frames are met exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Int

from track_mjx._common import rotations
from track_mjx._common.errors import InputError
from track_mjx.body.anatomy import Anatomy
from track_mjx.clips import Clips
from track_mjx.physics.fields import AnyArray
from track_mjx.task.holding import moving_activations


class Reference(NamedTuple):
    """Clips at the control rate, end to end; the MJCF's units."""

    qpos: AnyArray
    """(frame, .)."""
    qvel: AnyArray
    xpos: AnyArray
    """(frame, body, .), from MuJoCo's kinematics of qpos."""
    xquat: AnyArray
    start: AnyArray
    """(clip,) stretches of the frame axis."""
    length: AnyArray
    weight: AnyArray
    """(clip,) how often each clip is drawn, relative to the others, where ``task.clip_sampling`` is not uniform."""
    held: AnyArray
    """(frame, actuator) controls that hold the poses; (frame, 0) where no action is an offset from them."""
    act: AnyArray
    """(frame, activation) that continues the movement; episodes start with it."""


def build_reference(clips: Clips, anatomy: Anatomy, smoothing_s: float = 0.0) -> Reference:
    """Bring all clips to the control rate."""
    rate = 1.0 / anatomy.ctrl_dt
    parts = []
    for name, start, n in zip(clips.clip_name, clips.clip_start.tolist(), clips.clip_length.tolist(), strict=True):
        rows = slice(start, start + n)
        qpos, qvel = clips.qpos[rows].astype(np.float64), clips.qvel[rows].astype(np.float64)
        if smoothing_s > 0:
            qpos = smooth(anatomy, qpos, smoothing_s * clips.rate_hz)
            qvel = velocities(anatomy, qpos, clips.rate_hz)
        times = sample_times(n, clips.rate_hz, rate)
        if len(times) < 2:
            raise InputError(
                f"{clips.path}: clip {name!r} lasts {(n - 1) / clips.rate_hz:.4g} s: less than a control step"
            )
        qvel = interpolate(qvel, times)
        parts.append((interpolate_qpos(anatomy, qpos, times), qvel, np.gradient(qvel, anatomy.ctrl_dt, axis=0)))
    length = np.array([len(qpos) for qpos, _, _ in parts], np.int32)
    qpos, qvel, qacc = map(np.concatenate, zip(*parts, strict=True))
    xpos, xquat = kinematics(anatomy.model, qpos)
    return Reference(
        qpos=qpos.astype(np.float32),
        qvel=qvel.astype(np.float32),
        xpos=xpos,
        xquat=xquat,
        start=(np.cumsum(length) - length).astype(np.int32),
        length=length,
        weight=np.ones(len(length), np.float32),
        held=np.zeros((len(qpos), 0), np.float32),
        act=moving_activations(anatomy, qpos, qvel, qacc),
    )


def sample_times(n_frames: int, rate_hz: float, control_hz: float) -> Float[np.ndarray, " step"]:
    """Times of the control steps within a clip, in frames of the clip; frames within a millionth are met exactly."""
    ratio = rate_hz / control_hz
    count = int(np.floor((n_frames - 1) / ratio + 1e-6)) + 1
    times = np.arange(count) * ratio
    nearest = np.round(times)
    return np.minimum(np.where(np.abs(times - nearest) < 1e-6, nearest, times), n_frames - 1)


def interpolate(
    values: Float[np.ndarray, "frame *rest"], times: Float[np.ndarray, " step"]
) -> Float[np.ndarray, "step *rest"]:
    """Interpolate linearly at `times`, counted in frames."""
    low = np.minimum(times.astype(np.int64), len(values) - 1)
    high = np.minimum(low + 1, len(values) - 1)
    part = (times - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - part) + values[high] * part


def interpolate_qpos(
    anatomy: Anatomy, qpos: Float[np.ndarray, "frame qpos"], times: Float[np.ndarray, " step"]
) -> Float[np.ndarray, "step qpos"]:
    """Interpolate poses on the joint manifold: quaternions turn at constant speed between frames."""
    out = interpolate(qpos, times)
    low = np.minimum(times.astype(np.int64), len(qpos) - 1)
    high = np.minimum(low + 1, len(qpos) - 1)
    part = (times - low)[:, None]
    for q, _ in anatomy.quaternions:
        first, second = qpos[low, q : q + 4], qpos[high, q : q + 4]
        turn = rotations.difference(second, first)
        out[:, q : q + 4] = rotations.multiply(first, rotations.from_rotation_vector(part * turn))
    return out


def smooth(anatomy: Anatomy, qpos: Float[np.ndarray, "frame qpos"], frames: float) -> Float[np.ndarray, "frame qpos"]:
    """Smooth poses in time with a Gaussian of this standard deviation (in frames), mirrored at the clip's ends."""
    reach = max(1, int(np.ceil(4 * frames)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    kernel /= kernel.sum()
    values = qpos.copy()
    for q, _ in anatomy.quaternions:
        flips = np.cumprod(np.where((values[1:, q : q + 4] * values[:-1, q : q + 4]).sum(-1) < 0, -1.0, 1.0))
        values[1:, q : q + 4] *= flips[:, None]
    # odd reflection keeps the slope at the ends
    before = 2 * values[:1] - values[1 : reach + 1][::-1] if len(values) > reach else np.repeat(values[:1], reach, 0)
    after = 2 * values[-1:] - values[-reach - 1 : -1][::-1] if len(values) > reach else np.repeat(values[-1:], reach, 0)
    padded = np.concatenate([before, values, after])
    out = np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)
    for q, _ in anatomy.quaternions:
        out[:, q : q + 4] = rotations.normalize(out[:, q : q + 4])
    return out


def velocities(
    anatomy: Anatomy, qpos: Float[np.ndarray, "frame qpos"], rate_hz: float
) -> Float[np.ndarray, "frame qvel"]:
    """Velocities of poses by central differences on the manifold, one-sided at the ends."""
    model = anatomy.model
    out = np.zeros((len(qpos), model.nv))
    for i in range(len(qpos)):
        a, b = max(0, i - 1), min(len(qpos) - 1, i + 1)
        mujoco.mj_differentiatePos(model, out[i], (b - a) / rate_hz, qpos[a], qpos[b])
    return out


def kinematics(
    model: mujoco.MjModel, qpos: Float[np.ndarray, "frame qpos"]
) -> tuple[Float[np.ndarray, "frame body 3"], Float[np.ndarray, "frame body 4"]]:
    """Positions and orientations of all bodies, by MuJoCo, single precision."""
    data = mujoco.MjData(model)
    xpos = np.empty((len(qpos), model.nbody, 3), np.float32)
    xquat = np.empty((len(qpos), model.nbody, 4), np.float32)
    for i, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        xpos[i], xquat[i] = data.xpos, data.xquat
    return xpos, xquat


def choose(reference: Reference, clips: Sequence[int] | Int[np.ndarray, " clip"]) -> Reference:
    """The same frames, with these clips only."""
    ids = np.asarray(clips, np.int64)
    return reference._replace(
        **{name: np.asarray(getattr(reference, name))[ids] for name in ("start", "length", "weight")}
    )
