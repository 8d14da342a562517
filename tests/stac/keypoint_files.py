"""Writers of every recording format, tiny, laid out as the original tools write them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.io

NAMES = ("Snout", "TailBase", "HandL", "HandR")
"""Keypoints of the recordings written here, not in alphabetical order."""


def movement(n_frames: int = 6, n_keypoints: int = len(NAMES), seed: int = 0) -> np.ndarray:
    """Positions (frame, keypoint, xyz) without a zero."""
    return np.random.default_rng(seed).uniform(1.0, 100.0, (n_frames, n_keypoints, 3))


def scores(n_frames: int = 6, n_keypoints: int = len(NAMES)) -> np.ndarray:
    """Confidences (frame, keypoint) within 0.1..0.9."""
    return np.random.default_rng(1).uniform(0.1, 0.9, (n_frames, n_keypoints))


def write_mat(path: Path, **variables: object) -> Path:
    """MATLAB version 5."""
    scipy.io.savemat(path, variables)
    return path


def cell(names: tuple[str, ...]) -> np.ndarray:
    """A MATLAB cell array of names."""
    array = np.empty((1, len(names)), dtype=object)
    array[0] = names
    return array


def write_mat_v73(path: Path, names: tuple[str, ...] | None = None, **arrays: np.ndarray) -> Path:
    """MATLAB version 7.3: HDF5 behind a 512-byte text header, axes reversed, text as 16-bit codes behind references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            dataset = file.create_dataset(name, data=np.asarray(values, dtype=np.float64).T)
            dataset.attrs["MATLAB_class"] = np.bytes_("double")
        if names is not None:
            cells = file.create_dataset("names", (len(names), 1), dtype=h5py.ref_dtype)
            cells.attrs["MATLAB_class"] = np.bytes_("cell")
            for index, name in enumerate(names):
                codes = np.array([[ord(sign)] for sign in name], dtype=np.uint16)
                text = file.create_dataset(f"#refs#/{index}", data=codes)
                text.attrs["MATLAB_class"] = np.bytes_("char")
                cells[index, 0] = text.ref
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def write_sleap(path: Path, tracks: np.ndarray, names: tuple[str, ...] | None = NAMES, **extra: object) -> Path:
    """SLEAP or Anipose HDF5; `extra` goes to datasets, or to attributes of the file where it is text or a number."""
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks
        if names is not None:
            file["node_names"] = list(names)
        for key, value in extra.items():
            if isinstance(value, (str, float)):
                file.attrs[key] = value
            else:
                file[key] = value
    return path


def write_nwb(
    path: Path,
    positions: np.ndarray,
    names: tuple[str, ...] = NAMES,
    confidence: np.ndarray | None = None,
    times: np.ndarray | None = None,
    rate_hz: float | None = None,
    unit: str = "millimeters",
    conversion: float = 1.0,
    module: str = "behavior",
    container: str = "PoseEstimation",
    nodes_in_skeleton: bool = False,
    series: str = "{}",
    dropped: dict[str, list[int]] | None = None,
) -> Path:
    """NWB with ndx-pose 0.1, or 0.2 with the nodes in a linked skeleton; timestamps are shared by links.

    `series` is the name of a keypoint's series; those with `dropped` frames have timestamps of their own.
    """
    with h5py.File(path, "a") as file:
        file.attrs["nwb_version"] = "2.7.0"
        group = file.create_group(f"processing/{module}/{container}")
        group.attrs["neurodata_type"] = "PoseEstimation"
        if nodes_in_skeleton:
            file[f"processing/{module}/Skeletons/animal/nodes"] = list(names)
            group["skeleton"] = h5py.SoftLink(f"/processing/{module}/Skeletons/animal")
        else:
            group["nodes"] = list(names)
        for index, name in enumerate(names):
            rows = np.delete(np.arange(len(positions)), (dropped or {}).get(name, []))
            one = group.create_group(series.format(name))
            one.attrs["neurodata_type"] = "PoseEstimationSeries"
            one["data"] = positions[rows, index]
            one["data"].attrs["unit"] = unit
            one["data"].attrs["conversion"] = conversion
            if confidence is not None:
                one["confidence"] = confidence[rows, index]
            if times is not None and (index == 0 or dropped):
                one["timestamps"] = times[rows]
            elif times is not None:
                one["timestamps"] = h5py.SoftLink(f"{group.name}/{series.format(names[0])}/timestamps")
            if rate_hz is not None:
                one["starting_time"] = 0.0
                one["starting_time"].attrs["rate"] = rate_hz
    return path


