"""The parts of a training iteration that are timed; each contains those before it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np

from track_mjx.config import TrainConfig
from track_mjx.learning.collect import Collector, LearningStep
from track_mjx.learning.setup import Setup
from track_mjx.learning.trainer import Trainer
from track_mjx.physics.engine import make_engine
from track_mjx.policy.policy import Acting, Memory, Policy
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import Observation

PARTS = {
    "physics": "simulation alone, under random controls",
    "task": "and observations, rewards, terminations and resets, under random actions",
    "policy": "and the network that acts",
    "learning": "and PPO's updates: a whole training iteration, without evaluations and checkpoints",
}


def blocks(part: str, setup: Setup, n_envs: int, n_steps: int) -> Iterator[int]:
    """Prepare simulations for one part, then do one block of work each time; yield the control steps in it.

    Learning takes the control steps of the settings; other parts take `n_steps` of each simulation in a block.
    """
    if part == "learning":
        return _learning(setup, n_envs)
    if part == "physics":
        return _physics(setup, n_envs, n_steps)
    step = RandomStep if part == "task" else LearningStep
    return _collecting(setup, Collector(step(setup.task, setup.networks, setup.engine()), n_steps), n_envs)


class RandomStep(LearningStep):
    """A control step whose actions are random; no network runs."""

    def decide(self, policy: Policy, observation: Observation, memory: Memory) -> tuple[jax.Array, Acting]:
        """Draw actions uniformly."""
        assert memory.keys is not None
        n_envs, n_latents = observation.proprioception.shape[0], self.networks.config.latent
        action = jax.random.uniform(memory.keys[0], (n_envs, self.task.body.model.nu), minval=-1, maxval=1)
        latent, raw = jnp.zeros((n_envs, n_latents)), jnp.zeros((n_envs, self.networks.n_actions))
        return action, Acting(raw, jnp.zeros(n_envs), latent, latent, memory.hidden)


def _physics(setup: Setup, n_envs: int, n_steps: int) -> Iterator[int]:
    task, arena = setup.task, setup.task.body.arena
    engine = make_engine(setup.config.physics, arena.model, arena.n_substeps, ())
    start = jax.jit(task.start, static_argnames="n_envs")
    _, begin = start(setup.on_device(setup.followed), jax.random.key(setup.config.seed), n_envs=n_envs)
    low, high = task.body.ctrl_range
    drawn = np.random.default_rng(setup.config.seed).random((n_steps, n_envs, arena.model.nu))
    controls = (low + (high - low) * drawn).astype(np.float32)
    everyone, begin = np.ones(n_envs, bool), tuple(map(np.asarray, begin))
    reset = jax.jit(engine.reset) if engine.traceable else engine.reset
    scan = jax.jit(lambda state: jax.lax.scan(lambda s, c: (engine.step(s, c), None), state, controls)[0])
    state = engine.init(n_envs)
    while True:
        state = reset(state, everyone, *begin)
        if engine.traceable:
            state = jax.block_until_ready(scan(state))
        else:
            for control in controls:
                state = engine.step(state, control)
        yield n_envs * n_steps


def _collecting(setup: Setup, collector: Collector, n_envs: int) -> Iterator[int]:
    reference, key = setup.on_device(setup.followed), jax.random.key(setup.config.seed)
    policy = setup.initial_policy(key)
    state, carry = collector.begin(reference, key, n_envs)
    while True:
        state, carry, unroll, _ = collector.collect(policy, reference, state, carry, key)
        jax.block_until_ready(unroll)
        yield n_envs * collector.n_steps


def _learning(setup: Setup, n_envs: int) -> Iterator[int]:
    ppo, clips = replace(setup.config.ppo, n_envs=n_envs), list(range(len(setup.clips.clip_name)))
    with tempfile.TemporaryDirectory() as folder:
        # settings of a training alone: a run folder knows no others
        config = TrainConfig(**{entry.name: getattr(setup.config, entry.name) for entry in fields(TrainConfig)})
        setup = replace(setup, config=replace(config, ppo=ppo, out=folder))
        trainer = Trainer(setup, RunFolder.create(setup.config, setup.clips, clips, []), clips, [])
        while True:
            trainer.advance()
            jax.block_until_ready(trainer.learner)
            yield ppo.collected_unrolls * trainer.collector.n_steps
