"""Every kind of mistake through the real command: one clear message, exit code 2, and nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from messages import assert_one_message, assert_refused
from stac.bodies_for_tests import ARM_NAMES, QUICK
from stac.keypoint_files import write_sleap
from stac_mjx.cli import main

NO_JOINTS = """
<worldbody>
  <body name="scapula"><geom size=".01"/>
    <body name="ulna" pos="0 0 .01"><geom size=".01"/></body>
    <body name="wrist_body" pos="0 .01 .01"><geom size=".01"/></body>
  </body>
</worldbody>
"""


@dataclass(frozen=True)
class Place:
    """Where a case finds and leaves its files."""

    folder: Path
    recording: Path
    positions: np.ndarray
    fit: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def tracks(self, tracks: np.ndarray, names: tuple[str, ...] | None = ARM_NAMES, unit: str = "m") -> str:
        """Write a recording and return the setting that names it."""
        path = write_sleap(self.folder / "bad.h5", tracks, names, units=unit, fps=200.0)
        return f"keypoints.path={path}"

    def text(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def model(self, xml: str) -> str:
        """Write a model and return the setting that names it."""
        return f"body.mjcf={self.text('bad.xml', f'<mujoco>{xml}</mujoco>')}"

    def offsets(self, change: Callable[[h5py.File], None]) -> str:
        """Copy the fit's offsets, change them, and return the setting that names them."""
        path = Path(shutil.copy(self.fit / "offsets.h5", self.folder / "offsets.h5"))
        with h5py.File(path, "r+") as file:
            change(file)
        return f"offsets={path}"


def without(positions: np.ndarray, keypoint: int | slice) -> np.ndarray:
    out = positions.copy()
    out[:, keypoint] = np.nan
    return out


