"""Marker offsets of an earlier fit, matched by name to the body they are to be used with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import BodyError, raise_all, shorten, unknown
from stac_mjx.body.body import Body
from stac_mjx.config import AlignmentConfig
from stac_mjx.keypoints.alignment import IDENTITY, Similarity, prepared
from stac_mjx.records import Offsets, read_offsets

SCALE_TOLERANCE = 1e-6
"""Scales that differ by less than this fraction are the same."""


@dataclass(frozen=True)
class KnownOffsets:
    """Offsets that can be used with a body.

    Attributes:
        offsets: in the frames of the bodies, in the order of the body's markers, (keypoint, 3), metres.
        keypoint_scale_factor: factor their recording was multiplied by, besides its unit.
        alignment: transform from their recording (metres) to the world of the body; None where none was fitted.
        warnings: what the user should look at.
    """

    offsets: Float[np.ndarray, "keypoint 3"]
    keypoint_scale_factor: float = 1.0
    alignment: Similarity | None = None
    warnings: tuple[str, ...] = ()


def offsets_for(path: str | Path, body: Body) -> KnownOffsets:
    """Read an offsets file for a body.

    Raises:
        InputError: when the file cannot be opened.
        ContractError: when it is no mimic.offsets file that this version can read.
        BodyError: when it belongs to another body, or lacks a keypoint; all faults in one message.
    """
    return match_offsets(read_offsets(path), body, str(path))


def match_offsets(known: Offsets, body: Body, where: str) -> KnownOffsets:
    """Bring offsets to the order of a body's markers.

    Raises:
        BodyError: when they belong to another body, another scale or other bodies of keypoints, or lack one.
    """
    raise_all(BodyError, f"{where}: does not fit body {body.name!r}", _faults(known, body))
    order = [known.kp_names.index(name) for name in body.marker_names]
    rotation, translation = known.alignment_rotation, known.alignment_translation
    alignment = None
    if rotation is not None and translation is not None:
        alignment = Similarity(rotation, translation, np.asarray(known.keypoint_scale_factor))
    return KnownOffsets(
        np.asarray(known.offsets, np.float64)[order],
        known.keypoint_scale_factor,
        alignment,
        tuple(_warnings(known, body, where)),
    )


def similarity_for(known: KnownOffsets, config: AlignmentConfig) -> tuple[Similarity, tuple[str, ...]]:
    """Transform a recording that `config` has prepared still needs, and what has to be said about it.

    The transform of the offsets holds as a whole: what `config` did to the recording already is taken into account.
    """
    factor = known.keypoint_scale_factor
    said = []
    if config.mode != "none":
        why = "is fitted along with offsets only" if known.alignment is None else "came with the offsets and is used"
        said.append(f"alignment.mode={config.mode} has no effect here: the transform of the recording {why}")
    if known.alignment is not None:
        return known.alignment.after(prepared(config).inverse()), tuple(said)
    if abs(factor - config.scale) > SCALE_TOLERANCE * factor:
        said.append(
            f"the offsets were calibrated on keypoints multiplied by {factor:g}, here they are by {config.scale:g}; "
            f"for the same rig set alignment.scale={factor:g}"
        )
    return IDENTITY, tuple(said)


def _faults(known: Offsets, body: Body) -> list[str]:
    faults = []
    if known.info.model_name != body.name:
        faults.append(f"belongs to body {known.info.model_name!r}; set body to that one, or fit offsets for this one")
    if abs(known.scale_factor - body.scale) > SCALE_TOLERANCE * body.scale:
        faults.append(
            f"was fitted at body.scale={known.scale_factor:g}, not {body.scale:g}; "
            f"set body.scale={known.scale_factor:g}"
        )
    for name, index in zip(body.marker_names, body.marker_body.tolist(), strict=True):
        if name not in known.kp_names:
            faults.append(f"kp_names: {unknown('keypoint', name, known.kp_names)}")
            continue
        theirs, ours = known.kp_body[known.kp_names.index(name)], body.body_names[index]
        if theirs != ours:
            faults.append(
                f"keypoint {name!r} sits on body {theirs!r} there, here on {ours!r} (body.markers.{name}.body)"
            )
    return faults


def _warnings(known: Offsets, body: Body, where: str) -> list[str]:
    found = []
    if known.info.model_sha256 != body.sha256:
        found.append(
            f"{where}: was calibrated with another version of model {body.name!r} (its hash begins with "
            f"{known.info.model_sha256[:8]}, this one's with {body.sha256[:8]}); markers may sit elsewhere"
        )
    unused = [name for name in known.kp_names if name not in body.marker_names]
    if unused:
        found.append(f"{where}: offsets of keypoints the body has no marker for are not used: {shorten(unused)}")
    return found
