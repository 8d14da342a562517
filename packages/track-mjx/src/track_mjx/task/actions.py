"""Mapping of the policy's output in [-1, 1] to controls."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import unknown
from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import AnyArray

SPREAD = 4.0
"""Half the range of ``reference``, in standard deviations of the controls that hold the reference's poses."""

Ranges = Mapping[str, list[float]]


def to_ctrl(
    body: Anatomy, action: Float[AnyArray, "env actuator"], mapping: str, ranges: Ranges | None = None
) -> Float[AnyArray, "env actuator"]:
    """Controls of an action.

    ``affine`` spreads [-1, 1] over the control range, so that all of it can be reached and an idle muscle is -1.
    ``reference`` does the same with the range that holds the reference's poses (`holding_ranges`), for position servos;
    so an untrained policy has the posture of the animal.
    ``tanh_clip`` is the public code's mapping: the action clipped to the range; half of it has no effect on muscles.
    For ``offset`` see `offset_ctrl`.

    Args:
        body: whose actuators.
        action: in [-1, 1].
        mapping: affine, reference or tanh_clip.
        ranges: actuator -> lowest and highest control, in place of the control range.
    """
    low, high = (end.copy() for end in body.ctrl_range)
    if mapping == "tanh_clip":
        return jnp.clip(action, low, high)
    for place, name in enumerate(body.actuators if ranges else ()):
        low[place], high[place] = (ranges or {}).get(name, (low[place], high[place]))
    return jnp.asarray(low) + (action + 1) * np.float32(0.5) * (high - low)


def offset_ctrl(
    body: Anatomy, action: Float[AnyArray, "env actuator"], held: Float[AnyArray, "env actuator"], largest: float
) -> Float[AnyArray, "env actuator"]:
    """Controls that hold poses, with an action in [-1, 1] times `largest` added; within the control range."""
    return jnp.clip(held + np.float32(largest) * action, *body.ctrl_range)


def range_problems(body: Anatomy, ranges: Ranges) -> list[str]:
    """What is wrong with the ranges of a config."""
    problems = [unknown("actuator", name, body.actuators) for name in ranges if name not in body.actuators]
    for name, ends in ranges.items():
        if len(ends) != 2 or not ends[0] < ends[1]:
            problems.append(f"{name}: expected [lowest, highest], got {list(ends)}")
    return problems


def holding_controls(body: Anatomy, qpos: Float[np.ndarray, "frame qpos"]) -> Float[np.ndarray, "frame actuator"]:
    """Control at which each position servo rests in these poses, within its range; NaN for muscles and motors.

    A servo pulls with ``gain * control + bias0 + bias1 * length``: it rests where that is zero.
    """
    model = body.model
    gain, bias = model.actuator_gainprm[:, 0], model.actuator_biasprm
    servo = (model.actuator_biastype == mujoco.mjtBias.mjBIAS_AFFINE) & (bias[:, 1] < 0) & (gain > 0)
    lengths, data = np.empty((len(qpos), model.nu)), mujoco.MjData(model)
    for frame, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_fwdPosition(model, data)
        lengths[frame] = data.actuator_length
    controls = np.full((len(qpos), model.nu), np.nan)
    controls[:, servo] = -(bias[servo, 0] + bias[servo, 1] * lengths[:, servo]) / gain[servo]
    return np.clip(controls, *body.ctrl_range)


def holding_ranges(body: Anatomy, qpos: Float[np.ndarray, "frame qpos"]) -> dict[str, list[float]]:
    """Range of controls around those that hold poses, for every position servo.

    The range is the mean of `holding_controls` over the poses and `SPREAD` standard deviations to both sides, at least
    a tenth of the control range, and within the control range.

    Args:
        body: whose servos.
        qpos: poses.

    Returns:
        Servo -> lowest and highest control; nothing for muscles and motors.
    """
    controls = holding_controls(body, qpos)
    low, high = body.ctrl_range
    ranges = {}
    for i in np.flatnonzero(np.isfinite(controls).all(0)):
        half = max(SPREAD * controls[:, i].std(), 0.05 * float(high[i] - low[i]))
        mean = controls[:, i].mean()
        ends = np.clip([mean - half, mean + half], low[i], high[i])
        ranges[body.actuators[i]] = [round(float(end), 6) for end in ends]
    return ranges
