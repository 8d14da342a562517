"""From settings to a body and a recording that fit each other; all is checked here, before anything is solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import mujoco
import numpy as np

from stac_mjx._common.errors import BodyError, ConfigError, InputError, shorten
from stac_mjx.body.body import Body, load_body
from stac_mjx.config import FitConfig
from stac_mjx.keypoints import Keypoints, load_keypoints, select
from stac_mjx.keypoints.alignment import turn_up
from stac_mjx.plausibility import is_mirrored, to_metres, up_axis

FEWEST_SEEN = 2 / 3
"""Smallest part of the keypoints that must be seen somewhere in the recording."""


@dataclass(frozen=True)
class Inputs:
    """A body, a recording in metres with its keypoints in the order of the body's markers, and what there is to say.

    Attributes:
        body: the body.
        keypoints: the recording; `unit` is "m" and `rate_hz` is known.
        notes: what was read and assumed, for the log.
        warnings: what the user should look at.
        events: name -> time from the start of each clip, seconds.
        labels: what each clip shows; empty where unknown.
    """

    body: Body
    keypoints: Keypoints
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    events: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def load_inputs(config: FitConfig) -> Inputs:
    """Read the body and the recording a configuration names, and check them against each other.

    Raises:
        BodyError: when the body cannot be read.
        InputError: when the recording cannot be read or does not fit the body.
    """
    body = load_body(config.body)
    if config.keypoints.path is None:
        return embedded(body, config)
    return match(body, load_keypoints(config.keypoints, body.keypoint_order), config)


def match(body: Body, keypoints: Keypoints, config: FitConfig) -> Inputs:
    """Bring a recording to the keypoints, unit and axes of a body.

    Raises:
        BodyError: when nothing of the body can move.
        InputError: when keypoints are missing, never seen, or of an implausible size.
    """
    if body.model.nv == 0:
        raise BodyError(f"body {body.name!r}: the model has no joint, so there is no pose to find")
    keypoints = select(keypoints, body.marker_names)
    warnings = [*_never_seen(body, keypoints), *_empty_clips(keypoints)]
    keypoints, said = to_metres(keypoints, body, config.alignment)
    warnings += said
    keypoints = turn_up(keypoints, config.alignment.up)
    keypoints, said = _with_rate(keypoints, body)
    warnings += said
    if is_mirrored(body, keypoints):
        warnings.append(
            f"the mirror image of body {body.name!r} fits the recording better than the body itself, and poses of a "
            "mirrored animal are wrong: its axes are left-handed (set keypoints.flip=y), or left and right keypoints "
            "are exchanged (set keypoints.rename)"
        )
    if config.alignment.up is None and config.alignment.mode == "none" and _floats(body):
        axis, cosine = up_axis(body, keypoints)
        if axis not in (None, "z"):
            warnings.append(
                f"the animal's up points along {axis} of the recording (mean cosine {cosine:.2f}), not along z; the "
                f"poses are right, but gravity is not: set alignment.up={axis} to turn the recording"
            )
    return Inputs(body, keypoints, keypoints.notes, tuple(warnings))


def _floats(body: Body) -> bool:
    """Whether the body has a free joint, so that any rotation of the recording can be followed."""
    return bool((body.model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).any())


def embedded(body: Body, config: FitConfig) -> Inputs:
    """The recording that ships with the package, for the body that does.

    Raises:
        ConfigError: when the body is another one.
    """
    from stac_mjx.synthetic.reaches import mouse_arm_reaches

    settings = body.config
    if settings is None or settings.mjcf is not None or not settings.default_mjcf.startswith("embedded:"):
        raise ConfigError(
            f"keypoints.path is empty; only the embedded body has a recording of its own. Name the recording of "
            f"body {body.name!r}: keypoints.path=FILE"
        )
    truth = mouse_arm_reaches(config.seed, body)
    inputs = match(body, truth.keypoints, config)
    note = f"no recording named: {len(truth.keypoints.clip_names)} synthetic reaches (seed {config.seed})"
    return replace(inputs, notes=(note, *inputs.notes), events=truth.events, labels=truth.labels)


def _never_seen(body: Body, keypoints: Keypoints) -> list[str]:
    seen = np.atleast_1d(keypoints.observed.any(axis=0))
    if seen.all():
        return []
    missing = [name for name, there in zip(keypoints.names, seen, strict=True) if not there]
    where = str(keypoints.sources[0].path) if keypoints.sources else "the recording"
    trunk = [name for name in missing if name in body.trunk_keypoints]
    if trunk or seen.mean() < FEWEST_SEEN:
        why = f"trunk keypoints {shorten(trunk)}" if trunk else f"{len(missing)} of {len(seen)} keypoints"
        raise InputError(
            f"{where}: keypoints never seen in any frame (all NaN or of zero confidence): {shorten(missing)}. "
            f"The pose cannot be told without the {why}. Check keypoints.names and keypoints.min_confidence, or do "
            f"without them: body.leave_out=[{','.join(missing)}]"
        )
    return [
        f"{where}: never seen in any frame: {shorten(missing)}; "
        "joints that only they observe stay near the neutral pose"
    ]


def _empty_clips(keypoints: Keypoints) -> list[str]:
    """Clips in which nothing was seen."""
    seen = np.bincount(keypoints.frame_clip, keypoints.observed.any(axis=1), len(keypoints.clip_lengths))
    empty = [name for name, count in zip(keypoints.clip_names, seen, strict=True) if not count]
    return [f"clips without any keypoint, marked as not valid: {shorten(empty)}"] if empty else []


def _with_rate(keypoints: Keypoints, body: Body) -> tuple[Keypoints, list[str]]:
    if keypoints.rate_hz:
        return keypoints, []
    rate = body.rate_hz
    if rate is None:
        where = str(keypoints.sources[0].path) if keypoints.sources else "the recording"
        raise InputError(
            f"{where}: the file holds no frame rate and body {body.name!r} has no usual one; set keypoints.rate_hz"
        )
    note = (
        f"the recording does not state its frame rate; {rate:g} Hz, usual for body {body.name!r}, is used: "
        f"set keypoints.rate_hz={rate:g} to confirm, or to the true rate (velocities depend on it)"
    )
    return replace(keypoints, rate_hz=float(rate)), [note]


def confidence_weights(keypoints: Keypoints) -> np.ndarray:
    """Weights of least squares: confidences over their mean, so that priors keep their strength; 0: missing.

    Networks differ widely in what they call confident (DANNCE seldom exceeds 0.1), only ratios carry information.
    """
    weight = np.where(keypoints.observed, keypoints.confidence, 0.0)
    seen = weight > 0
    return weight / weight[seen].mean() if seen.any() else weight
