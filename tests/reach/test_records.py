"""Trials x time x channel: resampling keeps means, joining goes by name, and unequal rates are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reach_analysis._common.errors import DataError, MismatchError
from reach_analysis.data.series import TrialSeries, match, one_trial_each, over_steps, resample


def series(values, *, rate_hz=200.0, trials=None, channels=None, start_s=None, name="signal") -> TrialSeries:
    arrays = tuple(np.asarray(rows, float) for rows in values)
    return TrialSeries(
        name=name,
        unit="1",
        rate_hz=rate_hz,
        trials=tuple(trials or (f"t{i}" for i in range(len(arrays)))),
        channels=tuple(channels or (f"c{i}" for i in range(arrays[0].shape[1]))),
        values=arrays,
        start_s=np.zeros(len(arrays)) if start_s is None else np.asarray(start_s, float),
    )


def test_whole_ratio_downwards_is_the_block_average() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(1507, 2))
    out = resample(series([raw], rate_hz=30_000.0, start_s=[0.3]), 200.0)
    np.testing.assert_allclose(out.values[0], raw[:1500].reshape(10, 150, 2).mean(axis=1), atol=1e-12)
    assert out.times(0)[0] == 0.3
    assert out.rate_hz == 200.0


def test_whole_ratio_upwards_repeats() -> None:
    out = resample(series([[[1.0], [2.0]]]), 600.0)
    np.testing.assert_allclose(out.values[0][:, 0], [1, 1, 1, 2, 2, 2], atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.floats(13.0, 900.0), st.integers(20, 90))
def test_any_ratio_keeps_the_integral_of_what_it_covers(rate_hz: float, length: int) -> None:
    rows = np.random.default_rng(length).normal(size=(length, 1))
    out = resample(series([rows]), rate_hz)
    covered = len(out.values[0]) / rate_hz
    fine = np.floor(np.linspace(0, covered, 200_001)[:-1] * 200.0 + 1e-9).astype(int)
    np.testing.assert_allclose(out.values[0].sum() / rate_hz, rows[fine, 0].mean() * covered, atol=3e-5)
    assert -1e-9 < length / 200.0 - covered < 1 / rate_hz + 1e-9  # both sides to rounding


def test_a_missing_value_makes_only_its_own_intervals_missing() -> None:
    rows = np.arange(12.0)[:, None]
    rows[5] = np.nan
    out = resample(series([rows]), 100.0).values[0][:, 0]
    assert np.isnan(out).tolist() == [False, False, True, False, False, False]
    np.testing.assert_allclose(out[[0, 5]], [0.5, 10.5])


def test_states_become_steps_by_averaging_both_ends() -> None:
    out = over_steps(series([[[0.0], [2.0], [6.0]]]))
    np.testing.assert_allclose(out.values[0][:, 0], [1.0, 4.0])


def test_trials_are_joined_by_name_and_not_by_position() -> None:
    first = series([[[1.0]], [[2.0]], [[3.0]]], trials=["a", "b", "c"])
    second = series([[[30.0]], [[10.0]], [[99.0]]], trials=["c", "a", "x"], name="other")
    both = match(first, second)
    assert both.first.trials == both.second.trials == ("a", "c")
    assert [rows[0, 0] for rows in both.second.values] == [10.0, 30.0]
    assert both.only_first == ("b",)
    assert both.only_second == ("x",)


def test_unequal_rates_are_refused_unless_resampled() -> None:
    simulated, recorded = series([np.ones((40, 1))], rate_hz=400.0), series([np.ones((20, 1))], rate_hz=200.0)
    with pytest.raises(MismatchError, match=r"400 samples a second.*200.*[Rr]esample"):
        match(simulated, recorded)
    both = match(resample(simulated, 200.0), recorded)
    assert both.first.lengths == both.second.lengths == (20,)


def test_matching_uses_the_times_not_the_sample_numbers() -> None:
    ramp = np.arange(20.0)[:, None]
    late = series([ramp[4:]], start_s=[4 / 200.0], name="late")
    both = match(series([ramp]), late)
    np.testing.assert_array_equal(both.first.values[0], both.second.values[0])
    np.testing.assert_allclose(both.first.times(0), both.second.times(0))
    assert both.first.lengths == (16,)


def test_samples_between_samples_are_refused() -> None:
    with pytest.raises(MismatchError, match="fall between each other"):
        match(series([np.ones((9, 1))]), series([np.ones((9, 1))], start_s=[0.0021]))


def test_no_common_trial_or_time_is_refused() -> None:
    with pytest.raises(MismatchError, match="share no trial: t0 against other"):
        match(series([np.ones((9, 1))]), series([np.ones((9, 1))], trials=["other"]))
    with pytest.raises(MismatchError, match="share no time"):
        match(series([np.ones((9, 1))]), series([np.ones((9, 1))], start_s=[1.0]))


def test_crop_keeps_the_intervals_within_the_window() -> None:
    rows = np.arange(100.0)[:, None]
    out = series([rows, rows], start_s=[0.0, 0.01]).crop(0.05, 0.1)
    np.testing.assert_array_equal(out.values[0][:, 0], np.arange(10.0, 20.0))
    np.testing.assert_array_equal(out.values[1][:, 0], np.arange(8.0, 18.0))
    np.testing.assert_allclose(out.start_s, 0.05)


def test_rows_and_split_undo_each_other() -> None:
    rng = np.random.default_rng(1)
    unequal = series([rng.normal(size=(n, 3)) for n in (4, 1, 7)])
    rows, owner = unequal.rows()
    assert owner.tolist() == [0] * 4 + [1] + [2] * 7
    back = unequal.split(rows[:, :2], ["p", "q"])
    for mine, theirs in zip(back.values, unequal.values, strict=True):
        np.testing.assert_array_equal(mine, theirs[:, :2])


def test_unequal_trials_do_not_stack_but_pad() -> None:
    unequal = series([np.ones((2, 1)), np.ones((3, 1))])
    with pytest.raises(MismatchError, match="2 to 3 samples"):
        unequal.stacked()
    assert np.isnan(unequal.padded()).sum() == 1
    with pytest.raises(MismatchError, match="start at"):
        series([np.ones((2, 1))] * 2, start_s=[0, 0.1]).stacked()


def test_wrong_names_and_shapes_are_refused_all_at_once() -> None:
    with pytest.raises(DataError, match=r"did you mean 'biceps'"):
        series([[[1.0]]], channels=["biceps"]).select(["bicep"])
    with pytest.raises(DataError, match=r"4 faults"):
        TrialSeries("x", "1", -1.0, ("a", "a"), ("c",), (np.ones((2, 2)),), np.zeros(1))
    with pytest.raises(DataError, match="cannot resample"):
        resample(one_trial_each("x", [np.ones((2, 1))], 10.0, ["c"]), float("nan"))
