"""Mapping of the policy's output in [-1, 1] to controls."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx._common.errors import unknown
from track_mjx.body.anatomy import Anatomy
from track_mjx.physics.fields import AnyArray

Ranges = Mapping[str, list[float]]


def to_ctrl(
    body: Anatomy, action: Float[AnyArray, "env actuator"], mapping: str, ranges: Ranges | None = None
) -> Float[AnyArray, "env actuator"]:
    """Controls of an action.

    ``affine`` spreads [-1, 1] over the control range, so that all of it can be reached and an idle muscle is -1.
    ``reference`` does the same with the range that holds the reference's poses, for position servos (see
    `track_mjx.task.holding`); so an untrained policy has the posture of the animal.
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


def to_action(
    body: Anatomy, ctrl: Float[AnyArray, "env actuator"], mapping: str, ranges: Ranges | None = None
) -> Float[AnyArray, "env actuator"]:
    """Return the actions that `to_ctrl` maps to these controls; the nearest in [-1, 1] where none does."""
    ends = (to_ctrl(body, np.full((1, body.model.nu), end, np.float32), mapping, ranges) for end in (-1, 1))
    low, high = ends
    return jnp.clip(2 * (ctrl - low) / (high - low) - 1, -1.0, 1.0)


def offset_ctrl(
    body: Anatomy, action: Float[AnyArray, "env actuator"], held: Float[AnyArray, "env actuator"], largest: float
) -> Float[AnyArray, "env actuator"]:
    """Controls that hold poses, with an action in [-1, 1] times `largest` added; within the control range."""
    return jnp.clip(held + np.float32(largest) * action, *body.ctrl_range)


def range_problems(body: Anatomy, ranges: Ranges) -> list[str]:
    """What is wrong with the ranges of a config."""
    problems = [unknown("actuator", name, body.actuators) for name in ranges if name not in body.actuators]
    for name, ends in ranges.items():
        if len(ends) != 2 or not -np.inf < ends[0] < ends[1] < np.inf:
            problems.append(f"{name}: expected [lowest, highest], got {list(ends)}")
    return problems
