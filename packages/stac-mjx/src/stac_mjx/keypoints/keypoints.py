"""The one record that every recording is read into.

Axis convention of the package: ``(frame, keypoint, xyz)``. Frames of several clips lie end to end; ``clip_lengths``
says where each ends, and nothing (smoothing, velocity, crossfade) ever reaches across a border.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.hdf5.info import Source
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.config import KeypointsConfig


@dataclass(frozen=True)
class Keypoints:
    """A recording of 3D keypoints: one or several clips, end to end.

    Attributes:
        positions: keypoint positions, (frame, keypoint, xyz), float64; metres once `unit` is "m". NaN is missing.
        confidence: weight of each point in 0..1, (frame, keypoint); 0 where the point is missing.
        names: keypoint names, in the order of the keypoint axis, unique.
        rate_hz: frames per second, or None where the file does not say.
        unit: unit of `positions` ("m", "dm", "cm", "mm", "um"), or None where nobody has said it yet.
        clip_names: one name a clip, unique.
        clip_lengths: frames a clip; they add up to the number of frames.
        sources: the files read, in clip order.
        notes: what the reader assumed or repaired, one sentence each, for the log.
        config: the settings it was read with, or None where it was not read from files.
    """

    positions: Float[np.ndarray, "frame keypoint 3"]
    confidence: Float[np.ndarray, "frame keypoint"]
    names: tuple[str, ...]
    rate_hz: float | None
    unit: str | None
    clip_names: tuple[str, ...]
    clip_lengths: Int[np.ndarray, " clip"]
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    config: KeypointsConfig | None = None

    @property
    def n_frames(self) -> int:
        """Frames of all clips together."""
        return self.positions.shape[0]

    @property
    def clip_starts(self) -> Int[np.ndarray, " clip"]:
        """First frame of each clip."""
        return np.concatenate([[0], np.cumsum(self.clip_lengths)[:-1]]).astype(np.int64)

    @property
    def frame_clip(self) -> Int[np.ndarray, " frame"]:
        """Index of the clip each frame belongs to."""
        return np.repeat(np.arange(len(self.clip_lengths)), self.clip_lengths)

    @property
    def observed(self) -> np.ndarray:
        """Whether a point was seen, (frame, keypoint) bool."""
        return np.isfinite(self.positions).all(axis=-1) & (self.confidence > 0)

    def in_metres(self, unit: str) -> Keypoints:
        """Return the recording in metres, its numbers being given in `unit`."""
        return replace(self, positions=self.positions * METRES_PER_UNIT[unit], unit="m")
