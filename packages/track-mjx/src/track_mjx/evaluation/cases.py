"""Evaluation of tasks without a reference: their cases played on the policy's means, numbers, tables and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.signal import periodogram

from track_mjx._common.figures import BLUE, RED, drawing, panels, save
from track_mjx._common.files import write_table
from track_mjx.config import EvaluateConfig
from track_mjx.evaluation.tables import rows_over_time
from track_mjx.learning.setup import Setup
from track_mjx.policy.metrics import case_numbers, ending, summary, write_footfalls
from track_mjx.policy.play import Player
from track_mjx.policy.policy import Policy
from track_mjx.policy.tape import Rollout
from track_mjx.runs.curves import title_of
from track_mjx.runs.footfalls import NAME, draw_footfalls

FAST_HZ = 10.0
"""Power of the joint velocities from this frequency on is reported."""
COLOURS = {"train": BLUE, "test": RED, "all": BLUE}


def assess_cases(
    setup: Setup,
    player: Player,
    policy: Policy,
    sets: Mapping[str, list[int]],
    config: EvaluateConfig,
    folder: Path,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Play the cases of every set; write ``cases.csv``, ``over_time.csv`` and a figure; return the numbers by set."""
    numbers, case_rows, time_rows, over_time = {}, [], [], {}
    not_finite: dict[str, int] = {}
    followed = setup.on_device(setup.followed)
    for name, clips in sets.items():
        if name == "all" and config.clip_set != "all":
            continue
        cases = setup.task.cases(setup.followed, clips)
        played = player.play(policy, followed, cases, record=True)
        numbers[name] = {**summary(setup.task, played), **smoothness(setup, played)}
        labels = setup.case_names(cases)
        case_rows += [
            {"case": label, "set": name, **case_numbers(setup.task, played, row), **ending(setup.task, played, row)}
            for row, label in enumerate(labels)
        ]
        over_time[name] = scalars(played)
        _footfalls(played, labels[0], setup, folder / NAME.format(name))
        time_rows += rows_over_time(name, over_time[name], setup.task.body.ctrl_dt, "cases")
        for term, count in played.broken.items():
            not_finite |= {term: not_finite.get(term, 0) + count} if count else {}
    write_table(folder / "cases.csv", case_rows)
    write_table(folder / "over_time.csv", time_rows)
    _draw(over_time, setup.task.body.ctrl_dt, folder)
    return numbers, {"not_finite": not_finite}


def smoothness(setup: Setup, played: Rollout) -> dict[str, float]:
    """How jerky episodes are that were played to their end: change of the actions, and fast movement of the joints.

    ``action_change`` is the mean squared change of an action in a control step; ``power_above_10hz`` the share of the
    power of the joint velocities at 10 Hz and more (Hann window, mean of each episode removed), over all joints.
    """
    whole = played.valid.all(1)
    assert played.recording is not None
    if played.valid.shape[1] < 2 or not whole.any():
        return {"action_change": float("nan"), "power_above_10hz": float("nan")}
    change = np.diff(played.recording.action[whole], axis=1) ** 2
    velocity = np.asarray(played.recording.states.qvel)[whole, 1:][:, :, setup.task.body.joint_dofs]
    rate = 1.0 / setup.task.body.ctrl_dt
    frequency, power = periodogram(velocity, rate, "hann", detrend="constant", axis=1)
    fast = power[:, frequency >= FAST_HZ].sum() / max(power.sum(), np.finfo(np.float32).tiny)
    return {"action_change": float(change.mean(dtype=np.float64)), "power_above_10hz": float(fast)}


def scalars(played: Rollout) -> dict[str, Float[np.ndarray, "case step"]]:
    """The quantities of the task that are one number a step, and the reward; NaN where no step was taken."""
    values = {name: value for name, value in played.measured.items() if value.ndim == 2} | {"reward": played.reward}
    return {name: np.where(played.valid, value, np.nan) for name, value in values.items()}


def _footfalls(played: Rollout, label: str, setup: Setup, path: Path) -> None:
    """Write and draw when each foot touches the ground in the first case, with the reward of each step."""
    table = write_footfalls(setup.task, played, path.with_suffix(".csv"))
    if not table:
        return
    with drawing():
        figure, ((ax,),) = panels(7.0, 1.2 + 0.22 * len(setup.task.body.contact_columns))
        draw_footfalls(ax, {name: np.array([row[name] for row in table]) for name in table[0]}, label)
        save(figure, path.parent, path.name)


def _draw(over_time: Mapping[str, Mapping[str, np.ndarray]], dt: float, folder: Path) -> None:
    """Draw every quantity against time: one line a case, thick the mean over cases."""
    names = list(next(iter(over_time.values())))
    with drawing():
        figure, axes = panels(5.5, 2.4 * len(names), rows=len(names))
        for (ax,), name in zip(axes, names, strict=True):
            for clip_set, values in over_time.items():
                time, known = dt * np.arange(1, values[name].shape[1] + 1), values[name]
                ax.plot(time, known.T, color=COLOURS[clip_set], lw=0.4, alpha=0.3)
                taken = np.isfinite(known).any(0)
                mean = np.nanmean(known[:, taken], axis=0)
                ax.plot(time[taken], mean, color=COLOURS[clip_set], lw=2, label=f"{clip_set}, {len(known)} cases")
            ax.set(ylabel=title_of(name))
        axes[0][0].legend(fontsize=8)
        axes[-1][0].set_xlabel("time in the episode, s")
        save(figure, folder, "over_time")
