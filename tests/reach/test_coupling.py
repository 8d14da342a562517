"""Cross maps of a report: the direction that was put in is found, shared courses are not taken for coupling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.config import CouplingConfig
from reach_analysis.data.rollouts import Rollouts, read_rollouts
from reach_analysis.studies.coupling import run as study
from reach_analysis.synthetic.systems import autoregressive
from synthetic.reach import ReachSettings, make_reaches
from synthetic.systems import coupled_logistic
from synthetic.writing import write_content

N_TRIALS, N_STEPS = 12, 60
MUSCLE, JOINT = "biceps_long", "elbow"
CONFIG = CouplingConfig(
    joints=[JOINT], muscles=[MUSCLE], signal="ctrl", rate_hz=None, lags=[2, -1, 0], samples=10, permutations=99
)


def written(path: Path, control: np.ndarray, angle: np.ndarray) -> Rollouts:
    """Rollouts whose biceps and elbow are given, trials x steps each; angles are means of the states around a step."""
    made = make_reaches(ReachSettings(n_trials=len(control), n_units=2, duration_s=N_STEPS / 400, seed=2)).content
    ctrl, qpos = made.arrays["ctrl"].copy(), made.arrays["qpos"].copy()
    ctrl[..., made.body.actuators.index(MUSCLE)] = control
    qpos[:, 0, made.body.joints.index(JOINT)] = angle[:, 0]
    for step in range(N_STEPS):  # so that the mean of this state and the next is the angle of the step
        joint = qpos[..., made.body.joints.index(JOINT)]
        joint[:, step + 1] = 2 * angle[:, step] - joint[:, step]
    write_content(path, replace(made, arrays={**made.arrays, "ctrl": ctrl, "qpos": qpos}))
    return read_rollouts(path)


def maps_of(rollouts: Rollouts, config: CouplingConfig = CONFIG) -> tuple[dict, dict]:
    """The joint finds the muscle; the muscle finds the joint."""
    rows = {(row["history"], row["finds"]): row for row in study(rollouts, config).results}
    return rows[JOINT, MUSCLE], rows[MUSCLE, JOINT]


def drawn(x_on_y: float, y_on_x: float) -> tuple[np.ndarray, np.ndarray]:
    """Logistic maps, each trial with starting points of its own: control and angle."""
    rng = np.random.default_rng(4)
    trials = [coupled_logistic(N_STEPS, x_on_y, y_on_x, tuple(rng.uniform(0.2, 0.4, 2))) for _ in range(N_TRIALS)]
    return np.stack([trial[:, 0] for trial in trials]), np.stack([trial[:, 1] for trial in trials])


def test_a_muscle_that_drives_a_joint_is_found_in_the_joint_and_not_the_reverse(tmp_path: Path) -> None:
    driver, driven = drawn(0.15, 0.0)
    joint_finds, muscle_finds = maps_of(written(tmp_path / "one.h5", driver, driven))
    assert joint_finds["skill"] > 0.5
    assert joint_finds["convergence"] > 0.05
    assert joint_finds["p"] == pytest.approx(0.01)
    assert joint_finds["null_95"] < joint_finds["skill"]
    assert muscle_finds["skill"] < joint_finds["skill"] - 0.3
    turned = maps_of(written(tmp_path / "two.h5", driven, driver))
    assert turned[1]["skill"] > 0.5 > turned[0]["skill"]


def test_a_motor_may_have_the_name_of_its_joint(tmp_path: Path) -> None:
    rollouts = written(tmp_path / "one.h5", *drawn(0.15, 0.0))
    expected = [row["skill"] for row in study(rollouts, CONFIG).results]
    actuators = tuple(JOINT if name == MUSCLE else name for name in rollouts.names["actuator"])
    renamed = replace(rollouts, names={**rollouts.names, "actuator": actuators})
    found = study(renamed, replace(CONFIG, muscles=[JOINT])).results
    assert [row["skill"] for row in found] == expected


def test_independent_series_find_nothing_either_way(tmp_path: Path) -> None:
    control, angle = (autoregressive(np.random.default_rng(seed), N_TRIALS, N_STEPS) for seed in (0, 1))
    for row in maps_of(written(tmp_path / "none.h5", control / 20 + 0.5, angle)):
        assert abs(row["skill"]) < 0.2
        assert row["p"] > 0.05


def test_a_course_that_all_trials_share_is_no_coupling(tmp_path: Path) -> None:
    """Both follow the same slow course: cross maps are high, and the exchange of trials is as high."""
    rng, course = np.random.default_rng(3), np.sin(np.linspace(0, 6, N_STEPS))
    control, angle = (course + 0.1 * rng.normal(size=(N_TRIALS, N_STEPS)) for _ in range(2))
    for row in maps_of(written(tmp_path / "shared.h5", control / 5 + 0.5, angle)):
        assert row["skill"] > 0.6
        assert row["p"] > 0.05


def test_a_course_that_trials_of_a_session_share_is_no_coupling(tmp_path: Path) -> None:
    """Each session has its own course, of muscle and joint: exchanged within sessions, trials find as much."""
    rng, waves = np.random.default_rng(3), np.array([2.0, 5.0])[(np.arange(N_TRIALS) >= 6).astype(int), None]
    course = np.sin(waves * np.linspace(0, 3, N_STEPS))
    control, angle = (course + 0.1 * rng.normal(size=(N_TRIALS, N_STEPS)) for _ in range(2))
    rollouts = written(tmp_path / "sessions.h5", control / 5 + 0.5, angle)
    names = [f"{name}_{'ab'[place >= 6]}" for place, name in enumerate(rollouts.clip_names)]
    assert all(row["p"] < 0.05 for row in maps_of(rollouts))
    within = maps_of(replace(rollouts, clip_names=tuple(names)).with_levels({"session": "_([ab])$"}))
    assert all(row["p"] > 0.05 for row in within)


def test_bad_settings_and_too_few_trials_are_named(tmp_path: Path) -> None:
    rollouts = written(tmp_path / "some.h5", *drawn(0.15, 0.0))
    with pytest.raises(ConfigError, match="expected E, tau and Tp"):
        study(rollouts, replace(CONFIG, lags=[3]))
    with pytest.raises(ConfigError, match="library sizes: expected 1 to 12"):
        study(rollouts, replace(CONFIG, sizes=[2, 40]))
    few = written(tmp_path / "few.h5", *(values[:3] for values in drawn(0.15, 0.0)))
    with pytest.raises(DataError, match="at least 4 trials of equal length, got 3"):
        study(few, CONFIG)
