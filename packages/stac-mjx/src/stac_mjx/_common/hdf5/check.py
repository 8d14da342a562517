"""Checks of values: bounds, gaps, and the rules that relate data sets to each other.

Every check reads in blocks, so that memory stays bounded whatever the file holds. A check whose data sets are missing
says nothing: their absence has been reported already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import numpy as np

from stac_mjx._common.errors import shorten, unknown
from stac_mjx._common.hdf5.record import Departure, Record, blocks
from stac_mjx._common.hdf5.schema import DatasetRule

Check = Callable[[Record], Iterator[Departure]]

_UNIT_TOLERANCE = 1e-4
# positions are float32: the last digit of a coordinate that is metres from the origin
_FLOAT32_DIGITS = 4 * float(np.finfo(np.float32).eps)


def validity(record: Record, dims: tuple[str, ...]) -> np.ndarray | None:
    """Return which leading elements of a data set with these axes hold values that count, or None for all.

    For clips that is one bool a frame. For rollouts, one a step; a state counts when it is the first or the outcome of
    a step that counts.
    """
    axes = record.dims.get("valid")
    if axes is None or "valid" not in record.numbers:
        return None
    if dims[: len(axes)] == axes:
        return record.whole("valid") == 1
    if axes[-1] == "step_time" and dims[: len(axes)] == (*axes[:-1], "state_time"):
        steps = record.whole("valid") == 1
        return np.concatenate([np.ones((*steps.shape[:-1], 1), bool), steps], axis=-1)
    return None


def value_departures(record: Record) -> Iterator[Departure]:
    """Report values that are not finite where they have to be, out of bounds, or no value of their flags."""
    for path in record.numbers:
        rule = record.schema.dataset(path)
        if rule is None:
            continue
        allowed = rule.flag_values
        if rule.free_flags:
            values = record.own_attributes.get(path, {}).get("flag_values", ())
            allowed = tuple(int(v) for v in np.atleast_1d(np.asarray(values, dtype=np.int64)))
        if allowed or rule.finite is not None or rule.minimum is not None:
            yield from _bounds(record, rule, allowed)


def _bounds(record: Record, rule: DatasetRule, allowed: tuple[int, ...]) -> Iterator[Departure]:
    array = record.numbers[rule.path]
    mask = validity(record, record.dims[rule.path]) if rule.finite == "where valid" else None
    gaps, infinite, low, high = 0, 0, np.inf, -np.inf
    strange: set[int] = set()
    for index in blocks(array):
        block = np.asarray(array[index])
        if rule.finite is None:
            strange |= set(np.unique(block).tolist()) - set(allowed) if allowed else set()
            finite = block
        else:
            good = np.isfinite(block)
            finite = block[good]
            infinite += int(np.isinf(block).sum())
            if mask is not None:
                part = mask[index[: mask.ndim]]
                good |= ~part.reshape(part.shape + (1,) * (good.ndim - part.ndim))
            gaps += int(good.size - good.sum())
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    where = "" if mask is None else " in valid frames"
    if rule.finite in ("always", "where valid") and gaps:
        yield Departure(rule.path, f"{gaps} values are not finite{where}")
    elif infinite:
        yield Departure(rule.path, f"{infinite} values are infinite; NaN marks what is missing")
    if strange:
        yield Departure(rule.path, f"expected only {shorten([str(v) for v in allowed])}, got {sorted(strange)[:12]}")
    yield from _range(rule, low, high)


def _range(rule: DatasetRule, low: float, high: float) -> Iterator[Departure]:
    if rule.minimum is not None and low < rule.minimum:
        yield Departure(rule.path, f"expected values of at least {rule.minimum:g}, got {low:g}")
    if rule.above is not None and low <= rule.above:
        yield Departure(rule.path, f"expected values above {rule.above:g}, got {low:g}")
    if rule.maximum is not None and high > rule.maximum:
        yield Departure(rule.path, f"expected values of at most {rule.maximum:g}, got {high:g}")


def clip_names_unique(record: Record) -> Iterator[Departure]:
    """Clips are looked up by name."""
    names = record.strings.get("clip_name", ())
    if len(set(names)) < len(names) or "" in names:
        yield Departure("clip_name", "clip names must be unique and not empty")


def clips_contiguous(record: Record) -> Iterator[Departure]:
    """Clips lie end to end and fill the frame axis."""
    if not record.has("clip_start", "clip_length", "frame"):
        return
    starts, lengths = record.whole("clip_start").tolist(), record.whole("clip_length").tolist()
    n_frames = record.length("frame")
    if sum(lengths) != n_frames:
        yield Departure("clip_length", f"the lengths add up to {sum(lengths)}, but there are {n_frames} frames")
    expected = [0, *accumulate(lengths)][:-1]
    if starts != expected:
        clip = next((i for i, (a, b) in enumerate(zip(starts, expected, strict=False)) if a != b), 0)
        yield Departure("clip_start", f"clip {clip} must start where the one before it ends")
        return
    countable = sum(lengths) == n_frames and min(lengths, default=0) >= 0 and record.has("frame_clip")
    if countable and not np.array_equal(record.whole("frame_clip"), np.repeat(np.arange(len(lengths)), lengths)):
        yield Departure("frame_clip", "does not agree with clip_start and clip_length")


def time_follows_rate(record: Record) -> Iterator[Departure]:
    """Time counts from the start of each clip at the file's rate."""
    rate = record.attributes.get("rate_hz")
    if not record.has("time", "clip_length", "frame") or not isinstance(rate, float | int) or rate <= 0:
        return
    lengths = record.whole("clip_length")
    time = record.whole("time")
    if lengths.size == 0 or lengths.min() < 1 or sum(lengths.tolist()) != len(time):
        return
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    wrong = np.abs(time - (np.arange(len(time)) - starts) / rate) > 1e-6 / rate + 1e-9 * np.abs(time)
    if wrong.any():
        frame = int(np.argmax(wrong))
        yield Departure("time", f"frame {frame}: got {time[frame]:g} s, expected {(frame - starts[frame]) / rate:g} s")


