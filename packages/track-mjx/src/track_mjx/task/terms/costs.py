"""Cost terms, subtracted from the reward, each at least 0 (paper A, section 2.6; paper B, table 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import ConfigError
from track_mjx.physics.fields import AnyArray
from track_mjx.task.registry import cost
from track_mjx.task.step import Step


@cost
def control(step: Step, *, of: str = "ctrl") -> Float[AnyArray, " env"]:
    """Sum of squared controls.

    Args:
        step: the control step.
        of: ``ctrl``, the input of the actuators, so that an idle muscle costs nothing, or ``action``, the output of the
            policy.
    """
    if of not in ("ctrl", "action"):
        raise ConfigError(f"of: expected ctrl or action, got {of!r}")
    return ((step.now.ctrl if of == "ctrl" else step.action) ** 2).sum(-1)


@cost
def control_difference(step: Step) -> Float[AnyArray, " env"]:
    """Sum of squared changes of the action since the previous step; the first step of an episode costs nothing."""
    first = (step.history.age <= 1)[:, None]
    return jnp.where(first, 0.0, (step.action - step.previous_action) ** 2).sum(-1)


@cost
def energy(step: Step, *, limit: float | None = None) -> Float[AnyArray, " env"]:
    """Mechanical power of the actuators: sum over degrees of freedom of |velocity| |force|; at most `limit`, if given.

    In the model's units: W in an MJCF of metres and kilograms.
    """
    power = (jnp.abs(step.now.qvel) * jnp.abs(step.now.qfrc_actuator)).sum(-1)
    return power if limit is None else jnp.minimum(power, limit)


@cost
def variance(step: Step, *, window: int = 50) -> Float[AnyArray, " env"]:
    """Variance of the actions over the last `window` control steps, mean over actuators; fewer after a reset."""
    history = step.history.action[:, -window:]
    counted = jnp.arange(history.shape[1])[::-1] < step.history.age[:, None]
    counted = counted.astype(history.dtype)
    weight = counted[..., None] / jnp.maximum(counted.sum(1), 1.0)[:, None, None]
    mean = (weight * history).sum(1, keepdims=True)
    return (weight * (history - mean) ** 2).sum(1).mean(-1)


@cost
def jerk(step: Step, *, window: int = 3) -> Float[AnyArray, " env"]:
    """Mean squared jerk of the joints, (rad/s^3)^2, from the last three velocities; 0 in the first two steps."""
    if window < 3:
        raise ConfigError(f"window: expected at least 3 control steps, got {window}")
    velocity = step.history.qvel[:, -window:][:, -3:, np.asarray(step.body.joint_dofs)]
    second = (velocity[:, 2] - 2 * velocity[:, 1] + velocity[:, 0]) / step.body.ctrl_dt**2
    return jnp.where(step.history.age[:, None] >= 3, second**2, 0.0).mean(-1)


@cost
def emg(
    step: Step, *, target: Mapping[str, Sequence[float]], rate_hz: float, weights: Mapping[str, float] | None = None
) -> Float[AnyArray, " env"]:
    """Squared difference between muscle activation and a recorded envelope, mean over muscles.

    Args:
        step: the control step.
        target: actuator name -> envelope over the time of the clip, 0..1, first sample at the clip's start; held at its
            last value afterwards.
        rate_hz: samples per second of the envelopes.
        weights: actuator name -> weight; 1 where not given.
    """
    names = list(target)
    columns = [step.body.act_columns[i] for i in step.body.actuator_ids(names)]
    passive = [name for name, column in zip(names, columns, strict=True) if column < 0]
    if passive:
        raise ConfigError(f"actuators without activation: {', '.join(passive)}")
    wanted = jnp.stack(
        [
            jnp.interp(
                step.time_s * rate_hz, np.arange(len(target[n]), dtype=np.float32), np.asarray(target[n], np.float32)
            )
            for n in names
        ],
        axis=-1,
    )
    weight = jnp.asarray([float((weights or {}).get(name, 1.0)) for name in names])
    return (weight * (step.now.act[:, np.asarray(columns)] - wanted) ** 2).mean(-1)
