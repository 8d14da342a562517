"""Every kind of bad recording ends in one clear message of our own error classes."""

from __future__ import annotations

import os
import pickle
import shutil

import h5py
import numpy as np
import pytest
from stac.keypoint_files import (
    NAMES,
    cell,
    movement,
    scores,
    write_clips,
    write_csv,
    write_mat,
    write_mat_v73,
    write_nwb,
    write_sleap,
    write_stac,
)
from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx._common.errors import UserError as StacError
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints import load_keypoints

X = movement()
P = scores()


def message(path, order=NAMES, error: type[StacError] = InputError, **options) -> str:
    """Load, expect `error`, and return its message, which names the file where there is one."""
    with pytest.raises(error) as caught:
        load_keypoints(KeypointsConfig(path=path if path is None else str(path), **options), order)
    return str(caught.value)


def expect(text: str, *words: str) -> None:
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} not in: {text}"


def test_no_path():
    expect(message(None), "keypoints.path", "is empty")


def test_absent_file_names_the_nearest(tmp_path):
    write_sleap(tmp_path / "session_1.h5", X)
    expect(message(tmp_path / "sesion_1.h5"), "does not exist", "did you mean 'session_1.h5'?")


def test_absent_folder(tmp_path):
    expect(message(tmp_path / "nowhere" / "a.h5"), "there is no folder", "nowhere")


def test_unset_variable():
    expect(message("$NO_SUCH_RECORDINGS/a.h5"), "$NO_SUCH_RECORDINGS is not set")


def test_glob_without_match_lists_the_folder(tmp_path):
    write_sleap(tmp_path / "walk.h5", X)
    expect(message(tmp_path / "*.mat"), "matches no file", "walk.h5")


def test_folder_instead_of_file(tmp_path):
    write_sleap(tmp_path / "walk.h5", X)
    expect(message(tmp_path), "is a folder", "walk.h5", "*")


def test_all_absent_files_are_named_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        load_keypoints(KeypointsConfig(path=[str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]))
    expect(str(caught.value), "2 faults", "a.h5", "b.h5")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_file(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X)
    path.chmod(0)
    expect(message(path), "a.h5", "Permission denied")


def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    expect(message(tmp_path / "a.h5"), "a.h5", "no regular file")


def test_empty_file(tmp_path):
    (tmp_path / "a.mat").touch()
    expect(message(tmp_path / "a.mat"), "a.mat", "is empty (0 bytes)")


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["sleap", "nwb", "mat5", "mat73"])
def test_truncated_file(tmp_path, kind, share):
    whole, cut = tmp_path / "whole", tmp_path / "cut.dat"
    writers = {
        "sleap": lambda: write_sleap(whole, movement(400)),
        "nwb": lambda: write_nwb(whole, movement(400), confidence=scores(400)),
        "mat5": lambda: write_mat(whole.with_suffix(".mat"), pred=movement(400)).rename(whole),
        "mat73": lambda: write_mat_v73(whole, pred=movement(400)),
    }
    writers[kind]()
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    expect(message(cut), "cut.dat", "not a complete")


def test_compressed_mat_file_with_flipped_bytes(tmp_path):
    import scipy.io

    scipy.io.savemat(tmp_path / "a.mat", {"pred": movement(400)}, do_compression=True)
    data = bytearray((tmp_path / "a.mat").read_bytes())
    data[5000:5008] = bytes(8)
    (tmp_path / "a.mat").write_bytes(data)
    expect(message(tmp_path / "a.mat"), "not a complete MATLAB file", "damaged data")


def test_mat_text_stored_as_fractions_is_damaged(tmp_path):
    path = write_mat(tmp_path / "a.mat", pred=X, names=np.array(NAMES))
    data, text = path.read_bytes(), len(NAMES) * max(map(len, NAMES))
    utf8, doubles = (np.array([kind, text], "<u4").tobytes() for kind in (16, 9))  # tags of MATLAB version 5
    assert data.count(utf8) == 1
    path.write_bytes(data.replace(utf8, doubles))
    expect(message(path), "a.mat", "not a complete MATLAB file", "text 'names' is stored as fractions")


