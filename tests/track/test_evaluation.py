"""Evaluation: errors against a rollouts file, survival by definition, re-alignment, what is written."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import mujoco
import numpy as np
import pytest
from PIL import Image
from track.clip_files import ARM, write_clips, write_walker_clips
from track.small_setups import ARM_TASK, arm, config, trained, untrained, walker
from track_mjx._common.errors import ConfigError
from track_mjx._common.survival import episodes_of
from track_mjx.cli import main
from track_mjx.clips import read_clips
from track_mjx.config import RunConfig
from track_mjx.learning.setup import Setup, build, choose_sets, sets_of
from track_mjx.policy.metrics import interval_over_clips
from track_mjx.policy.play import Player, Realignment, reasons_of
from track_mjx.policy.tape import Rollout
from track_mjx.task.parts import parts_of

FIGURES = ("survival", "error_per_clip", "error_per_region", "error_over_time", "reward_terms")


@pytest.fixture(scope="module")
def arm_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arm")
    task = {"regions": {"elbow": ["fore"], "wrist": ["hand"]}}
    labels = {"labels/condition": ["fast", "slow", "fast", "slow"], "clip_label": ["reach"] * 4}
    return trained(arm(folder, task, {"change": labels})).path


@pytest.fixture(scope="module")
def walker_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walker")
    return trained(walker(folder, {"clip_s": 0.15}), steps=80).path


@pytest.fixture(scope="module")
def ended(arm_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation whose episodes end 2 mm away."""
    return evaluated(arm_run, tmp_path_factory.mktemp("ended"), "deviation_mm=2", "clip_set=train")


def evaluated(run: Path, out: Path, *more: str) -> Path:
    assert main(["evaluate", f"run={run}", f"out={out}", *more]) == 0
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def columns_of(rows: list[dict[str, str]], column: str, **chosen: str) -> np.ndarray:
    return np.array([float(row[column] or "nan") for row in rows if all(row[k] == v for k, v in chosen.items())])


# survival


def test_clips_are_cut_into_episodes_at_their_ends() -> None:
    ended = np.zeros((3, 8), bool)
    ended[0, [2, 5]] = True
    ended[1, 4] = True  # in the last step of a clip of five
    ended[2, 7] = True  # beyond the end of a clip of three
    found = episodes_of(ended, np.array([8, 5, 3]))
    assert found.clip.tolist() == [0, 0, 0, 1, 2]
    assert found.steps.tolist() == [3, 3, 2, 5, 3]
    assert found.ended.tolist() == [True, True, False, True, False]


# re-alignment


def play(setup: Setup, **options: Any) -> Rollout:
    policy = untrained(setup, 1)
    player = Player(setup.task, setup.networks, setup.engine(all_fields=True))
    return player.play(policy, setup.on_device(setup.followed), np.arange(4), seed=3, **options)


def test_an_episode_that_ends_goes_on_from_the_reference_at_the_frame_reached(tmp_path: Path) -> None:
    setup = walker(tmp_path, {"terminations": {"too_far": {"limit_m": 0.004}}})
    played = play(setup, record=True, realign=Realignment())
    assert played.recording is not None
    states, reference = played.recording.states, setup.reference
    ends = [(c, k) for c, k in np.argwhere(played.ended_by > 0).tolist() if k + 1 < reference.length[c] - 1]
    assert len(ends) > 8
    for clip, step in ends:
        row = int(reference.start[clip]) + step + 1
        assert states.qpos[clip, step + 1] == pytest.approx(reference.qpos[row], abs=1e-6)
        assert states.qvel[clip, step + 1] == pytest.approx(reference.qvel[row], abs=1e-5)
        assert reasons_of(setup.task)[played.ended_by[clip, step]] == "too_far"
    for clip, n in enumerate((reference.length - 1).tolist()):
        assert played.valid[clip].sum() == n, "every clip is played to its end"
    # a state on the reference is at most one control step from it after the next step
    root = setup.task.body.moving_bodies.index(setup.task.body.root)
    after = [played.measured["body_error_m"][clip, step + 1, root] for clip, step in ends]
    assert max(after) < 0.004 < min(played.measured["body_error_m"][clip, step, root] for clip, step in ends)


def test_the_first_episodes_are_those_without_realignment(tmp_path: Path) -> None:
    setup = walker(tmp_path, {"terminations": {"too_far": {"limit_m": 0.004}}})
    alone, on = play(setup), play(setup, realign=Realignment())
    assert np.array_equal(alone.reason, on.reason)
    for clip in range(4):
        n = int(alone.valid[clip].sum())
        assert alone.terminated[clip, n - 1]
        assert np.array_equal(alone.measured["body_error_m"][clip, :n], on.measured["body_error_m"][clip, :n])
        assert int(np.flatnonzero(on.ended_by[clip])[0]) == n - 1
    lasted = episodes_of(on.ended_by > 0, np.asarray(setup.reference.length) - 1)
    assert np.bincount(lasted.clip, lasted.steps).tolist() == (setup.reference.length - 1).tolist()


