"""How well clips are followed, in millimetres and degrees: numbers of played clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from track_mjx._common.regions import regions_by_name
from track_mjx.body.anatomy import Anatomy
from track_mjx.policy.play import Rollout, reasons_of
from track_mjx.task.imitation import Imitation


@dataclass(frozen=True)
class Parts:
    """What the columns of errors are.

    Attributes:
        regions: region -> columns of ``Rollout.body_error_m``.
        bodies: name of every such column.
        joints: name of every column of ``Rollout.joint_error_rad``.
        angles: those columns that are angles; the others are slides.
    """

    regions: Mapping[str, list[int]]
    bodies: tuple[str, ...]
    joints: tuple[str, ...]
    angles: list[int]

    @property
    def reported(self) -> list[int]:
        """Columns of the bodies of all regions."""
        return sorted({column for group in self.regions.values() for column in group})


def parts_of(task: Imitation) -> Parts:
    """Regions as the config names them, else by the names of bodies; joints as `joint_error` puts them."""
    import mujoco

    body: Anatomy = task.body
    moving = body.moving_bodies
    names = tuple(body.bodies[i] for i in moving)
    regions = {
        region: [moving.index(i) for i in body.body_ids(list(chosen)) if i in moving]
        for region, chosen in task.config.regions.items()
    }
    regions = {region: columns for region, columns in regions.items() if columns}
    if not regions:
        regions = {region: [names.index(n) for n in members] for region, members in regions_by_name(names).items()}
    columns, _ = body.joint_columns(None)
    at = {int(q): joint for joint, q in enumerate(body.model.jnt_qposadr)}
    simple = [at[column] for column in columns]
    balls = [at[q] for q, _ in body.balls]
    slide = int(mujoco.mjtJoint.mjJNT_SLIDE)
    angles = [i for i, joint in enumerate(simple) if int(body.model.jnt_type[joint]) != slide]
    labels = [body.model.joint(joint).name or f"joint_{joint}" for joint in (*simple, *balls)]
    joints = labels[: len(simple)] + [f"{name}_{axis}" for name in labels[len(simple) :] for axis in "xyz"]
    return Parts(
        regions=regions,
        bodies=names,
        joints=tuple(joints),
        angles=angles + list(range(len(simple), len(joints))),
    )


def clip_numbers(task: Imitation, played: Rollout, index: int) -> dict[str, Any]:
    """Numbers of one clip: errors over the steps taken, and reward a step."""
    valid, parts = played.valid[index], parts_of(task)
    error_mm = played.body_error_m[index][valid] * 1e3
    joint_deg = np.degrees(played.joint_error_rad[index][valid][:, parts.angles])
    return {
        "steps": int(valid.sum()),
        "mean_body_error_mm": _mean(error_mm[:, parts.reported]),
        "max_body_error_mm": float(error_mm[:, parts.reported].max(initial=0.0)),
        "mean_joint_error_deg": _mean(joint_deg),
        "reward": _mean(played.reward[index][valid]),
        **{f"body_error_mm/{region}": _mean(error_mm[:, group]) for region, group in parts.regions.items()},
        **{f"terms/{name}": _mean(values[index][valid]) for name, values in played.metrics.items()},
    }


def ending(task: Imitation, played: Rollout, index: int) -> dict[str, Any]:
    """How far one clip was followed: the length of its first episode, what ended it, and how many ended early."""
    ends = np.flatnonzero(played.ended_by[index])
    followed = int(ends[0]) + 1 if len(ends) else int(played.valid[index].sum())
    return {
        "followed_s": followed * task.body.ctrl_dt,
        "followed_to_end": bool(played.reason[index] == 0),
        "reason": reasons_of(task)[int(played.reason[index])],
        "ended_early": len(ends),
    }


def summary(task: Imitation, played: Rollout) -> dict[str, Any]:
    """Numbers of a set of clips: means over all steps taken, and the part of the clips followed to their end."""
    valid, parts = played.valid, parts_of(task)
    if not valid.any():
        return {}
    error_mm = played.body_error_m[valid] * 1e3
    followed = played.reason == 0
    return {
        "clips": len(valid),
        "mean_body_error_mm": _mean(error_mm[:, parts.reported]),
        "median_body_error_mm": float(np.median(error_mm[:, parts.reported])),
        "mean_joint_error_deg": float(np.degrees(_mean(played.joint_error_rad[valid][:, parts.angles]))),
        "unterminated_fraction": float(followed.mean()),
        "reward": _mean(played.reward[valid]),
        **{f"body_error_mm/{region}": _mean(error_mm[:, group]) for region, group in parts.regions.items()},
        **{f"terms/{name}": _mean(values[valid]) for name, values in played.metrics.items()},
    }


def interval_over_clips(
    values: Float[np.ndarray, "clip step"], valid: Bool[np.ndarray, "clip step"], seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the mean over all steps, by drawing whole clips again; NaN for fewer than two clips."""
    if len(values) < 2:
        return float("nan"), float("nan")
    total, count = np.where(valid, values, 0.0).sum(1, dtype=np.float64), valid.sum(1)
    drawn = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    means = total[drawn].sum(1) / np.maximum(1, count[drawn].sum(1))
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high


def score(numbers: Mapping[str, Any]) -> float:
    """One number to choose the best checkpoint by: reward a step, times the part of clips followed to their end."""
    return float(numbers["reward"]) * float(numbers["unterminated_fraction"])


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else float("nan")
