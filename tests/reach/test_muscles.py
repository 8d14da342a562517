"""Muscles against EMG: errors by hand, the sign of lags, onsets, paired differences that find what is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError, MismatchError
from reach_analysis.behaviour import muscles
from reach_analysis.config import EmgConfig
from reach_analysis.data.rollouts import read_rollouts
from reach_analysis.data.series import TrialSeries, one_trial_each
from reach_analysis.statistics.estimates import Resampling, mean_of
from reach_analysis.studies.emg import run
from reach_analysis.synthetic.emg import EmgSettings
from synthetic.emg import write_emg
from synthetic.reach import ReachSettings, write_reaches

ARM = ("Pec_C", "Triceps_Lateral", "Triceps_Long", "Brachialis", "Biceps_Long")
QUICK = EmgConfig(resamples=400)


def bumps(n_trials: int, length: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centre, width = rng.uniform(20, 35, (n_trials, 1)), rng.uniform(4, 8, (n_trials, 1))
    return np.exp(-(((np.arange(length) - centre) / width) ** 2))


def series(trials: np.ndarray, name: str = "x", rate_hz: float = 200.0) -> TrialSeries:
    return one_trial_each(name, [rows[:, None] for rows in trials], rate_hz, [name])


def test_errors_are_those_by_hand() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.uniform(size=(12, 60)), rng.uniform(size=(12, 60))
    (fit,), _ = muscles.compare("a", "act", series(ours, "s"), series(theirs, "e"), QUICK)
    np.testing.assert_allclose(fit.mae.value, np.abs(ours - theirs).mean())
    np.testing.assert_allclose(fit.rmse.value, np.sqrt(((ours - theirs) ** 2).mean()))
    by_trial = [np.corrcoef(one, two)[0, 1] for one, two in zip(ours, theirs, strict=True)]
    np.testing.assert_allclose(fit.correlation.value, np.mean(by_trial))
    np.testing.assert_allclose(fit.correlation_of_means, np.corrcoef(ours.mean(0), theirs.mean(0))[0, 1])
    assert fit.mae.low < fit.mae.value < fit.mae.high
    assert (fit.mae.n, fit.mae.unit) == (12, "1")


@pytest.mark.parametrize("delay", [-7, -1, 0, 3, 8])
def test_a_simulation_that_follows_the_emg_has_a_positive_lag(delay: int) -> None:
    recorded = bumps(10, 80, seed=1)
    ours = recorded[:, 10 - delay : 70 - delay] if delay else recorded[:, 10:70]
    theirs = recorded[:, 10:70]
    # ours(t + delay) = theirs(t)
    assert muscles.best_lag(ours, theirs, 15) == (delay, False)
    (fit,), _ = muscles.compare("a", "act", series(ours, "s"), series(theirs, "e"), QUICK)
    assert abs(fit.lag_s - delay / 200) < 1e-12
    if delay:
        assert np.sign(fit.onset_s.value) == np.sign(delay)
        assert abs(fit.onset_s.value - delay / 200) < 1e-3


def test_a_lag_beyond_what_was_tried_is_marked() -> None:
    recorded = bumps(5, 90, seed=2)
    shift, edge = muscles.best_lag(recorded[:, 0:60], recorded[:, 20:80], 10)
    assert shift == 10
    assert edge
    with pytest.raises(ConfigError, match="at most half"):
        muscles.best_lag(recorded, recorded, 60)


def test_lags_do_not_look_across_trials() -> None:
    # each trial is flat but for an offset of its own: pooled without removing it, any shift would correlate
    offsets = np.repeat(np.arange(6.0)[:, None], 40, axis=1)
    rng = np.random.default_rng(3)
    ours, theirs = offsets + 0.1 * rng.normal(size=(6, 40)), offsets + 0.1 * rng.normal(size=(6, 40))
    assert abs(muscles.correlation(ours.ravel(), theirs.ravel())) > 0.99
    (fit,), _ = muscles.compare("a", "act", series(ours, "s"), series(theirs, "e"), QUICK)
    assert abs(fit.correlation.value) < 0.4


def test_errors_stand_next_to_simpler_envelopes() -> None:
    """The same shapes at half the height: the error is amplitude, and one factor takes it away."""
    recorded = bumps(12, 60, seed=3) + 0.1
    (fit,), _ = muscles.compare("a", "act", series(recorded / 2, "s"), series(recorded, "e"), QUICK)
    found = fit.simpler
    assert found["scale"] == pytest.approx(2.0)
    assert found["mae_scaled"] == pytest.approx(0.0, abs=1e-12)
    pairs = [(i, j) for i in range(12) for j in range(12) if i != j]
    errors = [np.abs(recorded[i] / 2 - recorded[j]).mean() for i, j in pairs]
    assert found["mae_exchanged"] == pytest.approx(np.mean(errors))
    assert found["correlation_exchanged"] == pytest.approx(
        np.mean([np.corrcoef(recorded[i], recorded[j])[0, 1] for i, j in pairs])
    )
    others = [np.delete(recorded, i, axis=0).mean(axis=0) for i in range(12)]
    assert found["mae_mean_trial"] == pytest.approx(
        np.mean([np.abs(a - b).mean() for a, b in zip(others, recorded, strict=True)])
    )
    assert found["mae_constant"] == pytest.approx(np.abs(recorded - np.median(recorded)).mean())
    assert found["correlation_p"] == pytest.approx(1 / 401)
    (other,), _ = muscles.compare("a", "act", series(recorded[::-1], "s"), series(recorded, "e"), QUICK)
    assert other.simpler["correlation_p"] > 0.05


def test_onsets_of_fewer_than_three_trials_give_no_number() -> None:
    rising, falling = np.linspace(0, 1, 40), np.linspace(1, 0, 40)
    recorded = np.stack([rising] * 6)
    (fit,), _ = muscles.compare(
        "a", "act", series(np.stack([rising] * 2 + [falling] * 4), "s"), series(recorded, "e"), QUICK
    )
    assert fit.onset_s.n == 2
    assert np.isnan(fit.onset_s.value)


def test_onset_is_where_the_trial_rises_through_a_fraction_of_its_range() -> None:
    assert muscles.onset(np.array([0.0, 0.0, 1.0, 4.0, 2.0]), 0.5) == pytest.approx(2 + 1 / 3)
    assert np.isnan(muscles.onset(np.array([4.0, 3.0, 0.0]), 0.5))
    assert np.isnan(muscles.onset(np.ones(4), 0.5))
    assert muscles.onset(np.array([0.0, 1.0, np.nan, np.nan]), 0.5) == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="onset_fraction: "):
        muscles.onset(np.arange(4.0), 1.0)


def test_trials_that_end_early_are_compared_as_far_as_they_go() -> None:
    recorded = bumps(4, 60, seed=4)
    values = tuple(rows[:count, None] + 0.1 for rows, count in zip(recorded, (60, 30, 45, 10), strict=True))
    short = TrialSeries("s", "1", 200.0, ("0", "1", "2", "3"), ("s",), values, np.zeros(4))
    (fit,), both = muscles.compare("a", "ctrl", short, series(recorded, "e"), QUICK)
    np.testing.assert_allclose(fit.trial_mae, 0.1)
    assert both.first.lengths == (60, 30, 45, 10)


def test_paired_differences_find_the_better_condition_and_not_one_that_is_none() -> None:
    rng = np.random.default_rng(5)
    recorded = bumps(30, 60, seed=5)
    noise = rng.normal(size=(3, 30, 60))
    conditions = {"good": 0.2, "bad": 0.3, "as_bad": 0.3}
    fits = [
        muscles.compare(name, "act", series(recorded + level * n, "s"), series(recorded, "e"), QUICK)[0][0]
        for (name, level), n in zip(conditions.items(), noise, strict=True)
    ]
    found = {(d.first, d.second): d for d in muscles.condition_differences(fits, Resampling(400))}
    assert set(found) == {("good", "bad"), ("good", "as_bad"), ("bad", "as_bad")}
    clear = found["good", "bad"]
    assert clear.mae.estimate.high < 0
    assert clear.mae.p < 0.01
    assert clear.correlation.estimate.low > 0
    none = found["bad", "as_bad"]
    assert none.mae.estimate.low < 0 < none.mae.estimate.high
    assert none.mae.p > 0.05


def test_differences_use_the_trials_both_conditions_have() -> None:
    recorded = bumps(8, 60, seed=7)
    emg = series(recorded, "e")
    first = series(recorded + 0.1, "s").take(["0", "1", "2", "3", "4"])
    second = series(recorded + 0.3, "s").take(["7", "4", "3", "2"])
    fits = [muscles.compare(name, "act", part, emg, QUICK)[0][0] for name, part in (("a", first), ("b", second))]
    (difference,) = muscles.condition_differences(fits, Resampling(400))
    assert difference.mae.estimate.n == 3
    assert difference.mae.estimate.value == pytest.approx(-0.2)


def test_means_and_standard_errors_count_the_trials_that_go_on() -> None:
    trials = np.array([[1.0, 2.0, 5.0], [3.0, 6.0, np.nan], [5.0, 1.0, np.nan]])
    mean, sem = muscles.mean_and_sem(trials)
    np.testing.assert_allclose(mean, [3.0, 3.0, 5.0])
    np.testing.assert_allclose(sem[:2], [2 / np.sqrt(3), np.sqrt(7) / np.sqrt(3)])
    assert np.isnan(sem[2])
    with pytest.raises(DataError, match="at least one trial"):
        muscles.mean_and_sem(np.empty((0, 3)))


def test_emg_channels_find_the_actuators_of_the_paper() -> None:
    assert muscles.actuator_for("biceps", ARM, {}) == "Biceps_Long"
    assert muscles.actuator_for("triceps", ARM, {}) == "Triceps_Lateral"
    assert muscles.actuator_for("triceps", ARM, {"triceps": "triceps_long"}) == "Triceps_Long"
    assert muscles.actuator_for("Pec_C", ARM, {}) == "Pec_C"
    with pytest.raises(ConfigError, match="did you mean 'Brachialis'"):
        muscles.actuator_for("brachial", ARM, {})
    with pytest.raises(ConfigError, match="fits several actuators, Triceps_Lateral, Triceps_Long"):
        muscles.actuator_for("t", ARM, {"t": "tri*"})


def test_one_actuator_may_stand_for_several_muscles(tmp_path: Path) -> None:
    truth = write_reaches(tmp_path / "r.h5", ReachSettings(n_trials=5, n_units=2, seed=1))
    usual = {"a": "biceps_long", "b": "triceps_lateral"}
    files = write_emg(tmp_path, truth.activation, usual, EmgSettings())
    given = {"emg": {name: str(files[name]) for name in "ab"}, "trials": str(files["trials"]), "resamples": 100}
    rollouts = {"one": read_rollouts(tmp_path / "r.h5")}
    own, shared = (
        {
            (row["muscle"], row["signal"]): row
            for row in run(rollouts, EmgConfig(**given, muscles=chosen)).results["fits"]
        }
        for chosen in (usual, dict.fromkeys("ab", "biceps_long"))
    )
    assert shared["a", "act"] == own["a", "act"]
    assert shared["b", "act"]["actuator"] == "biceps_long"
    assert shared["b", "act"]["mae"] > 2 * own["b", "act"]["mae"]


def test_unequal_rates_and_channels_are_refused() -> None:
    recorded = bumps(4, 60, seed=8)
    with pytest.raises(MismatchError, match="400 samples a second"):
        muscles.compare("a", "act", series(recorded, "s", 400.0), series(recorded, "e"), QUICK)
    two = one_trial_each("e", [np.ones((60, 2))] * 4, 200.0, ["p", "q"])
    with pytest.raises(MismatchError, match="1 actuators against 2"):
        muscles.compare("a", "act", series(recorded, "s"), two, QUICK)


def test_estimates_say_what_they_are_made_of() -> None:
    values = np.array([1.0, 2.0, np.nan, 6.0, 3.0])
    assert mean_of(values, "mm").n == 4
    two = mean_of(values[:2], "mm")
    assert (two.value, two.n) == (1.5, 2)
    assert np.isnan(two.low)
    assert mean_of(np.array([np.nan]), "mm").n == 0
