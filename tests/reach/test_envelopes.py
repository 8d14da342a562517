"""EMG without a controller: the same samples from every format, faults that were put there, normalisation."""

from __future__ import annotations

import csv
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ezc3d
import numpy as np
import pytest
from reach_analysis._common.errors import DataError, InputError, MismatchError, UserError
from reach_analysis.cli import main
from reach_analysis.config import ChainConfig, RecordingConfig
from reach_analysis.data.analog import read_analog, read_trials_of
from reach_analysis.data.emg import notched, process
from reach_analysis.data.emg_quality import mains_share, spectrum_of, trial_quality
from reach_analysis.data.recordings import TrialTable
from reach_analysis.data.series import one_trial_each
from scipy.io import savemat

RATE = 2000.0
CHAIN = ChainConfig(band_hz=[20.0, 450.0], window_s=[], samples=None)
NAMES = ("Biceps EMG", "Triceps EMG")


def noise(n_samples: int, n_channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_samples, n_channels))


def vicon(path: Path, data: np.ndarray) -> None:
    rows = [f"{i // 20 + 1},{i % 20}," + ",".join(map(repr, row)) for i, row in enumerate(data.tolist())]
    head = [
        "Devices",
        f"{RATE:g}",
        ",,Delsys - Sensor 1,Delsys - Sensor 2",
        f"Frame,Sub Frame,{','.join(NAMES)}",
        ",,V,V",
    ]
    path.write_text("\n".join([*head, *rows, "", "Trajectories", "100", "1,2,3,4", "5,6,7,8"]))


def delsys(path: Path, data: np.ndarray) -> None:
    """A column of time for each sensor; that of the accelerometer is slower and its column shorter."""
    lines = ['"X[s]","Biceps EMG [V]","X[s]","ACC X [g]","X[s]","Triceps EMG [V]"']
    for i, (one, two) in enumerate(data.tolist()):
        slow = f"{i / 148:.6f},0.5" if i < len(data) // 14 else ","
        lines.append(f"{i / RATE:.6f},{one!r},{slow},{i / RATE:.6f},{two!r}")
    path.write_text("Label: walk\nTrigger: none\n" + "\n".join(lines))


def matlab(path: Path, data: np.ndarray) -> None:
    savemat(path, {"emg": {"Data": data.T, "Channels": np.array(NAMES, dtype=object), "Fs": [[RATE]]}, "note": "x"})