def test_a_deviation_ends_episodes_of_a_task_without_terminations(arm_setup: Setup) -> None:
    columns = (1, 2)
    assert not play(arm_setup).ended_by.any()
    played = play(arm_setup, realign=Realignment(0.01, columns))
    error = played.measured["body_error_m"][:, :, list(columns)].mean(-1)
    assert np.array_equal(played.ended_by > 0, (error > 0.01) & played.valid)
    assert (played.ended_by > 0).sum() > 3
    assert {reasons_of(arm_setup.task)[i] for i in np.unique(played.ended_by)} == {"clip_end", "deviation"}


# errors


def test_errors_are_measured_against_the_recording_not_what_is_followed(arm_setup: Setup) -> None:
    still = arm_setup.on_device(arm_setup.reference)
    moved = still._replace(xpos=still.xpos + 0.5)
    policy = untrained(arm_setup, 1)
    plain, other = (
        Player(arm_setup.task, arm_setup.networks, arm_setup.engine(), recorded).play(policy, still, np.arange(2))
        for recorded in (None, moved)
    )
    assert np.array_equal(plain.reward, other.reward)
    assert other.measured["body_error_m"].min() > 0.5
    assert plain.measured["body_error_m"].max() < 0.3


SLIDER = ARM.replace(
    '<joint name="elbow" axis="0 1 0" range="-2 2" limited="true" damping="0.001" armature="0.00001"/>',
    '<joint name="elbow" axis="0 1 0" range="-2 2" limited="true" damping="0.001" armature="0.00001"/>'
    '<joint name="rail" type="slide" axis="1 0 0" damping="1" armature="0.01"/>',
)


def test_slides_do_not_count_as_angles(tmp_path: Path) -> None:
    path = write_clips(tmp_path / "clips.h5", SLIDER)
    task = build(config(path, ARM_TASK), read_clips(path)).task
    parts = parts_of(task.body, task.config.regions)
    assert parts.joints == ("shoulder", "elbow", "rail")
    assert parts.angles == [0, 1]


def test_balls_have_three_angles(tmp_path: Path) -> None:
    task = walker(tmp_path).task
    parts = parts_of(task.body, task.config.regions)
    assert parts.joints == ("hip_L", "hip_R", "hind_ball_x", "hind_ball_y", "hind_ball_z")
    assert parts.angles == [0, 1, 2, 3, 4]


def test_the_interval_draws_whole_clips() -> None:
    rng = np.random.default_rng(1)
    levels = rng.normal(5.0, 1.0, 40)
    values = levels[:, None] + rng.normal(0, 0.01, (40, 200))
    low, high = interval_over_clips(values, np.ones((40, 200), bool))
    half = 1.96 * levels.std(ddof=1) / np.sqrt(40)
    assert (low, high) == pytest.approx((levels.mean() - half, levels.mean() + half), abs=0.1)
    valid = np.zeros((40, 200), bool)
    valid[:, :3] = True
    values[:, 3:] = np.nan
    assert np.isfinite(interval_over_clips(values, valid)).all()
    assert np.isnan(interval_over_clips(values[:1], valid[:1])).all()


# the command


