"""The state of a registration: which keypoint moves with which body, where, and how the recording is aligned.

A session is a value. Every command returns a new one, so that undo is a matter of keeping the old. What it holds is the
configuration of ``stac-mjx fit``; nothing here knows of a page. Lengths are in metres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from stac_mjx._common.errors import ConfigError, InputError, unknown
from stac_mjx._common.rotations import multiply, quat_to_mat, rotate, to_body
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body import Body, load_body, with_keypoints, without
from stac_mjx.config import UNITS, BodyConfig, FitConfig, KeypointsConfig, MarkerConfig
from stac_mjx.inputs import GUESSABLE_UNITS, IMPLAUSIBLE_FACTOR, Inputs, match
from stac_mjx.keypoints import Keypoints, load_keypoints, select
from stac_mjx.keypoints.alignment import IDENTITY, Similarity, prepared, procrustes, robust_procrustes
from stac_mjx.keypoints.keypoints import opposite
from stac_mjx.plausibility import size_ratio
from stac_mjx.records import thinned
from stac_mjx.studio.suggestions import by_name, paired_segments, words
from stac_mjx.synthetic.reaches import mouse_arm_reaches

FEWEST_PAIRS = 3
"""Pairs that place a body."""


@dataclass(frozen=True)
class Placed:
    """All bodies in one frame."""

    xpos: Float[np.ndarray, "body 3"]
    xquat: Float[np.ndarray, "body 4"]
    sites: Float[np.ndarray, "keypoint 3"]
    """The markers on the body."""
    error_mm: Float[np.ndarray, " keypoint"]
    """From each marker to its keypoint; NaN where it is missing."""
    T_body_recording: Similarity = IDENTITY
    """From the prepared recording to the frame of the bodies, where a fit found one."""


@dataclass(frozen=True, eq=False)
class Session:
    """A recording, a body, and how they belong together."""

    config: FitConfig
    """Settings of the fit; never changed in place."""
    body: Body
    """The model, with the keypoints paired so far."""
    recording: Keypoints
    """All keypoints of the files, metres, as they were read."""

    @property
    def pairs(self) -> Mapping[str, MarkerConfig]:
        """The keypoints paired so far, and where they are on the body."""
        return self.config.body.markers

    @property
    def unpaired(self) -> tuple[str, ...]:
        """Keypoints of the recording without a body."""
        return tuple(name for name in self.recording.names if name not in self.pairs)

    @cached_property
    def never_observed(self) -> tuple[str, ...]:
        """Keypoints of the recording that are missing in all frames."""
        seen = np.atleast_1d(self.recording.observed.any(axis=0))
        return tuple(name for name, there in zip(self.recording.names, seen, strict=True) if not there)

    @property
    def is_floating(self) -> bool:
        """Whether the animal is free to follow the recording."""
        return len(self.body.tree.root_dofs) == 6

    @cached_property
    def matched(self) -> Keypoints:
        """The paired keypoints in the order of the markers, prepared for the body."""
        chosen = select(self.recording, self.body.marker_names)
        return replace(chosen, positions=prepared(self.config.alignment).apply(chosen.positions))

    def points(self, frame: int) -> Float[np.ndarray, "keypoint 3"]:
        """Return all keypoints of the recording in one frame, prepared for the body; NaN where missing."""
        shown = np.where(self.recording.observed[frame][:, None], self.recording.positions[frame], np.nan)
        return prepared(self.config.alignment).apply(shown)

    def resting(self, frame: int) -> Placed:
        """Place the body in its default pose; a floating one with three pairs is laid onto the keypoints."""
        place, turn = self.body.rest
        sites, quat = self.body.marker_rest, Rotation.from_matrix(turn).as_quat(scalar_first=True)
        target, there = self._frame(frame)
        if self.is_floating and there.sum() >= FEWEST_PAIRS:
            onto = procrustes(sites, target, there.astype(float))
            spin = Rotation.from_matrix(onto.rotation).as_quat(scalar_first=True)
            place, sites, quat = onto.apply(place), onto.apply(sites), multiply(np.broadcast_to(spin, quat.shape), quat)
        error = np.where(there, 1000 * np.linalg.norm(target - sites, axis=-1), np.nan)
        return Placed(place, np.asarray(quat), sites, error)

    def _frame(self, frame: int) -> tuple[Float[np.ndarray, "keypoint 3"], Bool[np.ndarray, " keypoint"]]:
        """Return the paired keypoints of one frame, and which of them are observed."""
        known = [name for name in self.body.marker_names if name in self.recording.names]
        target = np.full((len(self.body.marker_names), 3), np.nan)
        rows = [self.body.marker_names.index(name) for name in known]
        target[rows] = self.points(frame)[[self.recording.names.index(name) for name in known]]
        return target, np.atleast_1d(np.isfinite(target).all(axis=-1))

    def inputs(self) -> Inputs:
        """Return body and recording as ``stac-mjx fit`` has them.

        Raises:
            UserError: where they do not match.
        """
        as_loaded = self.pairs and self.config.body.root == "keep"  # other roots depend on the pairs
        return match(self.body if as_loaded else load_body(self.config.body), self.recording, self.config)

    def complete(self) -> Session:
        """Pair what has no pair yet with the root, so that the solver has as many markers whatever is paired."""
        root = self.body.body_names[self.body.root]
        return self._with_markers({name: MarkerConfig(body=root) for name in self.unpaired} | dict(self.pairs))

    def paired(self, keypoint: str, body: str) -> Session:
        """Pair a keypoint with a body; a new pair begins at the origin of the body."""
        self._known(keypoint, body)
        before = self.pairs.get(keypoint)
        if before is not None and before.body == body:
            return self
        return self._with_markers({**self.pairs, keypoint: MarkerConfig(body=body)})

    def without(self, keypoint: str) -> Session:
        """Take a keypoint off its body."""
        return self.with_body(without(self.config.body, [keypoint]))

    def suggestions(self) -> dict[str, str]:
        """Return a likely body for unpaired keypoints, by their names; those without a likely one are left out."""
        return by_name([name for name in self.unpaired if name not in self.never_observed], self.body.body_names[1:])

    def nearest(self, frame: int, placed: Placed) -> dict[str, str]:
        """Return the body whose origin is nearest to each unpaired keypoint of a frame."""
        points, out = self.points(frame), {}
        for name in self.unpaired:
            point = points[self.recording.names.index(name)]
            if np.isfinite(point).all():
                distance = np.linalg.norm(placed.xpos[1:] - point, axis=-1)
                out[name] = self.body.body_names[1 + int(distance.argmin())]
        return out

    def accepted(self, suggestions: Mapping[str, str]) -> Session:
        """Pair all keypoints as suggested."""
        for keypoint, body in suggestions.items():
            self._known(keypoint, body)
        return self._with_markers(dict(self.pairs) | {k: MarkerConfig(body=b) for k, b in suggestions.items()})

    def with_offset(self, keypoint: str, offset: Sequence[float]) -> Session:
        """Put a keypoint to a place in the frame of its body, metres."""
        marker = self._marker(keypoint)
        return self._with_markers({**self.pairs, keypoint: replace(marker, offset=[float(x) for x in offset])})

    def with_offsets(self, offsets: Mapping[str, Sequence[float]]) -> Session:
        """Put several keypoints to places in the frames of their bodies, metres."""
        moved = {k: replace(self._marker(k), offset=[float(x) for x in offset]) for k, offset in offsets.items()}
        return self._with_markers({**self.pairs, **moved})

    def regularised(self, keypoint: str, weight: float) -> Session:
        """Set how strongly calibration keeps a keypoint near its offset (0: not)."""
        return self._with_markers({**self.pairs, keypoint: replace(self._marker(keypoint), regularize=float(weight))})

    def mirrored(self, keypoint: str) -> Session:
        """Give the same keypoint of the other side the mirror image of an offset, across the body's xz plane."""
        marker = self._marker(keypoint)
        twins = [k for k in self.pairs if opposite(k, keypoint) and words(k) == words(keypoint)]
        if not twins:
            raise ConfigError(f"no paired keypoint is {keypoint!r} of the other side")
        place, turn = self.body.rest
        quat = Rotation.from_matrix(turn).as_quat(scalar_first=True)
        own, other = (self.body.body_names.index(m.body) for m in (marker, self.pairs[twins[0]]))
        origin, axes = place[self.body.root], turn[self.body.root]
        local = axes.T @ (place[own] + rotate(quat[own], np.asarray(marker.offset, float)) - origin)
        image = origin + axes @ (local * [1.0, -1.0, 1.0])
        return self.with_offset(twins[0], to_body(quat[other], image - place[other]).tolist())

    def with_alignment(self, **changes: Any) -> Session:
        """Change settings of the alignment: mode, up, scale, rotation, translation."""
        return self._with_config(alignment=replace(self.config.alignment, **changes))

    def with_unit(self, unit: str) -> Session:
        """Read the recording's numbers in another unit."""
        if unit not in UNITS:
            raise ConfigError(unknown("unit", unit, UNITS))
        if self.config.keypoints.path is None:
            raise ConfigError("keypoints.unit: the embedded reaches are in metres")
        keypoints = replace(self.config.keypoints, unit=unit)
        return replace(self._with_config(keypoints=keypoints), recording=_read(keypoints, self.body))

    def with_scale(self, scale: float) -> Session:
        """Scale the model; its offsets are lengths at the scaled size, and scale along."""
        ratio = float(scale) / self.config.body.scale
        markers = {k: replace(m, offset=[ratio * x for x in m.offset]) for k, m in self.pairs.items()}
        config = replace(self.config.body, scale=float(scale), markers=markers)
        return replace(self._with_config(body=config), body=load_body(config, complete=False))

    def scaled_to_recording(self) -> Session:
        """Scale the model to the size of the recording: median ratio of distances between keypoints."""
        ratio = size_ratio(self.body, self.matched)
        if not np.isfinite(ratio) or not 1 / IMPLAUSIBLE_FACTOR < ratio < IMPLAUSIBLE_FACTOR:
            raise InputError(f"the recording is {ratio:.3g} times the size of the body; check the unit, and pair more")
        return self.with_scale(float(f"{self.config.body.scale * ratio:.4g}"))

    def with_segment_scales(self, fitted: bool) -> Session:
        """Have the fit find a scale for each group of segments, or not; without groups, those of `paired_segments`."""
        groups = self.config.body.segments or (paired_segments(self.body.marker_body_names) if fitted else {})
        session = self.with_body(replace(self.config.body, segments=groups))
        return session._with_config(calibration=replace(self.config.calibration, segments=fitted))

    def aligned(self, frames: Sequence[int], *, with_scale: bool = False) -> Session:
        """Lay the paired keypoints of some frames onto the body in its default pose; its root must be fixed."""
        if self.is_floating:
            raise InputError("align: the root of this body follows the recording; it needs the right unit and up axis")
        chosen = self.matched
        weight = np.where(chosen.observed, 1.0, 0.0)[list(frames)]
        if (weight > 0).sum() < FEWEST_PAIRS:
            raise InputError(f"align: expected at least {FEWEST_PAIRS} paired keypoints that are observed there")
        rest = np.broadcast_to(self.body.marker_rest, (len(weight), *self.body.marker_rest.shape))
        points = chosen.positions[list(frames)].reshape(-1, 3)
        fit = robust_procrustes(rest.reshape(-1, 3), points, weight.reshape(-1), with_scale=with_scale).inverse()
        return self.transformed(fit)

    def transformed(self, fit: Similarity) -> Session:
        """Add a transform to the alignment of the recording."""
        now = self.config.alignment
        rotation = fit.rotation @ quat_to_mat(np.asarray(now.rotation, float))
        quat = Rotation.from_matrix(rotation).as_quat(scalar_first=True)
        return self.with_alignment(
            rotation=quat.round(9).tolist(),
            translation=fit.apply(np.asarray(now.translation, float)).round(9).tolist(),
            scale=float(now.scale * fit.scale),
        )

    def spread(self, count: int) -> list[int]:
        """Return frames spread over the recording."""
        return thinned(self.recording.n_frames, count).tolist()

    def _known(self, keypoint: str, body: str) -> None:
        if keypoint not in self.recording.names:
            raise ConfigError(unknown("keypoint", keypoint, self.recording.names))
        if body not in self.body.body_names[1:]:
            raise ConfigError(unknown("body", body, self.body.body_names[1:]))

    def _marker(self, keypoint: str) -> MarkerConfig:
        if keypoint not in self.pairs:
            raise ConfigError(unknown("paired keypoint", keypoint, list(self.pairs)))
        return self.pairs[keypoint]

    def _with_markers(self, markers: Mapping[str, MarkerConfig]) -> Session:
        order = list(self.config.body.keypoint_order)
        order += [name for name in markers if order and name not in order]
        left_out = [name for name in self.config.body.leave_out if name in self.pairs]
        return self.with_body(
            replace(self.config.body, markers=dict(markers), keypoint_order=order, leave_out=left_out)
        )

    def with_body(self, config: BodyConfig) -> Session:
        """Take other settings of the same model."""
        return replace(self._with_config(body=config), body=with_keypoints(self.body, config))

    def _with_config(self, **changes: Any) -> Session:
        return replace(self, config=replace(self.config, **changes))


