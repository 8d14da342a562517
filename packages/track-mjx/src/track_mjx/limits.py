"""Numbers that settings must lie between; what depends on other settings is verified where it is used."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from track_mjx._common.errors import ConfigError, raise_all
from track_mjx.config import TrainConfig

LEAST: dict[str, float] = {
    "physics.iterations": 1,
    "physics.ls_iterations": 1,
    "physics.threads": 0,
    "task.smoothing_s": 0,
    "network.encoder": 1,
    "network.decoder": 1,
    "network.critic": 1,
    "network.latent": 0,
    "network.min_std": 0,
    "network.initial_std": 0,
    "ppo.kl_weight": 0,
    "ppo.kl_ramp_steps": 0,
    "ppo.value_weight": 0,
    "run.evaluate_clips": 1,
    "run.keep_checkpoints": 1,
}
"""Setting -> the least it may be; of a list, each of its numbers."""
ABOVE: dict[str, float] = {
    "arena.servo_hz": 0,
    "network.initial_latent_std": 0,
    "ppo.clip": 0,
    "ppo.max_gradient_norm": 0,
    "ppo.reward_scale": 0,
    "run.max_minutes": 0,
}
"""Setting -> what it must exceed; empty settings aside."""


def check_limits(config: TrainConfig) -> None:
    """Refuse numbers that no setting can make sense of, all at once.

    Raises:
        ConfigError: with all that is wrong.
    """
    faults = []
    for key, least in LEAST.items():
        value = attrgetter(key)(config)
        if not all(number >= least for number in _numbers(value)):
            faults.append(f"{key}: expected at least {least:g}, got {value}")
    for key, bound in ABOVE.items():
        value = attrgetter(key)(config)
        if not all(number > bound for number in _numbers(value)):
            faults.append(f"{key}: expected more than {bound:g}, got {value}")
    raise_all(ConfigError, "settings", faults)


def _numbers(value: Any) -> list[float]:
    """A setting as numbers; none where it is empty."""
    if value is None:
        return []
    return [float(number) for number in value] if isinstance(value, list | tuple) else [float(value)]
