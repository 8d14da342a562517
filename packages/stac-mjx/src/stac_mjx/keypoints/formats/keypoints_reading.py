"""What a format reader hands back: one file as it stands, before names, units and gaps are settled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import InputError


@dataclass(frozen=True)
class Reading:
    """One recording file, in its own units, with what it says about itself.

    Attributes:
        positions: (frame, keypoint, xyz), float64, in the file's unit; not yet cleaned.
        confidence: (frame, keypoint) as stored, or None where the file holds none.
        names: keypoint names in file order, or None where the file holds none.
        rate_hz: frames per second, or None.
        unit: a key of METRES_PER_UNIT, or None.
        clip_lengths: frames a clip, where the file marks borders; None: the file is one clip.
        clip_names: names of those clips, or None.
        zeros_are_missing: the format writes (0, 0, 0) for a point that was not found.
        notes: what the reader assumed, one sentence each.
    """

    positions: Float[np.ndarray, "frame keypoint 3"]
    confidence: Float[np.ndarray, "frame keypoint"] | None = None
    names: tuple[str, ...] | None = None
    rate_hz: float | None = None
    unit: str | None = None
    clip_lengths: tuple[int, ...] | None = None
    clip_names: tuple[str, ...] | None = None
    zeros_are_missing: bool = False
    notes: tuple[str, ...] = ()

    @property
    def n_keypoints(self) -> int:
        """Keypoints of the file."""
        return self.positions.shape[1]


def refuse_track(path: Path, track: int | None, kind: str) -> None:
    """Check that nobody asks for a second animal of a format that holds one.

    Raises:
        InputError: when `track` is given and not 0.
    """
    if track not in (None, 0):
        raise InputError(f"{path}: keypoints.track={track}, but {kind} holds one animal; leave keypoints.track empty")


def choose_track(path: Path, track: int | None, labels: list[str]) -> int:
    """Return which of the tracks in `labels` to read: the only one, or the one asked for.

    Raises:
        InputError: when there are several and none was chosen, or the chosen one does not exist.
    """
    listed = ", ".join(f"{index}: {label}" for index, label in enumerate(labels))
    if track is None and len(labels) == 1:
        return 0
    if track is None:
        raise InputError(f"{path}: holds {len(labels)} tracks; choose one with keypoints.track=N ({listed})")
    if not 0 <= track < len(labels):
        raise InputError(f"{path}: keypoints.track={track} does not exist; there are {listed}")
    return track
