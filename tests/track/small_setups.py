"""Tasks on the small bodies, small enough to compile and run within a second or two."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from track.clip_files import ARM, WALKER, write_clips
from track_mjx.clips import read_clips
from track_mjx.config import NetworkConfig, PhysicsConfig, PpoConfig, RunConfig, TaskConfig, TrainConfig
from track_mjx.learning.setup import Setup, build, split
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.run_folder import RunFolder

ARM_TASK: dict[str, Any] = {
    "window": [1, 3],
    "reference": {"joints_ahead": {}, "target_velocities": {}},
    "proprioception": {"joints": {}, "velocities_b": {}, "muscle_activation": {}, "previous_action": {}},
    "rewards": {"joint_position_exp": {"weight": 1.0, "sigma": 0.3}},
    "costs": {"control_difference": {"weight": 0.1}},
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
    """The arm on four clips."""
    path = write_clips(folder / "clips.h5", ARM, **(clips or {}))
    return build(config(path, {**ARM_TASK, **(task or {})}, **ppo), read_clips(path))


def walker(folder: Path, task: dict[str, Any] | None = None, **ppo: Any) -> Setup:
    """The walker on four clips."""
    path = write_clips(folder / "clips.h5", WALKER, end_effectors=("foot_L", "foot_R"), root="trunk")
    return build(config(path, {**WALKER_TASK, **(task or {})}, **ppo), read_clips(path))


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


def trained(setup: Setup, steps: int = 800, name: str = "run") -> RunFolder:
    """A run of this setup, trained to its end."""
    setup.config.out = str(Path(setup.config.clips).parent / name)
    setup.config.run.steps = steps
    train, test = split(len(setup.clips.clip_name), setup.config.run.test_fraction, 0)
    RunFolder.create(setup.config, setup.clips, train, test)
    trainer = Trainer(setup, RunFolder.open(setup.config.out), train, test)
    trainer.run()
    return trainer.folder