def test_evaluate_agrees_with_the_rollouts_file(
    arm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors computed again from what `rollout` writes: another engine object, another program, another file."""
    assert main(["evaluate", f"run={arm_run}", f"out={tmp_path / 'ev'}"]) == 0
    shown = capsys.readouterr().out
    assert main(["rollout", f"run={arm_run}", f"out={tmp_path / 'rollouts.h5'}"]) == 0
    found = json.loads((tmp_path / "ev" / "summary.json").read_text())
    rows = {row["clip"]: row for row in rows_of(tmp_path / "ev" / "clips.csv")}
    with h5py.File(tmp_path / "rollouts.h5") as file:
        data: dict[str, Any] = {
            name: np.asarray(file[name]) for name in ("clip_name", "qpos", "qpos_ref", "xpos", "valid", "names_xpos")
        }
        model = mujoco.MjModel.from_xml_string(np.asarray(file["provenance/mjcf_xml"]).item().decode())
        reward, terms = np.asarray(file["reward"]), np.asarray(file["metrics"])
    bodies = [name.decode() for name in data["names_xpos"]]
    columns = [bodies.index("fore"), bodies.index("hand")]
    assert len(rows) == len(data["clip_name"]) == 4
    pooled = []
    for clip, name in enumerate(name.decode() for name in data["clip_name"]):
        states = 1 + np.flatnonzero(data["valid"][clip])
        target = np.empty((len(states), 2, 3))
        for i, state in enumerate(states):
            there = mujoco.MjData(model)
            there.qpos[:] = data["qpos_ref"][clip, state]
            mujoco.mj_kinematics(model, there)
            target[i] = there.xpos[columns]
        error = 1e3 * np.linalg.norm(data["xpos"][clip, states][:, columns] - target, axis=-1)
        degrees = np.degrees(np.abs(data["qpos"][clip, states] - data["qpos_ref"][clip, states]))
        row = rows[name]
        assert float(row["mean_body_error_mm"]) == pytest.approx(error.mean(), rel=1e-4)
        assert float(row["body_error_mm/elbow"]) == pytest.approx(error[:, 0].mean(), rel=1e-4)
        assert float(row["body_error_mm/wrist"]) == pytest.approx(error[:, 1].mean(), rel=1e-4)
        assert float(row["mean_joint_error_deg"]) == pytest.approx(degrees.mean(), rel=1e-4)
        assert float(row["reward"]) == pytest.approx(np.nanmean(reward[clip]), rel=1e-4)
        assert float(row["terms/control_difference"]) == pytest.approx(np.nanmean(terms[clip, :, 1]), rel=1e-4)
        pooled.append(error)
    assert found["sets"]["all"]["mean_body_error_mm"] == pytest.approx(np.concatenate(pooled).mean(), rel=1e-4)
    for text in ("elbow mm", "wrist mm", f"{found['sets']['train']['mean_body_error_mm']:.3f}", "control_difference"):
        assert text in shown


def test_clips_are_selected_and_reported_by_label(arm_run: Path, tmp_path: Path) -> None:
    """A label's numbers are those of an evaluation of its clips alone; rollouts hold the clips selected."""
    whole = json.loads((evaluated(arm_run, tmp_path / "all", "clip_set=all") / "summary.json").read_text())
    assert set(whole["labels"]) == {"condition:fast", "condition:slow"}, "the others do not differ, or are of one clip"
    more = ("clip_set=all", "select=condition:fast")
    fast = json.loads((evaluated(arm_run, tmp_path / "fast", *more) / "summary.json").read_text())
    assert fast["clips"] == 2
    error = whole["labels"]["condition:fast"]["mean_body_error_mm"]
    assert fast["mean_body_error_mm"] == pytest.approx(error, rel=1e-3)
    table = rows_of(tmp_path / "all" / "labels.csv")
    assert [row["label"] for row in table] == ["condition:fast", "condition:slow"]
    assert {row["clip"]: row["labels/condition"] for row in rows_of(tmp_path / "fast" / "clips.csv")} == {
        "clip_0": "fast", "clip_2": "fast"
    }  # fmt: skip
    out = tmp_path / "rollouts.h5"
    assert main(["rollout", f"run={arm_run}", f"out={out}", "select=[clip_?,condition:slow]"]) == 0
    with h5py.File(out) as file:
        stored = {name: np.asarray(file[name]).astype(str).tolist() for name in ("clip_name", "labels/condition")}
    assert stored == {"clip_name": ["clip_1", "clip_3"], "labels/condition": ["slow", "slow"]}


def test_a_selection_without_clips_is_one_message(arm_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("evaluate", "rollout"):
        assert main([verb, f"run={arm_run}", "select=condition:fats"]) == 2
        assert "select: unknown condition 'fats'; did you mean 'fast'?" in capsys.readouterr().err


def test_clips_that_training_left_out_count_as_held_out(arm_setup: Setup) -> None:
    clips = replace(arm_setup.clips, labels={"labels/condition": ("fast", "slow", "fast", "slow")})
    setup = replace(arm_setup, clips=clips)
    train, test = choose_sets(clips, RunConfig(select="condition:fast", test_fraction=0.5))
    assert sorted([*train, *test]) == [0, 2]
    assert sets_of(setup, train, test, "all") == {"train": train, "test": test, "all": [0, 2]}
    assert sets_of(setup, train, test, "test", "clip_*") == {
        "train": train, "test": sorted([*test, 1, 3]), "all": [0, 1, 2, 3]
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"run.select: unknown clip 'clop_1'; did you mean 'clip_1'"):
        choose_sets(clips, RunConfig(select=["clop_1"]))


def test_evaluate_writes_every_set_table_and_figure(ended: Path) -> None:
    out = ended
    found = json.loads((out / "summary.json").read_text())
    assert found["set"] == "train"
    assert set(found["sets"]) == {"train", "test", "all"}
    for name in ("mean_body_error_mm", "mean_joint_error_deg", "unterminated_fraction"):
        assert found[name] == found["sets"]["train"][name]
        assert all(np.isfinite(numbers[name]) for numbers in found["sets"].values())
    assert found["ends_by"] == ["non_finite", "deviation"]
    rows = rows_of(out / "survival.csv")
    for name in ("train", "test"):
        curve, time = columns_of(rows, "unterminated", set=name), columns_of(rows, "time_s", set=name)
        assert curve[0] == 1
        assert (np.diff(curve) <= 0).all()
        assert np.diff(time) == pytest.approx(np.full(len(time) - 1, 0.005))
        low, high = columns_of(rows, "low", set=name), columns_of(rows, "high", set=name)
        left = curve > 0  # no interval exists where nothing survives
        assert ((low <= curve) & (curve <= high))[left].all()
        assert columns_of(rows, "episodes_watched", set=name)[0] == found["sets"][name]["episodes"]
    clips = rows_of(out / "clips.csv")
    followed = [row["followed_to_end"] == "True" for row in clips if row["set"] == "train"]
    assert np.mean(followed) == pytest.approx(found["unterminated_fraction"])
    assert sum(int(row["ended_early"]) for row in clips) == found["sets"]["all"]["ended_early"]["deviation"]
    over_time = rows_of(out / "error_over_time.csv")
    weights = columns_of(over_time, "clips", set="train")
    mean = (columns_of(over_time, "body_error_mm", set="train") * weights).sum() / weights.sum()
    assert mean == pytest.approx(found["mean_body_error_mm"], rel=1e-5)
    parts = rows_of(out / "parts.csv")
    assert {row["name"] for row in parts if row["kind"] == "joint"} == {"shoulder", "elbow"}
    assert columns_of(parts, "mean", set="train", name="fore") == pytest.approx(found["body_error_mm/elbow"], rel=1e-5)
    for figure in FIGURES:
        pixels = np.asarray(Image.open(out / f"{figure}.png").convert("L"))
        assert (pixels < 128).mean() > 0.002, f"{figure} is blank"
        ElementTree.parse(out / f"{figure}.svg")
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_errors_do_not_depend_on_what_ends_an_episode(arm_run: Path, tmp_path: Path) -> None:
    """Being put back on the reference would make them look better."""
    free, strict = (
        json.loads((evaluated(arm_run, tmp_path / limit, f"deviation_mm={limit}") / "summary.json").read_text())
        for limit in ("null", "0.5")
    )
    for name in ("mean_body_error_mm", "mean_joint_error_deg", "reward"):
        assert free[name] == strict[name]
    assert free["unterminated_fraction"] == 1.0
    assert strict["unterminated_fraction"] == 0.0
    assert strict["mean_body_error_mm_realigned"] < free["mean_body_error_mm_realigned"] == free["mean_body_error_mm"]


def test_other_clips_of_the_body_whole_or_cut(walker_run: Path, tmp_path: Path) -> None:
    other = write_walker_clips(tmp_path / "other.h5", lengths=(60, 33))
    counts = {}
    for whole in ("false", "true"):
        out = tmp_path / whole
        arguments = ["evaluate", f"run={walker_run}", f"clips={other}", f"whole={whole}", f"out={out}"]
        assert main(arguments) == 0
        found = json.loads((out / "summary.json").read_text())
        assert not found["clips_of_the_run"]
        assert set(found["sets"]) == {"test", "all"}
        assert found["set"] == "test"
        counts[whole] = found["clips"], found["seconds_realigned"]
    assert counts["true"] == (2, pytest.approx(0.59 + 0.32))
    assert counts["false"] == (6, pytest.approx(0.59 + 0.32 - 4 * 0.01)), "each cut costs the step across it"
    record = json.loads((walker_run / "run.json").read_text())
    assert main(["evaluate", f"run={walker_run}", f"clips={record['clips']}", "whole=true"]) == 2


def test_the_same_evaluation_twice_gives_the_same_files(arm_run: Path, ended: Path, tmp_path: Path) -> None:
    again = evaluated(arm_run, tmp_path, "deviation_mm=2", "clip_set=train")
    made = sorted(path.name for path in ended.iterdir())
    assert {"summary.json", "survival.csv"} <= set(made)
    assert made == sorted(path.name for path in again.iterdir())
    for name in made:
        assert (ended / name).read_bytes() == (again / name).read_bytes(), name
