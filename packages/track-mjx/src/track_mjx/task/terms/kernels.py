"""From distances to rewards."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Float

from track_mjx._common.errors import ConfigError
from track_mjx.physics.fields import Arrayish


def gaussian(
    squared: Float[Arrayish, "*batch"], sigma: float | None, exp_scale: float | None, unit: float = 1.0
) -> Float[Arrayish, "*batch"]:
    """Gaussian kernel of a squared distance: exp(-d^2 / (2 sigma^2)).

    Args:
        squared: squared distance, in the model's units.
        sigma: width in physical units (m, rad).
        exp_scale: the papers' form instead, exp(-s d^2) in the model's units; sigma = 1 / sqrt(2 s).
        unit: model units per physical unit, applied to `sigma`.

    Raises:
        ConfigError: unless exactly one of the two is given, and positive.
    """
    if (sigma is None) == (exp_scale is None):
        raise ConfigError("a reward term needs either sigma or exp_scale")
    value = float(sigma if sigma is not None else exp_scale)  # type: ignore[arg-type]
    if not value > 0:
        raise ConfigError(f"a reward term's sigma or exp_scale must be positive, got {value}")
    scale = 0.5 / (value * unit) ** 2 if sigma is not None else value
    return jnp.exp(-scale * squared)
