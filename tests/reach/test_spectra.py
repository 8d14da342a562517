"""High-frequency power: sines and noise of known power, and bands that the rate cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.behaviour.spectra import band_power, check_band, mean_spectrum, power_by_thirds
from reach_analysis.data.series import one_trial_each
from synthetic.reach import ReachSettings, make_reaches

RATE = 400.0


def test_a_sine_has_half_its_squared_amplitude_in_its_band_and_nothing_elsewhere() -> None:
    time = np.arange(400) / RATE
    wave = 3 * np.sin(2 * np.pi * 50 * time)[:, None]
    series = one_trial_each("x", [wave], RATE, ["x"])
    np.testing.assert_allclose(band_power(series, 40.0, 60.0).power, 4.5, rtol=0.02)
    np.testing.assert_allclose(band_power(series, 40.0, 60.0).fraction, 1.0, rtol=0.02)
    assert band_power(series, 100.0, 200.0).power.max() < 0.01
    assert band_power(series, 5.0, 40.0).power.max() < 0.06
    slow = one_trial_each("x", [np.sin(2 * np.pi * 3 * time[:118, None] + phase) for phase in range(6)], RATE, ["x"])
    assert band_power(slow, 10.0).fraction.mean() < 0.01  # less than the movement leaks through a Hann window


def test_white_noise_has_the_fraction_of_the_band() -> None:
    rng = np.random.default_rng(0)
    series = one_trial_each("x", [2 * rng.normal(size=(120, 3)) for _ in range(200)], RATE, ["a", "b", "c"])
    found = band_power(series, 50.0, 150.0)
    np.testing.assert_allclose(found.power.mean(), 4.0 * 0.5, rtol=0.02)
    np.testing.assert_allclose(np.nanmean(found.fraction), 0.5, rtol=0.02)
    assert abs(found.resolution_hz - RATE / 240) < 1e-12


@pytest.mark.parametrize("start", [0, 20, 49, 98])
def test_a_burst_counts_alike_wherever_it_is_in_the_trial(start: int) -> None:
    """50 ms of 100 Hz in 295 ms, as the actions of a reach: its power is known."""
    rows = np.zeros((118, 1))
    rows[start : start + 20, 0] = np.sin(2 * np.pi * 100 * np.arange(20) / RATE)
    series = one_trial_each("x", [rows], RATE, ["x"])
    assert band_power(series, 10.0).power[0, 0] == pytest.approx(0.5 * 20 / 118, rel=0.02)
    thirds = power_by_thirds(series, 10.0, 200.0)
    assert thirds.sum() == pytest.approx(1.0)
    assert thirds[min(2, (start + 10) * 3 // 118)] > 0.7


def test_bands_side_by_side_add_up() -> None:
    rng = np.random.default_rng(1)
    series = one_trial_each("x", [rng.normal(size=(119, 2))], RATE, ["a", "b"])
    parts = [band_power(series, low, high).power for low, high in ((17.0, 61.3), (61.3, 120.0), (120.0, 200.0))]
    np.testing.assert_allclose(sum(parts), band_power(series, 17.0).power, rtol=1e-12)


def test_an_open_band_ends_at_half_the_rate() -> None:
    assert check_band(10.0, None, RATE) == (10.0, 200.0)
    assert check_band(10.0, 200.0, RATE) == (10.0, 200.0)


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (10.0, 1000.0, r"nothing above 200 Hz \(Nyquist\)"),
        (60.0, 40.0, "empty"),
        (-1.0, 40.0, "empty"),
        (200.0, None, "no band above 200 Hz"),
    ],
)
def test_the_paper_s_10_to_1000_hz_at_400_hz_is_refused(low: float, high: float | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        band_power(one_trial_each("x", [np.ones((120, 1))], RATE, ["x"]), low, high)


def test_chatter_raises_high_frequency_power_of_the_control_as_it_should() -> None:
    def power(chatter: float) -> float:
        reaches = make_reaches(ReachSettings(n_trials=8, chatter=chatter))
        series = one_trial_each("action", list(reaches.content.arrays["action"]), RATE, [str(i) for i in range(9)])
        return float(band_power(series, 50.0).power.mean())

    # actions are 2 ctrl - 1: white noise of 0.1 on the control has a variance of 0.04, three quarters above 50 Hz
    assert abs(power(0.1) - power(0.0) - 0.04 * 0.75) < 0.003


def test_trials_too_short_or_with_gaps_are_refused() -> None:
    with pytest.raises(DataError, match="lasts 50 ms, less than two periods of 10 Hz"):
        band_power(one_trial_each("x", [np.ones((20, 1))], RATE, ["x"]), 10.0)
    with pytest.raises(DataError, match="not finite"):
        band_power(one_trial_each("x", [np.full((200, 1), np.nan)], RATE, ["x"]), 10.0)


def test_a_flat_signal_has_no_fraction() -> None:
    found = band_power(one_trial_each("x", [np.ones((200, 1))], RATE, ["x"]), 10.0)
    assert found.power[0, 0] < 1e-20
    frequency, density = mean_spectrum(one_trial_each("x", [np.ones((200, 1))], RATE, ["x"]))
    assert frequency[-1] == 199.0
    assert density.max() < 1e-20
