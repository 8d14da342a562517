"""Reference clips (mimic.reference_clips), as far as the analyses need them: keypoints, marker sites, bodies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ContractError, shorten, unknown
from reach_analysis._common.hdf5.reading import attribute, find, open_contract, read_numbers, read_strings, require

KIND = "mimic.reference_clips"


@dataclass(frozen=True)
class Clips:
    """What a clips file holds; frames of all clips are stored end to end and are read a clip at a time."""

    path: Path
    rate_hz: float
    names: tuple[str, ...]
    start: Int[np.ndarray, " clip"]
    length: Int[np.ndarray, " clip"]
    keypoints: tuple[str, ...]
    bodies: tuple[str, ...]
    keypoint_bodies: tuple[str, ...]
    """Body each keypoint moves with; empty where the file does not name it."""
    offsets: Float[np.ndarray, "keypoint 3"] | None
    """Position of each keypoint in the frame of its body, m; None where the file does not hold it."""
    synthetic: int = 0
    """1: the movement was computed, not recorded."""

    def frames(self, clip: str) -> slice | None:
        """Frames of a clip; of a part of one, named ``CLIP[first:last]`` as track-mjx cuts them; None: not there."""
        cut = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", clip)
        whole, first, last = (clip, 0, None) if clip in self.names or not cut else (cut[1], int(cut[2]), int(cut[3]))
        if whole not in self.names:
            return None
        number = self.names.index(whole)
        begin, length = int(self.start[number]), int(self.length[number])
        last = length if last is None else last
        return slice(begin + first, begin + last) if first < last <= length else None

    def read(self, dataset: str, clip: str) -> Float[np.ndarray, "frame ..."]:
        """The frames of one data set in one clip; frames that must not be used are NaN.

        Raises:
            ContractError: when clip or data set are not there.
        """
        frames = self.frames(clip)
        if frames is None:
            raise ContractError(f"{self.path}: {unknown('clip', clip, self.names)}")
        with open_contract(self.path, KIND) as file:
            stored, flags = require(file, dataset), require(file, "valid")
            if flags.ndim != 1 or stored.shape[:1] != flags.shape or len(flags) < frames.stop:
                shapes = f"{dataset} {stored.shape} and valid {flags.shape}"
                raise ContractError(f"{self.path}: {shapes} do not fit the clips")
            values, valid = read_numbers(stored, index=frames).astype(float), read_numbers(flags, index=frames)
        values[valid != 1] = np.nan
        return values


def read_clips(path: str | Path) -> Clips:
    """Open a clips file.

    Raises:
        InputError: when it is not a readable HDF5 file.
        ContractError: when it is of another kind or major version, or lacks what every such file must have.
    """
    path = Path(path)
    with open_contract(path, KIND) as file:
        clips = _read(path, file)
    if (clips.length < 1).any() or (np.cumsum(clips.length) - clips.length != clips.start).any():
        raise ContractError(f"{path}: clip_start and clip_length: the clips are not stored end to end")
    strange = sorted(set(clips.keypoint_bodies) - set(clips.bodies))
    if strange or (clips.keypoint_bodies and len(clips.keypoint_bodies) != len(clips.keypoints)):
        raise ContractError(f"{path}: kp_body does not name one body of the file for each keypoint: {shorten(strange)}")
    return clips


def _read(path: Path, file: h5py.File) -> Clips:
    rate = attribute(file, "rate_hz")
    if not isinstance(rate, int | float) or rate <= 0:
        raise ContractError(f"{path}: rate_hz must be a positive number, got {rate!r}")
    body, offsets = find(file, "kp_body"), find(file, "offsets")
    names, keypoints = (read_strings(require(file, name)) for name in ("clip_name", "kp_names"))
    start, length = (_whole_numbers(require(file, name), len(names)) for name in ("clip_start", "clip_length"))
    return Clips(
        path=path,
        rate_hz=float(rate),
        names=names,
        start=start,
        length=length,
        keypoints=keypoints,
        bodies=read_strings(require(file, "names_xpos")),
        keypoint_bodies=read_strings(body) if isinstance(body, h5py.Dataset) else (),
        synthetic=1 if attribute(file, "synthetic") == 1 else 0,
        offsets=read_numbers(offsets, (len(keypoints), 3)).astype(float) if isinstance(offsets, h5py.Dataset) else None,
    )


def _whole_numbers(dataset: h5py.Dataset, count: int) -> Int[np.ndarray, " clip"]:
    values = read_numbers(dataset, (count,))
    if values.dtype.kind not in "iu":
        raise ContractError(f"{dataset.file.filename}: {dataset.name}: expected whole numbers, got {values.dtype}")
    return values.astype(np.int64)
