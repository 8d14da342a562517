"""Evaluating a run: numbers for every clip and every set of clips, as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from track_mjx.config import EvaluateConfig
from track_mjx.episodes import Played, Player
from track_mjx.errors import ConfigError, unknown
from track_mjx.evaluation import clip_numbers, summary
from track_mjx.files import output_folder, write_text
from track_mjx.run_folder import RunFolder
from track_mjx.runs import load_policy, open_setup

SETS = ("train", "test", "all")


def assess(folder: RunFolder, config: EvaluateConfig, out: Path) -> dict[str, Any]:
    """Play the clips of a run, or of another file, and write ``summary.json`` and ``clips.csv``.

    Returns:
        The summary: numbers of the set asked for at its top level, those of every set under ``sets``.

    Raises:
        TrackError: when run, checkpoint or clips do not fit.
    """
    if config.clip_set not in SETS:
        raise ConfigError(f"clip_set: {unknown('set', config.clip_set, SETS)}")
    settings = folder.config()
    settings.physics.engine = config.engine or settings.physics.engine
    setup, train, test = open_setup(folder, settings, config.clips)
    step, policy = load_policy(folder, setup, config.checkpoint)
    target = output_folder(str(out), "evaluation")
    player = Player(setup.task, setup.networks, setup.engine())
    reference = setup.on_device(setup.reference)
    groups = {"train": train, "test": test, "all": sorted([*train, *test])}
    played = player.play(policy, reference, np.asarray(groups["all"]))
    sets = {name: summary(setup.task, _some(played, groups["all"], clips)) for name, clips in groups.items() if clips}
    rows = [
        {"clip": setup.clips.clip_name[clip], "set": "train" if clip in train else "test"}
        | clip_numbers(setup.task, played, i)
        for i, clip in enumerate(groups["all"])
    ]
    asked = config.clip_set if config.clip_set in sets else "all"
    found = {
        "run": folder.path.name,
        "checkpoint_step": step,
        "engine": player.engine.name,
        "clips_file": setup.clips.path.name,
        "set": asked,
        **sets[asked],
        "sets": sets,
    }
    write_text(target / "summary.json", json.dumps(found, indent=1))
    write_text(target / "clips.csv", _table(rows))
    return found


def _some(played: Played, order: Sequence[int], clips: Sequence[int]) -> Played:
    """Some of the clips that were played."""
    rows = np.array([order.index(clip) for clip in clips])
    chosen = {name: value[rows] for name, value in played._asdict().items() if isinstance(value, np.ndarray)}
    return played._replace(**chosen, metrics={name: value[rows] for name, value in played.metrics.items()})


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def summary_text(found: Mapping[str, Any]) -> str:
    """The summary as a few lines for a reader."""
    lines = [f"{found['run']}, checkpoint at step {found['checkpoint_step']}, {found['engine']}"]
    for name, numbers in found["sets"].items():
        regions = ", ".join(
            f"{key.removeprefix('body_error_mm/')} {value:.3f}"
            for key, value in numbers.items()
            if key.startswith("body_error_mm/")
        )
        lines.append(
            f"{name:>6}: {numbers['clips']} clips, body error {numbers['mean_body_error_mm']:.3f} mm ({regions}), "
            f"joints {numbers['mean_joint_error_deg']:.2f} deg, "
            f"followed to the end {100 * numbers['unterminated_fraction']:.1f} %"
        )
    return "\n".join(lines)
