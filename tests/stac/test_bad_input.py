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
from stac.keypoint_files import write_sleap
from stac.quick import ARM_NAMES, QUICK
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


Case = tuple[str, Callable[[Place], list[str]], list[str]]


def recorded(*words: str, fit: Callable[[Place], list[str]]) -> Case:
    return "fit", fit, list(words)


def settings(*words: str, given: list[str]) -> Case:
    return "fit", lambda place: [f"keypoints.path={place.recording}", *given], list(words)


def ik(*words: str, given: Callable[[Place], list[str]]) -> Case:
    return "ik", lambda place: [f"keypoints.path={place.recording}", *given(place)], list(words)


def without(positions: np.ndarray, keypoint: int | slice) -> np.ndarray:
    out = positions.copy()
    out[:, keypoint] = np.nan
    return out


def version(text: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file.attrs["schema_version"] = text

    return change


CASES: dict[str, Case] = {
    # the recording
    "wrong keypoint names": recorded(
        "unknown keypoint 'Shoulder'", "did you mean 'Shouldr'", "keypoints.rename",
        fit=lambda p: [p.tracks(p.positions[:, None], ("Shouldr", "Elbow", "Wrist"))],
    ),
    "millimetres given as metres": recorded(
        "bad.h5", "times the size of body 'mouse_arm'", "keypoints.unit",
        fit=lambda p: [p.tracks(1000 * p.positions[:, None])],
    ),
    "trunk keypoint never seen": recorded(
        "bad.h5", "never observed", "Elbow", "trunk",
        fit=lambda p: [p.tracks(without(p.positions, 1)[:, None]), "body.trunk_keypoints=[Elbow]"],
    ),
    "missing file": recorded(
        "does not exist", "did you mean 'reach.h5'", fit=lambda p: [f"keypoints.path={p.recording.parent / 'rech.h5'}"]
    ),
    "recording of no body": recorded("keypoints.path is empty", fit=lambda p: ["body.default_mjcf=''", _arm(p)]),
    # the body
    "unknown preset": settings("unknown preset 'ratt'", "did you mean 'rat'", given=["body=ratt"]),
    "scale zero": settings("body.scale", "got 0", given=["body.scale=0"]),
    "no model": settings("body 'stick'", "body.mjcf=PATH", given=["body=stick"]),
    "model does not compile": recorded(
        "bad.xml", "screw", fit=lambda p: [p.model("<worldbody><body><joint type='screw'/></body></worldbody>")]
    ),
    "model without joints": recorded(
        "no joint",
        fit=lambda p: [
            p.model(NO_JOINTS), f"keypoints.path={p.recording}", "~body.parts.shoulder", "~body.parts.elbow"
        ],
    ),
    # settings
    "unknown setting": settings(
        "calibration.frame'", "did you mean 'calibration.frames'", given=["calibration.frame=9"]
    ),
    "unknown setting after a plus": settings("unknown setting 'frames'", given=["+frames=9"]),
    "wrong type": settings(
        "calibration.frames=abc", "could not be converted to Integer", given=["calibration.frames=abc"]
    ),
    "negative count": settings("calibration.frames", "-3", given=["calibration.frames=-3"]),
    "negative weight": settings("solver.pose_prior_mm", "-1", given=["solver.pose_prior_mm=-1"]),
    "not a number": settings("solver.tolerance_mm", "nan", given=["solver.tolerance_mm=nan"]),
    "negative seed": settings("seed", "-1", given=["seed=-1"]),
    "unknown mode": settings("alignment.mode", "did you mean 'similarity'", given=["alignment.mode=similar"]),
    "unknown axis": settings("alignment.up", "'up'", "-z", given=["alignment.up=up"]),
    "unknown loss": settings("solver.robust", "did you mean 'huber'", given=["solver.robust=hubert"]),
    "unknown unit": settings("keypoints.unit", "furlong", "m, dm, cm, mm", given=["keypoints.unit=furlong"]),
    "new rate negative": settings("trajectory.rate_hz", "-1", given=["trajectory.rate_hz=-1"]),
    "stop before start": settings(
        "keypoints.stop", "5", "2", given=["keypoints.start=5", "keypoints.stop=2"]
    ),
    "two faults at once": settings("2 faults", "seed", "solver.robust", given=["seed=-1", "solver.robust=x"]),
    "two unknown settings": settings("2 faults", "'seeds'", "'bodi'", given=["seeds=1", "bodi=rat"]),
    "no equals sign": settings("'report'", "name=value", given=["report"]),
    "unknown option": settings("--multirum", "did you mean '--multirun'", given=["--multirum"]),
    "unbalanced bracket": settings("keypoints.names=[Shoulder", "quotes", given=["keypoints.names=[Shoulder"]),
    "offsets for fit": settings("offsets", "stac-mjx ik", given=["offsets=offsets.h5"]),
    # known offsets
    "ik without offsets": ik("offsets is not set", given=lambda p: []),
    "offsets missing": ik("nowhere.h5", "no such file", given=lambda p: ["offsets=nowhere.h5"]),
    "offsets are clips": ik("clips.h5", "mimic.offsets", given=lambda p: [f"offsets={p.fit / 'clips.h5'}"]),
    "offsets are a recording": ik("reach.h5", "schema_name", given=lambda p: [f"offsets={p.recording}"]),
    "offsets of a newer major": ik("2.0", "update the program", given=lambda p: [p.offsets(version("2.0"))]),
    "offsets of another body": ik(
        "offsets.h5", "belongs to body 'mouse_arm'", "'cat'",
        given=lambda p: [f"offsets={p.fit / 'offsets.h5'}", "body.name=cat"],
    ),
    "offsets at another scale": ik(
        "offsets.h5", "body.scale=1", given=lambda p: [f"offsets={p.fit / 'offsets.h5'}", "body.scale=1.2"]
    ),
    "offsets in another frame": ik(
        "offsets.h5", "'Elbow'", "'ulna'", "'humerus'",
        given=lambda p: [f"offsets={p.fit / 'offsets.h5'}", "body.markers.Elbow.body=humerus"],
    ),
    "offsets of other keypoints": ik(
        "offsets.h5", "unknown keypoint 'Paw'",
        given=lambda p: [
            f"offsets={p.fit / 'offsets.h5'}", "+body.markers.Paw.body=wrist_body", "~body.markers.Wrist",
            "keypoints.rename.Wrist=Paw", "body.keypoint_order=[]", "body.skeleton=[]",
        ],
    ),
}  # fmt: skip


def _arm(place: Place) -> str:
    from stac_mjx.body.mjcf import locate

    return f"body.mjcf={locate(None, 'embedded:mouse_arm.xml', 'mouse_arm')}"


@pytest.fixture
def place(tmp_path: Path, arm_recording: Path, arm_positions: np.ndarray, arm_fit: Path) -> Place:
    return Place(tmp_path, arm_recording, arm_positions[:60], arm_fit)


@pytest.mark.parametrize(("verb", "arguments", "words"), CASES.values(), ids=list(CASES))
def test_a_mistake_ends_in_one_message_and_leaves_nothing(
    verb: str,
    arguments: Callable[[Place], list[str]],
    words: list[str],
    place: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place.folder)
    given = [*QUICK[-1:], f"out={place.out}", *arguments(place)]
    before = set(place.folder.rglob("*"))
    assert_refused(main, f"stac-mjx {verb}", given, words, capsys)
    assert set(place.folder.rglob("*")) == before


def fit_command(place: Place, *more: str) -> list[str]:
    return ["fit", f"keypoints.path={place.recording}", f"out={place.out}", *QUICK, *more]


def run_command(arguments: list[str], prelude: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, after some lines of Python."""
    script = f"{prelude}\nimport sys\nfrom stac_mjx.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)


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
    ended = run_command(["fit", "keypoints.path=nowhere.mat", f"out={place.out}"])
    assert (ended.returncode, ended.stdout) == (2, "")
    assert_one_message(ended.stderr, "stac-mjx fit", ["nowhere.mat", "does not exist"])
    assert not place.out.exists()


def test_check_lists_what_is_wrong_and_ends_with_code_2(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = shutil.copy(place.fit / "clips.h5", place.folder)
    with h5py.File(path, "r+") as file:
        del file["qvel"]
    assert main(["check", str(path)]) == 2
    assert re.search(r"docs/schema in 1 place\n  - qvel", capsys.readouterr().out)


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