def version(text: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs["schema_version"] = text

    return change


Arguments = Callable[[Place], list[str]]
SETTINGS: dict[str, tuple[list[str], list[str]]] = {
    "unknown preset": (["body=ratt"], ["unknown preset 'ratt'", "did you mean 'rat'"]),
    "no model": (["body=stick"], ["body 'stick'", "body.mjcf=PATH"]),
    "unknown setting": (["calibration.frame=9"], ["calibration.frame'", "did you mean 'calibration.frames'"]),
    "no segments": (["calibration.segments=true"], ["calibration.segments", "body.segments names no group"]),
    "two unknown settings": (["seeds=1", "bodi=rat"], ["2 faults", "'seeds'", "'bodi'"]),
    "wrong type": (["calibration.frames=abc"], ["calibration.frames=abc", "could not be converted to Integer"]),
    "impossible values": (
        ["body.scale=0", "calibration.frames=-3", "solver.pose_prior_mm=-1", "solver.tolerance_mm=nan", "seed=-1",
         "alignment.mode=similar", "alignment.up=up", "solver.robust=hubert", "keypoints.unit=furlong",
         "trajectory.rate_hz=-1"],
        ["10 faults", "body.scale", "got 0", "calibration.frames", "-3", "solver.pose_prior_mm", "-1",
         "solver.tolerance_mm", "nan", "seed", "did you mean 'similarity'", "alignment.up", "'up'", "-z",
         "did you mean 'huber'", "keypoints.unit", "furlong", "m, dm, cm, mm", "trajectory.rate_hz"],
    ),
    "stop before start": (["keypoints.start=5", "keypoints.stop=2"], ["keypoints.stop", "5", "2"]),
    "offsets for fit": (["offsets=offsets.h5"], ["offsets", "stac-mjx ik"]),
}  # fmt: skip
RECORDINGS: dict[str, tuple[Arguments, list[str]]] = {
    "wrong keypoint names": (
        lambda p: [p.tracks(p.positions[:, None], ("Shouldr", "Elbow", "Wrist"))],
        ["unknown keypoint 'Shoulder'", "did you mean 'Shouldr'", "keypoints.rename"],
    ),
    "millimetres given as metres": (
        lambda p: [p.tracks(1000 * p.positions[:, None])],
        ["bad.h5", "times the size of body 'mouse_arm'", "keypoints.unit"],
    ),
    "trunk keypoint never seen": (
        lambda p: [p.tracks(without(p.positions, 1)[:, None]), "body.trunk_keypoints=[Elbow]"],
        ["bad.h5", "never observed", "Elbow", "trunk"],
    ),
    "missing file": (
        lambda p: [f"keypoints.path={p.recording.parent / 'rech.h5'}"], ["does not exist", "did you mean 'reach.h5'"]
    ),
    "recording of no body": (lambda p: ["body.default_mjcf=''", _arm(p)], ["keypoints.path is empty"]),
    "model does not compile": (
        lambda p: [p.model("<worldbody><body><joint type='screw'/></body></worldbody>")], ["bad.xml", "screw"]
    ),
    "model without joints": (
        lambda p: [
            p.model(NO_JOINTS), f"keypoints.path={p.recording}", "~body.parts.shoulder", "~body.parts.elbow"
        ],
        ["no joint"],
    ),
}  # fmt: skip
OFFSETS: dict[str, tuple[Arguments, list[str]]] = {
    "not given": (lambda p: [], ["offsets is not set"]),
    "missing": (lambda p: ["offsets=nowhere.h5"], ["nowhere.h5", "no such file"]),
    "clips": (lambda p: [f"offsets={p.fit / 'clips.h5'}"], ["clips.h5", "mimic.offsets"]),
    "a recording": (lambda p: [f"offsets={p.recording}"], ["reach.h5", "schema_name"]),
    "of a newer major": (lambda p: [p.offsets(version("2.0"))], ["2.0", "update the program"]),
    "of another body": (
        lambda p: [f"offsets={p.fit / 'offsets.h5'}", "body.name=cat"],
        ["offsets.h5", "belongs to body 'mouse_arm'", "'cat'"],
    ),
    "at another scale": (
        lambda p: [f"offsets={p.fit / 'offsets.h5'}", "body.scale=1.2"], ["offsets.h5", "body.scale=1"]
    ),
    "in another frame": (
        lambda p: [f"offsets={p.fit / 'offsets.h5'}", "body.markers.Elbow.body=humerus"],
        ["offsets.h5", "'Elbow'", "'ulna'", "'humerus'"],
    ),
    "of other keypoints": (
        lambda p: [
            f"offsets={p.fit / 'offsets.h5'}", "+body.markers.Paw.body=wrist_body", "~body.markers.Wrist",
            "keypoints.rename.Wrist=Paw", "body.keypoint_order=[]", "body.skeleton=[]",
        ],
        ["offsets.h5", "unknown keypoint 'Paw'"],
    ),
}  # fmt: skip


def _arm(place: Place) -> str:
    from stac_mjx.body.mjcf import locate

    return f"body.mjcf={locate(None, 'embedded:mouse_arm.xml', 'mouse_arm')}"


@pytest.fixture
def place(
    tmp_path: Path, arm_recording: Path, arm_positions: np.ndarray, arm_fit: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, arm_recording, arm_positions[:60], arm_fit)


def assert_nothing_done(
    verb: str, place: Place, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(place.folder.rglob("*"))
    given = [*QUICK[-1:], f"out={place.out}", *arguments]
    assert_refused(main, f"stac-mjx {verb}", given, words, capsys)
    assert set(place.folder.rglob("*")) == before


@pytest.mark.parametrize("case", SETTINGS)
def test_wrong_settings(case: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    given, words = SETTINGS[case]
    assert_nothing_done("fit", place, [f"keypoints.path={place.recording}", *given], words, capsys)


@pytest.mark.parametrize("case", RECORDINGS)
def test_wrong_recordings_and_bodies(case: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = RECORDINGS[case]
    given = arguments(place)
    assert_nothing_done("fit", place, given, words, capsys)


@pytest.mark.parametrize("case", OFFSETS)
def test_wrong_offsets(case: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = OFFSETS[case]
    given = [f"keypoints.path={place.recording}", *arguments(place)]
    assert_nothing_done("ik", place, given, words, capsys)


def fit_command(place: Place, *more: str) -> list[str]:
    return ["fit", f"keypoints.path={place.recording}", f"out={place.out}", *QUICK, *more]


def test_out_is_a_file(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    out = place.text("taken", "keep me")
    assert main([*fit_command(place), f"out={out}"]) == 2
    assert_one_message(capsys.readouterr().err, "stac-mjx fit", [f"out={out}", "is a file"])
    assert out.read_text() == "keep me"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_folder_without_permission(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.out.mkdir(mode=0o500)
    assert main(fit_command(place)) == 2
    assert_one_message(capsys.readouterr().err, "stac-mjx fit", [f"out={place.out}", "Permission denied"])
    assert not list(place.out.iterdir())


def test_process_ends_with_code_2_and_no_traceback(place: Place) -> None:
    command = [sys.executable, "-m", "stac_mjx", "fit", "keypoints.path=nowhere.mat", f"out={place.out}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert_one_message(ended.stderr, "stac-mjx fit", ["nowhere.mat", "does not exist"])
    assert not place.out.exists()


def test_check_lists_what_is_wrong_and_ends_with_code_2(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = shutil.copy(place.fit / "clips.h5", place.folder)
    with h5py.File(path, "r+") as file:
        del file["qvel"]
    assert main(["check", str(path)]) == 2
    assert re.search(r"docs/schema in 1 place\n  - qvel", capsys.readouterr().out)


def test_check_lists_all_keypoints_of_a_recording(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    names = tuple(f"point_{number}" for number in range(40))
    path = write_sleap(place.folder / "recording.h5", np.ones((5, 1, 40, 3)), names, fps=200.0)
    assert main(["check", str(path)]) == 0
    out = capsys.readouterr().out
    assert "5 frames of 40 keypoints, 200 Hz, length unit not stated (keypoints.unit)" in out
    assert f"  keypoints: {', '.join(names)}\n" in out


@pytest.mark.parametrize("verb", ["check", "report"])
def test_other_verbs_refuse_missing_files(verb: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    missing = place.folder / "nowhere.h5"
    assert main([verb, f"{'file' if verb == 'check' else 'clips'}={missing}"]) == 2
    assert_one_message(capsys.readouterr().err, f"stac-mjx {verb}", [str(missing), "no such file"])


def test_a_file_of_no_clip_leaves_other_files_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad file among several: the message names it, and nothing is registered."""
    empty = write_sleap(place.folder / "empty_clip.h5", np.zeros((0, 1, 3, 3)), ARM_NAMES, units="m", fps=200.0)
    assert main(["fit", f"keypoints.path=[{place.recording},{empty}]", f"out={place.out}"]) == 2
    assert_one_message(capsys.readouterr().err, "stac-mjx fit", ["empty_clip.h5", "0 frames"])
    assert not place.out.exists()
