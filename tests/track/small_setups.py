"""Tasks on the small bodies, small enough to compile and run within a second or two."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from track.clip_files import write_clips, write_walker_clips
from track_mjx.clips import read_clips
from track_mjx.config import (
    ArenaConfig,
    NetworkConfig,
    PhysicsConfig,
    PpoConfig,
    RolloutConfig,
    RunConfig,
    TaskConfig,
    TrainConfig,
)
from track_mjx.learning.setup import Setup, build, split
from track_mjx.learning.trainer import Trainer
from track_mjx.physics.fields import PhysicsState, zero_physics
from track_mjx.policy.play import Player, realignment
from track_mjx.policy.policy import Policy
from track_mjx.rollouts import writing
from track_mjx.rollouts.writing import Origin
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import EpisodeState, Poses, Step

ARM_TASK: dict[str, Any] = {
    "window": [1, 3],
    "reference": {"joints_ahead": {}, "target_velocities": {}},
    "proprioception": {"joints": {}, "velocities_b": {}, "muscle_activation": {}, "previous_action": {}},
    "rewards": {"joint_position_exp": {"weight": 1.0, "sigma": 0.3}},
    "costs": {"control_difference": {"weight": 0.1}},
}
REACH_TASK: dict[str, Any] = {
    "kind": "reach",
    "goal": {"goal_b": {}},
    "proprioception": ARM_TASK["proprioception"],
    "reference": {},
    "rewards": {"goal_exp": {"weight": 1.0, "sigma": 0.02}},
    "episode_s": 0.05,
}
WALKER_TASK: dict[str, Any] = {
    "window": [1, 2],
    "reference": {"joints_ahead": {}, "root_ahead_b": {}, "orientation_ahead_b": {}, "bodies_ahead_b": {}},
    "proprioception": {"joints": {}, "velocities_b": {}, "up_direction_b": {}, "end_effectors_b": {}, "touch": {}},
    "rewards": {
        "root_position_exp": {"weight": 1.0, "sigma": 0.05},
        "joint_position_exp": {"weight": 1.0, "exp_scale": 0.25},
    },
    "terminations": {"too_far": {"limit_m": 0.05}},
}
VELOCITY_TASK: dict[str, Any] = {
    "kind": "velocity",
    "goal": {"command_b": {}},
    "reference": {},
    "rewards": {"velocity_exp": {"weight": 1.0, "sigma": 0.02}},
    "terminations": {},
    "episode_s": 0.05,
}


def config(path: Path, task: dict[str, Any], **ppo: Any) -> TrainConfig:
    """Settings for a small run in the folder of `path`."""
    learning = {"n_envs": 16, "unroll": 5, "epochs": 2, "minibatches": 2, "learning_rate": 1e-3, **ppo}
    return TrainConfig(
        clips=str(path),
        out=str(path.parent / "run"),
        physics=PhysicsConfig(sim_dt_s=0.0025, ctrl_dt_s=0.005, threads=2, engine="native"),
        task=TaskConfig(**task),
        network=NetworkConfig(encoder=[16], decoder=[16], critic=[16], latent=3),
        ppo=PpoConfig(**learning),
        run=RunConfig(steps=800, log_every=1, checkpoint_every=2, evaluate_every_s=0.0, test_fraction=0.25),
    )


def arm(folder: Path, task: dict[str, Any] | None = None, clips: dict[str, Any] | None = None, **ppo: Any) -> Setup:
    """The arm on four clips; `clips` changes them, the body included."""
    path = write_clips(folder / "clips.h5", **(clips or {}))
    return build(config(path, {**ARM_TASK, **(task or {})}, **ppo), read_clips(path))


def walker(folder: Path, task: dict[str, Any] | None = None, arena: dict[str, Any] | None = None, **ppo: Any) -> Setup:
    """The walker on four clips."""
    path = write_walker_clips(folder / "clips.h5")
    settings = config(path, {**WALKER_TASK, **(task or {})}, **ppo)
    settings.arena = ArenaConfig(**(arena or {}))
    return build(settings, read_clips(path))


def command(folder: Path, *more: str) -> list[str]:
    """The command that trains the arm on FOLDER/clips.h5 into FOLDER/run: very small, quick to compile."""
    regions = {"regions": {"elbow": ["fore"], "wrist": ["hand"]}}
    rewards = {"rewards": {**ARM_TASK["rewards"], "body_position_exp": None}}
    task = json.dumps({**ARM_TASK, **regions, **rewards}).replace('"', "")
    return [
        sys.executable, "-m", "track_mjx", "train", f"clips={folder / 'clips.h5'}", f"out={folder / 'run'}",
        f"task={task}", "physics.sim_dt_s=0.0025", "physics.ctrl_dt_s=0.005", "network.encoder=[8]",
        "network.decoder=[8]", "network.critic=[8]", "network.latent=2", "ppo.n_envs=16", "ppo.unroll=4",
        "ppo.minibatches=2", "run.log_every=2", "run.checkpoint_every=4", "run.evaluate_every_s=0", *more,
    ]  # fmt: skip


def trainer(setup: Setup, name: str = "run", *, new: bool = True) -> Trainer:
    """The trainer of a run, new or already there, in the folder of the clips."""
    setup.config.out = str(Path(setup.config.clips).parent / name)
    train, test = split(len(setup.clips.clip_name), setup.config.run.test_fraction, 0)
    if new:
        RunFolder.create(setup.config, setup.clips, train, test, outcomes=setup.task.outcomes)
    return Trainer(setup, RunFolder.open(setup.config.out), train, test)


def trained(setup: Setup, steps: int = 800) -> RunFolder:
    """A run of this setup, trained to its end."""
    setup.config.run.steps = steps
    run = trainer(setup)
    run.run()
    return run.folder


def assert_sound(line: Mapping[str, Any]) -> None:
    """Metrics of a training in which resets happened, and physics stayed finite."""
    assert line["learning/first_ratio_error"] < 1e-4
    assert line["reward"] > 0
    assert line["episodes"] > 0, "resets happen inside"
    assert line["ended/non_finite"] == 0


def untrained(setup: Setup, seed: int = 0) -> Policy:
    """The policy before any training."""
    return setup.initial_policy(jax.random.key(seed))


def physics_at(setup: Setup, row: int, n: int = 1, **fields: Any) -> PhysicsState:
    """Physics exactly at a frame of the reference, except for the fields given."""
    pose = {name: np.repeat(getattr(setup.reference, name)[row][None], n, 0) for name in Poses._fields}
    return zero_physics(setup.task.body.model, n)._replace(**{**pose, **fields})


def episode_at(setup: Setup, clip: int, frame: Any, n: int = 1) -> EpisodeState:
    return setup.task.start_at(setup.reference, np.full(n, clip), np.full(n, frame))[0]


def step_at(setup: Setup, row: int = 7, n: int = 2, **fields: Any) -> Step:
    """A control step of the first clip exactly at the reference, except for the fields given."""
    still = np.zeros((n, setup.task.body.model.nu), np.float32)
    return setup.task.context(setup.reference, physics_at(setup, row, n, **fields), episode_at(setup, 0, row, n), still)


def write_rollouts(
    setup: Setup, path: Path, seeds: tuple[int, ...] = (), clips: int = 2, size: int | None = None, **settings: Any
) -> Path:
    """Play some clips with an untrained policy and write them, in pieces of `size` steps."""
    player = Player(setup.task, setup.networks, setup.engine(all_fields=True))
    player.piece = size
    reference, cases = setup.on_device(setup.followed), setup.task.cases(setup.followed, range(clips))
    config = RolloutConfig(seeds=list(seeds or (0,)), deterministic=not seeds, **settings)
    realign = realignment(setup.task, config.deviation_mm) if config.whole else None
    passes = (
        player.pieces(untrained(setup), reference, cases, seed=seed, record=True, realign=realign)
        for seed in seeds or (None,)
    )
    writing.write_rollouts(path, setup, cases, passes, config, Origin(player.engine.name, 0, "0" * 64))
    return path
