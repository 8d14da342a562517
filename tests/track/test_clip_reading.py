"""Reading clips files: what is taken, and what is refused with one clear message."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from track.clip_files import ARM, write_clips
from track_mjx._common.errors import BodyError, ContractError, InputError
from track_mjx.clips import cut, read_clips


def test_reads_what_was_written(tmp_path: Path) -> None:
    clips = read_clips(write_clips(tmp_path / "clips.h5"))
    assert clips.clip_name == ("clip_0", "clip_1", "clip_2", "clip_3")
    assert clips.clip_length.tolist() == [40, 30, 50, 40]
    assert clips.end_effectors == ("hand",)
    assert clips.model().nq == 2


def test_a_folder_with_clips_in_it_will_do(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips.h5")
    assert len(read_clips(tmp_path).clip_name) == 4


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"schema_version": "2.0"}, "version 2.0, and this program reads version 1.x only; update track-mjx"),
        ({"schema_version": "0.9"}, "convert the file"),
        ({"schema_name": "mimic.rollouts"}, "expected a mimic.reference_clips file, got a mimic.rollouts file"),
        ({"schema_version": "new"}, "MAJOR.MINOR"),
        ({"rate_hz": -5.0}, "rate_hz"),
        ({"model_sha256": "0" * 64}, "altered"),
        ({"end_effectors": "[1"}, "JSON"),
    ],
)
def test_foreign_and_newer_files_are_refused(tmp_path: Path, attributes: dict, message: str) -> None:
    path = write_clips(tmp_path / "clips.h5", attributes=attributes)
    with pytest.raises(ContractError, match=message):
        read_clips(path)


def test_a_newer_minor_version_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("track_mjx").propagate = True
    read_clips(write_clips(tmp_path / "clips.h5", attributes={"schema_version": "1.7"}))
    assert "newer" in caplog.text


def test_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_clips(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="no HDF5 file"):
        read_clips(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["qpos"] = np.zeros((3, 2))
    with pytest.raises(ContractError, match="schema_name"):
        read_clips(tmp_path / "foreign.h5")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qvel": None}, "qvel is missing"),
        ({"qpos": np.zeros((160, 3), np.float32)}, "expected shape"),
        ({"clip_length": np.array([40, 30, 50, 30])}, "end to end"),
        ({"names_qpos": ["shoulder", "knee"]}, "knee"),
        ({"valid": np.ones(10, np.uint8)}, "number of frames"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read_clips(write_clips(tmp_path / "clips.h5", change=change))


def test_links_that_lead_elsewhere_are_not_followed(tmp_path: Path) -> None:
    path = write_clips(tmp_path / "clips.h5")
    with h5py.File(path, "a") as file:
        del file["qvel"]
        file["qvel"] = h5py.ExternalLink("other.h5", "/qvel")
    with pytest.raises(ContractError, match="leads elsewhere"):
        read_clips(path)


def test_a_body_that_names_other_files_is_refused(tmp_path: Path) -> None:
    hostile = ARM.replace("<worldbody>", '<asset><mesh name="m" file="/etc/passwd"/></asset><worldbody>')
    with pytest.raises(BodyError, match="names no file"):
        read_clips(write_clips(tmp_path / "clips.h5", change={"provenance/mjcf_xml": hostile}))


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
