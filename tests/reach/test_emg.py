"""The EMG chain: filters against their closed form, envelopes against known activation, wrong rates refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError, InputError, MismatchError
from reach_analysis.config import ChainConfig, RecordingConfig
from reach_analysis.data.emg import butterworth, check_chain, envelope_of, filtered, normalise, process, windows
from reach_analysis.data.nwb import read_nwb
from reach_analysis.data.recordings import TrialTable, read_emg_csv, read_trials
from reach_analysis.data.series import match, one_trial_each, resample
from reach_analysis.synthetic.emg import EmgSettings, make_emg
from scipy import signal
from synthetic.emg import write_emg
from synthetic.reach import ReachSettings, make_reaches

RATE = 30_000.0
MUSCLES = {"biceps": "biceps_long", "triceps": "triceps_lateral"}


def table(n_trials: int, start_s: float = 0.15, duration_s: float = 0.3) -> TrialTable:
    start = np.full(n_trials, start_s)
    names = tuple(str(number) for number in range(n_trials))
    return TrialTable("trials.csv", names, np.arange(n_trials), start, start + duration_s, {}, "in seconds")


def low_pass_response(frequency_hz: np.ndarray, cutoff_hz: float, order: int, rate_hz: float) -> np.ndarray:
    """|H| of a digital Butterworth low-pass: the analogue one with both axes warped (bilinear transform)."""
    ratio = np.tan(np.pi * frequency_hz / rate_hz) / np.tan(np.pi * cutoff_hz / rate_hz)
    return 1 / np.sqrt(1 + ratio ** (2 * order))


def band_pass_response(
    frequency_hz: np.ndarray, low_hz: float, high_hz: float, order: int, rate_hz: float
) -> np.ndarray:
    """The same for a band-pass: the low-pass at (w^2 - w_low w_high) / (w (w_high - w_low))."""
    w, low, high = (np.tan(np.pi * np.asarray(f) / rate_hz) for f in (frequency_hz, low_hz, high_hz))
    return 1 / np.sqrt(1 + ((w**2 - low * high) / (w * (high - low))) ** (2 * order))


@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(50.0, RATE), (50.0, 400.0), (6.0, 200.0)])
def test_low_pass_has_the_analytic_response(cutoff_hz: float, rate_hz: float) -> None:
    frequency = np.linspace(1.0, min(0.45 * rate_hz, 2000.0), 400)
    _, response = signal.sosfreqz(butterworth((cutoff_hz,), 4, rate_hz), frequency, fs=rate_hz)
    np.testing.assert_allclose(np.abs(response), low_pass_response(frequency, cutoff_hz, 4, rate_hz), atol=1e-9)


def test_band_pass_has_the_analytic_response() -> None:
    frequency = np.geomspace(2.0, 14_000.0, 600)
    _, response = signal.sosfreqz(butterworth((20.0, 1000.0), 4, RATE), frequency, fs=RATE)
    np.testing.assert_allclose(np.abs(response), band_pass_response(frequency, 20.0, 1000.0, 4, RATE), atol=1e-7)


@pytest.mark.parametrize("frequency_hz", [10.0, 20.0, 100.0, 500.0, 1000.0, 3000.0])
def test_a_sine_comes_out_with_the_squared_response_and_no_shift(frequency_hz: float) -> None:
    time = np.arange(60_000) / RATE
    sine = np.sin(2 * np.pi * frequency_hz * time)
    out = filtered(one_trial_each("sine", [sine[:, None]], RATE, ["c"]), (20.0, 1000.0)).values[0][:, 0]
    middle = slice(20_000, 40_000)
    gain = band_pass_response(np.array([frequency_hz]), 20.0, 1000.0, 4, RATE)[0] ** 2
    np.testing.assert_allclose(out[middle], gain * sine[middle], atol=2e-3)


def test_the_envelope_of_a_modulated_sine_is_its_modulation() -> None:
    time = np.arange(30_000) / RATE
    modulation = 1 + 0.5 * np.sin(2 * np.pi * 3 * time)
    carrier = modulation * np.sin(2 * np.pi * 400 * time)
    out = envelope_of(one_trial_each("x", [carrier[:, None]], RATE, ["c"]), ChainConfig()).values[0][:, 0]
    middle = slice(6000, 24_000)
    np.testing.assert_allclose(out[middle], 2 / np.pi * modulation[middle], rtol=2e-3)


@pytest.mark.parametrize(
    ("edges", "message"),
    [((20.0, 300.0), "100 Hz.*Nyquist"), ((90.0, 30.0), "empty"), ((-1.0,), "positive"), ((0.0, 10.0), "positive")],
)
def test_bands_that_the_rate_cannot_hold_are_refused(edges: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        butterworth(edges, 4, 200.0)


def test_known_activation_is_recovered() -> None:
    truth = make_reaches(ReachSettings(n_trials=20, seed=2)).activation.select(list(MUSCLES.values()))
    raw = make_emg(truth, EmgSettings(seed=5))
    emg = process(raw, replace(table(20), trials=truth.trials), ChainConfig())
    both = match(resample(truth, 200.0), emg.envelope)
    true, found = both.first.stacked(), both.second.stacked()
    assert found.shape == (20, 60, 2)
    for muscle in range(2):
        trial_r = [np.corrcoef(true[i, :, muscle], found[i, :, muscle])[0, 1] for i in range(20)]
        assert np.median(trial_r) > 0.95
        mean_r = np.corrcoef(true[..., muscle].mean(axis=0), found[..., muscle].mean(axis=0))[0, 1]
        assert mean_r > 0.995
    # what the envelope was divided by is, in volts, the activation's own percentile
    for muscle, scale in zip(range(2), emg.scale.values(), strict=True):
        expected = EmgSettings().full_scale_v * np.percentile(true[..., muscle] + EmgSettings().noise, 98)
        assert abs(scale / expected - 1) < 0.1


def test_a_burst_appears_at_its_own_time() -> None:
    level = np.zeros((120, 1))
    level[80:88] = 1.0  # 200 to 220 ms at 400 Hz
    truth = one_trial_each("burst", [level] * 30, 400.0, ["biceps_long"])
    emg = process(make_emg(truth, EmgSettings(noise=0.0, drift=0.0)), table(30), ChainConfig())
    mean = emg.envelope.stacked().mean(axis=0)[:, 0]
    times = emg.envelope.times(0)
    assert abs((mean * times).sum() / mean.sum() + 0.0025 - 0.21) < 0.001


def test_the_chain_is_what_its_steps_are_by_hand() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(2, 18_000))
    series = one_trial_each("EMG", [rows[:, None] for rows in raw], RATE, ["biceps"])
    out = process(series, table(2), ChainConfig()).envelope.stacked()[..., 0]
    band = signal.butter(4, [20, 1000], "bandpass", fs=RATE, output="sos")
    low = signal.butter(4, 50, fs=RATE, output="sos")
    by_hand = np.stack([signal.sosfiltfilt(low, np.abs(signal.sosfiltfilt(band, rows))) for rows in raw]).clip(0)
    by_hand = by_hand[:, 4500:13_500].reshape(2, 60, 150).mean(axis=2)
    np.testing.assert_allclose(out, by_hand / np.percentile(by_hand, 98), rtol=1e-9)


def test_normalisation_uses_all_trials_of_a_muscle_and_no_other() -> None:
    values = [np.array([[1.0, 10.0]] * 50), np.array([[3.0, 10.0]] * 50)]
    out, scale = normalise(one_trial_each("x", values, 200.0, ["a", "b"]), 98.0)
    assert scale == {"a": 3.0, "b": 10.0}
    np.testing.assert_allclose(out.values[0][0], [1 / 3, 1.0])
    with pytest.raises(DataError, match="no amplitude to divide by in b"):
        normalise(one_trial_each("x", [np.array([[1.0, 0.0]])], 200.0, ["a", "b"]), 98.0)


@pytest.mark.parametrize("constant", [0.0, 5.0, 2055.0])
@pytest.mark.parametrize("trials", [(0, 1, 2), (1,)])
def test_an_electrode_that_is_stuck_is_refused(constant: float, trials: tuple[int, ...]) -> None:
    """An envelope of rounding noise, scaled to 1, looks like one; in one trial of three, too."""
    values = np.random.default_rng(0).normal(size=(3, 24_000, 2))
    values[list(trials), :, 1] = constant
    with pytest.raises(DataError, match=r"no amplitude to divide by in dead in trial '[01]'"):
        process(one_trial_each("EMG", list(values), RATE, ["good", "dead"]), table(3), ChainConfig())


@pytest.mark.parametrize("course", ["drifts", "steps before the window", "ends before the window"])
def test_an_electrode_that_says_nothing_in_the_window_is_refused(course: str) -> None:
    """Rounding along a line, and what filters ring of something before the window, look like envelopes too."""
    values = np.random.default_rng(0).normal(size=(3, 24_000, 2))
    if course == "drifts":
        values[..., 1] = np.linspace(0, 5, 24_000)
    else:
        begin = 100 if course == "steps before the window" else 3000
        values[:, begin:, 1] = 5.0
    with pytest.raises(DataError, match=r"no amplitude to divide by in dead in trial '0'"):
        process(one_trial_each("EMG", list(values), RATE, ["good", "dead"]), table(3), ChainConfig())


def test_envelopes_are_never_negative() -> None:
    """A burst after silence: the low-pass swings below 0 next to it."""
    values = 1e-6 * np.random.default_rng(0).normal(size=(1, 24_000, 1))
    values[0, 9000:9300] *= 1e6
    envelope = process(one_trial_each("EMG", list(values), RATE, ["biceps"]), table(1), ChainConfig()).envelope
    assert envelope.values[0].min() == 0.0


def test_windows_count_time_from_the_reach() -> None:
    ramp = np.arange(1000.0)[:, None]
    out = windows(one_trial_each("x", [ramp, ramp], 1000.0, ["c"]), np.array([0.2, 0.3]), -0.05, np.array([0.25, 0.35]))
    np.testing.assert_array_equal(out.values[1][:, 0], np.arange(250.0, 350.0))
    np.testing.assert_allclose(out.times(0)[[0, 50]], [-0.05, 0.0])


# The mix-ups of rates found in public notebooks: 250 or 500 ms of EMG over 147.5 or 297.5 ms of simulation.


def test_a_table_in_frames_of_another_camera_is_refused(tmp_path: Path) -> None:
    truth = make_reaches(ReachSettings(n_trials=3)).activation
    files = write_emg(tmp_path, truth, MUSCLES, EmgSettings(frame_rate_hz=400.0, lead_s=0.4, tail_s=0.05))
    wrong = read_trials(files["trials"], RecordingConfig(frame_rate_hz=200.0))
    raw = read_emg_csv({"biceps": files["biceps"]}, wrong, RATE)
    with pytest.raises(MismatchError, match=r"is outside the recorded[\s\S]*frames at 200 a second; is one of these"):
        process(raw, wrong, ChainConfig())
    right = read_trials(files["trials"], RecordingConfig(frame_rate_hz=400.0))
    assert process(raw, right, ChainConfig()).envelope.lengths == (60, 60, 60)


def test_more_samples_than_the_window_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="120 samples at 200 Hz last 600 ms, but the window lasts 300 ms"):
        check_chain(ChainConfig(samples=120), RATE)
    with pytest.raises(ConfigError, match="whole blocks"):
        check_chain(ChainConfig(rate_hz=199.0), RATE)
    with pytest.raises(ConfigError, match="5 faults"):
        check_chain(ChainConfig(rate_hz=400.0, window_s=[0.1, 0.1], band_hz=[20.0, 1000.0], percentile=0.0), 500.0)


def test_rows_belong_to_their_trial_whatever_the_order(tmp_path: Path) -> None:
    truth = make_reaches(ReachSettings(n_trials=4, seed=1)).activation
    files = write_emg(tmp_path, truth, MUSCLES, EmgSettings())
    usual = read_emg_csv({"biceps": files["biceps"]}, read_trials(files["trials"]), RATE)
    header, *lines = files["trials"].read_text().splitlines()
    rows = files["biceps"].read_text().splitlines()
    order = [2, 0, 3, 1]
    (tmp_path / "t2.csv").write_text("\n".join([header, *(lines[i] for i in order)]))
    (tmp_path / "b2.csv").write_text("\n".join(rows[i] for i in order))
    shuffled = read_emg_csv({"biceps": tmp_path / "b2.csv"}, read_trials(tmp_path / "t2.csv"), RATE)
    assert shuffled.trials == ("3", "1", "4", "2")
    for name in usual.trials:
        np.testing.assert_array_equal(usual.take([name]).values[0], shuffled.take([name]).values[0])


def test_rows_without_a_reach_are_left_out_and_said_so(tmp_path: Path) -> None:
    text = "Trial_ID;Start;End\n01;30;90\n02;;90\n03;0;90\n04;40;40\n05;31;91\n"  # any case and separator
    (tmp_path / "t.csv").write_text(text)
    trials = read_trials(tmp_path / "t.csv")
    assert trials.trials == ("1", "5")
    assert trials.rows.tolist() == [0, 4]
    assert set(trials.left_out) == {"2", "3", "4"}
    np.testing.assert_allclose(trials.start_s, [0.15, 0.155])


def test_a_table_without_names_counts_its_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("start,end\n30,90\n40,90\n")
    assert read_trials(tmp_path / "t.csv").trials == ("1", "2")
    assert read_trials(tmp_path / "t.csv", RecordingConfig(first_row=0)).trials == ("0", "1")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("trial,begin,end\n1,2,3\n", InputError, "no column for the start of the reach"),
        ("trial,start,end\n1,x,3\n", InputError, "expected a number, got 'x'"),
        ("trial,start,end\n1,2\n", InputError, "line 2 does not have the 3 columns"),
        ("trial,start,end\n", InputError, "at least one trial"),
        ("trial,start,end\n1,90,30\n", DataError, "ends before its reach"),
        ("trial,start,end\n1,0,30\n", DataError, "no row has"),
        ("trial,start,end\n1,0.5,1.5\n", DataError, "not the number of a frame.*frame_rate_hz=null"),
        ("trial,start,end\n1,3,30\n01,3,30\n", DataError, "same name: 1"),
    ],
)
def test_tables_that_make_no_sense_are_refused(tmp_path: Path, content: str, error: type, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(error, match=message):
        read_trials(tmp_path / "t.csv")


def test_emg_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n4,5,6\n")
    (tmp_path / "b.csv").write_text("1,2\n4,5,6\n")
    (tmp_path / "c.csv").write_text("t1,t2\n1,2\n")
    two, three = table(2), table(3)
    assert read_emg_csv({"a": tmp_path / "a.csv"}, two, 10.0).values[1][:, 0].tolist() == [4.0, 5.0, 6.0]
    with pytest.raises(DataError, match=r"has 2 rows, but trials.csv has 3: rows belong to trials by their order"):
        read_emg_csv({"a": tmp_path / "a.csv"}, three, 10.0)
    with pytest.raises(DataError, match=r"trial '0' differs in length"):
        read_emg_csv({"a": tmp_path / "a.csv", "b": tmp_path / "b.csv"}, two, 10.0)
    with pytest.raises(InputError, match=r"row 1: expected numbers only, got 't1'"):
        read_emg_csv({"c": tmp_path / "c.csv"}, two, 10.0)
    with pytest.raises(InputError, match="cannot be read"):
        read_emg_csv({"d": tmp_path / "d.csv"}, two, 10.0)


def test_a_table_that_lost_a_row_is_refused_unless_rows_are_named(tmp_path: Path) -> None:
    """By position every later trial would get its neighbour's EMG."""
    (tmp_path / "t.csv").write_text("trial,start,end\n1,3,9\n3,3,9\n")
    (tmp_path / "b.csv").write_text("1,1\n2,2\n3,3\n")
    trials = read_trials(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"b.csv: has 3 rows, but t.csv has 2.*recording.emg_names=true"):
        read_emg_csv({"b": tmp_path / "b.csv"}, trials, 10.0)
    (tmp_path / "n.csv").write_text("03,3,3\n01,1,1\n02,2,2\n")
    found = read_emg_csv({"b": tmp_path / "n.csv"}, trials, 10.0, named=True)
    assert [rows[0, 0] for rows in found.values] == [1.0, 3.0]
    (tmp_path / "n.csv").write_text("01,1,1\n")
    with pytest.raises(DataError, match=r"has no row for 3 of t.csv; its rows: 1"):
        read_emg_csv({"b": tmp_path / "n.csv"}, trials, 10.0, named=True)


