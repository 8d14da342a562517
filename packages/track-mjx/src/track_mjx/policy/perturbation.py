"""Perturbations of a finished controller: pushes, weak actuators, silent units, noise on the senses."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from track_mjx._common.errors import ConfigError, raise_all, unknown
from track_mjx.body.anatomy import Anatomy
from track_mjx.body.parts import matching
from track_mjx.body.variation import actuator_strength
from track_mjx.config import PerturbConfig
from track_mjx.policy.networks import Networks
from track_mjx.policy.policy import Policy
from track_mjx.task.step import Observation


@dataclass(frozen=True, eq=False)
class Perturbation:
    """What is done to a body and its senses while it is played."""

    force: Float[np.ndarray, "body 6"]
    """Force and torque on every body during the push, in the world frame."""
    first: int
    """First control step of the push."""
    after: int
    """The step after its last one."""
    noise: float
    """Standard deviation of the noise on proprioception, of that seen in training."""

    def force_at(self, step: int, n: int) -> Float[np.ndarray, "env body 6"]:
        """Return the forces in a control step of n simulations."""
        on = self.first <= step < self.after
        return np.broadcast_to(self.force if on else np.zeros_like(self.force), (n, *self.force.shape))


def with_noise(policy: Policy, observation: Observation, scale: float, key: Array) -> Observation:
    """Return an observation with noise on proprioception; see `Perturbation.noise`."""
    statistics = policy.statistics.proprioception
    deviation = jnp.sqrt(statistics.deviations / jnp.maximum(statistics.count, 1.0))
    noise = scale * deviation * jax.random.normal(key, observation.proprioception.shape)
    return observation._replace(proprioception=observation.proprioception + noise)


def perturbation(body: Anatomy, config: PerturbConfig, n_steps: int) -> Perturbation | None:
    """Return the perturbation of a config, for episodes of `n_steps`; None where there is no push and no noise."""
    if len(config.push) not in (0, 3):
        raise ConfigError(f"perturb.push: expected [x, y, z], got {list(config.push)}")
    if not any(config.push) and not config.noise:
        return None
    force = np.zeros((body.model.nbody, 6))
    name = config.push_body or body.arena.root_body
    if name not in body.bodies:
        raise ConfigError(f"perturb.push_body: {unknown('body', name, body.bodies)}")
    force[body.bodies.index(name), :3] = config.push or 0.0
    first = round(config.push_at_s / body.ctrl_dt)
    if any(config.push) and first >= n_steps:
        lasts = f"the longest episode lasts {n_steps * body.ctrl_dt:g} s"
        raise ConfigError(f"perturb.push_at_s: {config.push_at_s:g} s: {lasts}; the push would never begin")
    return Perturbation(force, first, first + max(1, round(config.push_s / body.ctrl_dt)), config.noise)


def weakened(body: Anatomy, factors: Mapping[str, float]) -> mujoco.MjModel:
    """Return the model with the forces of actuators, by name or pattern, times factors; 0 silences them."""
    model, factor = copy.copy(body.model), np.ones(body.model.nu)
    wrong = [f"{name}: expected at least 0, got {value}" for name, value in factors.items() if not 0 <= value < np.inf]
    raise_all(ConfigError, "perturb.actuators", wrong)
    for pattern, value in factors.items():
        for name in matching("perturb.actuators", "actuator", [pattern], body.actuators):
            factor[body.actuators.index(name)] *= value
    for name, values in actuator_strength(model, factor).items():
        getattr(model, name)[:] = values
    return model


def silenced(
    networks: Networks, policy: Policy, latents: Sequence[int], units: Mapping[str, Sequence[int]]
) -> tuple[Networks, Policy]:
    """Return a controller in which latents and hidden units of the decoder (``layer_0: [3, 7]``) have no effect.

    What reads a unit reads 0: its weights are set to 0, so that recorded activations are those before silencing.
    """
    outside = networks.use.acts == "latent"
    decoder = networks.given if outside else policy.parameters["decoder"]
    n_latents = networks.n_actions if outside else networks.config.latent
    readers = [*sorted(name for name in decoder["params"].get("hidden", {}) if name.startswith("dense_")), "action"]
    if units and networks.memory().size:
        raise ConfigError("perturb.units: units of a recurrent decoder (network.decoder_cell) cannot be silenced")
    known = {f"layer_{i}": i + 1 for i in range(len(readers) - 1)}
    problems = [f"perturb.units: {unknown('layer', name, list(known))}" for name in units if name not in known]
    raise_all(ConfigError, "perturb", problems)
    silent = [(0, i, n_latents, "perturb.latents") for i in latents]
    for name, chosen in units.items():
        silent += [
            (known[name], i, networks.body_decoder.widths[known[name] - 1], f"perturb.units.{name}") for i in chosen
        ]
    raise_all(ConfigError, "perturb", [f"{key}: {i}; there are {n}" for _, i, n, key in silent if not 0 <= i < n])
    for layer, row, *_ in silent:
        decoder = _without_row(decoder, readers[layer], row)
    if not outside:
        return networks, policy._replace(parameters={**policy.parameters, "decoder": decoder})
    networks = copy.copy(networks)
    networks.given = decoder
    return networks, policy


def _without_row(parameters: Any, layer: str, row: int) -> Any:
    """Set the weights by which a layer reads one of its inputs to 0."""

    def changed(path: tuple[Any, ...], leaf: Array) -> Array:
        here = [part.key for part in path[-2:]] == [layer, "kernel"]
        return jnp.asarray(leaf).at[row].set(0.0) if here else leaf

    return jax.tree_util.tree_map_with_path(changed, parameters)