def quaternions_unit(record: Record) -> Iterator[Departure]:
    """Quaternions have length one, in xquat and in the columns of qpos that end in _qw .. _qz."""
    if "xquat" in record.numbers:
        yield from _norms(record, "xquat", [slice(None)])
    if record.has("qpos", "names_qpos"):
        names = record.strings["names_qpos"]
        starts = [i for i, name in enumerate(names) if name.endswith("_qw") and names[i + 1 : i + 4]]
        if record.numbers["qpos"].shape[-1] == len(names):
            yield from _norms(record, "qpos", [slice(i, i + 4) for i in starts])


def _norms(record: Record, path: str, columns: list[slice]) -> Iterator[Departure]:
    array, wrong, worst = record.numbers[path], 0, 1.0
    for index in blocks(array):
        block = np.asarray(array[index], dtype=np.float64)
        for part in columns:
            length = np.linalg.norm(block[..., part], axis=-1)
            off = np.abs(length - 1) > _UNIT_TOLERANCE
            wrong += int(off.sum())
            worst = float(length[off].ravel()[0]) if off.any() else worst
    if wrong:
        yield Departure(path, f"{wrong} quaternions are not of unit length (one has {worst:g})")


def residual_follows(record: Record) -> Iterator[Departure]:
    """The residual is the distance between keypoint and site."""
    if not record.has("residual", "kp_data", "marker_sites"):
        return
    residual, points, sites = (record.numbers[name] for name in ("residual", "kp_data", "marker_sites"))
    if not points.shape == sites.shape == (*residual.shape, 3):
        return
    for index in blocks(points):
        keypoints, markers = (np.asarray(array[index], dtype=np.float64) for array in (points, sites))
        distance, stored = np.linalg.norm(keypoints - markers, axis=-1), np.asarray(residual[index[:2]], np.float64)
        reach = np.abs(keypoints).max(axis=-1, initial=0) + np.abs(markers).max(axis=-1, initial=0)
        with np.errstate(invalid="ignore"):
            wrong = np.abs(distance - stored) > 1e-7 + 1e-4 * distance + _FLOAT32_DIGITS * reach
        wrong |= np.isnan(distance) != np.isnan(stored)
        if wrong.any():
            frame, keypoint = (int(i[0]) for i in np.nonzero(wrong))
            yield Departure(
                "residual",
                f"frame {frame + index[0].start}, keypoint {keypoint}: got {stored[frame, keypoint]:g} m, but kp_data "
                f"and marker_sites are {distance[frame, keypoint]:g} m apart ({int(wrong.sum())} or more differ)",
            )
            return


def missing_has_no_weight(record: Record) -> Iterator[Departure]:
    """A keypoint that is missing cannot have had a weight."""
    if not record.has("kp_data", "kp_confidence"):
        return
    points, weights = record.numbers["kp_data"], record.numbers["kp_confidence"]
    if points.shape[:2] != weights.shape:
        return
    for index in blocks(points):
        wrong = np.isnan(points[index]).any(axis=-1) & (np.asarray(weights[index[:2]]) > 0)
        if wrong.any():
            frame = int(np.nonzero(wrong)[0][0]) + index[0].start
            yield Departure("kp_confidence", f"frame {frame}: a keypoint that is NaN has a weight above 0")
            return


