"""Controls that hold poses, where actions are centred, and activations that continue a movement, for its start."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from track_mjx.body.anatomy import Anatomy
from track_mjx.body.servos import position_servos
from track_mjx.body.strength import can_be_judged, producing_use

SPREAD = 4.0
"""Half of a holding range, in standard deviations of the controls that hold the poses."""
_INTEGRATORS = (int(mujoco.mjtDyn.mjDYN_INTEGRATOR),)


def holding_controls(body: Anatomy, qpos: Float[np.ndarray, "frame qpos"]) -> Float[np.ndarray, "frame actuator"]:
    """Control at which each position servo rests in these poses, within its range.

    NaN for muscles and motors, and for servos whose control is a speed (MuJoCo's `intvelocity`).
    """
    controls = np.clip(_set_points(body, qpos, np.zeros((len(qpos), body.model.nv))), *body.ctrl_range)
    controls[:, np.isin(body.model.actuator_dyntype, _INTEGRATORS)] = np.nan
    return controls


def _set_points(
    body: Anatomy, qpos: Float[np.ndarray, "frame qpos"], qvel: Float[np.ndarray, "frame dof"]
) -> Float[np.ndarray, "frame actuator"]:
    """Input at which each position servo exerts no force; NaN for others.

    Its force is ``gain * input + bias0 + bias1 * length + bias2 * velocity``.
    """
    model = body.model
    gain, bias, servo = model.actuator_gainprm[:, 0], model.actuator_biasprm, position_servos(model)
    points, data = np.full((len(qpos), model.nu), np.nan), mujoco.MjData(model)
    for point, pose, velocity in zip(points, qpos, qvel, strict=True):
        data.qpos[:], data.qvel[:] = pose, velocity
        mujoco.mj_fwdPosition(model, data)
        mujoco.mj_fwdVelocity(model, data)
        force = bias[:, 0] + bias[:, 1] * data.actuator_length + bias[:, 2] * data.actuator_velocity
        point[servo] = -force[servo] / gain[servo]
    return points


def holding_ranges(body: Anatomy, qpos: Float[np.ndarray, "frame qpos"]) -> dict[str, list[float]]:
    """Range of controls around those that hold poses, for every position servo.

    The range is the mean of `holding_controls` over the poses and `SPREAD` standard deviations to both sides, at least
    a tenth of the control range, and within the control range.

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


def moving_activations(body: Anatomy, *movement: Float[np.ndarray, "frame _"]) -> Float[np.ndarray, "frame act"]:
    """State (``act``) of the actuators that have one, so that a movement (qpos, qvel and qacc) continues.

    Of a position servo it is the input at which it neither drives nor brakes, within its range. The others share the
    torques of inverse dynamics as in `track_mjx.body.strength.producing_use`; where these do not follow from the
    movement alone, they are idle.
    """
    model, columns = body.model, np.array(body.act_columns)
    stateful = np.flatnonzero(columns >= 0)
    act = np.zeros((len(movement[0]), model.na), np.float32)
    if not len(stateful):
        return act
    points = _set_points(body, *movement[:2])[:, stateful]
    low, high = (ends[stateful] for ends in body.ctrl_range)
    if np.isnan(points).any() and can_be_judged(body):
        use = producing_use(body, *movement)[:, stateful]
        points = np.where(np.isnan(points), low + use * (high - low), points)
    limits = model.actuator_actrange[stateful].T
    limited = model.actuator_actlimited[stateful].astype(bool)
    speeds = np.isin(model.actuator_dyntype[stateful], _INTEGRATORS)
    lowest = np.where(limited, limits[0], np.where(speeds, -np.inf, low))
    highest = np.where(limited, limits[1], np.where(speeds, np.inf, high))
    act[:, columns[stateful]] = np.clip(np.nan_to_num(points), lowest, highest)
    return act
