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
    """What a clips file holds; frames of all clips lie end to end and are read a clip at a time.

    Attributes:
        path: the file.
        rate_hz: frames a second.
        names: clip names.
        start, length: first frame and number of frames of each clip.
        keypoints: keypoint names.
        bodies: body names.
        keypoint_bodies: body each keypoint moves with; empty where the file does not say.
        offsets: position of each keypoint in the frame of its body, m; None where the file does not say.
    """

    path: Path
    rate_hz: float
    names: tuple[str, ...]
    start: Int[np.ndarray, " clip"]
    length: Int[np.ndarray, " clip"]
    keypoints: tuple[str, ...]
    bodies: tuple[str, ...]
    keypoint_bodies: tuple[str, ...]
    offsets: Float[np.ndarray, "keypoint 3"] | None

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
                raise ContractError(
                    f"{self.path}: {dataset} {stored.shape} and valid {flags.shape} do not fit the clips"
                )
            values = read_numbers(stored, frames).astype(float)
            valid = read_numbers(flags, frames) == 1
        values[~valid] = np.nan
        return values


def read_clips(path: str | Path) -> Clips:
    """Open a clips file.

    Raises:
        InputError: when it is no readable HDF5 file.
        ContractError: when it is of another kind or major version, or lacks what every such file must have.
    """
    path = Path(path)
    with open_contract(path, KIND) as file:
        rate = attribute(file, "rate_hz")
        if not isinstance(rate, int | float) or rate <= 0:
            raise ContractError(f"{path}: rate_hz must be a positive number, got {rate!r}")
        body, keypoints = find(file, "kp_body"), read_strings(require(file, "kp_names"))
        names = read_strings(require(file, "clip_name"))
        start, length = (_whole_numbers(require(file, name)) for name in ("clip_start", "clip_length"))
        if not len(names) == len(start) == len(length):
            raise ContractError(f"{path}: clip_name, clip_start and clip_length disagree about the number of clips")
        clips = Clips(
            path=path,
            rate_hz=float(rate),
            names=names,
            start=start,
            length=length,
            keypoints=keypoints,
            bodies=read_strings(require(file, "names_xpos")),
            keypoint_bodies=read_strings(body) if isinstance(body, h5py.Dataset) else (),
            offsets=_offsets(find(file, "offsets"), len(keypoints)),
        )
    if (clips.length < 1).any() or (np.cumsum(clips.length) - clips.length != clips.start).any():
        raise ContractError(f"{path}: clip_start and clip_length: the clips do not lie end to end")
    strange = sorted(set(clips.keypoint_bodies) - set(clips.bodies))
    if strange or (clips.keypoint_bodies and len(clips.keypoint_bodies) != len(clips.keypoints)):
        raise ContractError(f"{path}: kp_body does not name one body of the file for each keypoint: {shorten(strange)}")
    return clips


def _whole_numbers(dataset: h5py.Dataset) -> Int[np.ndarray, " clip"]:
    values = read_numbers(dataset)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        expected = "expected whole numbers, one for each clip"
        raise ContractError(f"{dataset.file.filename}: {dataset.name}: {expected}, got {values.dtype} {values.shape}")
    return values.astype(np.int64)


def _offsets(found: h5py.Dataset | h5py.Group | None, n_keypoints: int) -> Float[np.ndarray, "keypoint 3"] | None:
    if not isinstance(found, h5py.Dataset):
        return None
    values = read_numbers(found).astype(float)
    if values.shape != (n_keypoints, 3):
        raise ContractError(f"{found.file.filename}: offsets: expected ({n_keypoints}, 3), got {values.shape}")
    return values