def write_csv(
    path: Path,
    positions: np.ndarray,
    names: tuple[str, ...] = NAMES,
    confidence: np.ndarray | None = None,
    frame_numbers: np.ndarray | None = None,
) -> Path:
    """Anipose table with the columns Anipose adds, a text column with a comma, and empty cells for NaN."""
    titles = ["filename"]
    columns: list[list[str]] = [['"trial, first.csv"'] * len(positions)]
    for index, name in enumerate(names):
        for axis in range(3):
            titles.append(f"{name}_{'xyz'[axis]}")
            columns.append(["" if np.isnan(value) else repr(float(value)) for value in positions[:, index, axis]])
        titles += [f"{name}_error", f"{name}_ncams"]
        columns += [["0.5"] * len(positions), ["3"] * len(positions)]
        if confidence is not None:
            titles.append(f"{name}_score")
            columns.append([repr(float(value)) for value in confidence[:, index]])
    titles += ["M_00", "center_0", "fnum"]
    numbers = np.arange(len(positions)) if frame_numbers is None else frame_numbers
    columns += [["1.0"] * len(positions), ["0.0"] * len(positions), [str(number) for number in numbers]]
    rows = [",".join(row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([",".join(titles), *rows]) + "\n", encoding="utf-8")
    return path


def write_dlc(
    path: Path, animals: dict[str, np.ndarray], names: tuple[str, ...] = NAMES, confidence: np.ndarray | None = None
) -> Path:
    """DeepLabCut 3D table of one or several animals; the row of individuals is left out for one."""
    coords = ("x", "y", "z") if confidence is None else ("x", "y", "z", "likelihood")
    columns = [(animal, name, coord) for animal in animals for name in names for coord in coords]
    rows = [["scorer", *("DLC_3D" for _ in columns)]]
    if len(animals) > 1:
        rows.append(["individuals", *(animal for animal, _, _ in columns)])
    rows += [["bodyparts", *(name for _, name, _ in columns)], ["coords", *(coord for _, _, coord in columns)]]
    extra = [] if confidence is None else [confidence[..., None]]
    values = [np.concatenate([positions, *extra], axis=-1) for positions in animals.values()]
    table = np.concatenate([value.reshape(len(value), -1) for value in values], axis=1)
    rows += [[str(frame), *("" if np.isnan(v) else repr(float(v)) for v in row)] for frame, row in enumerate(table)]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


def write_stac(path: Path, positions: np.ndarray, names: tuple[str, ...] = NAMES) -> Path:
    """Public STAC output, as far as the reader of keypoints looks at it."""
    with h5py.File(path, "w") as file:
        file["kp_data"] = positions.reshape(len(positions), -1)
        file["kp_names"] = np.array(names, dtype="S")
        file["qpos"] = np.zeros((len(positions), 4))
    return path


def write_clips(path: Path, positions: np.ndarray, lengths: tuple[int, ...], **attributes: object) -> Path:
    """Our clips file, as far as the reader of keypoints looks at it."""
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs["schema_name"] = "mimic.reference_clips"
        file.attrs["schema_version"] = "1.0.0"
        file.attrs["rate_hz"] = 50.0
        for key, value in attributes.items():
            file.attrs[key] = value
        file["kp_data"] = positions
        file["kp_data"].attrs["units"] = "m"
        file["kp_names"] = list(NAMES)
        file["kp_confidence"] = scores(len(positions))
        file["clip_name"] = [f"reach_{index}" for index in range(len(lengths))]
        file["clip_start"] = np.cumsum(lengths) - lengths
        file["clip_length"] = np.array(lengths)
    return path


def write_c3d(
    path: Path,
    positions: np.ndarray,
    names: tuple[str, ...] = NAMES,
    descriptions: tuple[str, ...] = (),
    events: tuple[tuple[str, str, float], ...] = (),
    analog: np.ndarray | None = None,
) -> Path:
    """C3D in millimetres at 250 Hz, with analog channels at 500 Hz; a missing marker has residual -1.

    `events` are side, label and time in seconds, `analog` is (sample, channel).
    """
    import ezc3d

    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["RATE"]["value"], point["UNITS"]["value"], point["LABELS"]["value"] = [250.0], ["mm"], list(names)
    if descriptions:
        file.add_parameter("POINT", "DESCRIPTIONS", list(descriptions))
    points = np.ones((4, len(names), len(positions)))
    points[:3] = positions.transpose(2, 1, 0)
    file["data"]["points"] = points
    file["data"]["meta_points"]["residuals"] = np.where(np.isnan(points[:1]), -1.0, 0.0)
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, len(names), len(positions)), dtype=bool)
    analog = np.zeros((2 * len(positions), 1)) if analog is None else analog
    channels = ["EMG", *(f"EMG{k}" for k in range(2, analog.shape[1] + 1))]
    file["parameters"]["ANALOG"]["RATE"]["value"], file["parameters"]["ANALOG"]["LABELS"]["value"] = [500.0], channels
    if events:
        sides, labels, times = zip(*events, strict=True)
        file.add_parameter("EVENT", "USED", [len(events)])
        file.add_parameter("EVENT", "CONTEXTS", list(sides))
        file.add_parameter("EVENT", "LABELS", list(labels))
        file.add_parameter("EVENT", "TIMES", np.array([np.zeros(len(times)), times]))
    file["data"]["analogs"] = analog.T[None]
    file.write(str(path.with_suffix(".c3d")))  # ezc3d writes no other ending
    return path.with_suffix(".c3d").rename(path)