def c3d(path: Path, data: np.ndarray) -> None:
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [100]
    file["parameters"]["ANALOG"]["RATE"]["value"] = [RATE]
    file["parameters"]["ANALOG"]["LABELS"]["value"] = ["Force", *NAMES]
    file["data"]["points"] = np.ones((4, 1, len(data) // 20))
    file["parameters"]["POINT"]["LABELS"]["value"] = ["marker"]
    file["data"]["analogs"] = np.concatenate([np.ones((1, len(data))), data.T])[None]
    file.write(str(path))


def intan(path: Path, data: np.ndarray) -> None:
    """RHD2000 file as Intan describes it: a header, then blocks of 128 samples; 0.195 uV a step from 32768."""
    text = lambda name: struct.pack("<I", 2 * len(name)) + name.encode("utf-16-le")  # noqa: E731
    channel = lambda place, name: (  # noqa: E731
        text(f"A-{place:03}")
        + text(name)
        + struct.pack("<hhhhhh", place, place, 0, 1, place, 0)
        + struct.pack("<hhhhff", 0, 0, 0, 0, 0, 0)
    )
    header = struct.pack("<Ihh", 0xC6912702, 2, 0) + struct.pack(
        "<fhffffffhff", RATE, 1, 1, 0.1, 20, 1, 0.1, 900, 0, 1e3, 1e3
    )
    header += text("") * 3 + struct.pack("<hh", 0, 0) + text("n/a")
    header += struct.pack("<h", 1) + text("Port A") + text("A") + struct.pack("<hhh", 1, 2, 2)
    header += b"".join(channel(place, name) for place, name in enumerate(NAMES))
    steps = np.round(data / 0.195e-6 + 32768).astype("<u2")
    blocks = [
        np.arange(begin, begin + 128, dtype="<i4").tobytes() + steps[begin : begin + 128].T.tobytes()
        for begin in range(0, len(data) // 128 * 128, 128)
    ]
    path.write_bytes(header + b"".join(blocks))


def open_ephys(path: Path, data: np.ndarray) -> None:
    """Binary format of Open Ephys: an index (structure.oebin), samples as int16, and a time for each."""
    folder = path.parent / "continuous" / "Acquisition_Board-100.acquisition_board"
    folder.mkdir(parents=True)
    channels = [{"channel_name": name, "bit_volts": 0.195, "units": "uV", "description": ""} for name in NAMES]
    stream = {"folder_name": f"{folder.name}/", "sample_rate": RATE, "num_channels": 2, "channels": channels,
              "source_processor_name": "Board", "source_processor_id": 100, "stream_name": "board"}  # fmt: skip
    path.write_text(json.dumps({"GUI version": "0.6.4", "continuous": [stream], "events": [], "spikes": []}))
    np.round(data / 0.195e-6).astype("<i2").tofile(folder / "continuous.dat")
    np.save(folder / "timestamps.npy", np.arange(len(data)) / RATE)
    np.save(folder / "sample_numbers.npy", np.arange(len(data)))


@pytest.mark.parametrize(
    ("write", "name"), [(intan, "w.rhd"), (open_ephys, "experiment1/recording1/structure.oebin")], ids=["intan", "oe"]
)
def test_acquisition_systems_hold_the_same_samples_through_neo(
    tmp_path: Path, write: Callable[..., None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = 1e-3 * noise(4096)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    write(tmp_path / name, data)
    raw, table = read_trials_of({"w": tmp_path / name}, RecordingConfig(block_s=0.5), None)
    assert (raw.channels, raw.rate_hz, raw.unit) == (NAMES, RATE, "uV")
    assert table.trials == ("w 1", "w 2", "w 3", "w 4")
    np.testing.assert_allclose(raw.values[1], 1e6 * data[800:2200], atol=0.1)
    damaged = (tmp_path / name).read_bytes()[:50]
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(InputError, match="not a complete recording"):
        read_analog(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_analog(tmp_path / "none" / Path(name).name)
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(InputError, match=r"needs neo; pip install 'reach-analysis\[neo\]'"):
        read_analog(tmp_path / name)


@pytest.mark.parametrize(
    ("write", "name"),
    [(vicon, "w.csv"), (delsys, "w.csv"), (matlab, "w.mat"), (c3d, "w.c3d")],
    ids=lambda x: str(x)[:15],
)
def test_every_format_holds_the_same_samples(tmp_path: Path, write: Callable[..., None], name: str) -> None:
    data = noise(4000)
    write(tmp_path / name, data)
    raw, table = read_trials_of({"w": tmp_path / name}, RecordingConfig(), None)
    assert raw.channels == NAMES
    assert raw.rate_hz == pytest.approx(RATE, rel=1e-6)
    np.testing.assert_allclose(raw.values[0], data, rtol=1e-6, atol=1e-7)
    assert table.end_s.tolist() == pytest.approx([2.0])
    renamed = RecordingConfig(channels={"triceps": raw.channels[1]})
    assert read_trials_of({"w": tmp_path / name}, renamed, None)[0].channels == ("triceps",)
    with pytest.raises(DataError, match="unknown channel"):
        read_trials_of({"w": tmp_path / name}, RecordingConfig(channels=["Deltoid*"]), None)


def lines(head: str, *, sep: str = ",", scale: float = 1.0, digits: int = 6, decimal: str = ".") -> str:
    rows = enumerate(noise(40).tolist())
    cells = [[f"{i / RATE * scale:.{digits}f}", repr(one), repr(two)] for i, (one, two) in rows]
    return "\n".join([head, *(sep.join(row).replace(".", decimal) for row in cells)])


@pytest.mark.parametrize(
    "text",
    [
        lines("time_s,a,b"),
        lines("Time (ms),a,b", scale=1e3),
        lines("timestamp_us,a,b", scale=1e6),
        lines("Time,a,b\ns,V,V"),
        lines("Time,a,b", digits=3),  # rounded so that times repeat
        lines("Time;a;b", sep=";"),
        lines("Zeit [s];a;b", sep=";", decimal=","),
        lines("Time\ta\tb", sep="\t"),
        lines("Time a b", sep=" "),
        lines("Time,a [mV],b [mV]"),
    ],
)
def test_tables_of_any_separator_and_unit_of_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "w.csv").write_text(text)
    raw, _ = read_trials_of({"w": tmp_path / "w.csv"}, RecordingConfig(), None)
    assert raw.channels == ("a", "b")
    assert raw.rate_hz == pytest.approx(RATE, rel=0.01 if "0.001," in text else 1e-4)
    np.testing.assert_array_equal(raw.values[0], noise(40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            lines("Time,a,b").replace("\n0.005000,", "\n0.005000,#", 1),
            "line 12 holds '0.005000,#.*lines of numbers follow",
        ),
        (lines("Time,a,b").replace("\n0.005000,", "\n\n0.005000,", 1), "line 12 holds nothing"),
        (lines("Time,a,b").replace("\n0.005000,", "\n0.004510,", 1), "times of column 'Time' are not evenly spaced"),
        (lines("sample,a,b", scale=RATE, digits=0), "does not hold its rate; set recording.rate_hz"),
        ("Time\n0.1\n0.2\n0.3\n0.4\n0.5", "no column but those of times"),
    ],
)
def test_tables_that_would_be_misread_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_trials_of({"w": tmp_path / "w.csv"}, RecordingConfig(), None)


TIMES = np.arange(400) / RATE


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"biceps": noise(400)[:, 0], "triceps": noise(400)[:, 1], "time": TIMES}, ["biceps", "triceps"]),
        ({"data": np.column_stack([TIMES, noise(400)])}, ["data 2", "data 3"]),
        ({"force": np.ones((9000, 3)), "rec": {"emg": {"data": noise(400), "fs_kHz": RATE / 1e3}, "fs": 100.0}},
         ["data 1", "data 2"]),
        ({"x": noise(400), "muscles": np.array(["a", "b"], dtype=object), "t_ms": 1e3 * TIMES}, ["a", "b"]),
    ],
)  # fmt: skip
def test_matlab_files_of_any_layout(tmp_path: Path, content: dict[str, Any], names: list[str]) -> None:
    savemat(tmp_path / "w.mat", content)
    raw, _ = read_trials_of({"w": tmp_path / "w.mat"}, RecordingConfig(), None)
    assert (list(raw.channels), raw.rate_hz) == (names, pytest.approx(RATE, rel=1e-9))
    np.testing.assert_array_equal(raw.values[0], noise(400))


