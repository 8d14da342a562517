"""What a recording says about itself when held against a body: size, axes, handedness, trials, planes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from stac_mjx._common.errors import counted, shorten
from stac_mjx.body.body import Body
from stac_mjx.config import AXES, AlignmentConfig
from stac_mjx.keypoints import Keypoints
from stac_mjx.keypoints.alignment import procrustes
from stac_mjx.keypoints.bouts import stretches
from stac_mjx.keypoints.keypoints import side, without_side
from stac_mjx.records import thinned

MIRRORED_FRAMES, MIRRORED_GAIN = 0.9, 0.95
"""A recording is mirrored when in this part of its frames the mirror image leaves less than this part of the error.
In recordings of six species no frame prefers the mirror image, and every frame does once an axis is flipped."""
SWAPPED_GAIN, SWAPPED_FRAMES = 0.8, 5
"""Left and right are exchanged for a while where the mirror image leaves less than this part of the error in at least
as many of the frames looked at in a row; single frames between them do not count."""
JUMP_STEPS, JUMP_SIZE = 20.0, 0.1
"""The animal jumps where three quarters of its keypoints move by more than this multiple of the usual step, and by more
than this part of the body's size, from one frame to the next."""
HELD_STEPS = 5
"""Steps without any change of a keypoint, while most others move, that are reported."""
FLAT, FLATTER = 1e-3, 0.1
"""Points are in a plane when their spread across it is below this part of their spread within it; a recording is flat,
up to its noise, when it is flatter than the body in random poses by this factor."""
EXCHANGED_STEPS, EXCHANGED_LEFT = 3.0, 0.3
"""Two keypoints of opposite sides are exchanged from one frame to the next where their steps exceed this multiple of
the usual ones (and `JUMP_SIZE`), and the exchange leaves less than this part of them."""
_SAMPLED_FRAMES, _SIZE_FRAMES, _SWAP_FRAMES, _PLANE_POSES = 300, 500, 5000, 20
_MOST_NAMED = 12


def recording_warnings(body: Body, keypoints: Keypoints, config: AlignmentConfig) -> list[str]:
    """Return what the user should check in a recording in metres, with the keypoints of the body in their order."""
    warnings = [*_mirrored(body, keypoints), *_flat(body, keypoints), *_jumps(body, keypoints), *_held(keypoints)]
    # a free root follows any rotation of the recording
    if len(body.tree.root_dofs) == 6 and config.up is None and config.mode == "none":
        axis, cosine = up_axis(body, keypoints)
        if axis not in (None, "z"):
            warnings.append(
                f"the animal's up points along {axis} of the recording (mean cosine {cosine:.2f}), not along z; the "
                f"poses are right, but gravity is not: set alignment.up={axis} to turn the recording"
            )
    return warnings


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


def _sampled(
    body: Body, keypoints: Keypoints, fewest: int, most: int = _SAMPLED_FRAMES
) -> tuple[Bool[np.ndarray, " keypoint"], Int[np.ndarray, " frame"], Float[np.ndarray, "frame keypoint"]]:
    """Choose trunk keypoints (all, if fewer than `fewest`), and frames with as many; return their weights too."""
    trunk = np.array([name in body.trunk_keypoints for name in keypoints.names])
    chosen = trunk if trunk.sum() >= fewest else np.ones(len(trunk), bool)
    frames = thinned(keypoints.n_frames, most)
    weight = (keypoints.observed[frames] & chosen).astype(float)
    enough = weight.sum(axis=1) >= fewest
    return chosen, frames[enough], weight[enough]


def up_axis(body: Body, keypoints: Keypoints) -> tuple[str | None, float]:
    """Return the axis of the recording closest to the body's z axis on average, and the mean cosine.

    None where fewer than three keypoints determine it, or where no axis is within 45 degrees.
    """
    rest = body.marker_rest
    chosen, frames, weight = _sampled(body, keypoints, 3)
    flat = np.linalg.matrix_rank(rest[chosen] - rest[chosen].mean(0), tol=1e-3 * body.size_m) < 2
    if flat or not len(frames):
        return None, 0.0
    positions = keypoints.positions[frames]
    fit = procrustes(np.broadcast_to(rest, positions.shape), positions, weight)
    mean = fit.rotation[:, :, 2].mean(axis=0)
    best = max(AXES, key=lambda name: float(np.dot(mean, AXES[name])))
    cosine = float(np.dot(mean, AXES[best]))
    return (best, cosine) if cosine > np.sqrt(0.5) else (None, cosine)


