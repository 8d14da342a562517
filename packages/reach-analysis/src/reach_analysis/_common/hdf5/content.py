"""Checks of values: bounds, gaps, and the rules that relate data sets to each other.

Every check reads one or a few data sets whole. A check whose data sets are missing reports nothing: that they are
missing has been reported already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any

import numpy as np

from ..errors import shorten, unknown
from .reading import json_list
from .record import Record, Violation
from .schema import DatasetRule

_UNIT_TOLERANCE = 1e-4
# positions are float32: the last digit of a coordinate that is metres from the origin
_FLOAT32_DIGITS = 4 * float(np.finfo(np.float32).eps)


def validity(record: Record, dims: tuple[str, ...]) -> np.ndarray | None:
    """Return which leading elements of a data set with these axes must be finite, or None for all.

    For clips that is one bool a frame. For rollouts it is one a step; a state counts when it is the first or the
    outcome of a step that counts.
    """
    axes = record.dims.get("valid")
    if axes is None or "valid" not in record.numbers:
        return None
    valid, leading = record.array("valid") == 1, dims[: len(axes)]
    if axes[-1] == "step_time" and leading == (*axes[:-1], "state_time"):
        return np.concatenate([np.ones((*valid.shape[:-1], 1), bool), valid], axis=-1)
    return valid if leading == axes else None


def value_violations(record: Record) -> Iterator[Violation]:
    """Report values that are not finite where they have to be, out of bounds, or not among their flags."""
    for path in record.numbers:
        rule = record.schema.dataset(path)
        if rule is None:
            continue
        flags = rule.flag_values
        if rule.free_flags:
            values = record.dataset_attributes.get(path, {}).get("flag_values", ())
            flags = tuple(int(v) for v in np.atleast_1d(np.asarray(values, dtype=np.int64)))
        if flags:
            others = sorted(set(np.unique(record.array(path)).tolist()) - set(flags))
            if others:
                yield Violation(path, f"expected only {shorten([str(v) for v in flags])}, got {others[:12]}")
        elif rule.finite is not None or rule.minimum is not None:
            yield from _bounds(record, rule)


def _bounds(record: Record, rule: DatasetRule) -> Iterator[Violation]:
    array = record.array(rule.path)
    finite = np.isfinite(array)
    mask = validity(record, record.dims[rule.path]) if rule.finite == "where valid" else None
    required = finite if mask is None else finite | ~mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim))
    gaps, infinite = int(array.size - required.sum()), int(np.isinf(array).sum())
    if gaps and rule.finite in ("always", "where valid"):
        where = "" if mask is None else " in valid frames"
        yield Violation(rule.path, f"{gaps} values are not finite{where}")
    elif infinite:
        yield Violation(rule.path, f"{infinite} values are infinite; NaN marks what is missing")
    if not finite.any():
        return
    low, high = float(array[finite].min()), float(array[finite].max())
    if rule.minimum is not None and low < rule.minimum:
        yield Violation(rule.path, f"expected values of at least {rule.minimum:g}, got {low:g}")
    if rule.above is not None and low <= rule.above:
        yield Violation(rule.path, f"expected values above {rule.above:g}, got {low:g}")
    if rule.maximum is not None and high > rule.maximum:
        yield Violation(rule.path, f"expected values of at most {rule.maximum:g}, got {high:g}")


def clip_names_unique(record: Record) -> Iterator[Violation]:
    """Clips are looked up by name."""
    names = record.strings.get("clip_name", ())
    if len(set(names)) < len(names) or "" in names:
        yield Violation("clip_name", "clip names must be unique and not empty")


def clips_contiguous(record: Record) -> Iterator[Violation]:
    """Clips are stored end to end and fill the frame axis."""
    if not record.has("clip_start", "clip_length", "frame"):
        return
    starts, lengths = record.array("clip_start").tolist(), record.array("clip_length").tolist()
    n_frames = record.length("frame")
    if sum(lengths) != n_frames:
        yield Violation("clip_length", f"the lengths add up to {sum(lengths)}, but there are {n_frames} frames")
    expected = [0, *accumulate(lengths)][:-1]
    if starts != expected:
        clip = next((i for i, (a, b) in enumerate(zip(starts, expected, strict=False)) if a != b), 0)
        yield Violation("clip_start", f"clip {clip} must start where the one before it ends")
        return
    fits = sum(lengths) == n_frames and min(lengths, default=0) >= 0 and record.has("frame_clip")
    if fits and not np.array_equal(record.array("frame_clip"), np.repeat(np.arange(len(lengths)), lengths)):
        yield Violation("frame_clip", "does not agree with clip_start and clip_length")


def time_follows_rate(record: Record) -> Iterator[Violation]:
    """Time counts from the start of each clip at the file's rate."""
    rate = record.attributes.get("rate_hz")
    if not record.has("time", "clip_length", "frame") or not isinstance(rate, float | int) or rate <= 0:
        return
    lengths, time = record.array("clip_length"), record.array("time")
    if lengths.size == 0 or lengths.min() < 1 or sum(lengths.tolist()) != len(time):
        return
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    wrong = np.abs(time - (np.arange(len(time)) - starts) / rate) > 1e-6 / rate + 1e-9 * np.abs(time)
    if wrong.any():
        frame = int(np.argmax(wrong))
        yield Violation("time", f"frame {frame}: got {time[frame]:g} s, expected {(frame - starts[frame]) / rate:g} s")


