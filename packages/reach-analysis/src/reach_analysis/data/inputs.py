"""From settings to data: the rollouts a command is about, by condition, under the names of the trials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError
from reach_analysis._common.settings import require
from reach_analysis.data.rollouts import Rollouts, read_rollouts


def one_rollout(setting: Any, clip_pattern: str | None, seed: int | None = None, levels: Any = None) -> Rollouts:
    """Return the rollouts of a command that takes one file.

    Raises:
        ConfigError: when none or several are given.
    """
    rollouts = conditions(setting, clip_pattern, seed, levels)
    if len(rollouts) > 1:
        raise ConfigError(f"rollouts: this command takes one file, got {len(rollouts)}")
    return next(iter(rollouts.values()))


def conditions(
    setting: Any, clip_pattern: str | None, seed: int | None = None, levels: Any = None
) -> dict[str, Rollouts]:
    """Return rollouts by condition.

    Args:
        setting: a file; a list of files, each a condition named after the file (or its folder, where files are named
            alike); or a map from condition to file.
        clip_pattern: regular expression that finds the trial's name in the clip names; None: names as they are.
        seed: which repeat to read, where a file has several.
        levels: map from level (animal, session) to a regular expression that finds it in the clip names.

    Raises:
        ConfigError: when none is given, or names repeat.
    """
    require(setting, "rollouts", "rollouts.h5")
    files = named_files(setting)
    read = {name: read_rollouts(path, seed) for name, path in files.items()}
    read = {name: rollouts.renamed(clip_pattern) if clip_pattern else rollouts for name, rollouts in read.items()}
    return {name: rollouts.with_levels(levels) for name, rollouts in read.items()}


def named_files(setting: Any, what: str = "rollouts") -> dict[str, Path]:
    """Return files by name: as given in a map, else after the file or, where several are named alike, its folder.

    `what` is the setting that names them.

    Raises:
        ConfigError: when something other than file names is given, or names repeat.
    """
    if isinstance(setting, Mapping):
        return {str(name): Path(str(path)).expanduser() for name, path in setting.items()}
    listed = [setting] if isinstance(setting, str) else setting
    if not isinstance(listed, Sequence) or not all(isinstance(entry, str) for entry in listed):
        raise ConfigError(f"{what}: expected a file, a list of files or a map from name to file, got {setting!r}")
    paths = [Path(path) for entry in listed for path in _expanded(entry)]
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [path.parent.name for path in paths]
    if len(set(names)) < len(names):
        raise ConfigError(f"{what}: files are named alike; name them: {what}={{a:{paths[0]},b:{paths[-1]}}}")
    return dict(zip(names, paths, strict=True))


def _expanded(entry: str) -> list[str]:
    text = str(Path(entry).expanduser())
    if not re.search(r"[*?\[]", text) or Path(text).exists():
        return [text]
    paths = sorted(glob(text, recursive=True))
    if not paths:
        raise ConfigError(f"no file matches {entry!r}")
    return paths


def over_shared_steps(conditions: Mapping[str, Rollouts]) -> tuple[dict[str, Rollouts], int]:
    """Rollouts cut to the time for which all of them took steps in each trial, and how many steps were left out."""
    taken = [dict(zip(one.trials, one.n_steps / one.rate_hz, strict=True)) for one in conditions.values()]
    shared = {name: min(times[name] for times in taken) for name in taken[0] if all(name in times for times in taken)}
    cut = {
        condition: rollouts.until({name: int(time * rollouts.rate_hz + 1e-6) for name, time in shared.items()})
        for condition, rollouts in conditions.items()
    }
    return cut, sum(int((conditions[name].n_steps - one.n_steps).sum()) for name, one in cut.items())
