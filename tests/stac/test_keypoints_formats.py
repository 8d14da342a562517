"""Every format gives back what was written, whatever the order of its axes."""

from __future__ import annotations

import hashlib

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from stac import keypoint_files as files
from stac.keypoint_files import NAMES, cell, movement, scores
from stac_mjx._common.errors import InputError
from stac_mjx._common.units import parse_unit
from stac_mjx.config import FORMATS, KeypointsConfig
from stac_mjx.keypoints import load_keypoints
from stac_mjx.keypoints.formats.detect import FORMATS as READERS
from stac_mjx.keypoints.formats.detect import detect
from stac_mjx.keypoints.loading import read_file

X = movement()
P = scores()


def load(path, order=(), **settings):
    return load_keypoints(KeypointsConfig(path=str(path), **settings), order)


@pytest.mark.parametrize("write", [files.write_mat, files.write_mat_v73], ids=["v5", "v7.3"])
@pytest.mark.parametrize("axes", [(0, 2, 1), (0, 1, 2)], ids=["frame-xyz-keypoint", "frame-keypoint-xyz"])
def test_both_axis_orders_of_pred_give_the_same_record(tmp_path, write, axes):
    recording = load(write(tmp_path / "a.mat", pred=X.transpose(axes), p_max=P), NAMES)
    np.testing.assert_array_equal(recording.positions, X * 0.001)
    np.testing.assert_array_equal(recording.confidence, P)
    assert recording.names == NAMES
    assert (recording.unit, recording.rate_hz) == ("m", None)
    assert any("convention of DANNCE" in note for note in recording.notes)


def test_unit_inside_a_mat_file_wins_over_the_convention(tmp_path):
    path = files.write_mat(tmp_path / "a.mat", pred=X.transpose(0, 2, 1), units="cm")
    np.testing.assert_allclose(load(path, NAMES).positions, X * 0.01)


def test_every_format_can_be_chosen():
    assert set(FORMATS) == {"auto", *READERS}


