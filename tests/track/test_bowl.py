"""Escape from a bowl: starts on its ground, terms in closed form, numbers and figures of an evaluation."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import h5py
import jax
import mujoco
import numpy as np
import pytest
from PIL import Image
from track.clip_files import write_walker_clips
from track.small_setups import WALKER_TASK, config, trained, walker
from track_mjx._common.errors import ConfigError
from track_mjx.cli import main
from track_mjx.clips import read_clips
from track_mjx.config import ArenaConfig, EvaluateConfig, TerrainConfig
from track_mjx.evaluation.assess import assess
from track_mjx.learning.setup import Setup, build
from track_mjx.runs.compare import compare
from track_mjx.runs.footfalls import draw_footfalls, read_footfalls
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.registry import resolve
from track_mjx.task.step import Step

TERRAIN = {"kind": "bowl", "half_width_m": 0.8, "height_m": 0.2, "cells": 60, "noise": 1.0}
REWARDS = {"escape_linear": {"weight": 1.0}, "speed_linear": {"weight": 1.0, "target_m_s": 0.5, "window": 4}}
BOWL_TASK: dict[str, Any] = {
    "kind": "bowl",
    "episode_s": 0.2,
    "goal": {"origin_b": {}, "ground_normal_b": {}},
    "proprioception": WALKER_TASK["proprioception"],
    "rewards": REWARDS,
    "terminations": {"tipped_over": {"limit_rad": 1.2}},
    "parameters": {"start_radius_m": 0.4},
}


def setup_of(folder: Path, kind: str = "bowl", **task: Any) -> Setup:
    path = write_walker_clips(folder / "clips.h5")
    settings = config(path, {**BOWL_TASK, **task})
    settings.arena = ArenaConfig(terrain=TerrainConfig(**{**TERRAIN, "kind": kind}), floor="on", contacts="all")
    return build(settings, read_clips(path))


@pytest.fixture(scope="module")
def bowl(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return setup_of(tmp_path_factory.mktemp("bowl"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose episodes start in the middle."""
    return trained(setup_of(tmp_path_factory.mktemp("run"), parameters={"clearance_m": 0.01}), 160)


def test_episodes_start_on_the_ground_wherever_and_however_turned(bowl: Setup) -> None:
    body, model = bowl.task.body, copy.copy(bowl.task.body.model)
    model.geom_group[model.geom_bodyid != 0], only = 5, np.array([1, 0, 0, 0, 0, 0], np.uint8)
    episode, start = bowl.task.start(bowl.reference, jax.random.key(0), 200)
    goal, qpos = np.asarray(episode.goal), np.asarray(start.qpos, np.float64)
    assert np.linalg.norm(goal[:, :2], axis=1).max() <= 0.4
    assert np.ptp(np.linalg.norm(goal[:, :2], axis=1)) > 0.3
    np.testing.assert_allclose(qpos[:, :2], goal[:, :2])
    assert body.surface is not None
    floor = body.surface.origin[2]
    data, flat, hit = mujoco.MjData(model), mujoco.MjData(model), np.zeros(1, np.int32)
    for i in range(40):
        data.qpos[:] = qpos[i]
        mujoco.mj_forward(model, data)
        flat.qpos[:] = np.asarray(bowl.task.poses(bowl.reference, episode.clip[i], episode.frame[i]).qpos)
        mujoco.mj_kinematics(model, flat)
        lift = []
        for b in body.moving_bodies:
            above = data.xpos[b] + [0, 0, 1.0]
            ground = above[2] - mujoco.mj_ray(model, data, above, [0, 0, -1.0], only, 1, -1, hit)
            assert hit[0] >= 0
            lift.append((data.xpos[b, 2] - ground) - (flat.xpos[b, 2] - floor))
        assert min(lift) == pytest.approx(0, abs=1e-4)
        cos, sin = np.cos(goal[i, 2]), np.sin(goal[i, 2])
        relative = (flat.xpos - flat.qpos[:3]) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        moved = (data.xpos - data.qpos[:3] - relative)[body.moving_bodies]
        np.testing.assert_allclose(moved, 0, atol=1e-5)


def step_of(setup: Setup, n: int = 3, **fields: Any) -> Step:
    task = setup.task
    episode, start = task.start(setup.reference, jax.random.key(2), n)
    engine = setup.engine(all_fields=True)
    physics = engine.read(engine.reset(engine.init(n), np.ones(n, bool), *map(np.asarray, start)))
    return task.context(setup.reference, physics._replace(**fields), episode, np.asarray(episode.action))