def quaternions_unit(record: Record) -> Iterator[Violation]:
    """Quaternions have length one, in xquat and in the columns of qpos that end in _qw .. _qz."""
    if "xquat" in record.numbers:
        yield from _norms("xquat", record.array("xquat"))
    names = record.strings.get("names_qpos", ())
    starts = [i for i, name in enumerate(names) if name.endswith("_qw") and len(names) >= i + 4]
    if "qpos" in record.numbers and starts and record.numbers["qpos"].shape[-1] == len(names):
        qpos = record.array("qpos")
        yield from _norms("qpos", np.stack([qpos[..., i : i + 4] for i in starts], axis=-2))


def _norms(path: str, quaternions: np.ndarray) -> Iterator[Violation]:
    length = np.linalg.norm(quaternions, axis=-1)
    wrong = np.abs(length - 1) > _UNIT_TOLERANCE
    if wrong.any():
        problem = f"{int(wrong.sum())} quaternions are not of unit length (one has {length[wrong][0]:g})"
        yield Violation(path, problem)


def residual_follows(record: Record) -> Iterator[Violation]:
    """The residual is the distance between keypoint and site."""
    if not record.has("residual", "kp_data", "marker_sites"):
        return
    stored, points, sites = (record.array(name) for name in ("residual", "kp_data", "marker_sites"))
    if not points.shape == sites.shape == (*stored.shape, 3):
        return
    distance = np.linalg.norm(points.astype(np.float64) - sites, axis=-1)
    size = np.abs(points).max(axis=-1, initial=0) + np.abs(sites).max(axis=-1, initial=0)
    with np.errstate(invalid="ignore"):
        wrong = np.abs(distance - stored) > 1e-7 + 1e-4 * distance + _FLOAT32_DIGITS * size
    wrong |= np.isnan(distance) != np.isnan(stored)
    if wrong.any():
        frame, keypoint = (int(i[0]) for i in np.nonzero(wrong))
        yield Violation(
            "residual",
            f"frame {frame}, keypoint {keypoint}: got {stored[frame, keypoint]:g} m, but kp_data and marker_sites are "
            f"{distance[frame, keypoint]:g} m apart ({int(wrong.sum())} differ)",
        )


def missing_has_no_weight(record: Record) -> Iterator[Violation]:
    """A keypoint that is missing cannot have had a weight."""
    if not record.has("kp_data", "kp_confidence"):
        return
    points, weights = record.array("kp_data"), record.array("kp_confidence")
    if points.shape[:2] == weights.shape:
        wrong = np.isnan(points).any(axis=-1) & (weights > 0)
        if wrong.any():
            frame = int(np.nonzero(wrong)[0][0])
            yield Violation("kp_confidence", f"frame {frame}: a keypoint that is NaN has a weight above 0")


def skeleton_exists(record: Record) -> Iterator[Violation]:
    """The skeleton joins keypoints of the file."""
    names = record.strings.get("kp_names")
    if names is not None:
        joined = [name for pair in json_list(record.attributes, "skeleton") if isinstance(pair, list) for name in pair]
        yield from _unknown_names("@skeleton", "keypoint", joined, names)


