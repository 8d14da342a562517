"""Every kind of bad recording ends in one message of our own error classes that names the file and what to change."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from stac import keypoint_files as files
from stac.keypoint_files import NAMES, cell, movement, scores
from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx._common.errors import UserError as StacError
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints import load_keypoints

X = movement()
P = scores()
ESTIMATES = "processing/behavior/PoseEstimation"


def message(path: object, order: tuple[str, ...] = NAMES, error: type[StacError] = StacError, **options: Any) -> str:
    """Load, expect an error, and return its message."""
    with pytest.raises(error) as caught:
        load_keypoints(KeypointsConfig(path=path if path is None else str(path), **options), order)
    return str(caught.value)


def assert_names(text: str, *words: str) -> None:
    missing = [word for word in words if word.lower() not in text.lower()]
    assert not missing, f"{missing} not in: {text}"


def sleap(*args: Any, **options: Any) -> Callable[[Path], object]:
    return lambda path: files.write_sleap(path, *args, **options)


def mat(**variables: Any) -> Callable[[Path], object]:
    return lambda path: files.write_mat(path.with_suffix(".mat"), **variables).rename(path)


def stored(content: bytes | str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


def hdf5(**members: Any) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name, value in members.items():
                file[name] = value

    return write


def changed(write: Callable[[Path], object], change: Callable[[h5py.File], object]) -> Callable[[Path], object]:
    def write_and_change(path: Path) -> None:
        write(path)
        with h5py.File(path, "a") as file:
            change(file)

    return write_and_change


def replaced(name: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def shorter_series(file: h5py.File) -> None:
    replaced(f"{ESTIMATES}/HandL/data", X[:3, 0])(file)
    file[f"{ESTIMATES}/HandL/data"].attrs["unit"] = "millimeters"


def virtual(path: Path) -> None:
    files.write_sleap(path.with_name("other.h5"), X)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(X.shape, "f8")
        layout[...] = h5py.VirtualSource(str(path.with_name("other.h5")), "tracks", X.shape)
        file.create_virtual_dataset("tracks", layout)


def external(path: Path) -> None:
    X.tofile(path.with_name("raw.bin"))
    with h5py.File(path, "w") as file:
        file.create_dataset("tracks", X.shape, "f8", external=[(str(path.with_name("raw.bin")), 0, X.nbytes)])


clips, nwb = (lambda path: files.write_clips(path, X, (6,))), (lambda path: files.write_nwb(path, X, confidence=P))
TIMES = np.cumsum(np.random.default_rng(0).exponential(0.02, 40))

CASES: dict[str, tuple[Callable[[Path], object], dict[str, Any], tuple[str, ...]]] = {
    # files of another kind
    "empty file": (stored(""), {}, ("0 bytes",)),
    "pickle": (stored(pickle.dumps(np.zeros(3), protocol=4)), {}, ("pickle",)),
    "npy": (stored(b"\x93NUMPY\x01\x00"), {}, (".npy",)),
    "json": (stored('{"Snout": [1, 2, 3]}'), {}, ("JSON",)),
    "zip": (stored(b"PK\x03\x04 npz"), {}, ("zip",)),
    "binary": (stored(b"\x00\xff\xfe\x80 noise"), {}, ("neither HDF5 nor MATLAB nor text",)),
    "other csv": (stored("frame,likelihood\n1,2\n"), {}, ("frame, likelihood", "anipose_csv")),
    "foreign HDF5": (hdf5(**{"images/left": np.zeros((3, 8))}), {}, ("images/left (3, 8)", "sleap", "nwb", "dannce")),
    "foreign mat": (mat(com=np.zeros((5, 3))), {}, ("com (5, 3)", "pred")),
    "DLC for pandas": (hdf5(**{"df_with_missing/values": np.zeros(3)}), {}, (".csv", "DeepLabCut")),
    "SLEAP project": (hdf5(videos_json=np.zeros(3)), {}, ("SLEAP project",)),
    "offsets": (changed(hdf5(), lambda f: f.attrs.update(schema_name="mimic.offsets")), {}, ("mimic.offsets",)),
    "newer clips": (lambda path: files.write_clips(path, X, (6,), schema_version="2.0.0"), {}, ("1.x", "2.0.0")),
    "wrong format": (sleap(X), {"format": "nwb"}, ("pose estimates", "tracks (6, 4, 3)")),
    "wrong format of text": (lambda path: files.write_csv(path, X), {"format": "sleap"}, ("not an HDF5 file",)),
    "wrong format of HDF5": (lambda path: files.write_stac(path, X), {"format": "sleap"}, ("tracks", "kp_data")),
    "clips as public output": (clips, {"format": "stac"}, ("file contract already",)),
    # axes and types
    "axes of pred": (mat(pred=X.transpose(2, 0, 1)), {}, ("(3, 6, 4)", "(frame, 3, keypoint)")),
    "axes of tracks": (sleap(np.zeros((5, 4, 7))), {}, ("(5, 4, 7)", "keypoint, 3")),
    "axes of p_max": (mat(pred=X, p_max=P[:3]), {}, ("p_max", "(3, 4)", "(6, 4)")),
    "axes of point_scores": (sleap(X, point_scores=P[:3]), {}, ("point_scores (3, 4)", "(6, 4, 3)")),
    "axes of kp_data": (lambda path: files.write_stac(path, X[:, :, :2]), {}, ("kp_data", "(6, 8)", "3 * keypoint")),
    "scalar kp_data": (changed(clips, replaced("kp_data", 0.0)), {}, ("kp_data",)),
    "borders of clips": (lambda path: files.write_clips(path, X, (4, 1)), {}, ("clip_start", "6 frames")),
    "fractional borders": (changed(clips, replaced("clip_start", np.array([0.5]))), {}, ("clip_start",)),
    "text as numbers": (hdf5(tracks=np.full((6, 4, 3), b"x")), {}, ("tracks", "real numbers")),
    "cells as numbers": (mat(pred=cell(NAMES)), {}, ("pred", "real numbers", "cell array")),
    "complex numbers": (mat(pred=X.transpose(0, 2, 1) * (1 + 1j)), {}, ("pred", "complex")),
    "2D": (sleap(X[:, :, :2]), {}, ("2D", "triangulate")),
    "2D of SLEAP": (sleap(X[:, :, :2].transpose(2, 1, 0)[None], point_scores=P.T[None]), {}, ("2D", "triangulate")),
    "2D of NWB": (lambda path: files.write_nwb(path, X[:, :, :2]), {}, ("2D", "triangulate")),
    "2D table": (stored("Snout_x,Snout_y\n1,2\n"), {}, ("2D", "triangulate")),
    "2D of DLC": (stored("scorer,D,D,D\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,1,2,1\n"), {}, ("2D",)),
    "no frames": (sleap(np.zeros((0, 4, 3))), {}, ("0 frames of 4 keypoints",)),
    "no frames of stac": (hdf5(kp_data=np.zeros((0, 12)), kp_names=list(NAMES)), {}, ("0 frames of 4 keypoints",)),
    "no frames of DANNCE": (mat(pred=np.zeros((0, 3, 4))), {}, ("0 frames of 4 keypoints",)),
    "nothing observed": (sleap(np.full_like(X, np.nan)), {}, ("no keypoint was observed",)),
    # tables
    "DLC without coords": (stored("scorer,D,D,D\nbodyparts,a,a,a\n0,1,2,1\n"), {}, ("'coords'",)),
    "one row a point": (stored("frame,keypoint,x,y,z\n0,a,1,2,3\n"), {}, ("x, y, z without", "one row a frame")),
    "latin-1": (stored("R\u00fccken_x,R\u00fccken_y,R\u00fccken_z\n1,2,3\n".encode("latin-1")), {}, ("UTF-8",)),
    "latin-1 in a row": (stored("a_x,a_y,a_z,note\n1,2,3,\xfc\n".encode("latin-1")), {}, ("UTF-8",)),
    "utf-16": (stored("a_x,a_y,a_z\n1,2,3\n".encode("utf-16")), {}, ("UTF-8",)),
    "duplicate column": (stored("a_x,a_y,a_z,a_x\n1,2,3,4\n"), {}, ("'a_x'", "2 times")),
    "missing column": (stored("a_x,a_y,a_z,b_x,b_z\n1,2,3,4,5\n"), {}, ("'b'", "'b_y'")),
    "short row": (stored("a_x,a_y,a_z\n1,2,3\n1,2\n"), {}, ("row",)),
    "word in a row": (stored("a_x,a_y,a_z\n1,2,3\n1,2,three\n"), {}, ("row", "three")),
    "no rows": (stored("a_x,a_y,a_z\n"), {}, ("header", "no frame")),
    # animals, names, settings
    "no such track": (sleap(np.stack([X, X], 1), track_names=["m", "f"]), {"track": 2}, ("track=2", "1: f")),
    "track of one animal": (lambda path: files.write_csv(path, X), {"track": 1}, ("keypoints.track=1", "only animal")),
    "too few names": (mat(pred=X), {"order": NAMES[:2]}, ("4 keypoints", "2 names", "keypoints.names")),
    "too few names in the file": (sleap(X, names=NAMES[:3]), {}, ("4 keypoints", "3 names")),
    "no names": (mat(pred=X), {"order": ()}, ("without names", "keypoints.names")),
    "names in another order": (sleap(X), {"names": list(NAMES[::-1])}, ("another order", "keypoints.names")),
    "duplicate names": (sleap(X, names=("Snout", "Snout", "HandL", "HandR")), {}, ("'Snout'", "2 times")),
    "renamed to a duplicate": (sleap(X), {"rename": {"HandL": "HandR"}}, ("'HandR'", "2 times")),
    "renaming an unknown name": (sleap(X), {"rename": {"snout": "Nose"}}, ("keypoints.rename", "'Snout'?")),
    "start beyond the end": (sleap(X), {"start": 6}, ("keypoints.start=6", "6 frames")),
    "rate of zero": (sleap(X, fps=0.0), {}, ("rate 0", "keypoints.rate_hz")),
    # NWB and links
    "shorter series": (changed(nwb, shorter_series), {}, ("'HandL'", "3 frames", "'Snout'")),
    "nodes without series": (
        changed(nwb, lambda f: f.move(f"{ESTIMATES}/HandL", f"{ESTIMATES}/PawL")), {}, ("'HandL'", "'PawL'"),
    ),
    "uneven timestamps": (lambda path: files.write_nwb(path, movement(40), times=TIMES), {}, ("timestamps", "evenly")),
    "link to a file": (hdf5(tracks=h5py.ExternalLink("other.h5", "/tracks")), {}, ("another file", "other.h5")),
    "virtual storage": (virtual, {}, ("tracks", "virtual")),
    "external storage": (external, {}, ("tracks", "another file")),
    "links in a circle": (hdf5(tracks=h5py.SoftLink("/again"), again=h5py.SoftLink("/tracks")), {}, ("circle",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_recording_ends_in_one_message_and_is_left_as_it_is(tmp_path: Path, case: str) -> None:
    write, options, words = CASES[case]
    path = tmp_path / "a.dat"
    write(path)
    before = path.read_bytes(), {entry.name for entry in tmp_path.iterdir()}
    assert_names(message(path, **options), "a.dat", *words)
    assert (path.read_bytes(), {entry.name for entry in tmp_path.iterdir()}) == before


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["sleap", "nwb", "mat5", "mat73"])
def test_truncated_file(tmp_path: Path, kind: str, share: float) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut.dat"
    writers = {
        "sleap": sleap(movement(400)),
        "nwb": lambda path: files.write_nwb(path, movement(400), confidence=scores(400)),
        "mat5": mat(pred=movement(400)),
        "mat73": lambda path: files.write_mat_v73(path, pred=movement(400)),
    }
    writers[kind](whole)
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    assert_names(message(cut, error=InputError), "cut.dat", "not a complete")


def test_compressed_mat_file_with_flipped_bytes(tmp_path: Path) -> None:
    import scipy.io

    scipy.io.savemat(tmp_path / "a.mat", {"pred": movement(400)}, do_compression=True)
    data = bytearray((tmp_path / "a.mat").read_bytes())
    data[5000:5008] = bytes(8)
    (tmp_path / "a.mat").write_bytes(data)
    assert_names(message(tmp_path / "a.mat", error=InputError), "a.mat", "not a complete MATLAB file")


PATHS = {
    "no path": (None, ("keypoints.path",)),
    "absent": ("sesion_1.h5", ("does not exist", "'session_1.h5'")),
    "absent folder": ("nowhere/a.h5", ("folder", "nowhere")),
    "unset variable": ("$NO_SUCH_RECORDINGS/a.h5", ("$NO_SUCH_RECORDINGS", "not set")),
    "glob without match": ("*.mat", ("matches no file", "session_1.h5")),
    "folder": (".", ("is a folder", "session_1.h5", "*")),
    "pipe": ("pipe", ("regular file",)),
}


@pytest.mark.parametrize("case", PATHS)
def test_bad_paths(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_sleap(tmp_path / "session_1.h5", X)
    os.mkfifo(tmp_path / "pipe")
    path, words = PATHS[case]
    assert_names(message(path, error=InputError), *words)
    with pytest.raises(InputError, match=r"(?s)b1.h5.*b2.h5"):
        load_keypoints(KeypointsConfig(path=["b1.h5", "b2.h5"]))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = files.write_sleap(tmp_path / "a.h5", X)
    path.chmod(0)
    assert_names(message(path, error=InputError), "a.h5", "Permission denied")


def test_several_tracks_are_listed(tmp_path: Path) -> None:
    both = np.stack([X, np.full_like(X, np.nan)], axis=1)
    path = files.write_sleap(tmp_path / "a.h5", both, track_names=["male", "female"])
    assert_names(message(path), "2 tracks", "keypoints.track", "0: male (6 frames)", "1: female (0 frames)")


def test_files_that_do_not_belong_together_are_all_named(tmp_path: Path) -> None:
    files.write_sleap(tmp_path / "a.h5", X, fps=50.0, units="mm")
    files.write_sleap(tmp_path / "b.h5", X, ("Nose", *NAMES[1:]), fps=50.0, units="mm")
    files.write_sleap(tmp_path / "c.h5", X, fps=25.0)
    files.write_sleap(tmp_path / "d.h5", X, units="cm")
    text = message(tmp_path / "*.h5", error=InputError)
    assert_names(text, "b.h5: lacks Snout and also has Nose", "c.h5: frame rate 25 Hz, a.h5 has 50 Hz")
    assert_names(text, "keypoints.unit", "d.h5: frame rate unknown")


def test_impossible_settings_are_all_named(tmp_path: Path) -> None:
    path = files.write_sleap(tmp_path / "a.h5", X)
    values = {"format": "sleep", "unit": "inch", "rate_hz": -1.0, "min_confidence": 1.5, "start": 3, "stop": 2}
    text = message(path, error=ConfigError, **values)
    assert_names(text, "'sleap'", "'inch'", *(f"keypoints.{name}" for name in values if name != "start"))