def test_recordings_of_other_units_and_orders_come_as_the_first(tmp_path: Path) -> None:
    for name, head in (("a", "x [mV],y [mV]"), ("b", "y [uV],x [uV]"), ("c", "x [N],y [N]")):
        (tmp_path / f"{name}.csv").write_text(lines(f"Time,{head}"))
    paths = {name: tmp_path / f"{name}.csv" for name in "abc"}
    raw, _ = read_trials_of({name: paths[name] for name in "ab"}, RecordingConfig(), None)
    assert (raw.unit, raw.channels) == ("mV", ("x", "y"))
    np.testing.assert_allclose(raw.values[1], 1e-3 * raw.values[0][:, ::-1], rtol=1e-12)
    with pytest.raises(MismatchError, match=r"c.csv: in N, but other recordings or channels are in mV"):
        read_trials_of({name: paths[name] for name in "ac"}, RecordingConfig(channels=["x*"]), None)


def test_trials_are_cut_from_one_recording_at_their_times(tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text("\n".join(f"{i / 1000:.3f},{i}" for i in range(3000)))
    table = TrialTable("t.csv", ("a", "b", "late"), np.arange(3), np.array([0.5, 2.0, 2.9]), np.array([1.0, 2.5, 3.5]))
    raw, cut = read_trials_of({"w": tmp_path / "w.csv"}, RecordingConfig(), table)
    assert (raw.trials, cut.left_out) == (("a", "b"), {"late": "lies outside the recording"})
    np.testing.assert_allclose(raw.values[1][:, 0], np.arange(1900, 2600))
    late = TrialTable("t.csv", ("late",), np.zeros(1, int), np.array([2.9]), np.array([3.5]))
    with pytest.raises(MismatchError, match=r"no trial of t.csv"):
        read_trials_of({"w": tmp_path / "w.csv"}, RecordingConfig(), late)
    with pytest.raises(InputError, match="EMG is read from"):
        read_analog(tmp_path / "w.xlsx")


def test_quality_finds_what_was_put_there() -> None:
    """Six channels of equal noise: mains of 30 % of the power, 2 % clipped, three spikes, drift, weak; one dead."""
    data, time = noise(20_000, 6), np.arange(20_000) / RATE
    in_band = 2 * (450 - 20) / RATE  # of white noise
    data[:, 0] += np.sqrt(2 * 0.3 / 0.7 * in_band) * np.sin(2 * np.pi * 60 * time)
    edge = np.quantile(np.abs(data[:, 1]), 0.98)
    data[:, 1] = data[:, 1].clip(-edge, edge)
    data[[3000, 9000, 15_000], 2] += 300.0
    data[:, 3] += 3 * np.sin(2 * np.pi * 2 * time)
    data[:, 4] *= 0.05
    dead = np.array(data)
    dead[:, 5] = 1.0
    raw = one_trial_each("EMG", [data, dead], RATE, list("abcdef"))
    rows = {(row["trial"], row["channel"]): row for row in trial_quality(raw, CHAIN)}
    assert [rows["0", name]["problems"] for name in "abcdef"] == ["mains", "clipped", "spikes", "drift", "weak", ""]
    assert rows["1", "f"]["problems"] == "dead"
    assert (rows["0", "a"]["mains_hz"], rows["0", "a"]["mains"]) == (60.0, pytest.approx(0.3, abs=0.03))
    assert rows["0", "b"]["clipped"] == pytest.approx(0.02, abs=1e-4)
    assert 3 <= rows["0", "c"]["spikes"] <= 60, "a spike rings in the band for a few samples"
    assert rows["0", "d"]["drift"] == pytest.approx((4.5 + 0.02) / (4.5 + 1), abs=0.02)
    assert mains_share(spectrum_of(data[:, 5], RATE), CHAIN)[1] < 0.02


def test_a_notch_takes_the_mains_and_leaves_the_rest() -> None:
    time = np.arange(20_000) / RATE
    parts = {hz: np.sin(2 * np.pi * hz * time) for hz in (50, 150, 75, 330)}
    series = one_trial_each("EMG", [np.sum(list(parts.values()), axis=0)[:, None]], RATE, ["a"])
    out = notched(series, 50.0, 450.0).values[0][2000:-2000, 0]
    amplitude = {hz: abs(2 * np.mean(out * np.exp(-2j * np.pi * hz * time[2000:-2000]))) for hz in parts}
    assert amplitude[50] < 0.01
    assert amplitude[150] < 0.01
    assert amplitude[75] == pytest.approx(1.0, abs=0.03)
    assert amplitude[330] == pytest.approx(1.0, abs=0.03)


def test_rest_and_maximal_contraction_become_0_and_1() -> None:
    """A sine of amplitude 1 at rest and 3 when active, 7 in the maximal contraction: (3 - 1) / (7 - 1) of it."""
    sine = np.sin(2 * np.pi * 200 * np.arange(8000) / RATE)[:, None]
    active = sine * np.repeat([1.0, 3.0], 4000)[:, None]
    table = TrialTable("t", ("0",), np.zeros(1, int), np.zeros(1), np.full(1, 4.0))
    chain = ChainConfig(band_hz=[20.0, 450.0], window_s=[], samples=None, baseline=25.0)
    mvc = one_trial_each("mvc", [7 * sine], RATE, ["a"])
    emg = process(one_trial_each("EMG", [active], RATE, ["a"]), table, chain, mvc=mvc)
    assert emg.envelope.values[0][500:700, 0] == pytest.approx(2 / 6, abs=0.01)
    assert emg.envelope.values[0][100:300, 0] == pytest.approx(0.0, abs=0.005)
    assert emg.scale["a"] == pytest.approx(6 * np.abs(sine).mean(), rel=1e-3)


def test_envelopes_leave_out_what_is_dead_and_say_how_they_were_made(tmp_path: Path, refuses: Callable) -> None:
    for seed in (1, 2, 3):
        data = noise(4000, seed=seed)
        data[:, 1] *= seed < 3
        vicon(tmp_path / f"walk_{seed}.csv", data)
    command = ["envelopes", f"emg={tmp_path}/walk_*.csv", "chain.band_hz=[20,450]", f"out={tmp_path}/out"]
    assert "did you mean 'walk_2'" in refuses(*command, "recording.leave_out=[walk2]")
    assert "1000 Hz cannot be in signals sampled 2000 times a second" in refuses(*command, "chain.band_hz=[20,1000]")
    assert main([*command, "recording.leave_out=[walk_2]"]) == 0
    record = json.loads((tmp_path / "out/envelopes.json").read_text())["results"]
    assert record["numbers"]["left_out"] == {
        "walk_2": "is in recording.leave_out",
        "walk_3": "has a channel that does not vary",
    }
    # the filters run both ways: twice the order, and -6 dB at the edges (F28)
    caption = record["captions"]["emg_envelopes"]
    assert "order 4, forwards and backwards, which doubles the roll-off: -6 dB at the edges" in caption
    with (tmp_path / "out/emg_envelopes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["trial"] for row in rows} == {"walk_1"}
    assert len(rows) == 400


def test_the_recorded_arm_is_the_same_from_c3d_and_csv(tmp_path: Path, data_dir: Path) -> None:
    """Figures of the data's own description: 13 live channels of 32, one of them weak."""
    files = {"c3d": "human/recordings/arm_markers_analogs.c3d", "csv": "emg/arm_box_analogs.csv"}
    found = {}
    for kind, file in files.items():
        assert main(["envelopes", f"emg={data_dir / file}", "chain.band_hz=[20,450]", f"out={tmp_path / kind}"]) == 0
        found[kind] = json.loads((tmp_path / kind / "envelopes.json").read_text())["results"]["numbers"]
        live = [row for row in found[kind]["channels"] if "dead" not in row["problems"]]
        assert (len(live), len(found[kind]["channels"])) == (13, 32)
        assert [row["channel"].split(".")[-1] for row in live if "weak" in row["problems"]] == ["EMG11"]
    scales = [{name.split(".")[-1]: value for name, value in one["scale"].items()} for one in found.values()]
    assert scales[0] == pytest.approx(scales[1], rel=1e-3)