def test_foreign_hdf5_lists_what_it_holds_and_the_formats(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images/left"] = np.zeros((3, 8))
    expect(message(tmp_path / "a.h5"), "images/left (3, 8)", "sleap: SLEAP", "nwb: NWB", "dannce: DANNCE", "kp_data")


def test_foreign_mat_lists_what_it_holds(tmp_path):
    expect(message(write_mat(tmp_path / "a.mat", com=np.zeros((5, 3)))), "no DANNCE", "com (5, 3)", "pred")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(np.zeros(3), protocol=4), "pickle, which is never opened"),
        (b"\x93NUMPY\x01\x00", ".npy"),
        (b'{"Snout": [1, 2, 3]}', "JSON"),
        (b"PK\x03\x04 npz", "zip"),
        (b"\x00\xff\xfe\x80 noise", "neither HDF5 nor MATLAB nor text"),
        (b"frame,likelihood\n1,2\n", "columns frame, likelihood"),
    ],
    ids=["pickle", "npy", "json", "zip", "binary", "other csv"],
)
def test_foreign_files_say_what_was_found(tmp_path, content, words):
    (tmp_path / "a.dat").write_bytes(content)
    expect(message(tmp_path / "a.dat"), "a.dat", words, "Formats known")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"scorer,D,D,D\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,1,2,1\n", "is 2D"),
        (b"scorer,D,D,D\nbodyparts,a,a,a\n0,1,2,1\n", "lacks the title row 'coords'"),
        (b"a_x;a_y;a_z\n1,5;2;3\n", "semicolons between its columns; export it with commas"),
        (b"a_X\ta_Y\ta_Z\n1\t2\t3\n", "tabs between its columns"),
        ("R\u00fccken_x,R\u00fccken_y,R\u00fccken_z\n1,2,3\n".encode("latin-1"), "not in UTF-8"),
        ("a_x,a_y,a_z\n1,2,3\n".encode("utf-16"), "not in UTF-8"),
    ],
    ids=["DLC 2D", "DLC cut", "semicolons", "tabs", "latin-1", "utf-16"],
)
def test_tables_of_the_field_that_are_not_read_say_what_to_do(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content)
    expect(message(tmp_path / "a.csv"), "a.csv", words)


@pytest.mark.parametrize(
    ("member", "words"),
    [("df_with_missing/block0_values", "give the .csv that DeepLabCut writes"), ("videos_json", "a SLEAP project")],
)
def test_hdf5_of_the_field_that_is_not_read_says_what_to_do(tmp_path, member, words):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[member] = np.zeros((3, 8))
    expect(message(tmp_path / "a.h5"), "a.h5", words)


def test_other_file_of_our_own(tmp_path):
    with h5py.File(tmp_path / "offsets.h5", "w") as file:
        file.attrs["schema_name"] = "mimic.offsets"
    expect(message(tmp_path / "offsets.h5"), "mimic.offsets", "no recording")


def test_newer_clips_name_both_versions(tmp_path):
    path = write_clips(tmp_path / "a.h5", X, (6,), schema_version="2.0.0")
    expect(message(path), "1.x", "'2.0.0'")


def test_clips_with_wrong_borders(tmp_path):
    expect(message(write_clips(tmp_path / "a.h5", X, (4, 1))), "do not cover the 6 frames")


def test_clips_whose_keypoints_are_a_single_number(tmp_path):
    path = write_clips(tmp_path / "a.h5", X, (6,))
    with h5py.File(path, "a") as file:
        del file["kp_data"], file["kp_confidence"]
        file["kp_data"] = 0.0
    expect(message(path), "kp_data: wrong axes ()", "do not cover the 0 frames")


def test_clips_whose_borders_are_no_whole_numbers(tmp_path):
    path = write_clips(tmp_path / "a.h5", X, (6,))
    with h5py.File(path, "a") as file:
        del file["clip_start"]
        file["clip_start"] = np.array([0.5])
    expect(message(path), "/clip_start", "expected whole numbers")


def test_wrong_axes_of_pred(tmp_path):
    expect(
        message(write_mat(tmp_path / "a.mat", pred=X.transpose(2, 0, 1))),
        "wrong axes (3, 6, 4)",
        "(frame, 3, keypoint)",
    )


def test_wrong_axes_of_tracks(tmp_path):
    expect(message(write_sleap(tmp_path / "a.h5", np.zeros((5, 4, 7)))), "wrong axes (5, 4, 7)", "keypoint, 3")


def test_wrong_axes_of_scores(tmp_path):
    path = write_mat(tmp_path / "a.mat", pred=X, p_max=P[:3])
    expect(message(path), "p_max", "(3, 4)", "(6, 4)")
    path = write_sleap(tmp_path / "a.h5", X, point_scores=P[:3])
    expect(message(path), "point_scores (3, 4)", "(6, 4, 3)")


def test_wrong_axes_of_stac_output(tmp_path):
    path = write_stac(tmp_path / "a.h5", X[:, :, :2])
    expect(message(path), "kp_data", "(6, 8)", "3 * keypoint")


