"""Runs that are continued: by the same command, with other clips, engines and numbers of simulations, and signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import arm, command, trained, trainer
from track_mjx.cli import main
from track_mjx.learning.terminal import stop_on_signals
from track_mjx.runs.run_folder import RunFolder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 256 steps, by its command; tests copy it."""
    folder = tmp_path_factory.mktemp("first")
    write_clips(folder / "clips.h5")
    assert main(arguments(folder, "run.steps=256")) == 0
    return folder


@pytest.fixture
def here(first: Path, tmp_path: Path) -> Path:
    """A copy of its clips and its run, which refers to these clips."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace(str(first), str(tmp_path)))
    return tmp_path


def arguments(folder: Path, *more: str) -> list[str]:
    return command(folder, "run.checkpoint_every=2", *more)[3:]


def steps_of(folder: Path) -> list[int]:
    return [line["steps"] for line in RunFolder.open(folder / "run").metrics()]


def replaced(folder: Path) -> None:
    """Register the same clips otherwise."""
    with h5py.File(folder / "clips.h5", "r+") as file:
        file["qpos"][...] = file["qpos"][...] + np.float32(0.1)  # type: ignore[index]


def test_the_same_command_continues_a_run_and_leaves_a_finished_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = here / "run"
    shutil.rmtree(run / "checkpoints" / f"{256:015d}")  # as if it had been killed after its last checkpoint but one
    kept = RunFolder.open(run).checkpoints.steps()
    assert kept
    assert main(arguments(here, "run.steps=256")) == 0
    assert steps_of(here) == [128, 256]
    assert main(arguments(here, "run.steps=256")) == 0
    assert "all 256 steps are done" in capsys.readouterr().err
    assert main(arguments(here, "run.steps=384")) == 0, "where it ends may change"
    assert steps_of(here) == [128, 256, 384]
    assert RunFolder.open(run).config().run.steps == 384


def test_a_run_whose_checkpoints_are_gone_is_not_begun_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, before = here / "run", (here / "run" / "metrics.jsonl").read_bytes()
    shutil.rmtree(run / "checkpoints")
    for given in (arguments(here, "run.steps=512"), ["resume", f"run={run}", "steps=512"]):
        assert main(given) == 2
        assert f"{run / 'checkpoints'}: the checkpoints of the run are gone" in capsys.readouterr().err
    assert (run / "metrics.jsonl").read_bytes() == before
    assert RunFolder.open(run).config().run.steps == 256


def test_another_run_is_not_touched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (here / "run" / "config.yaml").read_bytes()
    for changed in ("seed=5", "ppo.learning_rate=0.1", "run.resume=never"):
        assert main(arguments(here, "run.steps=256", changed)) == 2
        said = capsys.readouterr().err
        assert "there is a run already" in said
        assert changed.split("=")[0] in said or "never" in changed
    replaced(here)
    assert main(arguments(here, "run.steps=256")) == 2
    assert "(clips)" in capsys.readouterr().err
    assert (here / "run" / "config.yaml").read_bytes() == before


@pytest.mark.parametrize("verb", ["evaluate", "rollout", "resume"])
def test_a_clips_file_that_was_replaced_is_refused_unless_it_is_named(
    here: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    replaced(here)
    given = [verb, f"run={here / 'run'}", *(["steps=320"] if verb == "resume" else [f"out={here / 'out.h5'}"])]
    assert main(given) == 2
    assert f"changed since. clips={here / 'clips.h5'}" in capsys.readouterr().err
    assert main([*given, f"clips={here / 'clips.h5'}"]) == 0


def test_clips_that_were_moved_are_found_where_they_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(here / "clips.h5", here / "moved.h5")
    assert main(["resume", f"run={here / 'run'}", "steps=320"]) == 2
    assert "clips=FILE says where" in capsys.readouterr().err
    assert main(["resume", f"run={here / 'run'}", "steps=320", f"clips={here / 'moved.h5'}"]) == 0
    assert RunFolder.open(here / "run").record().clips == str(here / "moved.h5")
    assert main(["evaluate", f"run={here / 'run'}"]) == 0, "it is remembered"


def test_other_numbers_of_simulations_keep_what_was_learned(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.open(here / "run")
    assert main(["resume", f"run={run.path}", "steps=384", "n_envs=32"]) == 0
    assert "all episodes restart" in capsys.readouterr().err
    assert RunFolder.open(run.path).config().ppo.n_envs == 32
    assert steps_of(here) == [128, 256, 384]


def test_fewer_steps_than_are_done_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", f"run={here / 'run'}", "steps=100"]) == 2
    assert "steps=100: the run has 256 steps already" in capsys.readouterr().err
    assert RunFolder.open(here / "run").config().run.steps == 256


def test_physics_that_does_not_fit_is_left_and_the_learner_restored(tmp_path: Path) -> None:
    run = trainer(arm(tmp_path))
    run.advance()
    run.save()
    setup = arm(tmp_path)
    setup.config.physics.sim_dt_s = 0.00125
    from track_mjx.clips import read_clips
    from track_mjx.learning.setup import build

    again = trainer(build(setup.config, read_clips(setup.config.clips)), new=False)
    again.restore()
    for ours, theirs in zip(*(jax_leaves(each.learner) for each in (again, run)), strict=True):
        assert np.array_equal(ours, theirs)
    assert int(np.max(again.carry.episode.history.age)) == 0, "episodes restart"
    again.advance()


def jax_leaves(tree: Any) -> list[np.ndarray]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_a_start_that_fails_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    write_clips(tmp_path / "clips.h5")
    assert main(arguments(tmp_path, "run.steps=64", "run.wandb=project")) == 2
    assert not (tmp_path / "run").exists()


def test_a_lack_of_memory_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clips(tmp_path / "clips.h5")
    assert main(arguments(tmp_path, "run.steps=64", "ppo.n_envs=1_000_000_000_000", "ppo.minibatches=1")) == 2
    assert "out of memory: fewer simulations (ppo.n_envs)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_time_that_is_up_is_said_and_counts_for_each_start(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", f"run={here / 'run'}", "steps=100_000_000", "max_minutes=1e-6"]) == 0
    assert "run.max_minutes=1e-06 are over: at step 320 of 100000000 and saved" in capsys.readouterr().err
    assert RunFolder.open(here / "run").config().run.steps == 100_000_000
    assert main(["resume", f"run={here / 'run'}", "max_minutes=1e-6"]) == 0, "as a job that was queued again"
    assert steps_of(here)[-1] == 384


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="no such signal on this system")
@pytest.mark.parametrize("name", ["SIGUSR2", "SIGTERM"])
def test_the_handler_of_a_scheduler_is_called_after_everything_was_saved(name: str) -> None:
    """A job that is requeued (SIGTERM) ends without a result; one that queues itself again decides by its handler."""
    order: list[str] = []
    number = getattr(signal, name)
    before = signal.signal(number, lambda number, frame: order.append("handled"))
    ends = pytest.raises(SystemExit, match="143") if name == "SIGTERM" else nullcontext()
    try:
        with ends, stop_on_signals() as stopped:
            os.kill(os.getpid(), number)
            assert stopped() == name
            order.append("saved")
    finally:
        signal.signal(number, before)
    assert order == ["saved", "handled"]


def test_nothing_is_evaluated_once_a_signal_came(tmp_path: Path) -> None:
    """A signal during an evaluation of long clips ends it within a step; what was learned is saved before and after."""
    setup = arm(tmp_path, clips={"lengths": (4000, 4000)})
    setup.config.run.evaluate_s, setup.config.run.steps, setup.config.run.checkpoint_every = None, 10**9, 1
    run, flag = trainer(setup), threading.Event()
    calls: list[int] = []
    saved: list[list[int]] = []
    play = run.player.play

    def noted(*given: Any, **options: Any) -> Any:
        watch = run.player.watch
        saved.append(run.folder.checkpoints.steps())

        def count(done: int, of: int) -> bool:
            calls.append(done)
            flag.set()
            return watch(done, of)

        run.player.watch = count
        return play(*given, **options)

    run.player.play = noted
    setup.config.run.evaluate_every_s = 1e-9
    run.run(flag.is_set)
    assert calls == [1]
    assert saved == [[80]], "saved before the evaluation begins"
    assert run.folder.checkpoints.steps() == [80, 160], "and after the update that began meanwhile"
    assert "eval/train/reward" not in run.folder.metrics()[-1]


def test_evaluations_during_training_play_the_beginning_of_long_clips(tmp_path: Path) -> None:
    setup = arm(tmp_path, clips={"lengths": (400, 30)})
    setup.config.run.evaluate_s = 0.5
    run = trainer(setup)
    run.evaluate()
    assert np.asarray(run.played.length).tolist() == [101, 59]


def test_rollouts_say_which_clips_were_trained_on(tmp_path: Path) -> None:
    folder = trained(arm(tmp_path), steps=80)
    other = write_clips(tmp_path / "other.h5", lengths=(20, 20))
    record = json.loads((folder.path / "run.json").read_text())
    for more, expected in (
        ([], {**dict.fromkeys(record["train"], "train"), **dict.fromkeys(record["test"], "test")}),
        ([f"clips={other}"], {"clip_0": "", "clip_1": ""}),
    ):
        assert main(["rollout", f"run={folder.path}", f"out={tmp_path / 'rollouts.h5'}", *more]) == 0
        with h5py.File(tmp_path / "rollouts.h5") as file:
            names, sets = ([text.decode() for text in np.asarray(file[key])] for key in ("clip_name", "clip_set"))
        assert dict(zip(names, sets, strict=True)) == expected
