"""Playing a control step that was not finite again, one physics step at a time, in plain MuJoCo."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from track_mjx._common.errors import InputError, shorten
from track_mjx._common.mjcf import qvel_labels
from track_mjx.learning.failures import FAILURE, Failure, read_failure
from track_mjx.learning.setup import Setup, open_setup
from track_mjx.physics.fields import PhysicsState
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.step import EpisodeState


def replay(path: Path) -> list[str]:
    """Describe what happens from the state in a run's file, line by line."""
    failure, about = read_failure(path)
    folder = RunFolder.open(str(path.parent))
    setup, _, _ = open_setup(folder, folder.config())
    clips = [i for i, name in enumerate(setup.clips.clip_name) if name == about["clip_name"]]
    if failure.qpos.shape != (setup.task.body.model.nq,) or not clips:
        raise InputError(f"{path}: does not belong to the run in its folder; {FAILURE} must stay where it was written")
    time = int(failure.frame) * setup.task.body.ctrl_dt
    lines = [f"{path}: clip {about['clip_name']} at {time:.4g} s, at step {about['steps']:,} of the training"]
    data = mujoco.MjData(setup.task.body.model)
    data.qpos[:], data.qvel[:], data.act[:] = failure.qpos, failure.qvel, failure.act
    clip, frame = np.array(clips[:1]), np.array([int(failure.frame)])
    episode = setup.task.start_at(setup.followed, clip, frame, goal=failure.goal[None])[0]
    data.ctrl[:] = np.asarray(setup.task.ctrl(setup.followed, episode, failure.action[None]))[0]
    lines += [_physics_step(data, i) for i in range(setup.task.body.arena.n_substeps)]
    return [*lines, _verdict(setup, failure, data, episode)]


def _physics_step(data: mujoco.MjData, number: int) -> str:
    """Advance the physics by a step, and describe it."""
    mujoco.mj_step(data.model, data)
    acceleration = np.nan_to_num(np.abs(data.qacc), nan=np.inf)
    fastest = int(np.argmax(acceleration))
    warned = [mujoco.mjtWarning(i).name for i, warning in enumerate(data.warning) if warning.number]
    return (
        f"physics step {number + 1}: largest acceleration {acceleration[fastest]:.3g} "
        f"({qvel_labels(data.model)[fastest]}), {data.ncon} contacts{''.join(f', {name}' for name in warned)}"
    )


def _verdict(setup: Setup, failure: Failure, data: mujoco.MjData, episode: EpisodeState) -> str:
    """Say whether the state or which term is not finite after the step."""
    if not (np.isfinite(data.qpos).all() and np.isfinite(data.qvel).all()):
        return "the state is not finite: a smaller physics.sim_dt_s or more physics.iterations may help"
    mujoco.mj_forward(data.model, data)
    physics = PhysicsState(*(np.asarray(getattr(data, name), np.float32)[None] for name in PhysicsState._fields))
    _, terms, _ = setup.task.evaluate_terms(setup.followed, physics, episode, failure.action[None])
    broken = [name for name, value in terms.items() if not np.isfinite(np.asarray(value)).all()]
    return f"the state is finite; terms that are not: {shorten(broken) or 'none'}"