@pytest.mark.parametrize("kind", ["sleap", "sleap transposed", "nwb", "csv"])
def test_2d_recordings(tmp_path, kind):
    flat = X[:, :, :2]
    writers = {
        "sleap": lambda path: write_sleap(path, flat),
        "sleap transposed": lambda path: write_sleap(path, flat.transpose(2, 1, 0)[None], point_scores=P.T[None]),
        "nwb": lambda path: write_nwb(path, flat),
        "csv": lambda path: path.write_text("Snout_x,Snout_y\n1,2\n"),
    }
    writers[kind](tmp_path / "a.dat")
    expect(message(tmp_path / "a.dat"), "is 2D", "3D positions are needed")


def test_several_tracks_are_listed(tmp_path):
    both = np.stack([X, np.full_like(X, np.nan)], axis=1)
    path = write_sleap(tmp_path / "a.h5", both, track_names=["male", "female"])
    expect(message(path), "2 tracks", "keypoints.track", "0: male (6 frames)", "1: female (0 frames)")
    expect(message(path, track=2), "keypoints.track=2 does not exist", "1: female")


def test_track_of_a_format_with_one_animal(tmp_path):
    expect(message(write_csv(tmp_path / "a.csv", X), track=1), "keypoints.track=1", "one animal")


def test_number_of_names_gives_both(tmp_path):
    path = write_mat(tmp_path / "a.mat", pred=X)
    expect(message(path, ("Snout", "HandL")), "holds 4 keypoints", "2 names", "Snout, HandL")
    path = write_sleap(tmp_path / "a.h5", X, names=NAMES[:3])
    expect(message(path), "holds 4 keypoints", "3 names")


def test_nobody_names_the_keypoints(tmp_path):
    expect(message(write_mat(tmp_path / "a.mat", pred=X), ()), "without names", "keypoints.names")


def test_same_names_in_another_order_would_swap_parts(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X)
    expect(message(path, names=list(NAMES[::-1])), "another order", "leave keypoints.names empty")


def test_duplicate_names(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X, names=("Snout", "Snout", "HandL", "HandR"))
    expect(message(path), "'Snout' occurs 2 times")
    path = write_sleap(tmp_path / "b.h5", X)
    expect(message(path, rename={"HandL": "HandR"}), "'HandR' occurs 2 times")


def test_renaming_what_does_not_exist(tmp_path):
    expect(message(write_sleap(tmp_path / "a.h5", X), rename={"snout": "Nose"}), "keypoints.rename", "mean 'Snout'?")


def test_duplicate_column(tmp_path):
    (tmp_path / "a.csv").write_text("a_x,a_y,a_z,a_x\n1,2,3,4\n")
    expect(message(tmp_path / "a.csv"), "column 'a_x' occurs 2 times")


def test_missing_column(tmp_path):
    (tmp_path / "a.csv").write_text("a_x,a_y,a_z,b_x,b_z\n1,2,3,4,5\n")
    expect(message(tmp_path / "a.csv"), "keypoint 'b' lacks the column 'b_y'")


@pytest.mark.parametrize("row", ["1,2", "1,2,three"], ids=["short row", "word"])
def test_broken_row(tmp_path, row):
    (tmp_path / "a.csv").write_text(f"a_x,a_y,a_z\n1,2,3\n{row}\n")
    expect(message(tmp_path / "a.csv"), "a row is incomplete or holds something that is no number")


def test_table_without_rows(tmp_path):
    (tmp_path / "a.csv").write_text("a_x,a_y,a_z\n")
    expect(message(tmp_path / "a.csv"), "no frame")


def test_table_in_another_encoding(tmp_path):
    (tmp_path / "a.csv").write_bytes("a_x,a_y,a_z,note\n1,2,3,\xfc\n".encode("latin-1"))
    expect(message(tmp_path / "a.csv"), "UTF-8")


@pytest.mark.parametrize("kind", ["sleap", "stac", "dannce"])
def test_no_frames(tmp_path, kind):
    path = tmp_path / "a.mat"
    if kind == "sleap":
        write_sleap(path, np.zeros((0, 4, 3)))
    elif kind == "dannce":
        write_mat(path, pred=np.zeros((0, 3, 4)))
    else:
        with h5py.File(path, "w") as file:
            file["kp_data"], file["kp_names"] = np.zeros((0, 12)), list(NAMES)
    expect(message(path), "holds 0 frames of 4 keypoints")


def test_nothing_observed(tmp_path):
    path = write_sleap(tmp_path / "a.h5", np.full_like(X, np.nan))
    expect(message(path), "no keypoint was observed in any frame")


