"""Evaluating a run: its clips played in physics, and the numbers of every set of clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from track_mjx._common.files import output_folder, write_json
from track_mjx.config import EvaluateConfig
from track_mjx.evaluation import tables
from track_mjx.evaluation.assessed import Assessed
from track_mjx.learning.setup import load_policy, open_setup, sets_of
from track_mjx.policy.metrics import interval_over_clips, parts_of, summary
from track_mjx.policy.play import Player, Realignment, reasons_of
from track_mjx.runs.run_folder import RunFolder


def assess(folder: RunFolder, config: EvaluateConfig, out: Path) -> dict[str, Any]:
    """Play the clips of a run, or of another file, and write summary, tables and figures.

    Returns:
        The summary: numbers of the set asked for at its top level, those of every set under ``sets``.

    Raises:
        UserError: when run, checkpoint or clips do not fit.
    """
    from track_mjx.evaluation.figures import draw_all

    setup, train, test = open_setup(folder, folder.config(config.engine), config.clips, whole=config.whole)
    sets = sets_of(setup, train, test, config.clip_set)
    step, policy = load_policy(folder, setup, config.checkpoint)
    target = output_folder(str(out), "evaluation")
    player = Player(setup.task, setup.networks, setup.engine(), setup.on_device(setup.reference))
    limit = None if config.deviation_mm is None else config.deviation_mm * 1e-3
    clips, followed = tuple(sets["all"]), setup.on_device(setup.followed)
    played = realigned = player.play(policy, followed, np.asarray(clips))
    if played.ended_by.any() or limit is not None:
        rule = Realignment(limit, tuple(parts_of(setup.task).reported))
        realigned = player.play(policy, followed, np.asarray(clips), realign=rule)
    rows = {name: [clips.index(clip) for clip in chosen] for name, chosen in sets.items() if chosen}
    assessed = Assessed(setup, played, realigned, clips, rows)
    numbers = {name: set_numbers(assessed, name) for name in rows}
    report = {
        "run": folder.path.name,
        "checkpoint_step": step,
        "engine": player.engine.name,
        "clips_file": setup.clips.path.name,
        "clips_of_the_run": not config.clips or bool(train),
        "ends_by": [*reasons_of(setup.task)[1 : None if limit is not None else -1]],
        "deviation_mm": config.deviation_mm,
        "not_finite": {name: count for name, count in realigned.broken.items() if count},
        "set": config.clip_set,
        **numbers[config.clip_set],
        "sets": numbers,
        "weights": dict(zip(setup.task.metric_names, setup.task.metric_weights, strict=True)),
    }
    tables.write_all(assessed, target)
    draw_all(assessed, numbers, target)
    write_json(target / "summary.json", report)
    return report


def set_numbers(assessed: Assessed, name: str) -> dict[str, Any]:
    """Numbers of one set: means over its steps, an interval over its clips, and how its episodes ended.

    Errors and rewards are those before an episode ends: being put back on the reference makes none of them better.
    """
    played, realigned = assessed.rollout(name), assessed.rollout(name, realigned=True)
    episodes, curve = assessed.episodes(name), assessed.survival(name)
    dt = assessed.setup.task.body.ctrl_dt
    reported = assessed.parts.reported
    low, high = interval_over_clips(1e3 * played.body_error_m[:, :, reported].mean(-1), played.valid)
    reasons = reasons_of(assessed.setup.task)
    counts = np.bincount(realigned.ended_by[realigned.ended_by > 0], minlength=len(reasons))
    return {
        **summary(assessed.parts, played),
        "mean_body_error_mm_low": low,
        "mean_body_error_mm_high": high,
        "unterminated_fraction": float((realigned.reason == 0).mean()),
        "mean_body_error_mm_realigned": summary(assessed.parts, realigned)["mean_body_error_mm"],
        "seconds_realigned": float(realigned.valid.sum()) * dt,
        "episodes": len(episodes.steps),
        "ended_early": {reason: int(count) for reason, count in zip(reasons, counts, strict=True) if count},
        "ended_early_per_minute": 60 * float(episodes.ended.sum()) / max(1e-9, float(episodes.steps.sum()) * dt),
        "longest_episode_s": float(episodes.steps.max()) * dt,
        "half_of_episodes_ended_after_s": None if np.isnan(curve.median) else curve.median * dt,
    }
