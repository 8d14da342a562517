"""Load a body and a recording and check that they fit each other: keypoints, unit, size, axes, handedness, rate.

Guesses are reported as warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stac_mjx._common.errors import BodyError, ConfigError, InputError, counted, raise_all, shorten, unknown
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body import Body
from stac_mjx.config import AlignmentConfig, FitConfig
from stac_mjx.keypoints import Keypoints, load_keypoints, select
from stac_mjx.keypoints.alignment import IDENTITY, Similarity, level, prepared
from stac_mjx.keypoints.bouts import in_bouts
from stac_mjx.keypoints.travel import walked
from stac_mjx.plausibility import recording_warnings, size_ratio

FEWEST_OBSERVED = 2 / 3
"""Smallest part of the keypoints that must be observed somewhere in the recording."""
GUESSABLE_UNITS = ("m", "dm", "cm", "mm")
IMPLAUSIBLE_FACTOR = 4.0
"""Recording and body must not differ in size by more than this factor."""
OTHER_SIZE = 1.4
"""A difference in size beyond this factor is reported; posture causes less (worm 0.77, mouse 1.16)."""
FAR = 1000.0
"""A recording further from the origin of its axes than this multiple of the body is moved there: in single precision
the solver keeps a ten-millionth of a coordinate."""

USUAL_RATES_HZ = (1.0, 5000.0)
"""Frame rates outside of these are reported."""


@dataclass(frozen=True)
class Inputs:
    """A body, and a recording in metres with its keypoints in the order of the body's markers."""

    body: Body
    keypoints: Keypoints
    """The recording; `unit` is "m" and `rate_hz` is known."""
    warnings: tuple[str, ...]
    """What the user should check."""
    T_keypoints_file: Similarity = IDENTITY
    """Transform from the recording in metres, as it was read, to `keypoints`."""


def load_inputs(body: Body, config: FitConfig) -> Inputs:
    """Read the recording of `config`, and match it to a body."""
    if config.keypoints.path is None:
        return embedded(body, config)
    return match(body, load_keypoints(config.keypoints, body.keypoint_order), config)


def match(body: Body, keypoints: Keypoints, config: FitConfig, *, may_move: bool = True) -> Inputs:
    """Convert a recording to the keypoints, unit and axes of a body.

    With `may_move`, a recording that single precision does not resolve is moved to the origin.
    """
    if body.model.nv == 0:
        raise BodyError(f"body {body.name!r}: the model has no joints")
    if config.calibration.segments and not body.segments:
        raise ConfigError("calibration.segments: body.segments names no group of bodies to scale")
    keypoints = select(keypoints, body.marker_names)
    warnings = [*keypoints.warnings, *_unobserved(body, keypoints), *_empty_clips(keypoints)]
    keypoints, notes = _to_metres(keypoints, body, config.alignment)
    warnings += notes
    keypoints, notes = _with_rate(keypoints, body)
    warnings += notes
    T_keypoints_file, notes = prepared(config.alignment), []
    if config.alignment.ground:
        keypoints, laid = _level(keypoints, config.alignment.ground)
        T_keypoints_file = laid.after(T_keypoints_file)
    keypoints = _placed(body, in_bouts(walked(keypoints), config.keypoints, body.trunk_keypoints))
    if may_move and config.alignment.mode == "none":
        keypoints, moved, notes = _near_origin(keypoints, body)
        T_keypoints_file = moved.after(T_keypoints_file)
    warnings += [*notes, *recording_warnings(body, keypoints, config.alignment)]
    return Inputs(body, keypoints, tuple(warnings), T_keypoints_file)