def test_start_beyond_the_end(tmp_path):
    expect(message(write_sleap(tmp_path / "a.h5", X), start=6), "keypoints.start=6", "6 frames")


def test_files_that_do_not_belong_together_are_all_named(tmp_path):
    write_sleap(tmp_path / "a.h5", X, fps=50.0, units="mm")
    write_sleap(tmp_path / "b.h5", X, ("Nose", *NAMES[1:]), fps=50.0, units="mm")
    write_sleap(tmp_path / "c.h5", X, fps=25.0)
    write_sleap(tmp_path / "d.h5", X, units="cm")
    text = message(tmp_path / "*.h5")
    expect(text, "4 faults", "b.h5: lacks Snout and also has Nose", "c.h5: frame rate 25 Hz, a.h5 has 50 Hz")
    expect(text, "c.h5: the length unit is known of one file only", "d.h5: frame rate unknown")


def test_impossible_settings_are_all_named(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X)
    text = message(
        path,
        error=ConfigError,
        format="sleep",
        unit="inch",
        rate_hz=-1.0,
        min_confidence=1.5,
        start=3,
        stop=2,
    )
    expect(text, "5 faults", "did you mean 'sleap'", "'inch'", "rate_hz: must be above 0", "0..1", "start < stop")


def test_wrong_format_given(tmp_path):
    expect(message(write_sleap(tmp_path / "a.h5", X), format="nwb"), "no pose estimates", "tracks (6, 4, 3)")
    expect(message(write_csv(tmp_path / "a.csv", X), format="sleap"), "not a complete HDF5 file")
    expect(message(write_stac(tmp_path / "b.h5", X), format="sleap"), "expected the dataset 'tracks'", "kp_data")


def test_impossible_rate_in_the_file(tmp_path):
    expect(message(write_sleap(tmp_path / "a.h5", X, fps=0.0)), "frame rate of 0", "keypoints.rate_hz")


def test_text_where_numbers_belong(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = np.full((6, 4, 3), b"x")
    expect(message(tmp_path / "a.h5"), "/tracks", "expected real numbers")
    path = write_mat(tmp_path / "a.mat", pred=cell(NAMES))
    expect(message(path), "pred: expected an array of real numbers", "cell array")


def test_nwb_whose_series_do_not_fit(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", X, confidence=P)
    with h5py.File(path, "a") as file:
        place = "processing/behavior/PoseEstimation/HandL/data"
        del file[place]
        file.create_dataset(place, data=X[:3, 0]).attrs["unit"] = "millimeters"
    expect(message(path), "'HandL' has 3 frames, 'Snout' has 6")


def test_nwb_whose_nodes_have_no_series(tmp_path):
    path = write_nwb(tmp_path / "a.nwb", X)
    with h5py.File(path, "a") as file:
        file.move("processing/behavior/PoseEstimation/HandL", "processing/behavior/PoseEstimation/PawL")
    expect(message(path), "node 'HandL' has no series", "series 'PawL' is not among the nodes")


def test_uneven_timestamps(tmp_path):
    times = np.cumsum(np.random.default_rng(0).exponential(0.02, 40))
    expect(message(write_nwb(tmp_path / "a.nwb", movement(40), times=times)), "timestamps are not evenly spaced")


def test_links_to_other_files_are_never_followed(tmp_path):
    write_sleap(tmp_path / "other.h5", X)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = h5py.ExternalLink("other.h5", "/tracks")
        file["node_names"] = list(NAMES)
    expect(message(tmp_path / "a.h5"), "link to another file (other.h5), which is never followed")


def test_data_kept_in_other_files_are_never_opened(tmp_path):
    write_sleap(tmp_path / "other.h5", X)
    X.tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(X.shape, "f8")
        layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "tracks", X.shape)
        file.create_virtual_dataset("tracks", layout)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("tracks", X.shape, "f8", external=[(str(tmp_path / "raw.bin"), 0, X.nbytes)])
    for name in ("virtual.h5", "external.h5"):
        expect(message(tmp_path / name), "/tracks", "in another file, which is never opened")


def test_soft_links_in_a_circle(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = h5py.SoftLink("/again")
        file["again"] = h5py.SoftLink("/tracks")
    expect(message(tmp_path / "a.h5"), "circle")


def test_bad_files_are_left_as_they_are(tmp_path):
    path = write_sleap(tmp_path / "a.h5", X[:, :, :2])
    shutil.copy(path, tmp_path / "before.h5")
    message(path)
    assert path.read_bytes() == (tmp_path / "before.h5").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.h5", "before.h5"]