def _unknown_names(where: str, kind: str, names: Iterable[Any], available: tuple[str, ...]) -> Iterator[Violation]:
    for name in dict.fromkeys(name for name in names if isinstance(name, str) and name not in available):
        yield Violation(where, unknown(kind, name, available))


def bodies_named(record: Record, bodies: tuple[str, ...]) -> Iterator[Violation]:
    """Report names of bodies, anywhere in the file, that are not among `bodies`."""
    root = record.attributes.get("root_body")
    yield from _unknown_names("@root_body", "body", [root] if root else [], bodies)
    yield from _unknown_names("@end_effectors", "body", json_list(record.attributes, "end_effectors"), bodies)
    yield from _unknown_names("kp_body", "body", record.strings.get("kp_body", ()), bodies)


def rollout_times(record: Record) -> Iterator[Violation]:
    """A control step is a whole number of physics steps, and states and steps are on its grid."""
    names = ("ctrl_dt_s", "sim_dt_s", "n_substeps", "rate_hz")
    values = [record.attributes.get(name) for name in names]
    if not all(isinstance(value, float | int) and value > 0 for value in values):
        return
    control, physics, substeps, rate = (float(value) for value in values if value is not None)
    if abs(control - substeps * physics) > 1e-9 + 1e-6 * control:
        yield Violation("@ctrl_dt_s", f"expected n_substeps x sim_dt_s = {substeps * physics:g}, got {control:g}")
    if abs(rate * control - 1) > 1e-6:
        yield Violation("@rate_hz", f"expected 1 / ctrl_dt_s = {1 / control:g}, got {rate:g}")
    n_states, n_steps = record.length("state_time"), record.length("step_time")
    if n_states is not None and n_steps is not None and n_states != n_steps + 1:
        yield Violation("state_time", f"expected one state more than the {n_steps} steps, got {n_states}")
    for name in ("state_time", "step_time"):
        if record.has(name):
            grid = record.array(name)
            if np.abs(grid - np.arange(len(grid)) * control).max(initial=0) > 1e-6 * control * max(1, len(grid)):
                yield Violation(name, f"expected steps of ctrl_dt_s = {control:g} s from 0")


def rollout_valid_prefix(record: Record) -> Iterator[Violation]:
    """A rollout that has ended does not continue, and it ends at most once."""
    if not record.has("valid"):
        return
    valid = record.array("valid").astype(np.int8)
    if (np.diff(valid, axis=-1) > 0).any():
        yield Violation("valid", "a rollout continues after it ended: expected ones, then zeros")
    if record.has("terminated") and record.numbers["terminated"].shape == valid.shape:
        last = np.concatenate([valid[..., :-1] > valid[..., 1:], valid[..., -1:] == 1], axis=-1)
        if ((record.array("terminated") == 1) & ~last).any():
            yield Violation("terminated", "may be 1 only in the last valid step of a rollout")


def rollout_reference(record: Record) -> Iterator[Violation]:
    """The clips of the reference are within its frames."""
    if not record.has("reference/clip_start", "reference/clip_length", "reference/reference_frame"):
        return
    starts, lengths = record.array("reference/clip_start"), record.array("reference/clip_length")
    n_frames = record.length("reference/reference_frame") or 0
    if starts.shape == lengths.shape and (starts + lengths).max(initial=0) > n_frames:
        last = (starts + lengths).max()
        yield Violation("reference/clip_start", f"a clip reaches frame {last}, but there are {n_frames}")


CONTENT_CHECKS: dict[str, Callable[[Record], Iterator[Violation]]] = {
    check.__name__: check
    for check in (
        clip_names_unique, clips_contiguous, time_follows_rate, quaternions_unit, residual_follows,
        missing_has_no_weight, skeleton_exists, rollout_times, rollout_valid_prefix, rollout_reference,
    )
}  # fmt: skip
"""Checks that need no model, by their name in the JSON."""


def content_violations(record: Record) -> list[Violation]:
    """Report everything that is wrong with the values of a record, the enclosed model aside."""
    checks = [value_violations, *(CONTENT_CHECKS[name] for name in record.schema.checks if name in CONTENT_CHECKS)]
    return [violation for check in checks for violation in check(record)]