def embedded(body: Body, config: FitConfig) -> Inputs:
    """Return the recording that ships with the package; it belongs to the embedded body."""
    from stac_mjx.synthetic.reaches import mouse_arm_reaches

    settings = body.config
    if settings is None or settings.mjcf is not None or not settings.default_mjcf.startswith("embedded:"):
        raise ConfigError(
            f"keypoints.path is empty, and body {body.name!r} has no embedded recording. Set keypoints.path=FILE"
        )
    reaches = mouse_arm_reaches().keypoints  # of the preset, whatever is changed in this body
    note = f"keypoints.path is empty: {len(reaches.clip_names)} synthetic reaches"
    return match(body, replace(reaches, notes=(note, *reaches.notes)), config)


def _unobserved(body: Body, keypoints: Keypoints) -> list[str]:
    observed = np.atleast_1d(keypoints.observed.any(axis=0))
    if observed.all():
        return []
    missing = [name for name, there in zip(keypoints.names, observed, strict=True) if not there]
    trunk = [name for name in missing if name in body.trunk_keypoints]
    if trunk or observed.mean() < FEWEST_OBSERVED:
        why = f"trunk keypoints {shorten(trunk)}" if trunk else f"{len(missing)} of {len(observed)} keypoints"
        raise InputError(
            f"{keypoints.where}: keypoints never observed (all NaN or of zero confidence): {shorten(missing)}. "
            f"The pose cannot be found without the {why}. Check keypoints.names and keypoints.min_confidence, or leave "
            f"them out: body.leave_out=[{','.join(missing)}]"
        )
    note = "joints that only they observe stay near the neutral pose"
    return [f"{keypoints.where}: never observed: {shorten(missing)}; {note}"]


def _empty_clips(keypoints: Keypoints) -> list[str]:
    """Warn of clips without observed keypoints."""
    counts = np.bincount(keypoints.frame_clip, keypoints.observed.any(axis=1), len(keypoints.clip_lengths))
    empty = [name for name, count in zip(keypoints.clip_names, counts, strict=True) if not count]
    return [f"clips without keypoints, marked as invalid: {shorten(empty)}"] if empty else []


def _placed(body: Body, keypoints: Keypoints) -> Keypoints:
    """Leave out frames with fewer keypoints than place a root that moves and turns; the pose there could be any."""
    slides = body.tree.is_slide[body.tree.root_dofs]
    count = keypoints.observed.sum(axis=1)
    # a point stops translation, a second one a turn about one axis, a third one all turns
    fewest = min(1 + (min(2, int((~slides).sum())) if slides.any() else 0), int(count.max(initial=0)))
    few = (count > 0) & (count < fewest)
    if not few.any():
        return keypoints
    note = (
        f"{counted(int(few.sum()), 'frame')} with fewer than {fewest} keypoints, left out: they do not place the body"
    )
    confidence = np.where(few[:, None], 0.0, keypoints.confidence)
    return replace(keypoints, confidence=confidence, notes=(*keypoints.notes, note))


def _with_rate(keypoints: Keypoints, body: Body) -> tuple[Keypoints, list[str]]:
    rate = keypoints.rate_hz
    if rate:
        slow, fast = USUAL_RATES_HZ
        note = f"{rate:g} frames per second are unusual; velocities depend on it. Check keypoints.rate_hz"
        return keypoints, [] if slow <= rate <= fast else [note]
    rate = body.rate_hz
    if rate is None:
        raise InputError(
            f"{keypoints.where}: missing frame rate, and body {body.name!r} has no usual one. Set keypoints.rate_hz"
        )
    note = (
        f"the recording does not state its frame rate; {rate:g} Hz, usual for body {body.name!r}, is used. "
        f"Set keypoints.rate_hz={rate:g} to confirm, or to the true rate (velocities depend on it)"
    )
    return replace(keypoints, rate_hz=float(rate)), [note]


def confidence_weights(keypoints: Keypoints) -> np.ndarray:
    """Return weights of least squares: confidences over their mean, 0 where missing.

    Networks differ widely in their confidences (DANNCE seldom exceeds 0.1), so only ratios carry information.
    """
    weight = np.where(keypoints.observed, keypoints.confidence, 0.0)
    present = weight > 0
    return weight / weight[present].mean() if present.any() else weight


