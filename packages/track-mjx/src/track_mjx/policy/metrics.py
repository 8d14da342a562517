"""Numbers of a rollout: those of its task, reward, its terms, and how its episodes ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from track_mjx._common.files import write_table
from track_mjx.policy.play import reasons_of
from track_mjx.policy.tape import Rollout
from track_mjx.task.imitation import mean_of
from track_mjx.task.task import Task


def case_numbers(task: Task, rollout: Rollout, index: int) -> dict[str, Any]:
    """Return numbers of one episode, over its valid steps."""
    one = rollout.rows([index])
    return {"steps": int(one.valid.sum()), **_numbers(task, one)}


def _numbers(task: Task, rollout: Rollout) -> dict[str, Any]:
    """Numbers of the task, and means of the reward and its terms over all valid steps; NaN if there is none."""
    return {
        **task.summary(rollout.measured, rollout.valid),
        "reward": mean_of(rollout.reward[rollout.valid]),
        **{f"terms/{name}": mean_of(values[rollout.valid]) for name, values in rollout.metrics.items()},
    }


def ending(task: Task, rollout: Rollout, index: int) -> dict[str, Any]:
    """Return how long one case lasted: its first episode, what ended it, and how many ended early."""
    ends = np.flatnonzero(rollout.ended_by[index])
    followed = int(ends[0]) + 1 if len(ends) else int(rollout.valid[index].sum())
    return {
        "followed_s": followed * task.body.ctrl_dt,
        "followed_to_end": bool(rollout.reason[index] == 0),
        "reason": reasons_of(task)[int(rollout.reason[index])],
        "ended_early": len(ends),
    }


def summary(task: Task, rollout: Rollout) -> dict[str, Any]:
    """Return numbers of a set of clips or other cases, and the part that did not end early."""
    return {
        "clips": len(rollout.valid),
        **_numbers(task, rollout),
        "unterminated_fraction": float((rollout.reason == 0).mean()),
    }


def write_footfalls(task: Task, rollout: Rollout, path: Path) -> list[dict[str, Any]]:
    """Write when each foot touches the ground in the first case, with the reward of each step; return the rows.

    Nothing is written for a task that does not measure ``touch``.
    """
    if "touch" not in rollout.measured:
        return []
    steps = int(rollout.valid[0].sum())
    touch, reward = rollout.measured["touch"][0, :steps].astype(int), rollout.reward[0, :steps]
    feet, time = task.body.contact_columns, task.body.ctrl_dt * np.arange(1, steps + 1)
    rows = [
        {"time_s": now, **dict(zip(feet, down, strict=True)), "reward": gain}
        for now, down, gain in zip(time, touch, reward, strict=True)
    ]
    write_table(path, rows)
    return rows


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
