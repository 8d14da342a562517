"""What a recording says about itself when it is held against a body: its unit, size, up axis and handedness.

Guesses are reported, never applied without a word.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from stac_mjx._common.errors import InputError
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body import Body
from stac_mjx.config import AlignmentConfig
from stac_mjx.keypoints.alignment import AXES, procrustes
from stac_mjx.keypoints.keypoints import Keypoints

GUESSABLE_UNITS = ("m", "dm", "cm", "mm")
OTHER_SIZE = 1.4
"""Recording and body differ in size by more than this factor: beyond what posture does (worm 0.77, mouse 1.16)."""
MIRRORED_FRAMES, MIRRORED_GAIN = 0.9, 0.95
"""A recording is mirrored when in this part of its frames the mirror image leaves less than this part of the error.
Of the recordings of six species no frame prefers the mirror image, and every one does once a sign is turned."""
_FRAMES = 300


def size_ratio(body: Body, keypoints: Keypoints) -> float:
    """How much larger the recording is than the body: median ratio of distances between keypoints; NaN if unknown.

    Distances within the trunk are preferred, because posture changes them least. Sampled over at most 500 frames.
    """
    rest = body.marker_rest
    trunk = np.array([name in body.trunk_keypoints for name in keypoints.names])
    # markers whose initial offsets are unknown lie on one point of the body; pairs of them say nothing
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
    frames = np.unique(np.linspace(0, keypoints.n_frames - 1, min(500, keypoints.n_frames)).astype(int))
    points = np.where(keypoints.observed[frames][..., None], keypoints.positions[frames], np.nan)
    measured = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
    if not np.isfinite(measured).any():
        return float("nan")
    return float(np.nanmedian(measured / model))


def guess_unit(ratio: float) -> str:
    """The unit (m, dm, cm, mm) in which a recording that is `ratio` times the body would have its size."""
    return min(GUESSABLE_UNITS, key=lambda unit: abs(np.log(ratio * METRES_PER_UNIT[unit])))


def to_metres(keypoints: Keypoints, body: Body, config: AlignmentConfig) -> tuple[Keypoints, list[str]]:
    """Give the recording in metres, checked against the size of the body; also what has to be said about it.

    Raises:
        InputError: when recording and body differ in size by more than `config.implausible_factor`.
    """
    notes: list[str] = []
    factor = float(config.scale)
    if keypoints.unit is None:
        ratio = size_ratio(body, keypoints) * factor
        unit = guess_unit(ratio) if np.isfinite(ratio) else "m"
        notes.append(
            f"the recording does not state its length unit; judged by the size of the body it is {unit!r}, "
            f"and that is used: set keypoints.unit={unit} to confirm, or to another unit to correct"
        )
        keypoints = keypoints.in_metres(unit)
    if factor != 1.0:
        keypoints = replace(keypoints, positions=keypoints.positions * factor)
    ratio = size_ratio(body, keypoints)
    limit = config.implausible_factor
    if np.isfinite(ratio) and not 1 / limit < ratio < limit:
        where = str(keypoints.sources[0].path) if keypoints.sources else "the recording"
        # the numbers were taken as metres of some unit; the unit that would fit is relative to that
        hint = f"its numbers would fit if they were {1 / ratio:.3g} times as large"
        raise InputError(
            f"{where}: the keypoints are {ratio:.3g} times the size of body {body.name!r} "
            f"(expected between {1 / limit:.3g} and {limit:.3g}); {hint}. "
            "Check keypoints.unit (m, dm, cm, mm, um), body.unit and body.scale"
        )
    if config.mode != "similarity" and np.isfinite(ratio) and not 1 / OTHER_SIZE < ratio < OTHER_SIZE:
        notes.append(
            f"the keypoints are {ratio:.2g} times the size of body {body.name!r}, and offsets would have to make up "
            f"for it: if the animal is of another size than the model, set body.scale={body.scale * ratio:.2g}"
        )
    return keypoints, notes


def sampled(
    body: Body, keypoints: Keypoints, fewest: int
) -> tuple[Bool[np.ndarray, " keypoint"], Float[np.ndarray, "frame keypoint 3"], Float[np.ndarray, "frame keypoint"]]:
    """Trunk keypoints (all, where fewer than `fewest` are of the trunk), and frames that show as many of them.

    Returns:
        Which keypoints; positions, metres; 1 where one of them was seen, else 0. At most 300 frames, evenly spread.
    """
    trunk = np.array([name in body.trunk_keypoints for name in keypoints.names])
    chosen = trunk if trunk.sum() >= fewest else np.ones(len(trunk), bool)
    frames = np.unique(np.linspace(0, keypoints.n_frames - 1, min(_FRAMES, keypoints.n_frames)).astype(int))
    weight = (keypoints.observed[frames] & chosen).astype(float)
    enough = weight.sum(axis=1) >= fewest
    return chosen, keypoints.positions[frames][enough], weight[enough]


def up_axis(body: Body, keypoints: Keypoints) -> tuple[str | None, float]:
    """Axis of the recording along which the body's z axis points on average, and how surely (mean cosine).

    None where fewer than three keypoints can tell, or where no axis is within 45 degrees.
    """
    rest = body.marker_rest
    chosen, positions, weight = sampled(body, keypoints, 3)
    flat = np.linalg.matrix_rank(rest[chosen] - rest[chosen].mean(0), tol=1e-3 * body.size_m) < 2
    if flat or not len(positions):
        return None, 0.0
    fit = procrustes(np.broadcast_to(rest, positions.shape), positions, weight)
    mean = fit.rotation[:, :, 2].mean(axis=0)
    best = max(AXES, key=lambda name: float(np.dot(mean, AXES[name])))
    cosine = float(np.dot(mean, AXES[best]))
    return (best, cosine) if cosine > np.sqrt(0.5) else (None, cosine)


def is_mirrored(body: Body, keypoints: Keypoints) -> bool:
    """Whether the mirror image of the body fits the recording better, frame after frame.

    So it is when axes are left-handed, or left and right keypoints exchanged. Flat arrangements cannot tell.
    """
    _, positions, weight = sampled(body, keypoints, 4)
    if not len(positions):
        return False
    own, mirror = (_misfit(body.marker_rest * [1.0, sign, 1.0], positions, weight) for sign in (1.0, -1.0))
    return bool(np.mean(mirror < MIRRORED_GAIN * own) > MIRRORED_FRAMES)


def _misfit(
    rest: Float[np.ndarray, "keypoint 3"],
    positions: Float[np.ndarray, "frame keypoint 3"],
    weight: Float[np.ndarray, "frame keypoint"],
) -> Float[np.ndarray, " frame"]:
    """Root mean square distance that a rotation and translation of `rest` leaves in each frame, metres."""
    fit = procrustes(np.broadcast_to(rest, positions.shape), positions, weight)
    moved = np.einsum("fij,kj->fki", fit.rotation, rest) + fit.translation[:, None]
    squared = np.where(weight > 0, ((positions - moved) ** 2).sum(axis=-1), 0.0)
    return np.sqrt(squared.sum(axis=1) / weight.sum(axis=1))
