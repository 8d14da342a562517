"""Gait: known periods, duty factors and lags come back, with and without flicker; phases by cubic interpolation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.behaviour import gait
from reach_analysis.config import GaitConfig
from reach_analysis.data.rollouts import read_rollouts
from reach_analysis.data.series import TrialSeries, one_trial_each, over_steps
from reach_analysis.studies.gait import _muscles, _recorded, run
from reach_analysis.studies.gait_feet import _lead, feet_of
from synthetic.walk import LAGS, WalkSettings, make_walks, write_walks
from synthetic.writing import write_content


def bits(text: str) -> np.ndarray:
    return np.array([sign == "1" for sign in text])


def contact(text: str, rate_hz: float = 100.0) -> TrialSeries:
    return one_trial_each("foot", [bits(text)[:, None]], rate_hz, ["foot"])


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("0001110000", "0001110000"),
        ("0001011000", "0001111000"),
        ("0000100000", "0000000000"),
        ("1111011110", "1111111110"),
        ("1000001111", "1000001111"),  # a run at the end may have lasted longer
        ("0000000000", "0000000000"),
    ],
)
def test_flicker_is_removed_and_true_runs_stay(raw: str, clean: str) -> None:
    assert gait.debounce(bits(raw), 2).tolist() == bits(clean).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=3, max_size=60), st.integers(1, 6))
def test_no_short_run_is_left_and_doing_it_again_changes_nothing(values: list[bool], shortest: int) -> None:
    out = gait.debounce(np.array(values), shortest)
    edges = np.flatnonzero(np.diff(out.astype(int))) + 1
    assert (np.diff(edges) >= shortest).all()
    np.testing.assert_array_equal(gait.debounce(out, shortest), out)


def test_a_stance_under_way_at_the_start_has_no_touch_down() -> None:
    assert gait.touch_downs(bits("1110011000110")).tolist() == [5, 10]


def test_cycles_run_from_touch_down_to_touch_down_within_bounds() -> None:
    series = contact("0110001100001100000000000110")
    cycles = gait.find_cycles(gait.stances(series, 0.0), series, 0.02, 0.1)
    np.testing.assert_allclose(cycles.begin_s, [0.01, 0.06])
    np.testing.assert_allclose(cycles.end_s, [0.06, 0.12])
    np.testing.assert_allclose(gait.duty_factors(gait.stances(series, 0.0), series, cycles), [2 / 5, 2 / 6])


@pytest.mark.parametrize("flicker", [0.0, 0.03])
def test_known_gait_is_recovered(tmp_path: Path, flicker: float) -> None:
    truth = WalkSettings(n_clips=10, duration_s=3.0, flicker=flicker, hazard_per_s=0.2, seed=4)
    write_walks(tmp_path / "walk.h5", truth)
    rollouts = read_rollouts(tmp_path / "walk.h5")
    lead = rollouts.contact("foot_fore_left")
    cycles = gait.find_cycles(gait.stances(lead, 0.03), lead, 0.2, 0.8)
    assert len(cycles) > 20
    assert abs(np.median(cycles.end_s - cycles.begin_s) - truth.period_s) < 1e-9
    for leg, lag in LAGS.items():
        foot = rollouts.contact(f"foot_{leg}")
        stance = gait.stances(foot, 0.03)
        own = gait.find_cycles(stance, foot, 0.2, 0.8)
        assert abs(np.median(gait.duty_factors(stance, foot, own)) - truth.duty) < 0.03
        mean, agreement = gait.circular_mean(gait.phase_lags(stance, foot, cycles))
        assert abs((mean - lag + 0.5) % 1 - 0.5) < 0.03
        assert agreement > 0.97
    position = rollouts.series("xpos").select(["trunk/x", "trunk/y"])
    np.testing.assert_allclose(gait.cycle_speeds(position, cycles), 0.1 / truth.period_s, rtol=0.02)


def test_flicker_without_debouncing_spoils_the_cycles(tmp_path: Path) -> None:
    write_walks(tmp_path / "walk.h5", WalkSettings(n_clips=4, flicker=0.1))
    lead = read_rollouts(tmp_path / "walk.h5").contact("foot_fore_left")
    raw = gait.find_cycles(gait.stances(lead, 0.0), lead, 0.0, 2.0)
    clean = gait.find_cycles(gait.stances(lead, 0.05), lead, 0.0, 2.0)
    assert np.median(raw.end_s - raw.begin_s) < 0.3
    assert abs(np.median(clean.end_s - clean.begin_s) - 0.4) < 0.02


def test_phases_of_a_cubic_are_exact_and_include_both_ends() -> None:
    def cubic(t: np.ndarray) -> np.ndarray:
        return 2 - t + 3 * t**2 - 40 * t**3

    time = np.arange(60) / 50.0
    series = one_trial_each("angle", [np.stack([cubic(time), time], axis=1)], 50.0, ["cubic", "time"])
    cycles = gait.Cycles(np.array([0, 0]), np.array([0.113, 0.5]), np.array([0.5, 1.01]))
    out = gait.phase_normalised(series, cycles)
    assert out.shape == (2, 100, 2)
    np.testing.assert_allclose(out[..., 0], cubic(out[..., 1]), atol=1e-10)
    np.testing.assert_allclose(out[0, [0, -1], 1], [0.113, 0.5])
    np.testing.assert_allclose(np.diff(out[0, :, 1]), (0.5 - 0.113) / 99)


def test_circular_mean_crosses_zero() -> None:
    mean, agreement = gait.circular_mean(np.array([0.95, 0.05, np.nan]))
    assert min(mean, 1 - mean) < 1e-9
    assert abs(agreement - np.cos(0.1 * np.pi)) < 1e-9
    assert np.isnan(gait.circular_mean(np.array([np.nan]))[0])


def test_a_foot_that_does_not_touch_down_has_no_lag() -> None:
    lead, still = contact("0110001100001100"), contact("0000000000000000")
    cycles = gait.find_cycles(gait.stances(lead, 0.0), lead, 0.02, 1.0)
    assert np.isnan(gait.phase_lags(gait.stances(still, 0.0), still, cycles)).all()


def test_settings_that_make_no_sense_are_refused() -> None:
    series = contact("0110001100")
    with pytest.raises(ConfigError, match="must not be negative"):
        gait.stances(series, -0.1)
    with pytest.raises(ConfigError, match="there are none"):
        gait.find_cycles(gait.stances(series, 0.0), series, 0.5, 0.1)
    cycles = gait.find_cycles(gait.stances(series, 0.0), series, 0.0, 1.0)
    with pytest.raises(ConfigError, match="two points"):
        gait.phase_normalised(series, cycles, 1)
    with pytest.raises(DataError, match="is outside"):
        gait.phase_normalised(one_trial_each("q", [np.zeros((5, 1))], 100.0, ["q"]), cycles)
    with pytest.raises(DataError, match="one foot"):
        gait.stances(one_trial_each("feet", [np.zeros((5, 2))], 100.0, ["a", "b"]), 0.0)


def test_feet_that_are_slow_are_planted() -> None:
    """A foot stands for 60 % of each cycle, then swings forward by the stride."""
    rate, period, stride = 100.0, 0.5, 0.05
    phase = (np.arange(400) / rate / period) % 1
    done = np.floor(np.arange(400) / rate / period)
    place = stride * (done + np.clip((phase - 0.6) / 0.4, 0, 1))
    path = one_trial_each("foot", [np.stack([place, 0 * place], axis=1)], rate, ["x", "y"])
    judged = gait.planted(path, 0.4)
    assert np.mean((judged.values[0][:, 0] > 0) == (phase < 0.6)) > 0.95
    cycles = gait.find_cycles(gait.stances(judged, 0.03), judged, 0.1, 1.0)
    assert np.allclose(cycles.end_s - cycles.begin_s, period, atol=0.011)


def walker_with_muscles(folder: Path) -> Path:
    """Walks of a body with muscles whose activation is a sine."""
    made = make_walks(WalkSettings(n_clips=6, duration_s=2.0, seed=3))
    ctrl = made.arrays["ctrl"]
    act = np.clip(0.5 + 0.4 * np.sin(2 * np.pi * np.arange(ctrl.shape[1] + 1) / 40), 0, 1)
    content = replace(made, arrays={**made.arrays, "act": np.broadcast_to(act[:, None], (6, len(act), ctrl.shape[2]))})
    write_content(folder / "walk.h5", content)
    return folder / "walk.h5"


def test_muscles_over_the_cycle_stand_next_to_emg(tmp_path: Path) -> None:
    rollouts = read_rollouts(walker_with_muscles(tmp_path))
    feet = feet_of(rollouts, GaitConfig())
    alone, _, _ = _muscles(rollouts, feet, GaitConfig())
    activity = over_steps(rollouts.series("act"))
    expected = gait.phase_normalised(activity.select([alone[0].joint]), feet.cycles)[..., 0]
    np.testing.assert_allclose(alone[0].simulated, expected)
    assert np.isnan(alone[0].reference).all()
    first = activity.select(activity.channels[:1])
    others = ("other", *rollouts.trials[2:])
    emg = replace(first, trials=others, values=first.values[1:], start_s=first.start_s[1:])
    cycles, places = _recorded(feet.cycles, rollouts.trials, emg)
    assert set(cycles.trial) == {2, 3, 4, 5} & set(feet.cycles.trial)
    assert (places == cycles.trial - 1).all()
    same = gait.phase_normalised(emg, replace(cycles, trial=places))
    ours = gait.phase_normalised(activity.select(emg.channels), cycles)
    np.testing.assert_allclose(same, ours)


@pytest.mark.parametrize(
    ("left", "right"), [("foot_L", "foot_R"), ("LeftFoot", "RightFoot"), ("lfoot", "rfoot"), ("ball_l", "ball_r")]
)
def test_the_left_foot_of_a_biped_leads(tmp_path: Path, left: str, right: str) -> None:
    """Hands that never touch are stored too, as the end effectors of a humanoid are."""
    truth = WalkSettings(n_clips=6, duration_s=4.0, period_s=1.1)
    arrays = dict(make_walks(truth).arrays)
    feet = {leg: arrays.pop(f"contact/foot_{leg}") for leg in LAGS}
    stored = {right: feet["fore_right"], left: feet["fore_left"], "hand_L": 0 * feet["fore_left"]}
    content = replace(make_walks(truth), arrays=arrays | {f"contact/{name}": value for name, value in stored.items()})
    write_content(tmp_path / "biped.h5", content)
    found = run(read_rollouts(tmp_path / "biped.h5"), GaitConfig(resamples=100)).results
    assert found["lead"] == left
    assert abs(found["duration_s"] - truth.period_s) < 1e-9
    rows = {row["foot"]: row for row in found["feet"]}
    assert abs(rows[right]["phase_lag"] - 0.5) < 0.02
    assert abs(rows[left]["duty_factor"] - truth.duty) < 0.02


@pytest.mark.parametrize("names", [("heel_l", "toe_l", "heel_r", "toe_r"), ("one", "two")])
def test_feet_whose_names_do_not_say_which_leads_are_named(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=rf"which of {', '.join(names)} is .* for example lead={names[0]}"):
        _lead(names)
