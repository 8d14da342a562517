"""Reading clips files: what is taken. What is refused is in test_bad_input and in tests/contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from track.clip_files import write_clips
from track_mjx._common.errors import InputError
from track_mjx.clips import cut, read_clips


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