def _level(keypoints: Keypoints, names: Sequence[str]) -> tuple[Keypoints, Similarity]:
    """Lay the ground under the named keypoints level; return the transform too."""
    problems = [unknown("keypoint", name, keypoints.names) for name in names if name not in keypoints.names]
    raise_all(ConfigError, "alignment.ground", problems)
    touching = [keypoints.names.index(name) for name in names]
    points = np.where(keypoints.observed[..., None], keypoints.positions, np.nan)[:, touching]
    try:
        laid = level(points)
    except ValueError as error:
        raise InputError(f"alignment.ground: {', '.join(names)} do not determine a plane: {error}") from None
    tilt = np.degrees(np.arccos(np.clip(laid.rotation[2, 2], -1, 1)))
    note = f"ground under {shorten(names)}: tilted by {tilt:.2f} degrees, now level at height 0"
    notes = (*keypoints.notes, note)
    return replace(keypoints, positions=laid.apply(keypoints.positions), notes=notes), laid


def _near_origin(keypoints: Keypoints, body: Body) -> tuple[Keypoints, Similarity, list[str]]:
    """Move a recording far from the origin there, if the root of the body can follow; return the translation."""
    root, centre = body.tree.root_dofs, np.median(keypoints.positions[keypoints.observed], axis=0)
    follows = len(root) >= 3 and body.tree.is_slide[root[:3]].all()
    if not follows or np.linalg.norm(centre) < FAR * body.size_m:
        return keypoints, IDENTITY, []
    origin = np.round(centre, 3)
    moved = Similarity(np.eye(3), -origin, np.ones(()))
    place = ", ".join(f"{value:g}" for value in origin)
    note = (
        f"the recording is {np.linalg.norm(centre):.3g} m from the origin of its axes, too far for single precision: "
        f"({place}) m is the origin of the clips. offsets.h5 holds this translation (alignment_translation)"
    )
    return replace(keypoints, positions=moved.apply(keypoints.positions)), moved, [note]


def _to_metres(keypoints: Keypoints, body: Body, config: AlignmentConfig) -> tuple[Keypoints, list[str]]:
    """Convert the recording to metres, scale and turn it, and compare its size with the body; return warnings too."""
    notes: list[str] = []
    if keypoints.unit is None:
        ratio = size_ratio(body, keypoints) * config.scale
        unit = "m"
        if np.isfinite(ratio):
            unit = min(GUESSABLE_UNITS, key=lambda unit: abs(np.log(ratio * METRES_PER_UNIT[unit])))
        notes.append(
            f"the recording does not state its length unit; {unit!r} fits the size of the body and is used. "
            f"Set keypoints.unit={unit} to confirm, or another unit"
        )
        keypoints = keypoints.in_metres(unit)
    keypoints = replace(keypoints, positions=prepared(config).apply(keypoints.positions))
    ratio = size_ratio(body, keypoints)
    if np.isfinite(ratio) and not 1 / IMPLAUSIBLE_FACTOR < ratio < IMPLAUSIBLE_FACTOR:
        raise InputError(
            f"{keypoints.where}: the keypoints are {ratio:.3g} times the size of body {body.name!r} "
            f"(expected between {1 / IMPLAUSIBLE_FACTOR:.3g} and {IMPLAUSIBLE_FACTOR:.3g}). "
            "Check keypoints.unit (m, dm, cm, mm, um), body.unit and body.scale"
        )
    other = np.isfinite(ratio) and not 1 / OTHER_SIZE < ratio < OTHER_SIZE
    # the one distance of two keypoints changes with the posture
    if other and config.mode != "similarity" and len(keypoints.names) > 2:
        notes.append(
            f"the keypoints are {ratio:.2g} times the size of body {body.name!r}, which distorts the offsets. "
            f"If the animal has another size than the model, set body.scale={body.scale * ratio:.2g}"
        )
    return keypoints, notes
