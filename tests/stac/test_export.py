"""Exported clips, read back by the programs they are made for: pandas, our TRC reader, pynwb and nwbinspector."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nwbinspector import inspect_nwbfile
from stac_mjx import cli
from stac_mjx._common.files import file_name
from stac_mjx.api import load_keypoints
from stac_mjx.keypoints.loading import read_file
from stac_mjx.records import ReferenceClips, read_clips, write_clips

pd: Any = pytest.importorskip("pandas")
pynwb: Any = pytest.importorskip("pynwb")

SESSION = [
    "nwb.start=2026-11-02T14:05:00+01:00", "nwb.subject_id=m36", "nwb.age=P90D", "nwb.institution=here",
    "nwb.experimenter=['Lane, Ada']",
]  # fmt: skip


@pytest.fixture(scope="module")
def exported(arm_fit: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ReferenceClips, Path]:
    """Two clips of a fit, and the folder with all formats."""
    out = tmp_path_factory.mktemp("exported")
    whole, clips = read_clips(arm_fit / "clips.h5"), out / "two.h5"
    two = {"clip_name": ("first[0:20]", "a/b"), "clip_length": np.array([20, whole.n_frames - 20])}
    two |= {"trial_id": ("t1", "t2"), "clip_label": ("left", ""), "labels": {"light": ("on", "off")}}
    write_clips(clips, replace(whole, **two, events={"lift": np.array([0.05, np.nan])}))
    assert cli.main(["export", f"clips={clips}", f"out={out}", "formats=[csv,mot,sto,trc,nwb]", *SESSION]) == 0
    return read_clips(clips), out


def test_tables_hold_the_numbers_of_the_file(exported: tuple[ReferenceClips, Path]) -> None:
    clips, out = exported
    coordinates, velocities, markers = (
        pd.read_csv(out / f"{name}.csv") for name in ("coordinates", "velocities", "markers")
    )
    np.testing.assert_array_equal(coordinates[list(clips.names_qpos)].to_numpy(np.float32), clips.qpos)
    np.testing.assert_array_equal(velocities[list(clips.names_qvel)].to_numpy(np.float32), clips.qvel)
    for name, values in (("standard_errors", clips.qpos_stderr), ("resolutions", clips.qpos_resolution)):
        table = pd.read_csv(out / f"{name}.csv")[list(clips.names_qvel)].to_numpy(np.float32)
        np.testing.assert_array_equal(table, np.asarray(values))
    axes = [f"{name}_{axis}" for name in clips.kp_names for axis in "xyz"]
    np.testing.assert_array_equal(markers[axes].to_numpy(np.float32).reshape(clips.kp_data.shape), clips.kp_data)
    assert coordinates["clip"].tolist() == [clips.clip_name[i] for i in clips.frame_clip]
    np.testing.assert_allclose(coordinates["time_s"], clips.time, rtol=1e-12)
    table = read_file(out / "markers.csv")
    np.testing.assert_array_equal(table.positions.astype(np.float32), clips.kp_data)
    assert (table.names, table.clip_lengths) == (clips.kp_names, tuple(clips.clip_length.tolist()))
    assert table.rate_hz == pytest.approx(clips.info.rate_hz)
    units = pd.read_csv(out / "columns.csv")
    assert units[units["table"] == "coordinates"].set_index("column")["unit"].to_dict() == dict(
        zip(clips.names_qpos, clips.qpos_units, strict=True)
    )


def test_files_of_opensim_hold_the_numbers_of_each_clip(exported: tuple[ReferenceClips, Path]) -> None:
    clips, out = exported
    for name in clips.clip_name:
        rows = clips.frames(name)
        for ending, suffix in (("mot", ""), ("sto", "/speed")):
            header, _, table = (out / f"{file_name(name)}.{ending}").read_text().partition("endheader\n")
            said = dict(line.split("=") for line in header.splitlines()[1:])
            found = pd.read_csv(io.StringIO(table), sep="\t")
            assert said == {
                "version": "1", "nRows": str(len(found)), "nColumns": str(found.shape[1]), "inDegrees": "no",
            }  # fmt: skip
            np.testing.assert_array_equal(found[list(clips.names_qpos)].to_numpy(np.float32), clips.qpos[rows])
            if suffix:
                speeds = [label + suffix for label in clips.names_qvel]
                np.testing.assert_array_equal(found[speeds].to_numpy(np.float32), clips.qvel[rows])
        markers = read_file(out / f"{file_name(name)}.trc")
        assert (markers.names, markers.unit, markers.rate_hz) == (clips.kp_names, "m", clips.info.rate_hz)
        np.testing.assert_array_equal(markers.positions.astype(np.float32), clips.kp_data[rows])


def test_nwb_is_clean_and_holds_the_numbers_of_the_file(exported: tuple[ReferenceClips, Path]) -> None:
    clips, out = exported
    path = out / "movement.nwb"
    assert [str(message) for message in inspect_nwbfile(nwbfile_path=str(path))] == []
    with pynwb.NWBHDF5IO(str(path), "r") as file:
        content = file.read()
        behavior = content.processing["behavior"]
        angles = behavior["coordinates_rad"]
        columns = [clips.names_qpos.index(name) for name in json.loads(angles.comments)]
        assert (angles.unit, angles.rate) == ("rad", clips.info.rate_hz)
        np.testing.assert_array_equal(angles.data[:], clips.qpos[:, columns])
        np.testing.assert_array_equal(behavior["standard_errors_rad"].data[:], np.asarray(clips.qpos_stderr))
        np.testing.assert_array_equal(behavior["resolutions"].data[:], np.asarray(clips.qpos_resolution))
        series = behavior["PoseEstimation"].pose_estimation_series
        for i, name in enumerate(clips.kp_names):
            np.testing.assert_array_equal(series[name].data[:], clips.kp_data[:, i])
        trials = content.trials.to_dataframe()
        assert trials["clip"].tolist() == list(clips.clip_name)
        assert trials["trial_id"].tolist() == ["t1", "t2"]
        assert (trials["label"].tolist(), trials["light"].tolist()) == (["left", ""], ["on", "off"])
        np.testing.assert_allclose(trials["event_lift"], [0.05, np.nan])
        assert trials["stop_time"].iloc[-1] == pytest.approx(clips.n_frames / float(clips.info.rate_hz or 0))
        assert content.scratch["body_mjcf"].data == clips.info.mjcf_xml
    markers = read_file(path)
    np.testing.assert_array_equal(markers.positions.astype(np.float32), clips.kp_data[:, : len(clips.kp_names)])
    assert (markers.clip_names, markers.clip_lengths) == (clips.clip_name, tuple(clips.clip_length.tolist()))


def test_a_recording_of_clips_keeps_their_labels_and_events(exported: tuple[ReferenceClips, Path]) -> None:
    _, out = exported
    again = load_keypoints([out / "two.h5", out / "markers.csv"], unit="m", start=2)
    assert again.trial_ids == ("t1", "t2", "", "")
    assert (again.labels, again.more_labels) == (("left", "", "", ""), {"light": ("on", "off", "", "")})
    np.testing.assert_allclose(again.events["lift"], [0.05 - 2 / 200, np.nan, np.nan, np.nan])
    assert load_keypoints(out / "two.h5", clip_frames=30).labels == ()


def test_a_session_without_its_time_is_refused(
    arm_fit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for start in ("", "nwb.start=2026-11-02T14:05"):
        arguments = [
            f"clips={arm_fit / 'clips.h5'}",
            f"out={tmp_path / 'out'}",
            "formats=[csv,nwb]",
            *filter(None, [start]),
        ]
        assert cli.main(["export", *arguments]) == 2
        assert "nwb.start" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.*"))


def test_clips_are_exported_as_pages(clips_file: Path, tmp_path: Path) -> None:
    assert cli.main(["export", f"clips={clips_file}", "formats=[html]", f"out={tmp_path / 'pages'}"]) == 0
    pages = list((tmp_path / "pages").glob("*.html"))
    assert len(pages) == len(read_clips(clips_file).clip_name)
    assert all("__VISER_EMBED_DATA__" in page.read_text() for page in pages)
