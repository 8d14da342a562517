"""What is timed: physics alone, with the task, with the policy, with learning; each as a block of control steps.

A block leaves everything ready for the next one and returns only when its results are there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from track_mjx.learning.collect import Collector
from track_mjx.learning.setup import Setup
from track_mjx.learning.trainer import Trainer
from track_mjx.physics.engine import make_engine
from track_mjx.physics.fields import Engine
from track_mjx.policy.control import ControlStep
from track_mjx.policy.policy import Policy, empty_statistics
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.reference import Reference
from track_mjx.task.step import StepResult

PARTS = {
    "physics": "simulation alone, under random controls",
    "task": "and observations, rewards, terminations and resets, under random actions",
    "policy": "and the network that acts",
    "learning": "and PPO's updates: a whole training iteration, without evaluations and checkpoints",
}
"""Each part contains those before it."""


class Block(NamedTuple):
    """Something that is timed.

    Attributes:
        prepare: called before each block, not timed.
        run: the block.
        control_steps: control steps of all simulations in it.
    """

    prepare: Callable[[], None]
    run: Callable[[], None]
    control_steps: int


@contextmanager
def open_block(part: str, setup: Setup, n_envs: int, n_steps: int) -> Iterator[Block]:
    """Make simulations ready for one part.

    Args:
        part: one of `PARTS`.
        setup: task, networks and engine.
        n_envs: simulations side by side.
        n_steps: control steps of each in a block; learning takes those of the settings.
    """
    if part == "learning":
        with tempfile.TemporaryDirectory() as folder:
            yield _learning(setup, n_envs, folder)
    elif part == "policy":
        yield _policy(setup, n_envs, n_steps)
    else:
        yield {"physics": _physics, "task": _task}[part](setup, n_envs, n_steps)


def _nothing() -> None:
    """Nothing is to be prepared."""


def _actions(setup: Setup, n_envs: int, n_steps: int) -> np.ndarray:
    """Random actions (step, env, actuator) over the whole range."""
    shape = (n_steps, n_envs, setup.task.body.model.nu)
    return np.random.default_rng(setup.config.seed).uniform(-1, 1, shape).astype(np.float32)


def _begin(setup: Setup, reference: Reference, n_envs: int) -> tuple[Any, Any, Any]:
    """Episodes, poses and velocities at random frames of the clips."""
    start = jax.jit(setup.task.start, static_argnames="n_envs")
    return start(reference, jax.random.key(setup.config.seed), n_envs=n_envs)


def _physics(setup: Setup, n_envs: int, n_steps: int) -> Block:
    arena = setup.task.body.arena
    engine = make_engine(setup.config.physics, arena.model, arena.n_substeps, ())
    _, qpos, qvel = _begin(setup, setup.on_device(setup.followed), n_envs)
    controls = np.asarray(jax.jit(setup.task.ctrl)(_actions(setup, n_envs, n_steps).reshape(-1, arena.model.nu)))
    controls = controls.reshape(n_steps, n_envs, -1)
    everyone, qpos, qvel = np.ones(n_envs, bool), np.asarray(qpos), np.asarray(qvel)
    holder = {"state": engine.init(n_envs)}
    reset = jax.jit(engine.reset) if engine.traceable else engine.reset
    scan = jax.jit(lambda state: jax.lax.scan(lambda s, c: (engine.step(s, c), None), state, controls)[0])

    def prepare() -> None:
        holder["state"] = reset(holder["state"], everyone, qpos, qvel)
        _wait(engine, holder["state"])

    def run() -> None:
        if engine.traceable:
            holder["state"] = scan(holder["state"])
        else:
            for control in controls:
                holder["state"] = engine.step(holder["state"], control)
        _wait(engine, holder["state"])

    return Block(prepare, run, n_envs * n_steps)


def _task(setup: Setup, n_envs: int, n_steps: int) -> Block:
    """The control step with random actions in place of the policy's."""
    task, engine, reference = setup.task, setup.engine(), setup.on_device(setup.followed)
    episode, qpos, qvel = _begin(setup, reference, n_envs)
    actions, key = _actions(setup, n_envs, n_steps), jax.random.key(setup.config.seed)
    begin = jax.jit(engine.reset) if engine.traceable else engine.reset
    state = begin(engine.init(n_envs), np.ones(n_envs, bool), np.asarray(qpos), np.asarray(qvel))
    holder: dict[str, Any] = {"state": state, "episode": episode}

    def finish(reference: Any, physics: Any, act: Any, result: StepResult, own: Any, key: Any) -> tuple[Any, ...]:
        return *task.restart(reference, result, key), result.done, act.observation, result.reward

    control = ControlStep(task, engine, lambda policy, observation, action: (action, None), finish)

    def step(carry: tuple[Any, Any], inputs: tuple[Any, Any]) -> tuple[tuple[Any, Any], Any]:
        state, outcome = control.traced(None, reference, carry[0], carry[1], None, inputs)
        episode, qpos, qvel, done, *kept = outcome
        return (engine.reset(state, done, qpos, qvel), episode), kept

    scan = jax.jit(lambda carry: jax.lax.scan(step, carry, (actions, jax.random.split(key, n_steps))))

    def run() -> None:
        if engine.traceable:
            (holder["state"], holder["episode"]), kept = scan((holder["state"], holder["episode"]))
            jax.block_until_ready(kept)
            return
        for action in actions:
            state, _, _, outcome = control(None, reference, holder["state"], holder["episode"], None, (action, key))
            episode, qpos, qvel, done, *_ = outcome
            if np.asarray(done).any():
                state = engine.reset(state, np.asarray(done), np.asarray(qpos), np.asarray(qvel))
            holder["state"], holder["episode"] = state, episode

    return Block(_nothing, run, n_envs * n_steps)


def _policy(setup: Setup, n_envs: int, n_steps: int) -> Block:
    engine, reference = setup.engine(), setup.on_device(setup.followed)
    collector = Collector(setup.task, setup.networks, engine, n_steps)
    key = jax.random.key(setup.config.seed)
    policy = Policy(setup.networks.init(key, setup.observation), empty_statistics(setup.observation))
    state, episode = collector.begin(reference, key, n_envs)
    holder: dict[str, Any] = {"state": state, "episode": episode}

    def run() -> None:
        holder["state"], holder["episode"], unroll, _ = collector.collect(
            policy, reference, holder["state"], holder["episode"], key
        )
        jax.block_until_ready(unroll)

    return Block(_nothing, run, n_envs * n_steps)


def _learning(setup: Setup, n_envs: int, folder: str) -> Block:
    ppo = replace(setup.config.ppo, n_envs=n_envs)
    setup = replace(setup, config=replace(setup.config, ppo=ppo, out=folder))
    every = list(range(len(setup.clips.clip_name)))
    trainer = Trainer(setup, RunFolder.create(setup.config, setup.clips, every, []), every, [])

    def run() -> None:
        trainer.advance()
        jax.block_until_ready(trainer.learner)

    return Block(_nothing, run, n_envs * ppo.unroll * ppo.rounds)


def _wait(engine: Engine, state: Any) -> None:
    if engine.traceable:
        jax.block_until_ready(state.qpos)
