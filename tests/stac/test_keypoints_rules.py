"""Rules that hold for every format: clips, order, gaps, weights, overrides, selection."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stac.keypoint_files import NAMES, movement, scores, write_csv, write_mat, write_nwb, write_sleap
from stac_mjx._common.errors import InputError
from stac_mjx._common.files import file_names, make_unique
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints import load_keypoints, select
from stac_mjx.keypoints.cleaning import clean, spacing
from stac_mjx.keypoints.paths import natural_key

X = movement()
P = scores()


def load(path, order=(), **options):
    return load_keypoints(KeypointsConfig(path=path, **options), order)


def test_glob_is_sorted_naturally_and_each_file_is_a_clip(tmp_path):
    for number in (10, 2, 1):
        write_sleap(tmp_path / f"trial{number}.h5", X[: number % 7] + number, units="m", fps=50.0)
    recording = load(str(tmp_path / "*.h5"))
    assert recording.clip_names == ("trial1", "trial2", "trial10")
    assert recording.clip_lengths.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(recording.positions, np.concatenate([X[:1] + 1, X[:2] + 2, X[:3] + 10]))
    assert [source.path.name for source in recording.sources] == ["trial1.h5", "trial2.h5", "trial10.h5"]
    assert "all 3 files: frame rate 50 Hz (file)" in recording.notes


def test_list_keeps_its_order_and_files_met_twice_are_read_once(tmp_path):
    paths = [str(write_sleap(tmp_path / f"{name}.h5", X)) for name in "ba"]
    recording = load([*paths, str(tmp_path / "*.h5")])
    assert recording.clip_names == ("b", "a")
    assert any("listed twice" in note for note in recording.notes)


def test_same_stem_in_two_folders_gives_two_clip_names(tmp_path):
    for folder in ("monday", "tuesday"):
        (tmp_path / folder).mkdir()
        write_sleap(tmp_path / folder / "reach.h5", X)
    assert load(str(tmp_path / "*" / "reach.h5")).clip_names == ("monday_reach", "tuesday_reach")
    assert load(str(write_sleap(tmp_path / "trial[1].h5", X))).clip_names == ("trial[1]",), "taken literally"


@given(st.lists(st.sampled_from(["a", "a_2", "a_3", "b", ""]), max_size=8))
def test_unique_names_are_unique_and_keep_the_first(names):
    unique = make_unique(names)
    assert len(set(unique)) == len(names)
    assert all(made.startswith(name) for made, name in zip(unique, names, strict=True))


def test_names_of_files_differ_where_file_systems_see_no_difference():
    assert file_names(["a b", "a/b", "A_b", "c"]) == ["a_b", "a_b_2", "A_b_3", "c"]


def test_natural_order():
    assert sorted(["t10b", "t2", "T1", "t02a"], key=natural_key) == ["T1", "t02a", "t2", "t10b"]


def test_files_with_other_keypoint_orders_are_matched_by_name(tmp_path):
    write_sleap(tmp_path / "a.h5", X)
    write_sleap(tmp_path / "b.h5", X[:, ::-1], NAMES[::-1], point_scores=P[:, ::-1])
    recording = load(str(tmp_path / "*.h5"))
    assert recording.names == NAMES
    np.testing.assert_array_equal(recording.positions[6:], X)
    np.testing.assert_array_equal(recording.confidence[6:], P)


def test_formats_can_be_mixed_when_all_are_known_in_metres(tmp_path):
    write_sleap(tmp_path / "a.h5", X, units="mm")
    write_mat(tmp_path / "b.mat", pred=X)
    recording = load([str(tmp_path / "a.h5"), str(tmp_path / "b.mat")], NAMES)
    np.testing.assert_array_equal(recording.positions[:6], recording.positions[6:])


def test_home_and_variables_are_expanded(tmp_path, monkeypatch):
    write_sleap(tmp_path / "a.h5", X)
    monkeypatch.setenv("RECORDINGS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load("$RECORDINGS/a.h5").n_frames == load("~/a.h5").n_frames == 6


def test_start_and_stop_cut_every_clip(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X, clip_starts=np.array([0, 3]))
    recording = load(str(path), start=1, stop=9)
    np.testing.assert_array_equal(recording.positions, X[[1, 2, 4, 5]])
    assert recording.clip_lengths.tolist() == [2, 2]


def test_settings_override_the_file_and_say_so(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X, units="mm", fps=30.0)
    recording = load(str(path), unit="cm", rate_hz=50.0)
    np.testing.assert_array_equal(recording.positions, X * 0.01)
    assert recording.rate_hz == 50.0
    assert any("keypoints.unit" in note for note in recording.notes)
    assert any("instead of 30 Hz in the file" in note for note in recording.notes)


def test_names_given_replace_those_of_the_file_and_renaming_maps_some(tmp_path):
    without = str(write_sleap(tmp_path / "without.h5", X, names=None))
    assert load(without, ("w", "x", "y", "z"), names=list(NAMES)).names == load(without, NAMES).names == NAMES
    path = str(write_sleap(tmp_path / "a.h5", X))
    assert load(path, names=["w", "x", "y", "z"]).names == ("w", "x", "y", "z")
    assert load(path, rename={"Snout": "Nose"}).names == ("Nose", *NAMES[1:])
    subject = write_sleap(tmp_path / "subject.h5", X, tuple(f"m36:{name}" for name in NAMES))
    assert load(subject).names == NAMES
    assert load(subject, rename={"m36:Snout": "Nose"}).names[:2] == ("Nose", "m36:TailBase")


def test_missing_means_nan_and_weight_zero_everywhere(tmp_path):
    x = X.copy()
    x[0, 0, 1] = np.nan
    x[1, 1] = np.nan
    x[2, 2, 0] = np.inf
    p = P.copy()
    p[3, 3] = 0.0
    p[4, 0] = 0.2
    recording = load(str(write_sleap(tmp_path / "a.h5", x, point_scores=p)), min_confidence=0.21)
    missing = np.isnan(recording.positions)
    lost = np.zeros((6, 4), dtype=bool)
    lost[[0, 1, 2, 3, 4], [0, 1, 2, 3, 0]] = True
    lost |= p < 0.21
    np.testing.assert_array_equal(missing, np.repeat(lost[:, :, None], 3, axis=2))
    np.testing.assert_array_equal(recording.confidence == 0, lost)
    np.testing.assert_array_equal(recording.observed, ~lost)
    notes = "\n".join(recording.notes)
    for words in ("1 point with one or two NaN", "1 point with an infinite", "of confidence below 0.21", "are missing"):
        assert words in notes


def test_zeros_of_dannce_are_gaps_but_an_origin_is_not(tmp_path):
    x = X.copy()
    x[:, 1] = 0.0  # egocentric data: this keypoint is the origin in every frame
    x[2] = 0.0
    x[4, 3] = 0.0
    recording = load(str(write_mat(tmp_path / "a.mat", pred=x)), NAMES)
    lost = np.zeros((6, 4), dtype=bool)
    lost[2, [0, 2, 3]] = True
    lost[4, 3] = True
    np.testing.assert_array_equal(~recording.observed, lost)
    sleap = load(str(write_sleap(tmp_path / "a.h5", x)))
    np.testing.assert_array_equal(~sleap.observed, lost)
    assert "recur exactly" in sleap.warnings[0]
    x[:, 2] = np.nan
    assert any("never observed: HandL" in n for n in load(str(write_sleap(tmp_path / "b.h5", x))).notes)


@pytest.mark.parametrize("value", [0.0, -1.0, 9999.0, 1e10, (0.0, 0.0, -1.0)])
def test_coordinates_that_recur_exactly_are_missing(tmp_path, value):
    x = np.round(movement(40), 1)
    gone = np.random.default_rng(3).random((40, 4)) < 0.15
    x[gone] = value
    x[5:30, 3] = x[4, 3]  # a tracker that holds a keypoint
    gone[5:30, 3] = gone[4, 3]
    for path in (write_sleap(tmp_path / "a.h5", x), write_csv(tmp_path / "a.csv", x), write_nwb(tmp_path / "a.nwb", x)):
        recording = load(str(path))
        np.testing.assert_array_equal(recording.observed, ~gone)
        assert "recur exactly" in recording.warnings[0]
    once = movement(40)
    once[3, 1] = once[9, 2] = value
    assert load(str(write_sleap(tmp_path / "b.h5", once))).warnings == ()


@pytest.mark.parametrize(
    ("stored", "expected", "words"),
    [
        ([0.5, 0.9, 1.02, 0.7], [0.5, 0.9, 1.0, 0.7], "clipped to 1"),
        ([50.0, 90.0, 100.0, 0.5], [0.5, 0.9, 1.0, 0.005], "divided by the largest"),
        ([0.5, np.nan, 1.0, 0.7], [0.5, 1.0, 1.0, 0.7], "weight 1"),
        ([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], "weight 1"),
        ([np.nan] * 4, [1.0, 1.0, 1.0, 1.0], "weight 1"),
        ([0.5, -0.1, 1.0, 0.7], [0.5, 0.0, 1.0, 0.7], "below 0"),
    ],
)
def test_scores_become_weights(stored, expected, words):
    weights, notes = clean(np.ones((1, 4, 3)), np.array([stored]), False, 0.0)
    np.testing.assert_allclose(weights[0], expected)
    assert any(words in note for note in notes)


@settings(max_examples=30)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=12, max_size=12), st.booleans())
def test_cleaning_leaves_points_whole_or_gone(values, zeros_are_missing):
    stored = np.array(values).reshape(2, 2, 3)
    positions = stored.copy()
    weights, _ = clean(positions, np.abs(stored[..., 0]), zeros_are_missing, 0.1)
    gone = np.isnan(positions)
    assert (gone.all(axis=-1) == gone.any(axis=-1)).all()
    assert (gone.any(axis=-1) == (weights == 0)).all()
    assert np.isfinite(positions[~gone]).all()
    assert ((weights >= 0) & (weights <= 1)).all()
    np.testing.assert_array_equal(positions[~gone], stored[~gone])


def test_timestamps_that_jump_split_clips(tmp_path):
    times = np.arange(30) / 50.0
    times[20:] += 4.0
    recording = load(str(write_nwb(tmp_path / "a.nwb", movement(30), times=times)))
    assert recording.clip_lengths.tolist() == [20, 10]
    assert recording.rate_hz == 50.0


def test_timestamps_rounded_to_milliseconds_keep_one_clip():
    timing = spacing(Path("a.nwb"), np.round(np.arange(3001) / 30.0, 3), "timestamps")
    assert timing.step == pytest.approx(1 / 30.0, rel=1e-5)
    assert timing.clip_lengths == (3001,)


def test_select_orders_and_drops_by_name(tmp_path):
    recording = load(str(write_sleap(tmp_path / "a.h5", X, point_scores=P)))
    chosen = select(recording, ["HandR", "Snout"])
    np.testing.assert_array_equal(chosen.positions, X[:, [3, 0]])
    np.testing.assert_array_equal(chosen.confidence, P[:, [3, 0]])
    assert chosen.names == ("HandR", "Snout")
    assert "TailBase, HandL" in chosen.notes[-1]
    assert select(recording, NAMES) is recording


def test_select_names_what_is_missing_and_what_is_near(tmp_path):
    recording = load(str(write_sleap(tmp_path / "a.h5", X)))
    with pytest.raises(InputError, match=r"2 faults(.|\n)*'hand_l'; did you mean 'HandL'(.|\n)*'Wing'"):
        select(recording, ["hand_l", "Wing", "Snout"])
    with pytest.raises(InputError, match="none of Wing, Tail"):
        select(recording, ["Wing", "Tail"])


def test_empty_cells_anywhere_are_missing_points(tmp_path):
    # Empty cells at the start, in the middle, neighbouring and at the end of a line.
    path = tmp_path / "a.csv"
    path.write_text("a_x,a_y,a_z,b_x,b_y,b_z\n,,,1,2,3\n1,,3,4,5,6\n1,2,3,4,5,\n7,8,9,10,11,12")
    observed = load(os.fspath(path)).observed
    np.testing.assert_array_equal(observed, [[False, True], [False, True], [True, False], [True, True]])


def test_frame_numbers_of_every_second_frame_are_one_clip(tmp_path):
    recording = load(str(write_csv(tmp_path / "a.csv", X, frame_numbers=np.arange(0, 12, 2))))
    assert len(recording.clip_lengths) == 1
    assert any("advance by 2" in note for note in recording.notes)
