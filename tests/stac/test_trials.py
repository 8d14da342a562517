"""Trials of a continuous recording: frames, labels and events follow the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import examples
from stac.keypoint_files import write_sleap
from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx.api import load_keypoints
from stac_mjx.records import read_clips, selected_clips, write_clips

TABLE = """trial_id,start_s,stop_s,label,event_touch_s,condition
t1,0.1,0.5,left,0.3,light on
t2,0.5,0.9,right,,dark
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """100 frames at 100 Hz; x of the first keypoint is the number of the frame."""
    tracks = np.random.default_rng(0).normal(size=(100, 1, 2, 3))
    tracks[:, 0, 0, 0] = np.arange(100)
    return write_sleap(tmp_path / "long.h5", tracks, ("a", "b"), units="m", fps=100.0)


def test_trials_are_cut_by_their_times(recording: Path, tmp_path: Path) -> None:
    table = tmp_path / "trials.csv"
    table.write_text(TABLE)
    trials = load_keypoints(recording, trials=str(table))
    assert trials.clip_names == trials.trial_ids == ("t1", "t2")
    assert trials.clip_lengths.tolist() == [40, 40]
    np.testing.assert_array_equal(trials.positions[:, 0, 0], np.arange(10, 90))
    assert trials.labels == ("left", "right")
    assert trials.more_labels == {"condition": ("light on", "dark")}
    np.testing.assert_allclose(trials.events["touch"], [0.2, np.nan])


def test_times_count_from_the_first_frame_of_the_file_whatever_is_left_out(recording: Path, tmp_path: Path) -> None:
    table = tmp_path / "trials.csv"
    table.write_text(TABLE.replace(",", ";").replace(".", ",") + ";;;;;\n")  # as spreadsheets write it
    trials = load_keypoints(recording, trials=str(table), start=5, stop=95)
    np.testing.assert_array_equal(trials.positions[:, 0, 0], np.arange(10, 90))
    np.testing.assert_allclose(trials.events["touch"], [0.2, np.nan])
    with pytest.raises(InputError, match=r"'t1': 0\.1 to 0\.5 s is not within 0\.2 to 1 s"):
        load_keypoints(recording, trials=str(table), start=20)


def test_trials_are_windows_around_an_event(recording: Path, tmp_path: Path) -> None:
    table = tmp_path / "trials.csv"
    table.write_text("trial_id,event_touch_s\none,0.3\ntwo,0.6\n")
    trials = load_keypoints(recording, trials=str(table), window_event="touch", window_s=[-0.1, 0.2])
    np.testing.assert_array_equal(trials.positions[:, 0, 0], [*range(20, 50), *range(50, 80)])
    np.testing.assert_allclose(trials.events["touch"], [0.1, 0.1])


def test_trials_are_selected_by_label_and_name(recording: Path, tmp_path: Path) -> None:
    table = tmp_path / "trials.csv"
    table.write_text(TABLE)
    right = load_keypoints(recording, trials=str(table), select=["label:r*"])
    assert (right.clip_names, right.labels, right.more_labels) == (("t2",), ("right",), {"condition": ("dark",)})
    np.testing.assert_array_equal(right.positions[:, 0, 0], np.arange(50, 90))
    assert load_keypoints(recording, trials=str(table), select=["t?", "condition:light*"]).clip_names == ("t1",)
    with pytest.raises(ConfigError, match=r"keypoints\.select: unknown label 'up'"):
        load_keypoints(recording, trials=str(table), select=["label:up"])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("trial_id,start_s,stop_s\na,0.5,1.5\n", "'a': 0.5 to 1.5 s is not within 0 to 1 s"),
        ("trial_id,start_s,stop_s\na,0,0.5\na,0.5,1\n", "repeated"),
        ("trial_id,start_s\na,0\n", "expected start_s and stop_s"),
        ("trial_id,start_s,stop_s,clip\na,0,0.5,lng\n", "long"),
        ("trial,start_s,stop_s\na,0,0.5\n", "trial_id"),
        ("trial_id,start_s,stop_s\n", "at least one row"),
        ("trial_id,start_s,stop_s\n,0,0.5\n", "trial_id: empty"),
        ("", "at least one row"),
    ],
)
def test_tables_that_do_not_fit_are_refused(recording: Path, tmp_path: Path, table: str, words: str) -> None:
    (tmp_path / "trials.csv").write_text(table)
    with pytest.raises(InputError, match=words):
        load_keypoints(recording, trials=str(tmp_path / "trials.csv"))


def test_files_keep_further_labels(tmp_path: Path) -> None:
    labels = {"condition": ("light on", "dark", "")}
    write_clips(tmp_path / "clips.h5", examples.clips(labels=labels))
    assert read_clips(tmp_path / "clips.h5").labels == labels
    assert read_clips(tmp_path / "clips.h5", [1]).labels == {"condition": ("dark",)}
    assert selected_clips(tmp_path / "clips.h5", ["condition:d*"]).labels == {"condition": ("dark",)}