def test_missing_values_and_foreign_trials_are_refused() -> None:
    raw = one_trial_each("EMG", [np.ones((18_000, 1))], RATE, ["biceps"])
    raw.values[0][7] = np.nan
    with pytest.raises(DataError, match="trial '0' holds missing values: 1 in biceps"):
        process(raw, table(1), ChainConfig())
    with pytest.raises(MismatchError, match="share no trial: 0 against x"):
        process(raw, replace(table(1), trials=("x",)), ChainConfig())
    with pytest.raises(DataError, match="filtering needs"):
        filtered(one_trial_each("EMG", [np.ones((20, 1))], RATE, ["biceps"]), (20.0, 1000.0))


def nwb_file(path: Path, rate_hz: float = 2000.0) -> np.ndarray:
    data = (1000 * np.random.default_rng(0).normal(size=(int(4 * rate_hz), 3))).astype(np.int16)
    with h5py.File(path, "w") as file:
        series = file.create_group("acquisition/EMG")
        series["data"] = data
        series["data"].attrs.update({"conversion": 1e-6, "unit": "volts"})
        series["starting_time"] = 10.0
        series["starting_time"].attrs["rate"] = rate_hz
        trials = file.create_group("intervals/trials")
        trials["start_time"] = [10.5, 11.5, 20.0]
        trials["stop_time"] = [11.2, 12.2, 21.0]
        trials["reach_start"] = [10.6, 11.65, 20.1]
    return data


