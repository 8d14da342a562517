"""How well clips are followed, in millimetres and degrees: numbers of played clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from track_mjx.anatomy import Anatomy
from track_mjx.episodes import Played
from track_mjx.tasks.imitation import Imitation


def regions_of(task: Imitation) -> dict[str, list[int]]:
    """Columns of ``Played.body_error_m`` of each region; without regions in the config, all moving bodies as one."""
    body: Anatomy = task.body
    moving = body.moving_bodies
    found = {
        region: [moving.index(i) for i in body.body_ids(list(names)) if i in moving]
        for region, names in task.config.regions.items()
    }
    found = {region: columns for region, columns in found.items() if columns}
    return found or {"body": list(range(len(moving)))}


def clip_numbers(task: Imitation, played: Played, index: int) -> dict[str, Any]:
    """Numbers of one clip: errors over the steps taken, reward a step, and how far it was followed."""
    valid = played.valid[index]
    n_steps = int(valid.sum())
    regions = regions_of(task)
    error_mm = played.body_error_m[index][valid] * 1e3
    joint_deg = np.degrees(played.joint_error_rad[index][valid])
    columns = sorted({column for group in regions.values() for column in group})
    return {
        "steps": n_steps,
        "followed_s": n_steps * task.body.ctrl_dt,
        "followed_to_end": bool(played.reason[index] == 0),
        "reason": task.reasons[int(played.reason[index])],
        "mean_body_error_mm": _mean(error_mm[:, columns]),
        "max_body_error_mm": float(error_mm[:, columns].max(initial=0.0)),
        "mean_joint_error_deg": _mean(joint_deg),
        "reward": _mean(played.reward[index][valid]),
        **{f"body_error_mm/{region}": _mean(error_mm[:, group]) for region, group in regions.items()},
        **{f"terms/{name}": _mean(values[index][valid]) for name, values in played.metrics.items()},
    }


def summary(task: Imitation, played: Played) -> dict[str, Any]:
    """Numbers of a set of clips: means over all steps taken, and the part of the clips followed to their end."""
    valid = played.valid
    if not valid.any():
        return {}
    regions = regions_of(task)
    columns = sorted({column for group in regions.values() for column in group})
    error_mm = played.body_error_m[valid] * 1e3
    followed = played.reason == 0
    return {
        "clips": len(valid),
        "mean_body_error_mm": _mean(error_mm[:, columns]),
        "median_body_error_mm": float(np.median(error_mm[:, columns])),
        "mean_joint_error_deg": float(np.degrees(_mean(played.joint_error_rad[valid]))),
        "unterminated_fraction": float(followed.mean()),
        "reward": _mean(played.reward[valid]),
        **{f"body_error_mm/{region}": _mean(error_mm[:, group]) for region, group in regions.items()},
        **{f"terms/{name}": _mean(values[valid]) for name, values in played.metrics.items()},
    }


def score(numbers: Mapping[str, Any]) -> float:
    """One number to choose the best checkpoint by: reward a step, times the part of clips followed to their end."""
    return float(numbers["reward"]) * float(numbers["unterminated_fraction"])


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else float("nan")