def test_source_and_clip_are_named(tmp_path):
    path = files.write_mat(tmp_path / "trial7.mat", pred=X)
    recording = load(path, NAMES)
    assert recording.sources[0].path == path
    assert recording.sources[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert recording.clip_names == ("trial7",)
    assert recording.clip_lengths.tolist() == [len(X)]


def test_hdf5_mat_not_written_by_matlab_keeps_its_axes(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["pred"] = X.transpose(0, 2, 1)
    np.testing.assert_array_equal(load(tmp_path / "a.mat", NAMES, unit="m").positions, X)


def test_three_keypoints_are_read_by_the_convention_of_dannce(tmp_path):
    recording = load(files.write_mat(tmp_path / "a.mat", pred=X[:, :3].transpose(0, 2, 1)), NAMES[:3], unit="m")
    np.testing.assert_array_equal(recording.positions, X[:, :3])
    assert any("read as (frame, xyz, keypoint)" in note for note in recording.notes)


def test_axes_of_one_length_are_told_apart_by_what_stays_rigid(tmp_path):
    rng = np.random.default_rng(0)
    turns = Rotation.random(50, rng).as_matrix()
    rigid = np.einsum("fij,kj->fki", turns, rng.normal(size=(3, 3))) + rng.normal(size=(50, 1, 3))
    for name, axes in (("usual", (0, 1, 2)), ("other", (0, 2, 1))):
        sleap = load(files.write_sleap(tmp_path / f"{name}.h5", rigid.transpose(axes), NAMES[:3], units="m"))
        np.testing.assert_array_equal(sleap.positions, rigid)
        assert any("vary least" in note for note in sleap.notes) == (name == "other")
        dannce = load(files.write_mat(tmp_path / f"{name}.mat", pred=rigid.transpose(axes)), NAMES[:3], unit="m")
        np.testing.assert_array_equal(dannce.positions, rigid)
        assert any("axes of length 3 and 3" in note for note in dannce.notes)
        with h5py.File(tmp_path / f"{name}_public.h5", "w") as file:
            file["kp_data"], file["kp_names"] = rigid.transpose(axes), list(NAMES[:3])
        public = load(tmp_path / f"{name}_public.h5")
        np.testing.assert_array_equal(public.positions, rigid)
        assert any("vary least" in note for note in public.notes) == (name == "other")


@pytest.mark.parametrize("write", [files.write_mat, files.write_mat_v73], ids=["v5", "v7.3"])
def test_one_frame_and_one_keypoint_keep_their_axes(tmp_path, write):
    one_frame = load(write(tmp_path / "frame.mat", pred=X[:1].transpose(0, 2, 1)), NAMES, unit="m")
    np.testing.assert_array_equal(one_frame.positions, X[:1])
    # MATLAB drops the last axis of (frame, 3, 1).
    one_point = load(write(tmp_path / "point.mat", pred=X[:, 0]), NAMES[:1], unit="m")
    np.testing.assert_array_equal(one_point.positions, X[:, :1])


@pytest.mark.parametrize("kind", ["sleap", "mat"])
def test_one_of_two_animals_is_chosen(tmp_path, kind):
    other = movement(seed=5)
    both, weights = np.stack([X, other], axis=1), np.stack([P, P / 2], axis=1)
    if kind == "sleap":
        path = files.write_sleap(tmp_path / "a.h5", both, point_scores=weights)
    else:
        path = files.write_mat(tmp_path / "a.mat", pred=both.transpose(0, 1, 3, 2), p_max=weights)
    second = load(path, NAMES, unit="m", track=1)
    np.testing.assert_array_equal(second.positions, other)
    np.testing.assert_array_equal(second.confidence, P / 2)
    alone = files.write_mat(tmp_path / "one.mat", pred=X.transpose(0, 2, 1)[:, None], p_max=P[:, None])
    np.testing.assert_array_equal(load(alone, NAMES, unit="m").positions, X)


def test_label3d_columns_are_xyz_of_each_keypoint(tmp_path):
    skeleton = {"joint_names": cell(NAMES)}
    recording = load(files.write_mat(tmp_path / "a.mat", data_3D=X.reshape(len(X), -1), skeleton=skeleton), unit="m")
    np.testing.assert_array_equal(recording.positions, X)
    assert recording.names == NAMES


@pytest.mark.parametrize("version", ["v5 cell", "v5 char", "v7.3 cell"])
def test_names_inside_a_mat_file_win_over_the_preset(tmp_path, version):
    if version == "v7.3 cell":
        path = files.write_mat_v73(tmp_path / "a.mat", names=NAMES, pred=X)
    else:
        names = cell(NAMES) if version == "v5 cell" else np.array(NAMES)
        path = files.write_mat(tmp_path / "a.mat", pred=X, names=names, fps=np.array([[50.0]]))
    recording = load(path, ("a", "b", "c", "d"))
    assert recording.names == NAMES
    assert recording.rate_hz == (None if version == "v7.3 cell" else 50.0)


@pytest.mark.parametrize("nodes_in_skeleton", [False, True], ids=["ndx-pose 0.1", "ndx-pose 0.2"])
def test_nwb_keeps_node_order_confidence_and_rate(tmp_path, nodes_in_skeleton):
    times = 3.0 + np.arange(len(X)) / 120.0
    path = files.write_nwb(tmp_path / "a.nwb", X, confidence=P, times=times, nodes_in_skeleton=nodes_in_skeleton)
    recording = load(path)
    assert recording.names == NAMES
    np.testing.assert_array_equal(recording.positions, X * 0.001)
    np.testing.assert_array_equal(recording.confidence, P)
    assert recording.rate_hz == 120.0


def test_nwb_rate_attribute_and_conversion(tmp_path):
    recording = load(files.write_nwb(tmp_path / "a.nwb", X, rate_hz=30.0, unit="meters", conversion=0.01))
    np.testing.assert_allclose(recording.positions, X * 0.01, rtol=1e-15)
    assert (recording.rate_hz, recording.unit) == (30.0, "m")
    pixels = load(files.write_nwb(tmp_path / "b.nwb", X, unit="pixels"))
    assert pixels.unit is None
    np.testing.assert_array_equal(pixels.positions, X)
    assert any("'pixels'" in note for note in pixels.notes)


@pytest.mark.parametrize(
    "series", ["PoseEstimationSeries{}", "poseEstimationSeries_{}", "{}PoseEstimationSeries", "{}_", "{}"]
)
def test_nwb_series_that_writers_name_otherwise_or_leave_rows_out_of(tmp_path, series):
    times, dropped = np.arange(len(X)) / 50.0, {"HandL": [1, 2], "Snout": [4]}
    path = files.write_nwb(tmp_path / "a.nwb", X, confidence=P, times=times, series=series, dropped=dropped, unit="m")
    with h5py.File(path, "a") as file:  # node names in another spelling
        group = "processing/behavior/PoseEstimation"
        file.move(f"{group}/{series.format('TailBase')}", f"{group}/{series.format('TAIL_BASE')}")
    recording = load(path)
    expected = X.copy()
    expected[[1, 2], 2] = expected[4, 0] = np.nan
    np.testing.assert_array_equal(recording.positions, expected)
    np.testing.assert_array_equal(recording.confidence, np.where(np.isnan(expected[..., 0]), 0.0, P))
    assert (recording.names, recording.rate_hz, recording.clip_lengths.tolist()) == (NAMES, 50.0, [6])


def test_nwb_series_may_state_times_or_a_start_and_a_rate(tmp_path):
    path = files.write_nwb(tmp_path / "a.nwb", X, times=np.arange(len(X)) / 40.0, dropped={NAMES[1]: [2]}, unit="m")
    with h5py.File(path, "a") as file:
        one = file.require_group(f"processing/behavior/PoseEstimation/{NAMES[0]}")
        del one["timestamps"]
        one["starting_time"] = 0.0
        one["starting_time"].attrs["rate"] = 40.0
    recording = load(path)
    assert recording.rate_hz == 40.0
    np.testing.assert_array_equal(recording.positions[:, 0], X[:, 0])
    assert np.isnan(recording.positions[2, 1]).all()


def test_nwb_container_is_chosen_by_track(tmp_path):
    path = files.write_nwb(tmp_path / "a.nwb", X, unit="m", container="PoseEstimation_a")
    files.write_nwb(path, X + 1, unit="m", container="PoseEstimation_b")
    for track in (1, "PoseEstimation_b"):
        np.testing.assert_array_equal(load(path, track=track).positions, X + 1)


LAYOUTS = {
    "frame-track-keypoint-xyz": (lambda x: x[:, None], lambda p: p[:, None]),
    "frame-keypoint-xyz": (lambda x: x, lambda p: p),
    "mixed": (lambda x: x[:, None], lambda p: p),
    "sleap": (lambda x: x.transpose(2, 1, 0)[None], lambda p: p.T[None]),
    "sleap without tracks": (lambda x: x.transpose(2, 1, 0), lambda p: p.T),
    "frame-xyz-keypoint": (lambda x: x.transpose(0, 2, 1), lambda p: p),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_frames", [1, 2, 6])
def test_any_axis_order_of_tracks_gives_the_same_record(tmp_path, layout, n_frames):
    x, p = X[:n_frames], P[:n_frames]
    of_tracks, of_scores = LAYOUTS[layout]
    path = files.write_sleap(tmp_path / "a.h5", of_tracks(x), point_scores=of_scores(p), fps=25.0, units="cm")
    recording = load(path)
    np.testing.assert_array_equal(recording.positions, x * 0.01)
    np.testing.assert_array_equal(recording.confidence, p)
    assert (recording.names, recording.rate_hz, recording.unit) == (NAMES, 25.0, "m")


def test_scores_tell_three_frames_of_sleap_from_three_coordinates(tmp_path):
    # (1, 3, 4, 3) is one track of three frames as well as one frame of three tracks; the scores decide.
    x, p = X[:3], P[:3]
    path = files.write_sleap(tmp_path / "a.h5", x.transpose(2, 1, 0)[None], point_scores=p.T[None])
    np.testing.assert_array_equal(load(path).positions, x)


def test_clip_starts_mark_borders(tmp_path):
    recording = load(files.write_sleap(tmp_path / "a.h5", X, clip_starts=np.array([0, 4])))
    assert recording.clip_lengths.tolist() == [4, 2]
    assert recording.clip_names == ("a_0", "a_1")


def test_anipose_table(tmp_path):
    x = X.copy()
    x[2, 1] = np.nan
    x[3, 3] = np.nan
    recording = load(files.write_csv(tmp_path / "a.csv", x, confidence=P), rate_hz=200.0)
    np.testing.assert_array_equal(recording.positions, x)
    assert recording.names == NAMES
    assert recording.unit is None
    assert recording.rate_hz == 200.0
    np.testing.assert_array_equal(recording.confidence, np.where(np.isnan(x).any(axis=-1), 0.0, P))
    assert (load(files.write_csv(tmp_path / "b.csv", X)).confidence == 1).all()


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize("signature", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_anipose_table_as_spreadsheets_save_it(tmp_path, line_end, signature):
    path = files.write_csv(tmp_path / "a.csv", X)
    text = signature + path.read_text() + "\n"
    path.write_bytes(text.replace("\n", line_end).encode())
    np.testing.assert_array_equal(load(path).positions, X)


def test_anipose_table_of_two_trials_has_two_clips(tmp_path):
    recording = load(files.write_csv(tmp_path / "a.csv", X, frame_numbers=np.array([0, 1, 2, 3, 0, 1])))
    assert recording.clip_lengths.tolist() == [4, 2]
    assert any("jump at 1 place;" in note for note in recording.notes)


def test_stac_output(tmp_path):
    recording = load(files.write_stac(tmp_path / "a.h5", X))
    np.testing.assert_array_equal(recording.positions, X)
    assert (recording.names, recording.unit) == (NAMES, "m")


def test_own_clips(tmp_path):
    recording = load(files.write_clips(tmp_path / "clips.h5", X, (4, 2)))
    np.testing.assert_array_equal(recording.positions, X)
    np.testing.assert_array_equal(recording.confidence, P)
    assert recording.clip_names == ("reach_0", "reach_1")
    assert recording.clip_lengths.tolist() == [4, 2]
    assert (recording.rate_hz, recording.unit, recording.synthetic) == (50.0, "m", False)
    assert load(files.write_clips(tmp_path / "synthetic.h5", X, (4, 2), synthetic=1)).synthetic


def test_format_is_told_by_content_and_not_by_suffix(tmp_path):
    files.write_mat(tmp_path / "recording.h5", pred=X)
    files.write_csv(tmp_path / "recording.txt", X)
    files.write_stac(tmp_path / "recording.mat", X)
    for name, kind in [("recording.h5", "dannce"), ("recording.txt", "anipose_csv"), ("recording.mat", "stac")]:
        assert load(tmp_path / name, NAMES).notes[0].startswith(f"read as {kind} ")


UNITS = {"mm": "mm", "Millimeters": "mm", "m (model frame)": "m", "cm, z up": "cm", "µm": "um"}
NO_UNITS = ("pixels", "n/a", "uncalibrated: about 2.5 mm per unit", "mm per unit", "2.5 mm", "")


@pytest.mark.parametrize(("text", "unit"), (UNITS | dict.fromkeys(NO_UNITS)).items())
def test_units_as_people_write_them(text, unit):
    assert parse_unit(text) == unit


def test_deeplabcut_tables_of_one_and_of_several_animals(tmp_path):
    gap = X.copy()
    gap[2, 1] = np.nan
    alone = load(files.write_dlc(tmp_path / "alone.csv", {"mouse": gap}, confidence=P), unit="mm")
    np.testing.assert_allclose(alone.positions, gap / 1000)
    assert alone.names == NAMES
    np.testing.assert_array_equal(alone.confidence, np.where(np.isnan(gap[..., 0]), 0, P))
    other = movement(seed=5)
    both = files.write_dlc(tmp_path / "both.csv", {"one": X, "two": other})
    for track in (1, "1", "two"):  # numbers count from 0, unless animals are called by numbers
        np.testing.assert_allclose(load(both, unit="mm", track=track).positions, other / 1000)
    numbered = files.write_dlc(tmp_path / "numbered.csv", {"1": X, "0": other})
    np.testing.assert_allclose(load(numbered, unit="mm", track="0").positions, other / 1000)
    with pytest.raises(InputError, match=r"2 tracks; choose one with keypoints.track=N \(0: one, 1: two\)"):
        load(both)


def test_tables_as_other_programs_write_them(tmp_path):
    text = files.write_csv(tmp_path / "a.csv", X).read_text()
    titles, rows = text.split("\n", 1)
    capital = titles.replace("_x", "_X").replace("_y", "_Y").replace("_z", "_Z")
    for name, content in (("capitals", f"{capital}\n{rows}"), ("mac", text.replace("\n", "\r"))):
        (tmp_path / f"{name}.csv").write_bytes(content.encode())
        np.testing.assert_array_equal(load(tmp_path / f"{name}.csv", unit="m").positions, X)
    (tmp_path / "absent.csv").write_text("a_x,a_y,a_z\n1,2,3\nNA,NA,NA\nN/A,null,\nnan,NaN,nan\n")
    assert load(tmp_path / "absent.csv", unit="m").observed.ravel().tolist() == [True, False, False, False]


NUMBERS = X.reshape(len(X), -1)
XYZ = ("x", "y", "z")
FRAMES = np.arange(len(X))
SPLIT = {"clip_lengths": (5, 1)}


def table(titles, columns, between=",", decimal="."):
    """A table with rows of titles; `columns` are put next to each other."""
    rows = [[repr(float(value)).replace(".", decimal) for value in row] for row in np.column_stack(columns)]
    return "\n".join(between.join(row) for row in [*titles, *rows]) + "\n"


def titled(form, names=NAMES, more=()):
    return [*more, *(form.format(name, axis) for name in names for axis in XYZ)]


TWO_ROWS = [[name for name in NAMES for _ in XYZ], list(XYZ) * len(NAMES)]
DLC = [[label, *row] for label, row in zip(("scorer", "bodyparts", "coords"), [["D"] * 12, *TWO_ROWS], strict=True)]
MERGED = [name for name in NAMES for name in (name, "", "")]
TABLES = {
    "points in titles": (table([titled("{}.{}")], [NUMBERS]), {}),
    "blanks in titles": (table([titled("{} {}")], [NUMBERS]), {}),
    "brackets in titles": (table([titled("{}[{}]")], [NUMBERS]), {}),
    "unit in titles": (table([titled("{}_{}_mm")], [NUMBERS]), {"unit": "mm"}),
    "unit in brackets": (table([titled("{}_{} (cm)")], [NUMBERS]), {"unit": "cm"}),
    "row of units": (table([titled("{}_{}"), ["mm"] * 12], [NUMBERS]), {"unit": "mm"}),
    "semicolons, decimal commas": (table([titled("{}_{}")], [NUMBERS], ";", ","), {}),
    "tabs": (table([titled("{}_{}")], [NUMBERS], "\t"), {}),
    "two rows": (table(TWO_ROWS, [NUMBERS]), {}),
    "merged cells": (table([MERGED, TWO_ROWS[1]], [NUMBERS]), {}),
    "pandas, index": (table([row[:1] + row[1:] for row in DLC[1:]], [FRAMES, NUMBERS]), {}),
    "DLC, name of the index": (table([*DLC, ["frame", *[""] * 12]], [FRAMES, NUMBERS]), {}),
    "DLC, frames left out": (table(DLC, [np.where(FRAMES > 4, 9, FRAMES), NUMBERS]), SPLIT),
    "seconds": (table([titled("{}_{}", more=["time_s"])], [FRAMES / 250, NUMBERS]), {"rate_hz": 250}),
    "milliseconds": (table([titled("{}_{}", more=["Time (ms)"])], [4 * FRAMES, NUMBERS]), {"rate_hz": 250}),
    "times without a unit": (table([titled("{}_{}", more=["time"])], [4 * FRAMES + 9 * (FRAMES > 4), NUMBERS]), SPLIT),
    "frames left out": (table([titled("{}_{}", more=["Frame"])], [FRAMES + (FRAMES > 4), NUMBERS]), SPLIT),
    "dates": (table([titled("{}_{}")], [NUMBERS]).replace("\n", "\n12:00:00,").replace("Snout_x", "time,Snout_x"), {}),
    "likelihood": (
        table([[f"{name}_{of}" for name in NAMES for of in (*XYZ, "likelihood")]], [np.dstack([X, P]).reshape(6, -1)]),
        {"confidence": P},
    ),
    "numbers with a count": (table([], [FRAMES, FRAMES / 50, NUMBERS]), {"names": None}),
    "numbers with blanks": (table([], [NUMBERS], "  "), {"names": None}),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_one_content_in_many_forms(tmp_path, case):
    text, said = TABLES[case]
    (tmp_path / "a.csv").write_text(text.removesuffix("12:00:00,"))
    reading = read_file(tmp_path / "a.csv")
    np.testing.assert_array_equal(reading.positions, X)
    assert reading.names == said.get("names", NAMES)
    assert (reading.rate_hz, reading.unit) == (said.get("rate_hz"), said.get("unit"))
    assert reading.clip_lengths in (None, (6,)) if "clip_lengths" not in said else reading.clip_lengths == (5, 1)
    np.testing.assert_array_equal(reading.confidence, said.get("confidence"))


GAPS = np.where(np.random.default_rng(3).random((*X.shape[:2], 1)) < 0.2, np.nan, X)


@pytest.mark.parametrize(
    ("write", "kind", "rate", "unit"),
    [
        (lambda path: files.write_c3d(path, GAPS), "c3d", 250.0, "mm"),
        (lambda path: files.write_c3d(path, GAPS, ("HAND",) * 4, NAMES), "c3d", 250.0, "mm"),
        (lambda path: files.write_trc(path, GAPS), "trc", 100.0, "mm"),
        (lambda path: files.write_trc(path, GAPS, comma=True), "trc", 100.0, "mm"),
        (lambda path: files.write_trc(path, GAPS, decimal=","), "trc", 100.0, "mm"),
        (lambda path: files.write_qualisys(path, GAPS), "qualisys", 300.0, "mm"),
        (lambda path: files.write_qualisys(path, GAPS, v73=True), "qualisys", 300.0, "mm"),
        (lambda path: files.write_jarvis(path, GAPS, P), "jarvis_csv", None, None),
        (lambda path: files.write_jarvis(path, GAPS, P, frame=True), "jarvis_csv", None, None),
        (lambda path: files.write_numbers(path, GAPS), "numbers_csv", None, None),
    ],
)
def test_files_of_motion_capture_are_read_whatever_they_are_called(tmp_path, write, kind, rate, unit):
    path = write(tmp_path / "recording.data")
    assert detect(path) == kind
    reading = read_file(path)
    assert (reading.rate_hz, reading.unit) == (rate, unit)
    assert reading.names == (None if kind == "numbers_csv" else NAMES)
    np.testing.assert_allclose(reading.positions, GAPS, rtol=1e-6)
    if kind == "jarvis_csv":
        np.testing.assert_array_equal(reading.confidence, P)


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (lambda path: files.write_c3d(path, X, ("HAND",) * 4), "HAND"),
        (lambda path: path.write_bytes(files.write_c3d(path, X).read_bytes()[:700]), "truncated C3D"),
        (lambda path: path.write_bytes(files.write_c3d(path, X).read_bytes()[:-600]), "truncated C3D"),
        (lambda path: files.write_trc(path, X, NAMES[:3]), "NumMarkers"),
        (lambda path: path.write_text("1,2,3,4\n5,6,7,8\n"), "multiple of 3"),
        (lambda path: path.write_text("A,A,A,A\nx,y,z,confidence\n1,2,3\n"), "incomplete"),
        (lambda path: path.write_text("PathFileType\t4\nDataRate\n100\n"), "five lines of header"),
    ],
)
def test_broken_files_of_motion_capture_are_refused_by_name(tmp_path, write, named):
    path = tmp_path / "recording.data"
    write(path)
    with pytest.raises(InputError, match=f"recording.data.*{named}"):
        read_file(path)


def test_events_of_a_c3d_are_kept_also_next_to_files_without(tmp_path):
    events = (("Left", "Foot Strike", 0.02), ("Right", "Foot Strike", 0.01), ("Left", "Foot Strike", 0.008))
    first = files.write_c3d(tmp_path / "a.c3d", GAPS, events=events)
    found = read_file(first).events
    expected = {"left_foot_strike": 0.008, "right_foot_strike": 0.01, "left_foot_strike_2": 0.02}
    assert {name: time.item() for name, time in found.items()} == pytest.approx(expected)
    assert any("analog channels not used: EMG" in note for note in read_file(first).notes)
    second = files.write_c3d(tmp_path / "b.c3d", GAPS)
    both = load_keypoints(KeypointsConfig(path=[str(first), str(second)], start=1))
    np.testing.assert_allclose(both.events["right_foot_strike"], [0.01 - 1 / 250, np.nan])


def test_filled_points_and_numbers_without_names_are_noted(tmp_path):
    assert any("25.0%" in note for note in read_file(files.write_qualisys(tmp_path / "a.mat", X)).notes)
    path = files.write_numbers(tmp_path / "b.csv", X)
    with pytest.raises(InputError, match=r"keypoints\.names"):
        load(path)
    assert load(path, names=list(NAMES), unit="mm", rate_hz=100).names == NAMES