def skeleton_exists(record: Record) -> Iterator[Departure]:
    """The skeleton joins keypoints of the file."""
    names = record.strings.get("kp_names")
    if names is not None:
        listed = [name for pair in _json_attribute(record, "skeleton") for name in pair if isinstance(pair, list)]
        yield from _unknown_names("@skeleton", "keypoint", listed, names)


def _json_attribute(record: Record, name: str) -> list[Any]:
    try:
        value = json.loads(record.attributes.get(name) or "[]")
    except (TypeError, ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def _unknown_names(where: str, kind: str, names: list[Any], there: tuple[str, ...]) -> Iterator[Departure]:
    for name in dict.fromkeys(name for name in names if isinstance(name, str) and name not in there):
        yield Departure(where, unknown(kind, name, there))


def bodies_named(record: Record, bodies: tuple[str, ...]) -> Iterator[Departure]:
    """Report names of bodies, anywhere in the file, that are not among `bodies`."""
    root = record.attributes.get("root_body")
    yield from _unknown_names("@root_body", "body", [root] if root else [], bodies)
    yield from _unknown_names("@end_effectors", "body", _json_attribute(record, "end_effectors"), bodies)
    yield from _unknown_names("kp_body", "body", list(record.strings.get("kp_body", ())), bodies)


def rollout_times(record: Record) -> Iterator[Departure]:
    """A control step is a whole number of physics steps, and one more state than steps lie on its grid."""
    names = ("ctrl_dt_s", "sim_dt_s", "n_substeps", "rate_hz")
    values = [record.attributes.get(name) for name in names]
    if not all(isinstance(value, float | int) and value > 0 for value in values):
        return
    control, physics, substeps, rate = (float(value) for value in values if value is not None)
    if abs(control - substeps * physics) > 1e-9 + 1e-6 * control:
        yield Departure("@ctrl_dt_s", f"expected n_substeps x sim_dt_s = {substeps * physics:g}, got {control:g}")
    if abs(rate * control - 1) > 1e-6:
        yield Departure("@rate_hz", f"expected 1 / ctrl_dt_s = {1 / control:g}, got {rate:g}")
    n_states, n_steps = record.length("state_time"), record.length("step_time")
    if n_states is not None and n_steps is not None and n_states != n_steps + 1:
        yield Departure("state_time", f"expected one state more than the {n_steps} steps, got {n_states}")
    for name in ("state_time", "step_time"):
        if record.has(name):
            grid = record.whole(name)
            if np.abs(grid - np.arange(len(grid)) * control).max(initial=0) > 1e-6 * control * max(1, len(grid)):
                yield Departure(name, f"expected steps of ctrl_dt_s = {control:g} s from 0")


def rollout_valid_prefix(record: Record) -> Iterator[Departure]:
    """Once a rollout has ended it does not go on, and it ends at most once."""
    if not record.has("valid"):
        return
    valid = record.whole("valid").astype(np.int8)
    if (np.diff(valid, axis=-1) > 0).any():
        yield Departure("valid", "a rollout goes on after it ended: expected ones, then zeros")
    if record.has("terminated") and record.numbers["terminated"].shape == valid.shape:
        ended = record.whole("terminated") == 1
        last = np.concatenate([valid[..., :-1] > valid[..., 1:], valid[..., -1:] == 1], axis=-1)
        if (ended & ~last).any():
            yield Departure("terminated", "may be 1 only in the last valid step of a rollout")


def rollout_reference(record: Record) -> Iterator[Departure]:
    """The clips of the reference lie end to end, within its frames."""
    if not record.has("reference/clip_start", "reference/clip_length", "reference/reference_frame"):
        return
    starts, lengths = record.whole("reference/clip_start"), record.whole("reference/clip_length")
    n_frames = record.length("reference/reference_frame") or 0
    ends = [start + length for start, length in zip(starts.tolist(), lengths.tolist(), strict=False)]
    if starts.shape == lengths.shape and max(ends, default=0) > n_frames:
        yield Departure("reference/clip_start", f"a clip reaches frame {max(ends)}, but there are {n_frames}")


CONTENT_CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        clip_names_unique,
        clips_contiguous,
        time_follows_rate,
        quaternions_unit,
        residual_follows,
        missing_has_no_weight,
        skeleton_exists,
        rollout_times,
        rollout_valid_prefix,
        rollout_reference,
    )
}
"""Checks that need no model, by the name they have in the JSON."""
