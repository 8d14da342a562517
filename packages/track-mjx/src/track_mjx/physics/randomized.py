"""Domain randomisation: body and delay differ between simulations, and are drawn when one restarts.

Peng et al. 2018, "Sim-to-real transfer of robotic control with dynamics randomization" (ICRA).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Float, Int

from track_mjx._common.errors import ConfigError
from track_mjx.body.variation import QUANTITIES, Fields
from track_mjx.compiled import ByContent, compiled, digest_of
from track_mjx.config import RandomizeConfig
from track_mjx.physics.fields import AnyArray, Engine, PhysicsState


class Drawn(NamedTuple):
    """What was drawn for every simulation."""

    key: AnyArray
    """(env, 2) data of the key of its next draw."""
    factors: Float[AnyArray, "env quantity"]
    """Of the body, in the order of `RandomizedEngine.quantities`."""
    delay: Int[AnyArray, " env"]
    """Control steps by which its controls are late."""
    past: Float[AnyArray, "env step actuator"]
    """Controls of the last steps, newest last."""
    age: Int[AnyArray, " env"]
    """Control steps since the restart."""


class RandomizedEngine(ByContent):
    """An engine whose simulations have bodies and delays of their own."""

    def __init__(self, engine: Any, model: mujoco.MjModel, ranges: RandomizeConfig, seed: int) -> None:
        self.name, self.traceable, self._engine, self._model, self._seed = (
            engine.name, engine.traceable, engine, model, seed,
        )  # fmt: skip
        given = {name: tuple(ends) for name, ends in asdict(ranges).items() if ends}
        wrong = [name for name, ends in given.items() if len(ends) != 2 or ends[0] > ends[1]]
        if wrong:
            raise ConfigError(f"randomize.{wrong[0]}: expected [lowest, highest], got {list(given[wrong[0]])}")
        self._delays = given.pop("delay", (0, 0))
        self.quantities, self._ranges = tuple(given), np.array([*given.values()], np.float32).reshape(-1, 2)
        self._draw, self._late = self._drawn, self._delayed
        if not engine.traceable:
            self._draw, self._late = compiled(type(self)._drawn, self), compiled(self._delayed)

    @property
    def content(self) -> Hashable:
        """The engine and the ranges; the seed is in the keys that are drawn from."""
        engine = self._engine if self.traceable else None
        return engine, digest_of(self._model), self.quantities, self._ranges.tobytes(), tuple(self._delays)

    def init(self, n_envs: int) -> Any:
        """Return `n_envs` simulations at the model's reference pose, of the model itself until they restart."""
        process = 0 if self.traceable else jax.process_index()
        keys = jax.random.split(jax.random.fold_in(jax.random.key(self._seed), process), n_envs)
        nothing = jnp.zeros(n_envs, jnp.int32)
        past = jnp.zeros((n_envs, self._delays[1] + 1, self._model.nu), jnp.float32)
        drawn = Drawn(jax.random.key_data(keys), jnp.ones((n_envs, len(self.quantities))), nothing, past, nothing)
        return self._engine.init(n_envs), self._own(drawn)

    def _own(self, tree: Any) -> Any:
        return tree if self.traceable else jax.tree.map(np.array, tree)

    def step(self, state: Any, ctrl: Any) -> Any:
        """Advance all simulations by one control step, with the controls of some steps ago."""
        drawn, ctrl = self._own(self._late(state[1], jnp.asarray(ctrl)))
        fields = (self._fields(drawn),) if self.traceable else ()
        return self._engine.step(state[0], ctrl, *fields), drawn

    def reset(self, state: Any, mask: Any, qpos: Any, qvel: Any, act: Any = None) -> Any:
        """Restart the simulations in `mask`, each with a body and a delay of its own."""
        drawn = self._own(self._draw(state[1], jnp.asarray(mask)))
        return self._engine.reset(state[0], mask, qpos, qvel, act, self._fields(drawn)), drawn

    def _drawn(self, drawn: Drawn, mask: AnyArray) -> Drawn:
        keys = jax.vmap(partial(jax.random.split, num=3))(jax.random.wrap_key_data(jnp.asarray(drawn.key)))
        factors = jax.vmap(lambda key: jax.random.uniform(key, (len(self.quantities),)))(keys[:, 1])
        low, high = self._ranges.T
        delay = jax.vmap(lambda key: jax.random.randint(key, (), self._delays[0], self._delays[1] + 1))(keys[:, 2])
        fresh = Drawn(
            jax.random.key_data(keys[:, 0]), low + (high - low) * factors, delay, drawn.past, jnp.zeros_like(drawn.age)
        )
        return jax.tree.map(lambda new, old: jnp.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old), fresh, drawn)

    @staticmethod
    def _delayed(drawn: Drawn, ctrl: AnyArray) -> tuple[Drawn, AnyArray]:
        """Note controls; return those that act now. At first, those of the first step act."""
        first = (drawn.age == 0)[:, None, None]
        past = jnp.where(first, ctrl[:, None], jnp.concatenate([drawn.past[:, 1:], ctrl[:, None]], 1))
        acting = jnp.take_along_axis(past, (past.shape[1] - 1 - drawn.delay)[:, None, None], 1)[:, 0]
        return drawn._replace(past=past, age=drawn.age + 1), acting

    def _fields(self, drawn: Drawn) -> Fields:
        fields: Fields = {}
        for i, name in enumerate(self.quantities):
            fields |= QUANTITIES[name](self._model, drawn.factors[:, i])
        return fields

    def push(self, state: Any, force: Any) -> Any:
        """Apply forces and torques to bodies from now on."""
        return (self._engine.push(state[0], force), state[1])

    def read(self, state: Any) -> PhysicsState:
        """Return what the task reads."""
        return self._engine.read(state[0])

    def save(self, state: Any) -> dict[str, np.ndarray]:
        """Return all arrays needed to resume exactly."""
        drawn = {f"drawn_{name}": np.asarray(values) for name, values in state[1]._asdict().items()}
        return {**self._engine.save(state[0]), **drawn}

    def load(self, state: Any, saved: dict[str, np.ndarray]) -> Any:
        """Return the simulations as they were when `save` was called."""
        drawn = self._own(Drawn(*(jnp.asarray(saved[f"drawn_{name}"]) for name in Drawn._fields)))
        kept = {name: values for name, values in saved.items() if not name.startswith("drawn_")}
        simulations = self._engine.load(state[0], kept)
        if not self.traceable:
            self._engine.vary(simulations, np.arange(len(drawn.age)), self._fields(drawn))
        return simulations, drawn


def randomized(engine: Engine, model: mujoco.MjModel, ranges: RandomizeConfig, seed: int) -> Engine:
    """Return an engine with its simulations randomised, or as it is where nothing is to be."""
    if not any(asdict(ranges).values()):
        return engine
    if "warp" in engine.name:
        raise ConfigError("randomize: physics.engine=warp has one body for all simulations; use native or mjx")
    return RandomizedEngine(engine, model, ranges, seed)
