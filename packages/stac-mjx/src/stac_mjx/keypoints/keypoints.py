"""The record that every recording is read into.

Axis convention of the package: ``(frame, keypoint, xyz)``. Clips are stored end to end. Nothing (smoothing, velocity,
crossfade) crosses the border between two clips.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.errors import InputError, nearest, raise_all, shorten
from stac_mjx._common.hdf5.info import Source
from stac_mjx._common.selection import select_clips
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.config import KeypointsConfig


@dataclass(frozen=True)
class Keypoints:
    """A recording of 3D keypoints: one or several clips, end to end."""

    positions: Float[np.ndarray, "frame keypoint 3"]
    """Keypoint positions, float64; metres once `unit` is "m". NaN is missing."""
    confidence: Float[np.ndarray, "frame keypoint"]
    """Weight of each point in 0..1; 0 where the point is missing."""
    names: tuple[str, ...]
    """Keypoint names, in the order of the keypoint axis, unique."""
    rate_hz: float | None
    """Frames per second, or None where the file does not state it."""
    unit: str | None
    """Unit of `positions` ("m", "dm", "cm", "mm", "um"), or None where it is unknown."""
    clip_names: tuple[str, ...]
    """One name a clip, unique."""
    clip_lengths: Int[np.ndarray, " clip"]
    """Frames of each clip; they add up to the number of frames."""
    sources: tuple[Source, ...] = ()
    """The files read, in clip order."""
    notes: tuple[str, ...] = ()
    """What the reader assumed or repaired, one sentence each, for the log."""
    warnings: tuple[str, ...] = ()
    """What the user should check, one sentence each."""
    config: KeypointsConfig | None = None
    """The settings it was read with, or None where it was not read from files."""
    events: Mapping[str, Float[np.ndarray, " clip"]] = field(default_factory=dict)
    """Name -> time from the start of each clip, seconds."""
    labels: tuple[str, ...] = ()
    """Label of each clip (the target of a reach); empty where unknown."""
    synthetic: bool = False
    """Whether the movement was computed, not recorded."""
    more_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of another label -> its value for each clip."""
    trial_ids: tuple[str, ...] = ()
    """Trial of each clip; empty where unknown."""
    travel: Float[np.ndarray, "frame 3"] | None = None
    """Where a tethered animal walked to: x and y from its start, metres, and its turn, rad; None: it is free, or
    `positions` contain it."""

    @property
    def n_frames(self) -> int:
        """Frames of all clips together."""
        return self.positions.shape[0]

    @property
    def where(self) -> str:
        """Name of the recording in messages."""
        return str(self.sources[0].path) if self.sources else "the recording"

    @property
    def clip_starts(self) -> Int[np.ndarray, " clip"]:
        """First frame of each clip."""
        return (np.cumsum(self.clip_lengths) - self.clip_lengths).astype(np.int64)

    @property
    def frame_clip(self) -> Int[np.ndarray, " frame"]:
        """Index of the clip each frame belongs to."""
        return np.repeat(np.arange(len(self.clip_lengths)), self.clip_lengths)

    @property
    def observed(self) -> np.ndarray:
        """Whether a point was observed, (frame, keypoint) bool."""
        return np.isfinite(self.positions).all(axis=-1) & (self.confidence > 0)

    def in_metres(self, unit: str) -> Keypoints:
        """Convert the recording, whose numbers are in `unit`, to metres."""
        return replace(self, positions=self.positions * METRES_PER_UNIT[unit], unit="m")

    def pieces(self, spans: Sequence[tuple[int, int, int]]) -> Keypoints:
        """Return parts of clips as the clips of a recording; they keep the names of theirs.

        Args:
            spans: clip, first frame and the frame after the last one, both counted over all clips end to end.
        """
        clips = [clip for clip, _, _ in spans]
        frames = np.concatenate([np.arange(first, stop) for _, first, stop in spans])
        late = np.array([first - self.clip_starts[clip] for clip, first, _ in spans]) / (self.rate_hz or np.nan)

        def of_clips(texts: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(texts[clip] for clip in clips) if texts else ()

        return replace(
            self,
            positions=self.positions[frames],
            confidence=self.confidence[frames],
            travel=None if self.travel is None else self.travel[frames],
            clip_names=of_clips(self.clip_names),
            trial_ids=of_clips(self.trial_ids),
            clip_lengths=np.array([stop - first for _, first, stop in spans], np.int64),
            labels=of_clips(self.labels),
            more_labels={name: of_clips(texts) for name, texts in self.more_labels.items()},
            events={name: times[clips] - late for name, times in self.events.items()},
        )

    def selected(self, patterns: Sequence[str]) -> Keypoints:
        """Return the clips that patterns of names and labels select (`select_clips`); none: all."""
        if not patterns:
            return self
        known = {"label": self.labels, "trial_id": self.trial_ids, **self.more_labels}
        labels = {name: texts for name, texts in known.items() if texts}
        chosen = select_clips(patterns, self.clip_names, labels, "keypoints.select")
        starts = self.clip_starts
        return self.pieces([(c, int(starts[c]), int(starts[c] + self.clip_lengths[c])) for c in chosen])


def select(keypoints: Keypoints, wanted: Sequence[str]) -> Keypoints:
    """Return the keypoints called `wanted`, in that order; drop the others with a note."""
    lacking = [name for name in wanted if name not in keypoints.names]
    # a name that the body uses itself, or of the other side of the animal, is not a misspelling
    others = [name for name in keypoints.names if name not in wanted]
    alike = {name: [other for other in nearest(name, others) if not opposite(name, other)] for name in lacking}
    unused = f"; unused: {shorten(others)}" if others else ""
    problems = [
        f"unknown keypoint {name!r}" + (f"; did you mean {' or '.join(map(repr, near))}?" if near else unused)
        for name, near in alike.items()
    ]
    if len(lacking) > 1 and len(lacking) == len(set(wanted)):
        problems = [f"none of {shorten(wanted)}; available: {shorten(keypoints.names)}"]
    if others and problems:
        problems[-1] += ". Map names with keypoints.rename={name in the file: name in the body}"
    where = "keypoints of the body that the recording lacks"
    if len(lacking) < len(set(wanted)):
        where += f" (to fit without them: body.leave_out=[{','.join(lacking)}])"
    problems += [f"keypoint {name!r} is listed twice" for name in dict.fromkeys(wanted) if list(wanted).count(name) > 1]
    raise_all(InputError, where, problems)
    dropped = [name for name in keypoints.names if name not in set(wanted)]
    if tuple(wanted) == keypoints.names:
        return keypoints
    columns = [keypoints.names.index(name) for name in wanted]
    note = (f"dropped keypoints without a marker on the body: {shorten(dropped)}",) if dropped else ()
    return replace(
        keypoints,
        positions=keypoints.positions[:, columns],
        confidence=keypoints.confidence[:, columns],
        names=tuple(wanted),
        notes=keypoints.notes + note,
    )


_WORD, _SIDE = r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", "[fmhb]?{0}|{0}[fmhb]|{0}{1}"
_LEFT, _RIGHT = (re.compile(_SIDE.format(*letters)) for letters in (("l", "eft"), ("r", "ight")))


def side(name: str) -> str:
    """Return "left" or "right" where a word of a name says so (left, L, FL for fore left), else an empty text."""
    words = [word.lower() for word in re.findall(_WORD, name)]
    left, right = (any(one.fullmatch(word) for word in words) for one in (_LEFT, _RIGHT))
    return "" if left == right else "left" if left else "right"


def without_side(name: str) -> tuple[str, ...]:
    """Return the words of a name, with an asterisk for its side."""
    words = [word.lower() for word in re.findall(_WORD, name)]
    sided = [one for one in words if _LEFT.fullmatch(one) or _RIGHT.fullmatch(one)]
    return tuple(re.sub("left|right|[lr]", "*", word) if word in sided else word for word in words)


def opposite(name: str, other: str) -> bool:
    """Return whether two names are of different sides of the animal."""
    return {side(name), side(other)} == {"left", "right"}
