"""Marker offsets of an earlier fit, matched by name to the body they are to be used with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import BodyError, InputError, raise_all, shorten, unknown
from stac_mjx.body.body import Body
from stac_mjx.config import AlignmentConfig
from stac_mjx.keypoints.alignment import IDENTITY, Similarity
from stac_mjx.records import Offsets, read_offsets

SCALE_TOLERANCE = 1e-6
"""Scales that differ by less than this fraction are the same."""


@dataclass(frozen=True)
class KnownOffsets:
    """Offsets that can be used with a body and a recording."""

    offsets: Float[np.ndarray, "keypoint 3"]
    """In the frames of the bodies, in the order of the body's markers, metres."""
    T_body_recording: Similarity = IDENTITY
    """Transform from the prepared recording, or from each of its clips, to the world of the body."""
    warnings: tuple[str, ...] = ()
    covariance: Float[np.ndarray, "size size"] | None = None
    """Of all their coordinates, metres^2, NaN where unknown; None: they are exact. Files hold standard errors only."""


def known_offsets(
    offsets: Offsets | np.ndarray | str | Path,
    body: Body,
    config: AlignmentConfig,
    T_keypoints_file: Similarity,
    clip_names: Sequence[str],
) -> KnownOffsets:
    """Match offsets to a body and a prepared recording.

    Args:
        offsets: of an earlier fit, its file, or an array (keypoint, 3) in metres in the order of the body's markers.
        body: the body they are to be used with.
        config: settings of the alignment.
        T_keypoints_file: how the recording was prepared.
        clip_names: names of its clips.
    """
    if isinstance(offsets, np.ndarray):
        expected = (len(body.marker_names), 3)
        if offsets.shape != expected or not np.isfinite(offsets).all():
            raise InputError(f"offsets: expected finite numbers of shape {expected}, metres; got {offsets.shape}")
        return KnownOffsets(offsets.astype(np.float64))
    where = "offsets" if isinstance(offsets, Offsets) else str(offsets)
    known = offsets if isinstance(offsets, Offsets) else read_offsets(offsets)
    raise_all(BodyError, f"{where}: does not fit body {body.name!r}", _problems(known, body))
    order = [known.kp_names.index(name) for name in body.marker_names]
    raise_all(InputError, where, _unaligned(known, clip_names))
    T_body_recording, notes = _transform(known, config, T_keypoints_file, clip_names)
    warnings = (*_warnings(known, body, where), *notes)
    std = np.zeros(known.offsets.shape) if known.offset_std is None else known.offset_std
    covariance = np.diag(np.asarray(std, np.float64)[order].ravel() ** 2)
    return KnownOffsets(np.asarray(known.offsets, np.float64)[order], T_body_recording, warnings, covariance)


def _unaligned(known: Offsets, clip_names: Sequence[str]) -> list[str]:
    """Say which clips have no transform, where each has its own."""
    if known.alignment_clip is None:
        return []
    lacking = [name for name in clip_names if name not in known.alignment_clip]
    why = "each clip was aligned on its own (alignment.per_clip), and there is no transform of clips"
    return [f"{why} {shorten(lacking)}; fit them: stac-mjx fit"] if lacking else []


def _transform(
    known: Offsets, config: AlignmentConfig, T_keypoints_file: Similarity, clip_names: Sequence[str]
) -> tuple[Similarity, list[str]]:
    """Return the transform that a prepared recording still needs, and warnings.

    The transform stored with the offsets starts from the unprepared recording, so the preparation is undone first.
    """
    factor, rotation, translation = known.keypoint_scale_factor, known.alignment_rotation, known.alignment_translation
    clips, notes = known.alignment_clip, []
    if clips is not None and known.clip_alignment_rotation is not None and known.clip_alignment_translation is not None:
        rows = [clips.index(name) for name in clip_names]
        rotation, translation = known.clip_alignment_rotation[rows], known.clip_alignment_translation[rows]
    if config.mode != "none":
        why = "it is fitted together with offsets" if rotation is None else "that of the offsets is used"
        notes.append(f"alignment.mode={config.mode} has no effect: no transform of the recording is fitted here, {why}")
    if rotation is not None and translation is not None:
        T_body_file = Similarity(rotation, translation, np.full(rotation.shape[:-2], factor))
        return T_body_file.after(T_keypoints_file.inverse()), notes
    if abs(factor - config.scale) > SCALE_TOLERANCE * factor:
        notes.append(
            f"the offsets were calibrated on keypoints multiplied by {factor:g}, here the factor is {config.scale:g}. "
            f"For the same rig set alignment.scale={factor:g}"
        )
    return IDENTITY, notes


def _problems(known: Offsets, body: Body) -> list[str]:
    problems = []
    if known.info.model_name != body.name:
        problems.append(f"belongs to body {known.info.model_name!r}. Set body to that one, or fit offsets for this one")
    if abs(known.scale_factor - body.scale) > SCALE_TOLERANCE * body.scale:
        problems.append(
            f"was fitted at body.scale={known.scale_factor:g}, not {body.scale:g}; "
            f"set body.scale={known.scale_factor:g}"
        )
    override = body.config is not None and body.config.override
    if not problems and known.info.model_sha256 != body.sha256 and not override:
        problems.append(
            f"calibrated with another version of the model (its hash begins with {known.info.model_sha256[:8]}, this "
            f"one's with {body.sha256[:8]}). Leave out body and body.mjcf to use the body in the offsets file, or set "
            "body.override=true to use this one"
        )
    for name, index in zip(body.marker_names, body.marker_body.tolist(), strict=True):
        if name not in known.kp_names:
            problems.append(f"kp_names: {unknown('keypoint', name, known.kp_names)}")
            continue
        theirs, ours = known.kp_body[known.kp_names.index(name)], body.body_names[index]
        if theirs != ours:
            problems.append(f"keypoint {name!r} is on body {theirs!r}, expected {ours!r} (body.markers.{name}.body)")
    return problems


def _warnings(known: Offsets, body: Body, where: str) -> list[str]:
    unused = [name for name in known.kp_names if name not in body.marker_names]
    warnings = []
    if unused:
        warnings.append(f"{where}: offsets of keypoints the body has no marker for are not used: {shorten(unused)}")
    if known.info.model_sha256 != body.sha256:
        warnings.append(f"{where}: calibrated with another version of model {body.name!r}; marker positions may differ")
    return warnings
