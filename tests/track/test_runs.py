"""Runs: what a folder holds, going on exactly, kills, signals, losses that are not finite."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import arm, command, trainer
from track_mjx._common.errors import InputError, OutputError, RunError
from track_mjx.cli import main
from track_mjx.config import RolloutConfig
from track_mjx.learning.failures import FAILURE, read_failure
from track_mjx.learning.replay import replay
from track_mjx.learning.setup import load_policy, open_setup, split
from track_mjx.learning.terminal import closing_line
from track_mjx.learning.trainer import Trainer, evaluated_clips
from track_mjx.rollouts.writing import roll_out
from track_mjx.runs.checkpoints import Checkpoints, flatten, policy_sha256
from track_mjx.runs.run_folder import RunFolder
from track_mjx.task.registry import termination
from track_mjx.task.step import Step


def same(a: Any, b: Any) -> bool:
    flat_a, flat_b = flatten(a), flatten(b)
    return flat_a.keys() == flat_b.keys() and all(np.array_equal(flat_a[n], flat_b[n], equal_nan=True) for n in flat_a)


def test_going_on_equals_never_having_stopped(tmp_path: Path) -> None:
    whole = trainer(arm(tmp_path), "whole")
    whole.run()
    first = trainer(arm(tmp_path), "parts")
    first.run(lambda: first.progress.iteration == 5)
    again = trainer(arm(tmp_path), "parts", new=False)
    again.restore()
    assert again.progress.iteration == 5
    again.run()
    for part in ("learner", "carry", "physics", "key", "iteration", "steps"):
        assert same(again.state()[part], whole.state()[part]), part
    lines = again.folder.metrics()
    assert [line["iteration"] for line in lines] == list(range(1, 11)), "no gap, no repeat"
    for ours, theirs in zip(lines, whole.folder.metrics(), strict=True):
        assert ours["reward"] == theirs["reward"]
        assert ours["learning/loss"] == theirs["learning/loss"]


def test_going_on_drops_metrics_after_the_checkpoint(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    for _ in range(3):
        run.advance()
        run._log_line(False)  # a checkpoint every two iterations: the third line comes after the last one
    assert run.folder.checkpoints.steps() == [160]
    again = trainer(arm(tmp_path), new=False)
    again.restore()
    assert [line["iteration"] for line in again.folder.metrics()] == [1, 2]
    assert again.progress.steps == 160


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        setup = arm(tmp_path)
        setup.config.seed = seed
        run = trainer(setup, name)
        run.advance()
        runs.append(run.state()["learner"])
    assert same(runs[0], runs[1])
    assert not same(runs[0].parameters, runs[2].parameters)


def test_the_folder_holds_what_made_it(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    run.run()
    folder = RunFolder.open(run.folder.path)
    record = folder.record()
    assert set(record.train) | set(record.test) == {f"clip_{i}" for i in range(4)}
    assert not set(record.train) & set(record.test)
    assert record.model_sha256 == run.setup.clips.model_sha256
    assert record.environment["mujoco"]
    assert folder.config() == run.config
    table = (folder.path / "metrics.csv").read_text().splitlines()
    assert len(table) == 11
    assert "terms/joint_position_exp" in table[0]
    assert "eval/test/mean_body_error_mm" in table[0]
    run.config.seed = 7
    with pytest.raises(OutputError, match=r"with other settings \(seed\).*resume"):
        RunFolder.begin(run.config, run.setup.clips, [0], [1])


def test_rollouts_hold_what_was_followed_and_recorded_and_the_policy_that_acted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = arm(tmp_path, {"smoothing_s": 0.05})
    run = trainer(setup)
    run.save()
    load = Checkpoints.load
    step, leaves = run.folder.checkpoints.load("last")

    def load_while_a_training_saves(self: Checkpoints, which: str | int) -> tuple[int, dict[str, np.ndarray]]:
        loaded = load(self, which)
        self.save(loaded[0] + 80, {name: leaf + 1 for name, leaf in loaded[1].items()})
        return loaded

    monkeypatch.setattr(Checkpoints, "load", load_while_a_training_saves)
    roll_out(run.folder, RolloutConfig(run=str(run.folder.path), checkpoint="last"), tmp_path / "rollouts.h5")
    with h5py.File(tmp_path / "rollouts.h5") as file:
        asked, recorded = (np.asarray(file[name]) for name in ("qpos_ref", "reference/qpos"))
        assert (file.attrs["checkpoint_step"], file.attrs["checkpoint_sha256"]) == (step, policy_sha256(leaves))
    for clip, (start, n) in enumerate(zip(setup.followed.start, setup.followed.length, strict=True)):
        assert asked[clip, :n] == pytest.approx(setup.followed.qpos[start : start + n], abs=1e-6)
    assert recorded == pytest.approx(setup.clips.qpos, abs=1e-6)
    assert np.abs(setup.followed.qpos - setup.reference.qpos).max() > 1e-3


def test_speeds_of_all_lines_add_up_to_the_time_that_passed(tmp_path: Path) -> None:
    """Evaluations and checkpoints are time too: leaving them out would make the run look faster than it was."""
    setup = arm(tmp_path)
    setup.config.run.evaluate_every_s = 1e-6
    run = trainer(setup)
    run.run()
    lines = run.folder.metrics()
    steps = np.diff([0, *(line["steps"] for line in lines)])
    walls = steps / np.array([line["control_steps_per_s"] for line in lines])
    assert walls.sum() == pytest.approx(lines[-1]["seconds"], rel=0.01)
    assert [line["steps"] for line in lines] == list(range(80, 801, 80))
    assert lines[-1]["physics_steps_per_s"] == pytest.approx(2 * lines[-1]["control_steps_per_s"], rel=1e-3)


def test_ramp_and_schedule_count_environment_steps(tmp_path: Path) -> None:
    setup = arm(tmp_path, kl_ramp_steps=400, kl_weight=0.5, final_learning_rate=0.0)
    run = trainer(setup)
    assert run.kl_weight() == 0.0
    assert run.learning_rate() == pytest.approx(1e-3)
    run.progress.steps = 200
    assert run.kl_weight() == pytest.approx(0.25)
    run.progress.steps = 400
    assert run.learning_rate() == pytest.approx(0.5e-3)
    run.progress.steps = 10**12
    assert run.kl_weight() == 0.5
    assert run.learning_rate() == 0.0


def test_rounds_collect_more_for_each_update(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path, rounds=3))
    run.advance()
    assert run.progress.steps == 240


def test_a_loss_that_is_not_finite_stops_with_a_dump(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    run.advance()
    run._log_line(False)
    run.save()
    run.learner = run.learner._replace(parameters=jax.tree.map(lambda p: p * np.nan, run.learner.parameters))
    with pytest.raises(RunError, match=r"not finite.*last good checkpoint is at step 80"):
        run.advance()
    assert (run.folder.path / "non_finite.npz").is_file()
    assert run.progress.steps == 80


def test_physics_that_blows_up_ends_its_episode_and_is_counted(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    run.physics.batch.bind("qfrc_applied")[3] = np.nan
    run.advance()
    run._log_line(False)
    (line,) = run.folder.metrics()
    assert line["ended/non_finite"] == 1
    assert np.isfinite(line["reward"])
    assert all(np.isfinite(leaf).all() for leaf in flatten(run.state()["learner"]).values())
    assert np.isfinite(run.physics.batch.state).all(), "the simulation started again"
    run.advance()
    assert run._numbers()["ended/non_finite"] == 0


def test_the_state_before_a_step_that_is_not_finite_can_be_played_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = trainer(arm(tmp_path))
    run.advance()
    velocity = run.physics.batch.bind("qvel")
    velocity[3] = 1e11
    run.physics.current["qvel"][3] = velocity[3]
    before = run.physics.current["qpos"][3].copy()
    run.advance()
    assert "track-mjx replay dump=" in caplog.text
    path = run.folder.path / FAILURE
    failure, about = read_failure(path)
    assert failure.qpos.tolist() == before.tolist()
    assert failure.qvel.tolist() == pytest.approx([1e11] * 2)
    assert about == {"clip_name": run.setup.clips.clip_name[run.train[int(failure.clip)]], "steps": 80}
    lines = replay(path)
    assert sum("physics step" in line for line in lines) == run.setup.task.body.arena.n_substeps
    assert "mjWARN_BADQVEL" in lines[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=FAILURE):
        replay(path)


@pytest.mark.usefixtures("clean_registry")
def test_clips_on_which_episodes_end_early_are_drawn_more_often(tmp_path: Path) -> None:
    """One clip ends every episode; a resumed run draws as one that was not stopped."""

    @termination
    def bad_clip(step: Step) -> jax.Array:
        """End where the reference is that of this clip."""
        return jnp.abs(step.target.qpos[:, :1] - bad).min(-1) < 1e-9

    task = {"clip_sampling": "failures", "terminations": {"bad_clip": {}}}
    plain = arm(tmp_path)
    number = 1
    clip = split(4, plain.config.run.test_fraction, plain.config.run.split_seed)[0][number]
    start, length = int(plain.followed.start[clip]), int(plain.followed.length[clip])
    bad = jnp.asarray(plain.followed.qpos[start + 1 : start + length, 0])
    runs = []
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        runs.append(trainer(arm(tmp_path / name, task)))
    for _ in range(6):
        runs[0].advance()
    for _ in range(3):
        runs[1].advance()
    runs[1].save()
    runs[1].advance()
    runs[1].restore()
    for _ in range(3):
        runs[1].advance()
    first, second = (np.asarray(run.followed.weight) for run in runs)
    assert np.array_equal(first, second)
    assert first.sum() == pytest.approx(1)
    assert first[number] > 2 * np.delete(first, number).max()
    clips = [int(c) for c in np.asarray(runs[0].setup.task.start(runs[0].followed, jax.random.key(0), 4000)[0].clip)]
    share = np.bincount(clips, minlength=len(first)) / 4000
    assert share == pytest.approx(first, abs=0.03)


def test_checkpoints_keep_the_best_and_the_latest(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "checkpoints", keep=2)
    with pytest.raises(RunError, match="no complete checkpoint"):
        store.load("best")
    for step, score in ((10, 0.5), (20, 0.9), (30, None), (40, 0.7), (50, 0.8)):
        store.save(step, {"step": np.int64(step), "empty": np.zeros((3, 0))})
        if score is not None:
            store.judge(step, score)
    assert store.steps() == [20, 40, 50]
    assert store.load("best")[0] == 20
    assert store.load("last")[0] == 50
    assert int(store.load(40)[1]["step"]) == 40
    with pytest.raises(RunError, match="best, last or one of 20, 40, 50"):
        store.load("30")
    (store.path(60)).mkdir()
    assert store.steps() == [20, 40, 50], "an incomplete one does not count"


def test_a_score_that_is_not_finite_never_blocks_a_later_best(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "checkpoints")
    for step, score in ((10, np.nan), (20, np.inf), (30, 0.1), (40, np.nan)):
        store.save(step, {"step": np.int64(step)})
        store.judge(step, score)
    assert store.best() == (30, 0.1)
    (tmp_path / "checkpoints" / "best.json").write_text('{"step": 30, "score": NaN}')
    assert store.best() is None, "as earlier versions wrote it"
    store.save(50, {"step": np.int64(50)})
    store.judge(50, -0.5)
    assert store.best() == (50, -0.5)


def test_a_training_without_a_finite_step_saves_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = trainer(arm(tmp_path, {"costs": {"control": {"of": "action", "weight": 0.1}}}))
    run.advance()
    run.learner = run.learner._replace(parameters=jax.tree.map(lambda p: p * np.nan, run.learner.parameters))
    run._log_line(final=True)
    assert run.folder.checkpoints.steps() == [80]
    assert run.folder.checkpoints.best() is None
    assert "no score" in caplog.text
    (line,) = run.folder.metrics()
    assert line["eval/train/reward"] is None
    assert closing_line(line).endswith(" s"), "errors that do not exist are left out"


def test_evaluations_draw_their_clips_from_the_whole_file() -> None:
    clips = list(range(100))
    drawn = evaluated_clips(clips, 32, seed=0)
    assert drawn == evaluated_clips(clips, 32, seed=0) != evaluated_clips(clips, 32, seed=1)
    assert len(set(drawn)) == 32
    assert max(drawn) > 80
    assert evaluated_clips(clips[:32], 32, seed=0) == clips[:32]


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing_that_was_saved(tmp_path: Path) -> None:
    """Three runs, killed with SIGKILL at random moments, end with the very parameters of one that was left alone.

    The moments are drawn over the whole run; checkpoints take most of its time, so that some die while writing one.
    """
    write_clips(tmp_path / "clips.h5")
    rng, killed = np.random.default_rng(3), [tmp_path / f"killed_{i}" for i in range(3)]
    for folder in killed:
        start = [*command(tmp_path, "run.steps=1280", "run.checkpoint_every=2"), f"out={folder}"]
        kill_at(start, folder, n_lines=int(rng.integers(0, 9)), delay_s=rng.uniform(0, 0.1))
        if folder is killed[0]:
            assert main(["resume", f"run={folder}"]) == 0
        else:
            going_on(folder).run()
    whole = trainer(going_on(killed[0]).setup, "whole")
    whole.run()
    expected = whole.folder.checkpoints.load("last")[1]
    for folder in killed:
        run = RunFolder.open(folder)
        assert [line["iteration"] for line in run.metrics()] == list(range(2, 21, 2)), "no gap, no repeat"
        for ours, theirs in zip(run.metrics(), whole.folder.metrics(), strict=True):
            assert ours["learning/loss"] == theirs["learning/loss"]
            assert ours["reward"] == theirs["reward"]
        found = run.checkpoints.load("last")[1]
        for leaf in expected.keys() - {"seconds"}:
            assert np.array_equal(found[leaf], expected[leaf]), leaf


def kill_at(start: list[str], folder: Path, *, n_lines: int, delay_s: float) -> None:
    """Start a run, and kill it a moment after it has written some lines of metrics."""
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record, metrics = folder / "run.json", folder / "metrics.jsonl"
    while process.poll() is None and not (record.exists() and metrics.read_bytes().count(b"\n") >= n_lines):
        time.sleep(0.002)
    time.sleep(delay_s)
    assert process.poll() is None, "it was killed, and did not end by itself"
    process.kill()
    assert process.wait() == -signal.SIGKILL


def going_on(folder: Path) -> Trainer:
    """A trainer that resumes a run."""
    run = RunFolder.open(folder)
    setup, train, test = open_setup(run, run.config())
    again = Trainer(setup, run, train, test)
    again.resume()
    return again


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    run.advance()
    run._log_line(False)
    assert run.folder.checkpoints.steps() == []
    again = going_on(run.folder.path)
    assert again.progress.iteration == 0
    assert again.folder.metrics() == []
    again.advance()
    assert same(again.learner, run.learner)


def test_a_run_of_an_earlier_version_is_resumed_under_its_names(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    run.advance()
    run.save()
    folder, (step, leaves) = run.folder, run.folder.checkpoints.load("last")
    old = {
        name.replace("carry/episode/", "episode/clock/").replace("carry/", "episode/"): leaves[name] for name in leaves
    }
    assert old.keys() != leaves.keys()
    folder.checkpoints.save(step, old)
    config = folder.path / "config.yaml"
    text = config.read_text()
    for new, earlier in (("joint_position_exp:", "joints:"), ("solver: cg", "solver: CG"), (": euler", ": Euler")):
        assert new in text
        text = text.replace(new, earlier)
    config.write_text(text)
    again = going_on(folder.path)
    assert same(again.carry, run.carry)
    assert again.setup.config.physics == run.setup.config.physics
    assert same(load_policy(folder, again.setup, "last")[1], run.learner.policy)
    assert again.setup.task.metric_names == ("joints", "control_difference")
    assert again.setup.task.rewards[0].function is run.setup.task.rewards[0].function


@pytest.mark.slow
def test_a_signal_saves_and_ends_well(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips.h5")
    process = subprocess.Popen(command(tmp_path, "run.steps=100000000"), stderr=subprocess.PIPE, text=True)
    when_it_has_lines(tmp_path / "run", lambda: process.send_signal(signal.SIGTERM))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "resume" in err
    assert_saved_at_its_end(tmp_path / "run")


def test_an_interrupt_of_this_process_saves_and_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "clips.h5")
    interrupt = threading.Thread(
        target=when_it_has_lines, args=(tmp_path / "run", lambda: os.kill(os.getpid(), signal.SIGINT))
    )
    interrupt.start()
    assert main(command(tmp_path, "run.steps=100000000")[3:]) == 0
    interrupt.join()
    assert "stopped by SIGINT" in capsys.readouterr().err
    assert_saved_at_its_end(tmp_path / "run")


def when_it_has_lines(run: Path, act: Callable[[], object]) -> None:
    """Wait for the second line of metrics of a run, then act."""
    path = run / "metrics.jsonl"
    while not (path.exists() and path.read_text().count("\n") > 1):
        time.sleep(0.05)
    act()


def assert_saved_at_its_end(run: Path) -> None:
    folder = RunFolder.open(run)
    assert folder.checkpoints.steps()[-1] == folder.metrics()[-1]["steps"]
