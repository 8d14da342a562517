"""How well clips are followed, in millimetres and degrees: numbers of a rollout."""

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
    """Meaning of the columns of errors."""

    regions: Mapping[str, list[int]]
    """Region -> columns of ``Rollout.body_error_m``."""
    bodies: tuple[str, ...]
    """Name of every such column."""
    joints: tuple[str, ...]
    """Name of every column of ``Rollout.joint_error_rad``."""
    angles: list[int]
    """Columns of `joints` that are angles; the others are slides."""

    @property
    def reported(self) -> list[int]:
        """Columns of the bodies of all regions."""
        return sorted({column for group in self.regions.values() for column in group})


def parts_of(task: Imitation) -> Parts:
    """Return regions as configured, else by the names of bodies, and joints in the order of `joint_error`."""
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
    joint_at = {int(q): joint for joint, q in enumerate(body.model.jnt_qposadr)}
    simple = [joint_at[column] for column in columns]
    balls = [joint_at[q] for q, _ in body.balls]
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


def clip_numbers(parts: Parts, rollout: Rollout, index: int) -> dict[str, Any]:
    """Return numbers of one clip: errors over its valid steps, and reward per step."""
    valid = np.zeros_like(rollout.valid)
    valid[index] = rollout.valid[index]
    reported = rollout.body_error_m[valid][:, parts.reported] * 1e3
    largest = float(reported.max(initial=0.0))
    return {"steps": int(valid.sum()), **_means(parts, rollout, valid), "max_body_error_mm": largest}


def _means(parts: Parts, rollout: Rollout, valid: np.ndarray) -> dict[str, Any]:
    """Means over all valid steps; NaN if there is none."""
    error_mm = rollout.body_error_m[valid] * 1e3
    return {
        "mean_body_error_mm": _mean(error_mm[:, parts.reported]),
        "mean_joint_error_deg": _mean(np.degrees(rollout.joint_error_rad[valid][:, parts.angles])),
        "reward": _mean(rollout.reward[valid]),
        **{f"body_error_mm/{region}": _mean(error_mm[:, group]) for region, group in parts.regions.items()},
        **{f"terms/{name}": _mean(values[valid]) for name, values in rollout.metrics.items()},
    }


def ending(task: Imitation, rollout: Rollout, index: int) -> dict[str, Any]:
    """Return how far one clip was followed: its first episode, what ended it, and how many ended early."""
    ends = np.flatnonzero(rollout.ended_by[index])
    followed = int(ends[0]) + 1 if len(ends) else int(rollout.valid[index].sum())
    return {
        "followed_s": followed * task.body.ctrl_dt,
        "followed_to_end": bool(rollout.reason[index] == 0),
        "reason": reasons_of(task)[int(rollout.reason[index])],
        "ended_early": len(ends),
    }


def summary(parts: Parts, rollout: Rollout) -> dict[str, Any]:
    """Return numbers of a set of clips: means over all valid steps (NaN if there is none), and the part followed."""
    reported = rollout.body_error_m[rollout.valid][:, parts.reported] * 1e3
    return {
        "clips": len(rollout.valid),
        **_means(parts, rollout, rollout.valid),
        "median_body_error_mm": float(np.median(reported)) if reported.size else float("nan"),
        "unterminated_fraction": float((rollout.reason == 0).mean()),
    }


def interval_over_clips(
    values: Float[np.ndarray, "clip step"], valid: Bool[np.ndarray, "clip step"], seed: int = 0
) -> tuple[float, float]:
    """Return a 95 % interval of the mean over all steps by a bootstrap over whole clips; NaN for less than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    total, count = np.where(valid, values, 0.0).sum(1, dtype=np.float64), valid.sum(1)
    drawn = np.random.default_rng(seed).integers(len(values), size=(2000, len(values)))
    means = total[drawn].sum(1) / np.maximum(1, count[drawn].sum(1))
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high


def score(numbers: Mapping[str, Any]) -> float:
    """Return the number that chooses the best checkpoint: reward per step times the part of clips followed."""
    return float(numbers["reward"]) * float(numbers["unterminated_fraction"])


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else float("nan")
