"""Evaluating a run: its episodes played in physics, and the numbers of every set of clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from track_mjx._common.files import output_folder, write_json, write_table
from track_mjx.config import EvaluateConfig
from track_mjx.evaluation import tables
from track_mjx.evaluation.assessed import Assessed
from track_mjx.learning.setup import Setup, load_policy, open_setup, sets_of
from track_mjx.policy.metrics import interval_over_clips, summary
from track_mjx.policy.play import Player, realignment, reasons_of
from track_mjx.policy.policy import Policy
from track_mjx.runs.run_folder import RunFolder


def assess(folder: RunFolder, config: EvaluateConfig, out: Path) -> dict[str, Any]:
    """Play the episodes of a run, or those on another clips file, and write summary, tables and figures.

    Returns:
        The summary: numbers of the set asked for at its top level, those of every set under ``sets``.

    Raises:
        UserError: when run, checkpoint or clips do not fit.
    """
    from track_mjx.evaluation.cases import assess_cases  # loads matplotlib

    settings = folder.config(config.engine, config.terrain_seed, config.parameters)
    setup, train, test = open_setup(folder, settings, config.clips, whole=config.whole)
    sets = sets_of(setup, train, test, config.clip_set, config.select)
    if config.deviation_mm is not None:
        realignment(setup.task, config.deviation_mm)
    step, policy = load_policy(folder, setup, config.checkpoint)
    target = output_folder(str(out), "evaluation")
    player = setup.player()
    judge = _imitation if setup.task.follows_reference else assess_cases
    numbers, about = judge(setup, player, policy, sets, config, target)
    report = {
        "run": folder.path.name,
        "task": setup.config.task.kind,
        "parameters": setup.config.task.parameters,
        "outcomes": setup.task.outcomes,
        "checkpoint_step": step,
        "engine": player.engine.name,
        "clips_file": setup.clips.path.name,
        "clips_of_the_run": not config.clips or bool(train),
        **about,
        "set": config.clip_set,
        **numbers[config.clip_set],
        "sets": numbers,
        "weights": dict(zip(setup.task.metric_names, setup.task.metric_weights, strict=True)),
    }
    write_json(target / "summary.json", report)
    return report


def _imitation(
    setup: Setup,
    player: Player,
    policy: Policy,
    sets: Mapping[str, list[int]],
    config: EvaluateConfig,
    folder: Path,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Play clips as they are followed, and once more realigned; write tables and figures; return the numbers by set."""
    from track_mjx.evaluation.figures import draw_all

    rule = realignment(setup.task, config.deviation_mm)
    clips, followed = tuple(sets["all"]), setup.on_device(setup.followed)
    played = realigned = player.play(policy, followed, np.asarray(clips))
    rows = {name: [clips.index(clip) for clip in chosen] for name, chosen in sets.items() if chosen}
    assessed = Assessed(setup, played, realigned, clips, rows)
    if played.ended_by.any() or rule.limit_m is not None:
        assessed = replace(assessed, realigned=player.play(policy, followed, np.asarray(clips), realign=rule))
    numbers = {name: set_numbers(assessed, name) for name in rows}
    labelled = replace(assessed, rows=rows_by_label(assessed, config.clip_set))
    labels = {name: set_numbers(labelled, name) for name in labelled.rows}
    tables.write_all(assessed, folder)
    write_table(folder / "labels.csv", [{"label": name, **of} for name, of in labels.items()])
    draw_all(assessed, numbers, folder)
    return numbers, {
        "labels": labels,
        "ends_by": [*reasons_of(setup.task)[1 : None if rule.limit_m is not None else -1]],
        "deviation_mm": config.deviation_mm,
        "not_finite": {name: count for name, count in assessed.realigned.broken.items() if count},
    }


def rows_by_label(assessed: Assessed, name: str) -> dict[str, list[int]]:
    """Clips of a set by ``LABEL:VALUE``, of labels that some clips share and others do not."""
    groups: dict[str, list[int]] = {}
    for label, values in assessed.setup.clips.named_labels.items():
        own = {row: values[assessed.clips[row]] for row in assessed.rows[name]}
        if 1 < len(set(own.values())) < len(own):
            for row, value in own.items():
                groups.setdefault(f"{label}:{value}", []).append(row)
    return groups


def set_numbers(assessed: Assessed, name: str) -> dict[str, Any]:
    """Numbers of one set: means over its steps, an interval over its clips, and how its episodes ended.

    Errors and rewards are those before an episode ends: being put back on the reference makes none of them better.
    """
    played, realigned = assessed.rollout(name), assessed.rollout(name, realigned=True)
    episodes, curve = assessed.episodes(name), assessed.survival(name)
    dt = assessed.setup.task.body.ctrl_dt
    reported = assessed.parts.reported
    low, high = interval_over_clips(1e3 * played.measured["body_error_m"][:, :, reported].mean(-1), played.valid)
    reasons = reasons_of(assessed.setup.task)
    counts = np.bincount(realigned.ended_by[realigned.ended_by > 0], minlength=len(reasons))
    return {
        **summary(assessed.setup.task, played),
        "mean_body_error_mm_low": low,
        "mean_body_error_mm_high": high,
        "unterminated_fraction": float((realigned.reason == 0).mean()),
        "mean_body_error_mm_realigned": summary(assessed.setup.task, realigned)["mean_body_error_mm"],
        "seconds_realigned": float(realigned.valid.sum()) * dt,
        "episodes": len(episodes.steps),
        "ended_early": {reason: int(count) for reason, count in zip(reasons, counts, strict=True) if count},
        "ended_early_per_minute": 60 * float(episodes.ended.sum()) / max(1e-9, float(episodes.steps.sum()) * dt),
        "longest_episode_s": float(episodes.steps.max()) * dt,
        "half_of_episodes_ended_after_s": None if np.isnan(curve.median) else curve.median * dt,
    }