def test_terms_are_their_closed_forms(bowl: Setup) -> None:
    body, root = bowl.task.body, bowl.task.body.root
    step = step_of(bowl)
    xpos, xquat = np.array(step.now.xpos), np.array(step.now.xquat)
    xpos[:, root, :2] = [[0.3, 0.4], [0.0, 0.8], [2.0, 0.0]]
    xquat[:, root] = [[1, 0, 0, 0], [np.cos(np.pi / 4), np.sin(np.pi / 4), 0, 0], [0, 1, 0, 0]]  # 0, 90 and 180 degrees
    qvel = np.zeros((3, bowl.task.history_steps, body.model.nv), np.float32)
    qvel[:, -4:, 0] = [[0.3, 0.3, 0.1, 0.1], [0.5] * 4, [1.5, -1.5, 1.5, -1.5]]
    step = step_of(bowl, xpos=xpos, xquat=xquat)
    step = Step(**{**step.__dict__, "history": step.history._replace(qvel=qvel)})
    escape, speed = resolve("reward", REWARDS, "")
    np.testing.assert_allclose(np.asarray(escape(step)), [0.5 / 0.8 * 1.0, 1.0 * 0.5, 0.0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(speed(step)), [0.2 / 0.5, 1.0, 0.0], atol=1e-6)
    (over,) = resolve("termination", BOWL_TASK["terminations"], "")
    assert np.asarray(over(step)).tolist() == [False, True, True]
    (origin,) = resolve("observation", {"origin_b": {}}, "")
    np.testing.assert_allclose(np.asarray(origin(step))[:2], [[-0.3, -0.4, 0], [0, 0, 0.8]], atol=1e-6)


def test_evaluation_says_how_far_and_how_upright_and_draws_footfalls(run: RunFolder, tmp_path: Path) -> None:
    folder, out = run, run.path / "evaluation"
    assess(folder, EvaluateConfig(run=str(folder.path), clip_set="test"), out)
    numbers = json.loads((out / "summary.json").read_text())["sets"]["test"]
    assert 0 <= numbers["radius_mm"] <= numbers["largest_radius_mm"] < 800
    assert numbers["rim_fraction"] == 0.0
    assert (out / "footfalls_test.png").stat().st_size > 5000
    columns = read_footfalls(out / "footfalls_test.csv")
    assert columns is not None
    steps = len(columns.pop("reward"))
    assert columns.pop("time_s") == pytest.approx(folder.config().physics.ctrl_dt_s * np.arange(1, steps + 1))
    assert 0 < sum(foot.sum() for foot in columns.values()) < len(columns) * steps, "feet rise and touch"
    compare(str(folder.path), str(tmp_path / "out"))
    assert (tmp_path / "out" / "comparison_footfalls.png").stat().st_size > 5000
    seeds = [folder.config(), folder.config(None, 5)]
    heights = [build(seed, read_clips(seed.clips)).task.body.model.hfield_data for seed in seeds]
    assert np.abs(heights[0] - heights[1]).max() > 0.01


def test_a_run_is_played_from_other_starts_and_on_other_noise(run: RunFolder, tmp_path: Path) -> None:
    """Trained in the middle; the verbs start up to 0.5 m from it, on the ground of another seed."""
    folder = run
    other = ["parameters={start_radius_m: 0.5, cases_per_clip: 9}", "terrain_seed=5"]
    played = [f"run={folder.path}", "clip_set=test", *other]
    assert main(["rollout", *played, f"out={tmp_path / 'rollouts.h5'}"]) == 0
    assert main(["evaluate", *played, f"out={tmp_path / 'evaluation'}"]) == 0
    with h5py.File(tmp_path / "rollouts.h5") as file:
        start = np.asarray(file["qpos"])[:, 0, :2]
        xml = file["provenance/mjcf_xml"].asstr()[()]  # type: ignore[union-attr]
    field = mujoco.MjModel.from_xml_string(xml).hfield_data
    radius = np.linalg.norm(start, axis=1)
    assert len(radius) == 9
    assert radius.max() <= 0.5
    assert np.ptp(radius) > 0.2
    seed = folder.config(None, 5)
    np.testing.assert_array_equal(field, build(seed, read_clips(seed.clips)).task.body.model.hfield_data)
    summary = json.loads((tmp_path / "evaluation" / "summary.json").read_text())
    assert summary["parameters"] == {"clearance_m": 0.01, "start_radius_m": 0.5, "cases_per_clip": 9}
    with (tmp_path / "evaluation" / "cases.csv").open(encoding="utf-8") as table:
        assert len(list(csv.DictReader(table))) == 9 + 27, "one held-out clip, three train clips"


def test_wrong_parameters_are_named(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", f"run={run.path}", "parameters={start_radius: 1}"]) == 2
    assert "task.parameters: unknown parameter 'start_radius'; did you mean 'start_radius_m'" in capsys.readouterr().err


@pytest.mark.slow
def test_one_multirun_and_one_comparison_draw_the_footfalls_of_all_conditions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = trained(walker(tmp_path), 80).path
    small = ["network.encoder=[8]", "network.critic=[8]", "ppo.n_envs=8", "ppo.unroll=2", "ppo.minibatches=2"]
    more = ["task.clip_s=null", "task.episode_s=0.1", "decoder.hold_s=0.01", "run.steps=32", "run.evaluate_every_s=0"]
    conditions = ["decoder.mode=frozen,learnable,random", f"decoder.run={source}", f"out={tmp_path / 'escape'}"]
    assert main(["train", "--multirun", "preset=bowl_escape", *conditions, *small, *more]) == 0
    (tmp_path / "escape" / "comparison_footfalls.png").unlink()
    assert main(["compare", f"runs={tmp_path / 'escape'}"]) == 0
    printed = capsys.readouterr().out
    assert all(f"mode={mode}" in printed for mode in ("frozen", "learnable", "random"))
    with Image.open(tmp_path / "escape" / "comparison_footfalls.png") as picture:
        assert picture.height > 2.5 * picture.width / 7 * 2.4, "three panels, each 7 by 2.4 inches"


def test_footfalls_are_black_where_a_foot_is_down_over_a_strip_of_rewards() -> None:
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    columns = {"time_s": [0.1, 0.2, 0.3], "left": [1, 0, 1], "right": [0, 0, 1], "reward": [0.0, 0.5, 1.0]}
    draw_footfalls(axes, {name: np.array(values, float) for name, values in columns.items()}, "frozen")
    (image,) = axes.images
    pixels = np.asarray(image.get_array())
    assert pixels.shape == (3, 3, 4)
    assert pixels[:2, :, :3].max(-1).tolist() == [[0, 1, 0], [1, 1, 0]]
    assert len(np.unique(pixels[2], axis=0)) == 3, "every reward has its colour"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["left", "right", "reward"]
    assert axes.get_title() == "frozen"


def test_a_bowl_needs_terrain(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set arena\.terrain\.kind=bowl"):
        setup_of(tmp_path, "none")
