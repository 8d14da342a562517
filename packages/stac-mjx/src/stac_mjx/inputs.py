"""Load a body and a recording and check that they fit each other: keypoints, unit, size, axes, handedness, rate.

Guesses are reported as warnings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from stac_mjx._common.errors import BodyError, ConfigError, InputError, shorten
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body import Body, load_body
from stac_mjx.config import AXES, AlignmentConfig, FitConfig
from stac_mjx.keypoints import Keypoints, load_keypoints, select
from stac_mjx.keypoints.alignment import prepared, procrustes
from stac_mjx.records import thinned

FEWEST_OBSERVED = 2 / 3
"""Smallest part of the keypoints that must be observed somewhere in the recording."""
GUESSABLE_UNITS = ("m", "dm", "cm", "mm")
IMPLAUSIBLE_FACTOR = 4.0
"""Recording and body must not differ in size by more than this factor."""
OTHER_SIZE = 1.4
"""A difference in size beyond this factor is reported; posture causes less (worm 0.77, mouse 1.16)."""
MIRRORED_FRAMES, MIRRORED_GAIN = 0.9, 0.95
"""A recording is mirrored when in this part of its frames the mirror image leaves less than this part of the error.
In recordings of six species no frame prefers the mirror image, and every frame does once an axis is flipped."""
_SAMPLED_FRAMES, _SIZE_FRAMES = 300, 500


@dataclass(frozen=True)
class Inputs:
    """A body, and a recording in metres with its keypoints in the order of the body's markers."""

    body: Body
    keypoints: Keypoints
    """The recording; `unit` is "m" and `rate_hz` is known."""
    warnings: tuple[str, ...]
    """What the user should check."""


def load_inputs(config: FitConfig) -> Inputs:
    """Read the body and the recording of `config`, and match them."""
    body = load_body(config.body)
    if config.keypoints.path is None:
        return embedded(body, config)
    return match(body, load_keypoints(config.keypoints, body.keypoint_order), config)


def match(body: Body, keypoints: Keypoints, config: FitConfig) -> Inputs:
    """Convert a recording to the keypoints, unit and axes of a body."""
    if body.model.nv == 0:
        raise BodyError(f"body {body.name!r}: the model has no joints")
    keypoints = select(keypoints, body.marker_names)
    warnings = [*_unobserved(body, keypoints), *_empty_clips(keypoints)]
    keypoints, notes = _to_metres(keypoints, body, config.alignment)
    warnings += notes
    keypoints, notes = _with_rate(keypoints, body)
    warnings += notes
    if is_mirrored(body, keypoints):
        warnings.append(
            f"the mirror image of body {body.name!r} fits the recording better than the body itself, so poses will be "
            "wrong. If the axes are left-handed, set keypoints.flip=y; if left and right keypoints are exchanged, set "
            "keypoints.rename"
        )
    # a free joint follows any rotation of the recording
    floats = (body.model.jnt_type == mujoco.mjtJoint.mjJNT_FREE).any()
    if floats and config.alignment.up is None and config.alignment.mode == "none":
        axis, cosine = up_axis(body, keypoints)
        if axis not in (None, "z"):
            warnings.append(
                f"the animal's up points along {axis} of the recording (mean cosine {cosine:.2f}), not along z; the "
                f"poses are right, but gravity is not: set alignment.up={axis} to turn the recording"
            )
    return Inputs(body, keypoints, tuple(warnings))


def embedded(body: Body, config: FitConfig) -> Inputs:
    """Return the recording that ships with the package; it belongs to the embedded body."""
    from stac_mjx.synthetic.reaches import mouse_arm_reaches

    settings = body.config
    if settings is None or settings.mjcf is not None or not settings.default_mjcf.startswith("embedded:"):
        raise ConfigError(
            f"keypoints.path is empty, and body {body.name!r} has no embedded recording. Set keypoints.path=FILE"
        )
    reaches = mouse_arm_reaches(body=body).keypoints
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


def _with_rate(keypoints: Keypoints, body: Body) -> tuple[Keypoints, list[str]]:
    if keypoints.rate_hz:
        return keypoints, []
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


