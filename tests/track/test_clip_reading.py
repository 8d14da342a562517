"""Reading clips files: what is taken. What is refused is in test_bad_input and in tests/contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from track.clip_files import write_clips
from track.small_setups import ARM_TASK, config
from track_mjx._common.errors import ConfigError, InputError
from track_mjx.clips import cut, read_clips
from track_mjx.learning.setup import build, split


def test_reads_what_was_written(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips.h5")
    clips = read_clips(tmp_path)  # a folder with clips in it will do
    assert clips.clip_name == ("clip_0", "clip_1", "clip_2", "clip_3")
    assert clips.clip_length.tolist() == [40, 30, 50, 40]
    assert clips.end_effectors == ("hand",)
    assert clips.model().nq == 2


def test_frames_that_must_not_be_used_cut_a_clip(tmp_path: Path) -> None:
    valid = np.ones(160, np.uint8)
    valid[10:15] = 0
    clips = read_clips(write_clips(tmp_path / "clips.h5", change={"valid": valid}))
    assert clips.clip_name[:2] == ("clip_0[0:10]", "clip_0[15:40]")
    assert clips.clip_length.tolist() == [10, 25, 30, 50, 40]
    assert len(clips.qpos) == 155


def test_cutting_keeps_every_frame_in_its_clip(tmp_path: Path) -> None:
    clips = cut(read_clips(write_clips(tmp_path / "clips.h5")), 0.15)
    assert clips.clip_length.tolist() == [15, 25, 15, 15, 15, 15, 20, 15, 25]
    assert clips.clip_start.tolist() == [0, 15, 40, 55, 70, 85, 100, 120, 135]
    with pytest.raises(InputError, match="two frames"):
        cut(clips, 0.001)


def test_windows_overlap_the_clips_of_training_and_never_those_held_out(tmp_path: Path) -> None:
    """Every window is a stretch of the recording; together they hold every start that shares no held-out frame."""
    path = write_clips(tmp_path / "clips.h5", lengths=(95, 40))
    setup = build(config(path, {**ARM_TASK, "clip_s": 0.2, "clip_stride_s": 0.05}), read_clips(path))
    whole, names = read_clips(path), setup.clips.clip_name
    n_pieces = len(names) - len(setup.windows)
    assert n_pieces == len(cut(whole, 0.2).clip_name) == 6
    _, held_out = split(n_pieces, 0.25, 0)
    pieces = [(0, 0, 20), (0, 20, 40), (0, 40, 60), (0, 60, 95), (1, 0, 20), (1, 20, 40)]
    closed = {frame for i in held_out if pieces[i][0] == 0 for frame in range(*pieces[i][1:])}
    starts = [b for b in range(0, 76, 5) if not closed & set(range(b, b + 20))]
    expected = [b for b in starts if (0, b, b + 20) not in pieces]
    found = [int(name.split("[")[1].split(":")[0]) for name in names[n_pieces:] if name.startswith("clip_0[")]
    assert found == expected
    for number in setup.windows:
        clip, begin = int(names[number][5]), int(names[number].split("[")[1].split(":")[0])
        rows = slice(setup.clips.clip_start[number], setup.clips.clip_start[number] + 20)
        start = whole.clip_start[clip] + begin
        assert np.array_equal(setup.clips.qpos[rows], whole.qpos[start : start + 20])


def test_windows_need_a_length(tmp_path: Path) -> None:
    path = write_clips(tmp_path / "clips.h5")
    with pytest.raises(ConfigError, match=r"task\.clip_s"):
        build(config(path, {**ARM_TASK, "clip_stride_s": 0.05}), read_clips(path))