def test_nwb_gives_the_same_samples_at_the_same_times(tmp_path: Path) -> None:
    data = nwb_file(tmp_path / "session.nwb")
    raw, trials = read_nwb(tmp_path / "session.nwb", RecordingConfig(nwb_channels={"biceps": 2, "triceps": 0}))
    assert raw.channels == ("biceps", "triceps")
    assert (raw.rate_hz, raw.unit, raw.trials) == (2000.0, "volts", ("1", "2"))
    assert trials.left_out == {"3": "lies outside the recording"}
    sample = round((trials.start_s[1] - raw.start_s[1]) * 2000)
    np.testing.assert_allclose(raw.values[1][sample], data[round(1.65 * 2000), [2, 0]] * 1e-6)
    emg = process(raw, trials, ChainConfig(band_hz=[20.0, 900.0]))
    assert emg.envelope.lengths == (60, 60)


@pytest.mark.parametrize("rate_hz", [1999.92, 2000.08, 1998.8])
def test_nwb_of_a_synchronised_clock_is_read_by_its_timestamps(tmp_path: Path, rate_hz: float) -> None:
    data = nwb_file(tmp_path / "session.nwb")
    with h5py.File(tmp_path / "session.nwb", "r+") as file:
        del file["acquisition/EMG/starting_time"]
        stamps = 10.0 + np.arange(len(data)) / rate_hz
        file["acquisition/EMG/timestamps"] = np.stack([stamps] * 2)  # some tools repeat them
        file["acquisition/EMG/channel_conversion"] = [1.0, 1.0, 5.0]
        file["acquisition/EMG/data"].attrs["offset"] = 3e-6
    raw, trials = read_nwb(tmp_path / "session.nwb", RecordingConfig(nwb_channels={"biceps": 2}))
    first = int(np.searchsorted(stamps, 11.4))
    assert raw.start_s[1] == stamps[first]
    np.testing.assert_allclose(raw.values[1][0, 0], 5e-6 * data[first, 2] + 3e-6)
    emg = process(raw, trials, ChainConfig(band_hz=[20.0, 900.0]))
    assert emg.envelope.lengths == (60, 60)
    assert emg.envelope.rate_hz == 200.0