def size_ratio(body: Body, keypoints: Keypoints) -> float:
    """Return the size of the recording over that of the body: median ratio of distances between keypoints, or NaN.

    Distances within the trunk are preferred, because posture changes them least.
    """
    rest = body.marker_rest
    trunk = np.array([name in body.trunk_keypoints for name in keypoints.names])
    # markers with unknown initial offsets are at one point of the body; skip their pairs
    for chosen in (trunk, np.ones(len(trunk), bool)):
        index = np.flatnonzero(chosen)
        a, b = (index[i] for i in np.triu_indices(len(index), 1))
        model = np.linalg.norm(rest[a] - rest[b], axis=-1)
        keep = model > 0.1 * max(model.max(initial=0.0), 1e-9)
        if keep.sum() >= 1:
            a, b, model = a[keep], b[keep], model[keep]
            break
    else:
        return float("nan")
    frames = thinned(keypoints.n_frames, _SIZE_FRAMES)
    points = np.where(keypoints.observed[frames][..., None], keypoints.positions[frames], np.nan)
    measured = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
    if not np.isfinite(measured).any():
        return float("nan")
    return float(np.nanmedian(measured / model))


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
    if config.mode != "similarity" and np.isfinite(ratio) and not 1 / OTHER_SIZE < ratio < OTHER_SIZE:
        notes.append(
            f"the keypoints are {ratio:.2g} times the size of body {body.name!r}, which distorts the offsets. "
            f"If the animal has another size than the model, set body.scale={body.scale * ratio:.2g}"
        )
    return keypoints, notes


def _sampled(
    body: Body, keypoints: Keypoints, fewest: int
) -> tuple[Bool[np.ndarray, " keypoint"], Float[np.ndarray, "frame keypoint 3"], Float[np.ndarray, "frame keypoint"]]:
    """Choose trunk keypoints (all, if fewer than `fewest`) and frames with as many; return positions and weights."""
    trunk = np.array([name in body.trunk_keypoints for name in keypoints.names])
    chosen = trunk if trunk.sum() >= fewest else np.ones(len(trunk), bool)
    frames = thinned(keypoints.n_frames, _SAMPLED_FRAMES)
    weight = (keypoints.observed[frames] & chosen).astype(float)
    enough = weight.sum(axis=1) >= fewest
    return chosen, keypoints.positions[frames][enough], weight[enough]


def up_axis(body: Body, keypoints: Keypoints) -> tuple[str | None, float]:
    """Return the axis of the recording closest to the body's z axis on average, and the mean cosine.

    None where fewer than three keypoints determine it, or where no axis is within 45 degrees.
    """
    rest = body.marker_rest
    chosen, positions, weight = _sampled(body, keypoints, 3)
    flat = np.linalg.matrix_rank(rest[chosen] - rest[chosen].mean(0), tol=1e-3 * body.size_m) < 2
    if flat or not len(positions):
        return None, 0.0
    fit = procrustes(np.broadcast_to(rest, positions.shape), positions, weight)
    mean = fit.rotation[:, :, 2].mean(axis=0)
    best = max(AXES, key=lambda name: float(np.dot(mean, AXES[name])))
    cosine = float(np.dot(mean, AXES[best]))
    return (best, cosine) if cosine > np.sqrt(0.5) else (None, cosine)


def is_mirrored(body: Body, keypoints: Keypoints) -> bool:
    """Return whether the mirror image of the body fits the recording better in nearly every frame.

    That happens when axes are left-handed, or left and right keypoints exchanged. Flat arrangements never do.
    """
    _, positions, weight = _sampled(body, keypoints, 4)
    if not len(positions):
        return False
    original, mirror = (_misfit(body.marker_rest * [1.0, sign, 1.0], positions, weight) for sign in (1.0, -1.0))
    return bool(np.mean(mirror < MIRRORED_GAIN * original) > MIRRORED_FRAMES)


def _misfit(
    rest: Float[np.ndarray, "keypoint 3"],
    positions: Float[np.ndarray, "frame keypoint 3"],
    weight: Float[np.ndarray, "frame keypoint"],
) -> Float[np.ndarray, " frame"]:
    """Return the root mean square distance that a rotation and translation of `rest` leaves in each frame, metres."""
    fit = procrustes(np.broadcast_to(rest, positions.shape), positions, weight)
    moved = np.einsum("fij,kj->fki", fit.rotation, rest) + fit.translation[:, None]
    squared = np.where(weight > 0, ((positions - moved) ** 2).sum(axis=-1), 0.0)
    return np.sqrt(squared.sum(axis=1) / weight.sum(axis=1))