def _mirrored(body: Body, keypoints: Keypoints) -> list[str]:
    if is_mirrored(body, keypoints):
        return [
            f"the mirror image of body {body.name!r} fits the recording better than the body itself, so poses will be "
            "wrong. If the axes are left-handed, set keypoints.flip=y; if left and right keypoints are exchanged, set "
            "keypoints.rename"
        ]
    spans = swapped_stretches(body, keypoints)
    if not spans:
        return _exchanged(body, keypoints)
    return [
        f"left and right keypoints look exchanged in {_listed([f'{a} to {b}' for a, b in spans])}: the mirror image of "
        f"body {body.name!r} fits better there. Exchange them in the recording, or leave these frames out"
    ]


def _exchanged(body: Body, keypoints: Keypoints) -> list[str]:
    """Warn of pairs of opposite sides whose keypoints take each other's place from one frame to the next."""
    pairs: dict[tuple[str, ...], dict[str, int]] = {}
    for k, name in enumerate(keypoints.names):
        pairs.setdefault(without_side(name), {})[side(name)] = k
    points = np.where(keypoints.observed[..., None], keypoints.positions, np.nan)
    inside, said = np.diff(keypoints.frame_clip) == 0, []
    for both in pairs.values():
        if not {"left", "right"} <= set(both):
            continue
        pair = points[:, [both["left"], both["right"]]]
        straight, crossed = (
            np.linalg.norm(pair[1:] - before, axis=-1).max(axis=1) for before in (pair[:-1], pair[:-1, ::-1])
        )
        known = inside & np.isfinite(straight)
        usual = float(np.median(straight[known])) if known.any() else 0.0
        far = straight > max(EXCHANGED_STEPS * usual, JUMP_SIZE * body.size_m)
        frames = 1 + np.flatnonzero(known & far & (crossed < EXCHANGED_LEFT * straight))
        if len(frames):
            left, right = (keypoints.names[both[one]] for one in ("left", "right"))
            said.append(f"{left} and {right} at {_listed([str(frame) for frame in frames.tolist()])}")
    if not said:
        return []
    return [f"keypoints take the places of the other side: {'; '.join(said)}. Exchange them back in the recording"]


def is_mirrored(body: Body, keypoints: Keypoints) -> bool:
    """Return whether the mirror image of the body fits the recording better in nearly every frame.

    That happens when axes are left-handed, or left and right keypoints exchanged. Flat arrangements never do.
    """
    frames, gain = _mirror_gain(body, keypoints, _SAMPLED_FRAMES)
    return bool(len(frames) and np.mean(gain < MIRRORED_GAIN) > MIRRORED_FRAMES)


def swapped_stretches(body: Body, keypoints: Keypoints) -> list[tuple[int, int]]:
    """Return the first and last frames of stretches in which the mirror image of the body fits better."""
    frames, gain = _mirror_gain(body, keypoints, _SWAP_FRAMES)
    swapped = np.flatnonzero(gain < SWAPPED_GAIN)
    runs = np.split(swapped, np.flatnonzero(np.diff(swapped) > 2) + 1)
    return [(int(frames[run[0]]), int(frames[run[-1]])) for run in runs if len(run) >= SWAPPED_FRAMES]


def _mirror_gain(
    body: Body, keypoints: Keypoints, most: int
) -> tuple[Int[np.ndarray, " frame"], Float[np.ndarray, " frame"]]:
    """Return frames, and the error of the mirror image of the body over that of the body in each."""
    _, frames, weight = _sampled(body, keypoints, 4, most)
    positions = keypoints.positions[frames]
    original, mirror = (_misfit(body.marker_rest * [1.0, sign, 1.0], positions, weight) for sign in (1.0, -1.0))
    return frames, mirror / np.maximum(original, 1e-12)


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


def _flat(body: Body, keypoints: Keypoints) -> list[str]:
    """Warn of a recording in one plane, unless the body itself stays in a plane."""
    frames = thinned(keypoints.n_frames, _SAMPLED_FRAMES)
    seen, points = keypoints.observed[frames], keypoints.positions[frames]
    # each frame about its own middle: a long walk is flat, whoever walks
    count = np.maximum(seen.sum(axis=1), 1)[:, None]
    middle = np.where(seen[..., None], points, 0.0).sum(axis=1) / count
    own = _own_shapes(body)
    recorded, usual = (points - middle[:, None])[seen], (own - own.mean(axis=1, keepdims=True)).reshape(-1, 3)
    if len(recorded) < 4 or flatness(recorded) > max(FLAT, FLATTER * flatness(usual)) or flatness(usual) <= FLAT:
        return []
    return [
        f"all keypoints lie in one plane, but body {body.name!r} moves in three dimensions: are these 2D tracks, or "
        "was a coordinate never filled? Joint angles will be wrong. Triangulate the cameras first"
    ]