def write_trc(
    path: Path, positions: np.ndarray, names: tuple[str, ...] = NAMES, comma: bool = False, decimal: str = "."
) -> Path:
    """TRC as OpenSim writes it, values of the header not under their keys; empty cells for missing markers."""
    n_frames, n_names = positions.shape[:2]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"100.0\t\t100.0\t{n_frames}\t{n_names}\tmm\t100.0\t1\t{n_frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{i + 1}" for i in range(n_names) for axis in "XYZ"),
        "",
    ]
    for frame, row in enumerate(positions.reshape(n_frames, -1)):
        cells = ["" if np.isnan(value) else repr(float(value)) for value in row]
        lines.append("\t".join([str(frame + 1), repr(frame / 100), *cells]).replace(".", decimal))
    text = "\n".join(lines) + "\n"
    path.write_text(text.replace("\t", ",") if comma else text, encoding="utf-8")
    return path


def write_qualisys(path: Path, positions: np.ndarray, names: tuple[str, ...] = NAMES, v73: bool = False) -> Path:
    """A Qualisys export: a structure called like the trial; every point measured but the second, which is filled."""
    residual = np.zeros((*positions.shape[:2], 1))
    data = np.concatenate([positions, residual], axis=-1).transpose(1, 2, 0)
    kinds = np.ones(data.shape[::2])
    kinds[1] = 2
    if not v73:
        labeled = {"Count": len(names), "Labels": cell(names), "Data": data, "Type": kinds}
        scipy.io.savemat(path, {"trial_7": {"FrameRate": 300, "Trajectories": {"Labeled": labeled}}})
        return path
    root = "trial_7/Trajectories/Labeled"
    write_mat_v73(
        path, names, **{f"{root}/Data": data, f"{root}/Type": kinds, "trial_7/FrameRate": np.full((1, 1), 300)}
    )
    with h5py.File(path, "r+") as file:
        file.move("names", f"{root}/Labels")
    return path


def write_jarvis(path: Path, positions: np.ndarray, confidence: np.ndarray, frame: bool = False) -> Path:
    """A JARVIS prediction, with or without a column of frame numbers."""
    table = np.concatenate([positions, confidence[..., None]], axis=-1).reshape(len(positions), -1)
    rows = [[name for name in NAMES for _ in range(4)], ["x", "y", "z", "confidence"] * len(NAMES)]
    rows += [[repr(float(value)) if np.isfinite(value) else "NaN" for value in row] for row in table]
    if frame:
        rows = [["frame" if i < 2 else str(i - 2), *row] for i, row in enumerate(rows)]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


def write_numbers(path: Path, positions: np.ndarray) -> Path:
    """Numbers alone, three a keypoint."""
    np.savetxt(path, positions.reshape(len(positions), -1), delimiter=",", fmt="%.17g")
    return path
