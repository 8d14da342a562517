"""Detect the format of a file from its content, not from its name."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from stac_mjx._common.errors import InputError, shorten


class Format(NamedTuple):
    """A format: the module and function that read it, and what its files contain."""

    reader: str
    content: str


FORMATS = {
    "dannce": Format("dannce.read", "DANNCE or label3d .mat: pred or data_3D"),
    "nwb": Format("nwb.read", "NWB with ndx-pose: processing/<module>/PoseEstimation"),
    "sleap": Format("sleap.read", "SLEAP or Anipose .h5: tracks"),
    "anipose_csv": Format("tables.read", "Anipose .csv: columns <keypoint>_x, _y, _z"),
    "dlc_csv": Format("tables.read", "DeepLabCut 3D .csv: title rows scorer, bodyparts, coords"),
    "jarvis_csv": Format("tables.read", "JARVIS data3D.csv: title rows of keypoints and of x, y, z (confidence)"),
    "numbers_csv": Format(
        "tables.read_numbers", "numbers without a header .csv: x, y, z of each keypoint; set keypoints.names"
    ),
    "c3d": Format("c3d.read", "C3D of motion capture: POINT"),
    "trc": Format("trc.read", "TRC of OpenSim and motion capture"),
    "qualisys": Format("qualisys.read", "Qualisys .mat: Trajectories.Labeled"),
    "stac": Format("stac.read_public", "public STAC output .h5: kp_data"),
    "clips": Format("stac.read", "clips of this package .h5: mimic.reference_clips"),
}

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 1 << 16
_OTHER_HDF5 = {
    "df_with_missing": "a DeepLabCut table for pandas; give the .csv that DeepLabCut writes next to it",
    "videos_json": "a SLEAP project, which is 2D; triangulate the cameras first",
}
"""Groups and data sets of known files that are not read, and what to do with each."""
_FOREIGN = {
    b"\x93NUMPY": "a NumPy .npy array",
    b"PK\x03\x04": "a zip archive (.npz, .xlsx, .slp in a package)",
    **{bytes((0x80, protocol)): "a Python pickle, which is never opened" for protocol in range(2, 6)},
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF",
    b"{": "JSON",
    b"[": "JSON",
    b"<": "XML or HTML",
}


def detect(path: Path) -> str:
    """Return the format of `path`, a key of FORMATS."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    from stac_mjx.keypoints.formats import matlab, qualisys

    if not head:
        raise InputError(f"{path}: empty file (0 bytes)")
    if any(head[offset : offset + 8] == _HDF5 for offset in (0, 512, 1024, 2048, 4096, 8192, 16384, 32768)):
        return _detect_hdf5(path)
    if head[126:128] in (b"IM", b"MI") and head[:6] == b"MATLAB":
        return "qualisys" if matlab.structures_with(path, qualisys.TRAJECTORIES) else "dannce"
    if head[1:2] == b"\x50" and head[0] < 0x40:  # the key of C3D, after the number of its first parameter block
        return "c3d"
    for start, kind in _FOREIGN.items():
        if head.startswith(start):
            raise _unknown(path, kind)
    return _detect_text(path, head)


def _detect_hdf5(path: Path) -> str:
    # import h5py only for HDF5 files, so that the package is fast to import
    from stac_mjx.keypoints.formats import dannce, nwb, qualisys, sleap
    from stac_mjx.keypoints.formats import reading as hdf5
    from stac_mjx.keypoints.formats import stac as clips

    with hdf5.opened(path) as file:
        schema = hdf5.text_attribute(file, "schema_name")
        if schema == clips.SCHEMA:
            return "clips"
        if schema is not None and schema.startswith("mimic."):
            raise InputError(f"{path}: a {schema} file, which has no recording")
        for kind, names in {"stac": ("kp_data",), "sleap": (sleap.POSITIONS,), "dannce": dannce.POSITIONS}.items():
            if hdf5.first_dataset(file, *names) is not None:
                return kind
        if any(hdf5.first_dataset(file, f"{name}/{qualisys.TRAJECTORIES.replace('.', '/')}") for name in file):
            return "qualisys"
        if "nwb_version" in file.attrs or nwb.containers(file):
            return "nwb"
        for name, what in _OTHER_HDF5.items():
            if hdf5.member(file, name) is not None:
                raise InputError(f"{path}: is {what}")
        raise _unknown(path, f"HDF5 with {hdf5.contents(file)}")


def _detect_text(path: Path, head: bytes) -> str:
    from stac_mjx.keypoints.formats import tables, trc

    try:
        lines = [line.decode("utf-8-sig") for line in head.splitlines()[: tables.MOST_TITLES]]
        between = tables.separator(lines[0])
        rows = [tables.cells(line, between) for line in lines]
    except (UnicodeDecodeError, csv.Error):
        if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" not in head:
            raise InputError(f"{path}: is text, but not in UTF-8; export it as CSV in UTF-8") from None
        raise _unknown(path, "neither HDF5 nor MATLAB nor text") from None
    titles, coordinates = rows[0], tables.coordinates_row(rows)
    if titles[:1] == [tables.FIRST_TITLE]:
        return "dlc_csv"
    if titles[:1] == [trc.FIRST_TITLE]:
        return "trc"
    if coordinates == 0:
        raise InputError(
            f"{path}: columns x, y, z without keypoints: expected one row a frame and <keypoint>_x, _y, _z"
        )
    if coordinates:
        return "jarvis_csv"
    numbers = titles if between else lines[0].split()
    if titles and all(not cell or tables.is_number(cell) for cell in numbers):
        return "numbers_csv"
    if any(map(tables.is_coordinate, titles)):
        return "anipose_csv"
    raise _unknown(path, f"text whose first line has the columns {shorten(titles)[:300] or 'none'}")


def _unknown(path: Path, content: str) -> InputError:
    known = "\n".join(f"  - {name}: {kind.content}" for name, kind in FORMATS.items())
    return InputError(f"{path}: unknown format ({content}). Known formats:\n{known}")