def test_nwb_without_what_is_needed_says_what_there_is(tmp_path: Path) -> None:
    nwb_file(tmp_path / "session.nwb")
    with pytest.raises(InputError, match="did you mean 'acquisition/EMG'"):
        read_nwb(tmp_path / "session.nwb", RecordingConfig(nwb_series="acquisition/emgs", nwb_channels={"biceps": 0}))
    with pytest.raises(DataError, match=r"3 channels; recording.nwb_channels names others"):
        read_nwb(tmp_path / "session.nwb", RecordingConfig(nwb_channels={"biceps": 3}))
    with pytest.raises(InputError, match="unknown column 'go'"):
        read_nwb(tmp_path / "session.nwb", RecordingConfig(nwb_channels={"biceps": 0}, start_column="go"))


def test_nwb_without_trials_is_cut_at_events_into_blocks_or_not_at_all(tmp_path: Path) -> None:
    """Times of events are those of the file's clock, which begins at 10 s; 4 s hold three blocks of 1.3 s."""
    data = nwb_file(tmp_path / "session.nwb")[:, [2]] * 1e-6
    with h5py.File(tmp_path / "session.nwb", "r+") as file:
        del file["intervals"]
    recording = RecordingConfig(nwb_channels={"biceps": 2}, block_s=1.3)
    raw, trials = read_nwb(tmp_path / "session.nwb", recording)
    assert trials.trials == ("session.nwb 1", "session.nwb 2", "session.nwb 3")
    np.testing.assert_allclose(trials.start_s, [10.0, 11.3, 12.6])
    assert "count as trials" in trials.notes[0]
    np.testing.assert_allclose(raw.values[1], data[round(1.2 * 2000) : round(2.7 * 2000)])
    whole, _ = read_nwb(tmp_path / "session.nwb", replace(recording, block_s=None))
    np.testing.assert_allclose(whole.values[0], data)
    events = replace(table(1), trials=("go",), start_s=np.array([11.0]), end_s=np.array([11.5]))
    cut, same = read_nwb(tmp_path / "session.nwb", recording, events)
    assert (cut.trials, same.start_s.tolist(), cut.start_s.tolist()) == (("go",), [11.0], [10.9])
    np.testing.assert_allclose(cut.values[0], data[round(0.9 * 2000) : round(1.6 * 2000)])
    with pytest.raises(MismatchError, match=r"lasts 4 s, less than a block of recording.block_s=9"):
        read_nwb(tmp_path / "session.nwb", replace(recording, block_s=9.0))


def test_nwb_with_a_unit_that_is_no_text(tmp_path: Path) -> None:
    nwb_file(tmp_path / "session.nwb")
    with h5py.File(tmp_path / "session.nwb", "r+") as file:
        file["acquisition/EMG/data"].attrs["unit"] = np.array([1.0, 2.0])
    raw, _ = read_nwb(tmp_path / "session.nwb", RecordingConfig(nwb_channels={"biceps": 2}))
    assert raw.unit == "a.u."