def flatness(points: Float[np.ndarray, "point 3"]) -> float:
    """Return the spread of points across their plane over that along their longest direction; 0: in one plane."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return float(spread[2] / max(spread[0], 1e-30))


def _own_shapes(body: Body) -> Float[np.ndarray, "pose keypoint 3"]:
    """Return the markers in some poses of all joints but those of the root."""
    from stac_mjx.synthetic.motion import Motion, marker_positions, random_poses

    qpos = random_poses(body, Motion(n_frames=_PLANE_POSES, cutoff_hz=25.0), np.random.default_rng(0))
    first = int(body.model.jnt_qposadr[body.model.body_jntadr[body.root]])
    still = slice(first, first + len(body.tree.root_dofs) + body.tree.root_is_free)
    if len(body.tree.root_dofs) >= 3:
        qpos[:, still] = body.model.qpos0[still]
    return marker_positions(body, qpos, body.marker_offset)


def _jumps(body: Body, keypoints: Keypoints) -> list[str]:
    found, metres = jumps(body, keypoints)
    if not len(found):
        return []
    several = len(keypoints.clip_lengths) > 1
    return [
        f"all keypoints jump at once, by up to {1000 * metres:.0f} mm, at {_listed([str(f) for f in found.tolist()])}"
        f"{' (of all clips end to end)' * several}: are these trials end to end? Velocities there are wrong. Mark the "
        f"borders with keypoints.clip_starts=[{','.join(map(str, found[:_MOST_NAMED].tolist()))}] or "
        "keypoints.clip_frames=N, both in frames of a file"
    ]


def jumps(body: Body, keypoints: Keypoints) -> tuple[Int[np.ndarray, " jump"], float]:
    """Return the frames to which most keypoints jump within a clip, and the largest of these jumps, metres."""
    points = np.where(keypoints.observed[..., None], keypoints.positions, np.nan)
    # from each frame with most keypoints to the next one, which may be behind a gap
    frames = np.flatnonzero(keypoints.observed.sum(axis=1) >= max(1, points.shape[1] // 2))
    steps = np.sort(np.linalg.norm(np.diff(points[frames], axis=0), axis=-1), axis=1)  # missing ones come last
    count = np.isfinite(steps).sum(axis=1)
    usable = (count >= max(1, points.shape[1] // 2)) & (np.diff(keypoints.frame_clip[frames]) == 0)
    if not usable.any():
        return np.zeros(0, np.int64), 0.0
    lower = np.where(usable, steps[np.arange(len(steps)), np.minimum(count // 4, steps.shape[1] - 1)], 0.0)
    gap = np.diff(frames)
    usual = float(np.median(lower[usable] / gap[usable]))
    found = np.flatnonzero(lower > np.maximum(JUMP_STEPS * usual * gap, JUMP_SIZE * body.size_m))
    return frames[found + 1], float(lower.max())


def _held(keypoints: Keypoints) -> list[str]:
    """Warn of keypoints that stay at the same numbers while others move; those that seldom move are not meant."""
    seen, said = keypoints.observed, []
    both = seen[1:] & seen[:-1] & (np.diff(keypoints.frame_clip) == 0)[:, None]
    still = both & (np.diff(keypoints.positions, axis=0) == 0).all(axis=-1)
    others_move = still.sum(axis=1) < 0.5 * both.sum(axis=1)
    for k in np.flatnonzero(still.sum(axis=0) < 0.5 * both.sum(axis=0)).tolist():
        spans = [span for span in stretches(still[:, k] & others_move, 0) if span[1] - span[0] >= HELD_STEPS]
        if spans:
            said.append(f"{keypoints.names[k]} {counted(len(spans), 'time')} (from frame {spans[0][0]})")
    if not said:
        return []
    return [
        f"keypoints stay exactly where they are while others move: {shorten(said)}. If the tracker "
        "repeats the last place of a point that it lost, set these points to NaN in the recording"
    ]


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _MOST_NAMED} more" if len(items) > _MOST_NAMED else ""
    return f"frames {', '.join(items[:_MOST_NAMED])}{more}"
