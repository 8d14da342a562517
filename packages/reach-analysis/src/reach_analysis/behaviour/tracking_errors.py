"""How far a rollout is from what it follows: joints, bodies and keypoints, by region of the body (paper B, Fig. 2b)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from jaxtyping import Float

from reach_analysis._common.errors import ConfigError, ContractError, DataError, MismatchError, raise_all, shorten
from reach_analysis._common.regions import regions_by_name
from reach_analysis._common.units import METRES_PER_UNIT
from reach_analysis.data.clips import Clips
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.data.series import GRID_TOLERANCE, TrialSeries

SITES, RECORDED = "marker_sites", "kp_data"
"""Data sets of clips: places of keypoints on the registered body, and as recorded."""


@dataclass(frozen=True)
class Deviation:
    """Distances from what is followed."""

    distance: TrialSeries
    """Trials x time x name, never negative, in `units`."""
    units: tuple[str, ...]
    """Unit of each channel: "deg" or "mm"."""

    def in_unit(self, unit: str) -> Deviation:
        """The channels in a unit."""
        names = [name for name, own in zip(self.distance.channels, self.units, strict=True) if own == unit]
        return Deviation(self.distance.select(names), (unit,) * len(names))


def has_reference(rollouts: Rollouts) -> bool:
    """Whether the rollouts follow clips; those of other tasks have no reference."""
    return bool(np.isfinite(rollouts.series("qpos_ref").rows()[0]).any())


def joint_deviation(rollouts: Rollouts) -> Deviation:
    """Absolute difference between each joint and its reference: degrees for angles, millimetres for lengths.

    Of a free joint the distance of its position and the angle between orientations are taken, of a ball joint the
    angle. Angles count the short way round. Joints that the reference does not have are left out.
    """
    pose, reference = rollouts.series("qpos"), rollouts.series("qpos_ref")
    units = rollouts.column_units("qpos")
    groups = _joint_columns(pose.channels, units)
    every, _ = reference.rows()
    groups = [group for group in groups if np.isfinite(every[:, group.columns]).any()]
    if not has_reference(rollouts):
        raise DataError(f"{rollouts.path}: no reference: these rollouts follow no clips, so there are no errors")
    values = tuple(
        np.stack([_joint_distance(one, two, group) for group in groups], axis=1)
        for one, two in zip(pose.values, reference.values, strict=True)
    )
    names = tuple(group.name for group in groups)
    series = TrialSeries("joint error", "per channel", pose.rate_hz, pose.trials, names, values, pose.start_s)
    return Deviation(series, tuple("mm" if group.metres else "deg" for group in groups))


@dataclass(frozen=True)
class _JointColumns:
    """Columns of qpos that belong together; `metres` per unit of a length, None for angles and quaternions."""

    name: str
    columns: list[int]
    metres: float | None


def _joint_columns(names: Sequence[str], units: Sequence[str]) -> list[_JointColumns]:
    groups, column = [], 0
    while column < len(names):
        name = names[column]
        if name.endswith("_qw") and column + 3 < len(names):
            groups.append(
                _JointColumns(f"{name.removesuffix('_qw')} orientation", list(range(column, column + 4)), None)
            )
            column += 4
        elif name.endswith("_x") and column + 3 < len(names) and names[column + 3] == f"{name.removesuffix('_x')}_qw":
            metres = _metres(units[column])
            groups.append(_JointColumns(f"{name.removesuffix('_x')} position", list(range(column, column + 3)), metres))
            column += 3
        else:
            groups.append(_JointColumns(name, [column], None if units[column] == "rad" else _metres(units[column])))
            column += 1
    return groups


def _metres(unit: str) -> float:
    """Metres per unit of length, as docs/schema writes units: ``m``, ``mm``, ``0.0024 m``."""
    number, _, rest = unit.rpartition(" ")
    try:
        return METRES_PER_UNIT[rest] * (float(number) if number else 1.0)
    except (KeyError, ValueError):
        raise ContractError(f"qpos: {unit!r} is not a unit of length or angle") from None


def _joint_distance(pose: np.ndarray, reference: np.ndarray, group: _JointColumns) -> Float[np.ndarray, " time"]:
    one, two = pose[:, group.columns], reference[:, group.columns]
    if group.metres is not None:
        return 1e3 * group.metres * np.linalg.norm(one - two, axis=1)
    if len(group.columns) == 4:
        cosine = np.abs((one * two).sum(axis=1)) / (np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1))
        return np.rad2deg(2 * np.arccos(np.clip(cosine, 0.0, 1.0)))
    return np.rad2deg(np.abs(((one - two)[:, 0] + np.pi) % (2 * np.pi) - np.pi))


def body_deviation(rollouts: Rollouts, clips: Clips) -> Deviation:
    """Distance of each body from where the reference clip has it, mm, at the frames of the reference."""
    position = rollouts.series("xpos")
    bodies = [name for name in rollouts.names["names_xpos"] if name in clips.bodies and name != "world"]
    columns = [position.channels.index(f"{name}/x") for name in bodies]

    def distances(trial: int, clip: str, steps: np.ndarray, frames: np.ndarray) -> np.ndarray:
        truth = clips.read("xpos", clip)[frames][:, [clips.bodies.index(name) for name in bodies]]
        found = np.stack([position.values[trial][steps, column : column + 3] for column in columns], axis=1)
        return 1e3 * np.linalg.norm(found - truth, axis=2)

    return _at_frames(rollouts, clips, "body", bodies, distances)


def keypoint_deviation(rollouts: Rollouts, clips: Clips, truth: str = SITES) -> Deviation:
    """Distance of each keypoint, carried along by its body, from the site registered to it, mm.

    With `truth` = `RECORDED` from the recorded keypoint, as in paper A, Fig. 1D.
    """
    if not clips.keypoint_bodies or clips.offsets is None:
        raise ContractError(f"{clips.path}: kp_body and offsets are missing, so keypoints cannot be carried along")
    position, turn = rollouts.series("xpos"), rollouts.series("xquat")
    carried = list(zip(clips.keypoint_bodies, clips.offsets, strict=True))

    def distances(trial: int, clip: str, steps: np.ndarray, frames: np.ndarray) -> np.ndarray:
        sites = np.empty((len(steps), len(clips.keypoints), 3))
        for number, (body, offset) in enumerate(carried):
            if f"{body}/x" not in position.channels:
                raise MismatchError(f"{rollouts.path}: has no body {body!r}, which {clips.path.name} names")
            x, w = position.channels.index(f"{body}/x"), turn.channels.index(f"{body}/w")
            quaternion = turn.values[trial][steps, w : w + 4]
            sites[:, number] = position.values[trial][steps, x : x + 3] + rotate(quaternion, offset)
        return 1e3 * np.linalg.norm(sites - clips.read(truth, clip)[frames], axis=2)

    return _at_frames(rollouts, clips, "keypoint", clips.keypoints, distances)


def _at_frames(
    rollouts: Rollouts, clips: Clips, kind: str, names: Sequence[str], distances: Callable[..., np.ndarray]
) -> Deviation:
    """Distances of every trial in mm; `distances` gives those of a trial and clip at some steps and their frames."""
    values, starts = [], []
    for trial, clip in enumerate(_common_clips(rollouts, clips)):
        steps, frames = _shared_times(rollouts.series("xpos").times(trial), clips, clip)
        values.append(distances(trial, clip, steps, frames))
        starts.append(float(frames[0] / clips.rate_hz))
    trials = rollouts.trials
    series = TrialSeries(f"{kind} error", "mm", clips.rate_hz, trials, tuple(names), tuple(values), np.array(starts))
    return Deviation(series, ("mm",) * len(names))


def registration_deviation(clips: Clips, names: Sequence[str] | None = None) -> Deviation:
    """Distance of each recorded keypoint from the site registered to it, mm."""
    chosen = tuple(names or clips.names)
    values = tuple(
        1e3 * np.linalg.norm(clips.read(RECORDED, clip) - clips.read(SITES, clip), axis=2) for clip in chosen
    )
    series = TrialSeries(
        "registration error", "mm", clips.rate_hz, chosen, clips.keypoints, values, np.zeros(len(values))
    )
    return Deviation(series, ("mm",) * len(clips.keypoints))


def rotate(quaternion: Float[np.ndarray, "time 4"], vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "time 3"]:
    """A vector turned by quaternions (w, x, y, z)."""
    w, axis = quaternion[:, :1], quaternion[:, 1:]
    cross = np.cross(axis, vector)
    return vector + 2 * (w * cross + np.cross(axis, cross))


def _common_clips(rollouts: Rollouts, clips: Clips) -> tuple[str, ...]:
    missing = [name for name in rollouts.clip_names if clips.frames(name) is None]
    if missing:
        raise MismatchError(
            f"{clips.path} does not hold the clips of {rollouts.path.name}: {shorten(missing, 4)}; it has "
            f"{shorten(clips.names, 4)}"
        )
    return rollouts.clip_names


def _shared_times(times: np.ndarray, clips: Clips, clip: str) -> tuple[np.ndarray, np.ndarray]:
    """States that fall on frames of the clip, and these frames."""
    place = times * clips.rate_hz
    frames = np.round(place).astype(int)
    part = clips.frames(clip)
    length = 0 if part is None else part.stop - part.start
    steps = np.flatnonzero((np.abs(place - frames) <= GRID_TOLERANCE) & (frames < length))
    if not len(steps):
        raise MismatchError(
            f"clip {clip!r}: no state of the rollout falls on one of the {clips.rate_hz:g} frames a second of "
            f"{clips.path.name}"
        )
    return steps, frames[steps]


def assign_regions(names: Sequence[str], regions: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[str]]:
    """Names by region.

    Args:
        names: joints, bodies or keypoints.
        regions: region -> names, in which ``*`` and ``?`` stand for any letters; None: those of
            `regions_by_name`.
    """
    if regions is None:
        return regions_by_name(names)
    lower = {name: name.lower() for name in names}
    faults, out = [], {}
    for region, patterns in regions.items():
        hits = [[name for name in names if fnmatchcase(lower[name], pattern.lower())] for pattern in patterns]
        faults += [
            f"region {region!r}: {pattern!r} matches none of {shorten(list(names))}"
            for pattern, hit in zip(patterns, hits, strict=True)
            if not hit
        ]
        out[region] = list(dict.fromkeys(name for hit in hits for name in hit))
    raise_all(ConfigError, "regions", faults)
    return out


def trial_means(deviation: Deviation, names: Sequence[str]) -> Float[np.ndarray, " trial"]:
    """Mean over time and the given names, one value a trial; NaN where nothing is known."""
    values = deviation.distance.select(list(names)).values
    return np.array([np.nanmean(rows) if np.isfinite(rows).any() else np.nan for rows in values])
