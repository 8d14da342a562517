"""Trainings from Python are those of the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import track_mjx
from contract.kit import assert_conforms
from track.clip_files import write_clips
from track.small_setups import ARM_TASK, command
from track_mjx.cli import main
from track_mjx.runs.loggers import as_gif

SETTINGS = {
    "physics": {"sim_dt_s": 0.0025, "ctrl_dt_s": 0.005},
    "task": {
        **ARM_TASK,
        "regions": {"elbow": ["fore"], "wrist": ["hand"]},
        "rewards": {**ARM_TASK["rewards"], "body_position_exp": None},
    },
    "network": {"encoder": [8], "decoder": [8], "critic": [8], "latent": 2},
    "ppo": {"n_envs": 16, "unroll": 4, "minibatches": 2},
    "run": {"log_every": 2, "checkpoint_every": 4, "evaluate_every_s": 0, "steps": 512},
}


@pytest.mark.slow
def test_a_training_has_the_numbers_of_the_command(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.h5")
    run = track_mjx.train(clips, tmp_path / "python", **SETTINGS)
    assert main([*command(tmp_path)[3:], "run.steps=512"]) == 0
    by_command = track_mjx.load(tmp_path / "run")
    measured = ("seconds", "control_steps_per_s", "physics_steps_per_s")
    python, typed = (
        [{key: value for key, value in line.items() if key not in measured} for line in one.metrics()]
        for one in (run, by_command)
    )
    assert python == typed
    summaries = [one.evaluate(out=tmp_path / "again")["sets"] for one in (run, by_command)]
    assert json.dumps(summaries[0]) == json.dumps(summaries[1])
    assert_conforms(run.roll_out(tmp_path / "rollouts.h5"))
    film = run.film(tmp_path / "film.mp4", "clip_1", width=96, height=64, fps=10)
    assert as_gif(film, 10).startswith(b"GIF89a"), "as during a training"
    assert run.resume(steps=768).metrics()[-1]["steps"] == 768


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(track_mjx.TrackError, match="mouse_arm_quick"):
        track_mjx.train("clips.h5", tmp_path / "run", preset="mouse_arm_quik")
    with pytest.raises(track_mjx.TrackError, match=r"ppo\.n_envs"):
        track_mjx.train("clips.h5", tmp_path / "run", ppo={"n_env": 3})
    with pytest.raises(track_mjx.TrackError, match="not the folder of a run"):
        track_mjx.load(tmp_path)


def test_public_names_are_documented() -> None:
    assert set(track_mjx.__all__) <= set(dir(track_mjx))
    assert all(getattr(track_mjx, name).__doc__ for name in track_mjx.__all__)