def begin(config: FitConfig) -> Session:
    """Read the model and the recording of a configuration; the model may have no keypoints yet.

    Raises:
        UserError: where one of them cannot be read.
    """
    plain = FitConfig(**{entry.name: getattr(config, entry.name) for entry in fields(FitConfig)})
    body = load_body(plain.body, complete=False)
    plain = replace(plain, body=replace(plain.body, name=body.name))
    if plain.keypoints.path is None:
        if not plain.body.default_mjcf.startswith("embedded:") or plain.body.mjcf:
            raise ConfigError("keypoints.path is empty, and only body=mouse_arm has an embedded recording")
        return Session(plain, body, mouse_arm_reaches().keypoints)
    recording = _read(plain.keypoints, body)
    if recording.unit is None:
        unit = guessed_unit(body, recording)
        plain = replace(plain, keypoints=replace(plain.keypoints, unit=unit))
        recording = recording.in_metres(unit)
    return Session(plain, body, recording)


def _read(config: KeypointsConfig, body: Body) -> Keypoints:
    recording = load_keypoints(config, body.keypoint_order)
    return recording if recording.rate_hz else replace(recording, rate_hz=body.rate_hz)


def guessed_unit(body: Body, recording: Keypoints) -> str:
    """Return the unit in which a recording is about as large as a body."""
    frames = thinned(recording.n_frames, 200)
    points = np.where(recording.observed[frames][..., None], recording.positions[frames], np.nan)
    extent = float(np.nanmedian(np.linalg.norm(np.nanmax(points, axis=1) - np.nanmin(points, axis=1), axis=-1)))
    place = body.rest[0][1:]
    size = float(np.linalg.norm(np.ptp(place, axis=0))) or 1.0
    return min(GUESSABLE_UNITS, key=lambda unit: abs(np.log(max(extent * METRES_PER_UNIT[unit], 1e-12) / size)))


@dataclass(frozen=True)
class History:
    """A session, and those before and after it."""

    now: Session
    past: tuple[Session, ...] = ()
    future: tuple[Session, ...] = ()

    def then(self, session: Session, *, replaces: bool = False) -> History:
        """Continue with another session; one that `replaces` the present leaves no step to undo."""
        if session is self.now:
            return self
        return History(session, self.past if replaces else (*self.past[-199:], self.now))

    def undo(self) -> History:
        """Return to the session before."""
        return History(self.past[-1], self.past[:-1], (self.now, *self.future)) if self.past else self

    def redo(self) -> History:
        """Return to the session that was undone."""
        return History(self.future[0], (*self.past, self.now), self.future[1:]) if self.future else self
