"""Cost terms: what movement is charged for, each at least 0 (paper A, section 2.6; paper B, table 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import ConfigError
from track_mjx.physics.fields import Arrayish
from track_mjx.task.registry import cost
from track_mjx.task.step import Scene


@cost
def control(scene: Scene, *, of: str = "ctrl") -> Float[Arrayish, " env"]:
    """Sum of squared controls.

    Args:
        scene: the step.
        of: ``ctrl``, what reaches the actuators (so that an idle muscle costs nothing), or ``action``, what the policy
            puts out.
    """
    if of not in ("ctrl", "action"):
        raise ConfigError(f"cost control: of: expected ctrl or action, got {of!r}")
    return ((scene.now.ctrl if of == "ctrl" else scene.action) ** 2).sum(-1)


@cost
def control_difference(scene: Scene) -> Float[Arrayish, " env"]:
    """Sum of squared changes of the action since the step before; the first step of an episode is free."""
    first = (scene.history.age <= 1)[:, None]
    return jnp.where(first, 0.0, (scene.action - scene.previous_action) ** 2).sum(-1)


@cost
def energy(scene: Scene, *, limit: float | None = None) -> Float[Arrayish, " env"]:
    """Mechanical power of the actuators: sum over degrees of freedom of |velocity| |force|; cut at `limit`, if given.

    In the model's units: W in an MJCF of metres and kilograms.
    """
    power = (jnp.abs(scene.now.qvel) * jnp.abs(scene.now.qfrc_actuator)).sum(-1)
    return power if limit is None else jnp.minimum(power, limit)


@cost
def variance(scene: Scene, *, window: int = 50) -> Float[Arrayish, " env"]:
    """Variance of the actions over the last `window` control steps, mean over actuators; fewer after a reset."""
    history = scene.history.action[:, -window:]
    counted = jnp.arange(history.shape[1])[::-1] < scene.history.age[:, None]
    weight = counted[..., None] / jnp.maximum(counted.sum(1), 1)[:, None, None]
    mean = (weight * history).sum(1, keepdims=True)
    return (weight * (history - mean) ** 2).sum(1).mean(-1)


@cost
def jerk(scene: Scene, *, window: int = 3) -> Float[Arrayish, " env"]:
    """Mean squared jerk of the joints, (rad/s^3)^2, from the last three velocities; the first two steps are free."""
    _, columns = scene.body.joint_columns(None)
    velocity = scene.history.qvel[:, -window:][:, -3:, columns]
    second = (velocity[:, 2] - 2 * velocity[:, 1] + velocity[:, 0]) / scene.body.ctrl_dt**2
    return jnp.where(scene.history.age[:, None] >= 3, second**2, 0.0).mean(-1)


@cost
def emg(
    scene: Scene, *, target: Mapping[str, Sequence[float]], rate_hz: float, weights: Mapping[str, float] | None = None
) -> Float[Arrayish, " env"]:
    """Squared difference between muscle activation and a recorded envelope, mean over muscles.

    Args:
        scene: the step.
        target: actuator name -> envelope over the time of the clip, 0..1, first sample at the clip's start; held at its
            last value afterwards.
        rate_hz: samples per second of the envelopes.
        weights: actuator name -> weight; 1 where not given.
    """
    names = list(target)
    columns = [scene.body.act_columns[i] for i in scene.body.actuator_ids(names)]
    still = [name for name, column in zip(names, columns, strict=True) if column < 0]
    if still:
        raise ConfigError(f"cost emg: actuators without activation: {', '.join(still)}")
    wanted = jnp.stack(
        [
            jnp.interp(scene.time_s * rate_hz, np.arange(len(target[n])), np.asarray(target[n], np.float32))
            for n in names
        ],
        axis=-1,
    )
    weight = jnp.asarray([float((weights or {}).get(name, 1.0)) for name in names])
    return (weight * (scene.now.act[:, jnp.asarray(columns)] - wanted) ** 2).mean(-1)
