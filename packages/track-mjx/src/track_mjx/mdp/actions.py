"""From the policy's output in [-1, 1] to controls."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from track_mjx.anatomy import Anatomy
from track_mjx.errors import ConfigError, unknown
from track_mjx.physics.fields import Arrayish

MAPPINGS = ("affine", "tanh_clip")


def to_ctrl(body: Anatomy, action: Float[Arrayish, "env actuator"], mapping: str) -> Float[Arrayish, "env actuator"]:
    """Controls of an action.

    ``affine`` spreads [-1, 1] over the control range, so that all of it can be reached and an idle muscle is -1.
    ``tanh_clip`` is the public code's mapping: the action itself, clipped to the range; for muscles half of it is dead.

    Raises:
        ConfigError: when there is no such mapping.
    """
    low, high = body.ctrl_range
    if mapping == "affine":
        return jnp.asarray(low) + (action + 1) * np.float32(0.5) * (high - low)
    if mapping == "tanh_clip":
        return jnp.clip(action, low, high)
    raise ConfigError(f"task.action: {unknown('mapping', mapping, MAPPINGS)}")
