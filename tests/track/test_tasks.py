"""Tasks other than imitation: their goals, their measures, and every verb on a run of one."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import h5py
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from track.small_setups import ARM_TASK, REACH_TASK, VELOCITY_TASK, arm, trained, walker
from track_mjx._common.errors import ConfigError
from track_mjx._common.hdf5.check import check_file, errors_in
from track_mjx.config import EvaluateConfig, RolloutConfig
from track_mjx.evaluation.assess import assess
from track_mjx.evaluation.tables import summary_text
from track_mjx.learning.setup import Setup, split
from track_mjx.physics.fields import zero_physics
from track_mjx.rollouts.writing import roll_out
from track_mjx.runs.compare import compare
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.reach import Reach
from track_mjx.task.reference import choose
from track_mjx.task.registry import make_task, resolve, task
from track_mjx.task.task import Task


@pytest.fixture(scope="module")
def reach(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return arm(tmp_path_factory.mktemp("reach"), REACH_TASK)


@pytest.fixture(scope="module")
def run(reach: Setup) -> RunFolder:
    return trained(reach, 400)


def other(setup: Setup, **parameters: Any) -> Task:
    """The same task with other parameters."""
    return make_task(setup.task.body, replace(setup.config.task, parameters=parameters))


def test_targets_are_where_the_hand_was_or_where_they_were_put(reach: Setup) -> None:
    reference, hand = reach.reference, reach.task.body.bodies.index("hand")
    clips, key = np.zeros(400, np.int32), jax.random.key(1)
    ends = reference.xpos[np.asarray(reference.start) + np.asarray(reference.length) - 1, hand]
    few = choose(reference, [1, 3])
    drawn = np.asarray(reach.task.goals(few, clips, key))
    assert {tuple(goal) for goal in drawn} == {tuple(ends[1]), tuple(ends[3])}, "of the clips given, and of all these"
    frames = np.asarray(other(reach, targets="frames").goals(few, clips, key))
    rows = [np.arange(n) + first for first, n in zip(few.start, few.length, strict=True)]
    known = {tuple(place) for place in np.asarray(reference.xpos)[np.concatenate(rows), hand]}
    assert {tuple(goal) for goal in frames} <= known
    assert len(np.unique(frames, axis=0)) > 50
    placed = other(reach, positions=[[0.01, 0.02, 0.03], [0.0, 0.0, 0.0]])
    places = np.unique(np.asarray(placed.goals(few, clips, key)), axis=0)
    assert places == pytest.approx(np.array([[0.0, 0.0, 0.0], [0.01, 0.02, 0.03]]) * reach.task.body.to_model_units)


def test_the_terms_of_a_target_are_their_closed_forms(reach: Setup) -> None:
    body = reach.task.body
    episode, start = reach.task.start(reach.reference, jax.random.key(2), 6)
    engine = reach.engine(all_fields=True)
    physics = engine.read(engine.reset(engine.init(6), np.ones(6, bool), *map(np.asarray, start)))
    step = reach.task.context(reach.reference, physics, episode, np.asarray(episode.action))
    vector = np.asarray(episode.goal, np.float64) - physics.xpos[:, body.bodies.index("hand")]
    distance = np.linalg.norm(vector, axis=-1) * body.length_unit_m
    (seen,) = resolve("observation", {"goal_b": {}}, "")
    for i in range(6):
        turned, inverse = np.zeros(3), np.zeros(4)
        mujoco.mju_negQuat(inverse, np.asarray(physics.xquat[i, body.root], np.float64))
        mujoco.mju_rotVecQuat(turned, vector[i], inverse)
        assert np.asarray(seen(step))[i] == pytest.approx(turned, abs=1e-5)
    rewards = {"goal_exp": {"weight": 1, "sigma": 0.02}, "goal_tanh": {"weight": 1, "scale_m": 0.01}}
    near, far = resolve("reward", rewards, "")
    assert np.asarray(near(step)) == pytest.approx(np.exp(-(distance**2) / (2 * 0.02**2)), rel=1e-3)
    assert np.asarray(far(step)) == pytest.approx(1 - np.tanh(distance / 0.01), rel=1e-3, abs=1e-6)


def test_numbers_of_a_reach_are_medians_over_its_cases(reach: Setup) -> None:
    """Three episodes of four steps: one arrives in its second, one passes by, one ended early, far away."""
    mm = np.array([[5, 0.5, 0.4, 0.2], [0.9, 3, 3, 3], [9, 8, 0, 0.0]])
    valid = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 0]], bool)
    found = reach.task.summary({"distance_m": 1e-3 * mm}, valid)
    assert found["end_error_mm"] == 3
    assert found["reached_fraction"] == pytest.approx(1 / 3)
    assert found["time_to_target_s"] == pytest.approx(2 * reach.task.body.ctrl_dt)
    assert np.isnan(reach.task.summary({"distance_m": 1e-3 * mm[1:]}, valid[1:])["time_to_target_s"])


def test_every_verb_takes_a_run_of_another_task(run: RunFolder, reach: Setup, tmp_path: Path) -> None:
    assert sum(line["ended/time_up"] for line in run.metrics()) > 0
    assert run.metrics()[-1]["eval/test/end_error_mm"] > 0
    found = assess(run, EvaluateConfig(run=str(run.path), clip_set="all"), tmp_path / "evaluation")
    assert found["end_error_mm"] == found["sets"]["all"]["end_error_mm"] > 0
    assert 0 <= found["power_above_10hz"] <= 1
    assert "end_error_mm" in summary_text(found)
    with (tmp_path / "evaluation" / "cases.csv").open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["set"] == "test"]
    assert [row["case"].split(":")[1] for row in rows] == ["0", "1", "2", "3"], "one held-out clip, four targets"
    assert found["sets"]["test"]["end_error_mm"] == pytest.approx(np.median([float(r["end_error_mm"]) for r in rows]))
    assert (tmp_path / "evaluation" / "over_time.png").exists()
    assert roll_out(run, RolloutConfig(run=str(run.path), clip_set="test"), tmp_path / "rollouts.h5") == 4
    assert not errors_in(check_file(tmp_path / "rollouts.h5"))
    with h5py.File(tmp_path / "rollouts.h5") as file:
        stored = {name: np.asarray(file[name]) for name in ("qpos_ref", "xpos", "clip_name")}
    assert np.isnan(stored["qpos_ref"]).all()
    assert [name.decode() for name in stored["clip_name"]] == [row["case"] for row in rows]
    goal = reach.task.cases(reach.followed, split(4, 0.25, 0)[1]).goal * reach.clips.length_unit_m
    end = stored["xpos"][:, -1, reach.task.body.bodies.index("hand")]
    assert 1e3 * np.linalg.norm(end - goal, axis=-1) == pytest.approx(
        [float(r["end_error_mm"]) for r in rows], rel=1e-3
    )
    assert "end_error_mm" in compare(str(run.path), str(tmp_path / "comparison"))


def test_a_commanded_velocity_is_measured_over_a_window_and_a_heading_in_the_plane(tmp_path: Path) -> None:
    """A walker that faces 60 deg to the left of the command, and in the mean of two steps moves as commanded."""
    rewards = {"velocity_exp": {"weight": 1.0, "sigma": 0.02, "window": 2}, "heading_cos": {"weight": 1.0}}
    setup = walker(tmp_path, {**VELOCITY_TASK, "rewards": rewards})
    unit, angle = setup.task.body.length_unit_m, np.radians(60)
    goal = np.array([[0.03 / unit, 0.0, 1.0, 0.0]], np.float32)
    episode = setup.task.start_at(setup.reference, np.array([0]), np.array([3]), goal=goal)[0]
    history = np.zeros((1, 2, setup.task.body.model.nv), np.float32)
    history[0, :, :2] = np.array([[0.05, 0.02], [0.01, 0.0]]) / unit
    for age, off in ((2, [0.0, 0.01]), (1, [-0.02, 0.0])):
        xquat = np.zeros((1, setup.task.body.model.nbody, 4), np.float32)
        xquat[:] = [np.cos(angle / 2), 0, 0, np.sin(angle / 2)]
        physics = zero_physics(setup.task.body.model, 1)._replace(xquat=xquat, qvel=history[:, -1])
        here = episode._replace(history=episode.history._replace(qvel=history, age=np.array([age], np.int32)))
        step = setup.task.context(setup.reference, physics, here, np.asarray(here.action))
        moved, faced = (term(step) for term in setup.task.rewards)
        assert float(moved[0]) == pytest.approx(np.exp(-np.square(off).sum() / (2 * 0.02**2)), rel=1e-4)
        assert float(faced[0]) == pytest.approx(0.75)
    (seen,) = resolve("observation", {"command_b": {}}, "")
    assert np.asarray(seen(step))[0, 1] == pytest.approx([0.5, -np.sin(angle), 0], abs=1e-6)
    measured = setup.task.measure(setup.reference, physics, here, np.asarray(here.action))
    assert float(measured["heading_error_deg"][0]) == pytest.approx(60, abs=1e-3)
    found = setup.task.summary({name: np.asarray(v)[:, None] for name, v in measured.items()}, np.ones((1, 1), bool))
    assert found["speed_error_m_s"] == pytest.approx(0.02, rel=1e-4)
    drawn = np.asarray(setup.task.goals(setup.reference, np.zeros(500, np.int32), jax.random.key(0)))
    speed = np.linalg.norm(drawn[:, :2], axis=1) * unit
    assert 0 <= speed.min() < 0.01 < 0.09 < speed.max() <= 0.1
    assert np.linalg.norm(drawn[:, 2:].mean(0)) < 0.15, "all directions"
    assert trained(setup, 80).metrics()[-1]["eval/test/speed_error_m_s"] > 0
    with pytest.raises(ConfigError, match="root of this body"):
        arm(tmp_path, {**REACH_TASK, "kind": "velocity"})


def test_wrong_tasks_are_refused(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "raech"}, "kind of task.*reach"),
        ({"parameters": {"target": "ends"}}, r"task\.parameters.*targets"),
        ({"parameters": {"targets": "middles"}}, "expected ends or frames"),
        ({"episode_s": None}, r"task\.episode_s"),
        ({"rewards": {"joint_position_exp": {"weight": 1.0, "sigma": 0.3}}}, r"joint_position_exp: .*reference"),
        ({"action": "offset"}, r"task\.action=offset"),
        ({"kind": "imitation", "reference": ARM_TASK["reference"]}, r"goal_exp: .*position as goal"),
    ]
    for i, (settings, message) in enumerate(wrong):
        (tmp_path / str(i)).mkdir()
        with pytest.raises(ConfigError, match=message):
            arm(tmp_path / str(i), {**REACH_TASK, **settings})


@pytest.mark.usefixtures("clean_registry")
def test_an_own_task_is_one_class(tmp_path: Path) -> None:
    @task("still")
    class Still(Reach):
        outcomes: ClassVar[tuple[str, ...]] = ("speed",)

        def measure(self, recorded: Any, physics: Any, episode: Any, action: Any) -> dict[str, Any]:
            return {"speed": jnp.linalg.norm(physics.qvel, axis=-1)}

        def summary(self, measured: Any, valid: Any) -> dict[str, float]:
            return {"speed": float(measured["speed"][valid].mean())}

    folder = trained(arm(tmp_path, {**REACH_TASK, "kind": "still"}), 80)
    assert folder.record().outcomes == ("speed",)
    found = assess(folder, EvaluateConfig(run=str(folder.path)), tmp_path / "evaluation")
    assert json.loads((tmp_path / "evaluation" / "summary.json").read_text())["speed"] == found["speed"] > 0
