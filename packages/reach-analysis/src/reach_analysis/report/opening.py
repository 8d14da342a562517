"""What the report is about: opening the files it is given, and the tables that say what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError, ContractError, unknown
from reach_analysis._common.hdf5.check import check_file, errors_in, format_violations
from reach_analysis.data.clips import read_clips
from reach_analysis.data.inputs import conditions
from reach_analysis.data.rollouts import Rollouts, listed_in
from reach_analysis.report.numbers import Column, Table, p_text, table
from reach_analysis.report.sections import Inputs
from reach_analysis.report_config import ReportConfig

FEW_TRIALS = 7
"""Below this many trials a reader is told what cannot be expected of them: 6 have 720 arrangements."""


def gather(config: ReportConfig) -> Inputs:
    """Open everything the report is about, and see that it conforms to docs/schema.

    Raises:
        UserError: when a file cannot be used, or names do not fit each other.
    """
    found = conditions(config.rollouts, config.clip_pattern, config.rollouts_seed)
    for path in dict.fromkeys(rollouts.path for rollouts in found.values()):
        errors = errors_in(check_file(path))
        if errors:
            raise ContractError(format_violations(path, errors))
    if len({file_safe(name).lower() for name in found}) < len(found):
        raise ConfigError(
            f"rollouts: names of conditions become names of files, and these are alike: {', '.join(found)}"
        )
    focus = config.focus or list(found)[-1]
    if focus not in found:
        raise ConfigError(f"focus: {unknown('condition', focus, list(found))}")
    return Inputs(found, _clips(config.clips, list(found)), focus)


def file_safe(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", name)


def _clips(setting: Any, names: list[str]) -> dict[str, Path]:
    if not setting:
        return {}
    if not isinstance(setting, str | Mapping):
        raise ConfigError(f"clips: expected a file or a map from condition to file, got {setting!r}")
    given = dict.fromkeys(names, setting) if isinstance(setting, str) else {str(k): v for k, v in setting.items()}
    strange = [name for name in given if name not in names]
    if strange:
        raise ConfigError(f"clips: {unknown('condition', strange[0], names)}")
    paths = {name: Path(str(path)).expanduser() for name, path in given.items()}
    for path in dict.fromkeys(paths.values()):
        read_clips(path)
    return paths


def body_of(inputs: Inputs) -> str:
    """Name of the body in focus."""
    return str(inputs.conditions[inputs.focus].attributes.get("model_name") or "body")


def conditions_table(inputs: Inputs) -> Table:
    """What each rollouts file says about itself."""
    rows = [_about(name, rollouts) for name, rollouts in inputs.conditions.items()]
    columns = [Column(heading, heading) for heading in dict.fromkeys(key for row in rows for key in row)]
    return table("Controllers", columns, rows)


def _about(name: str, rollouts: Rollouts) -> dict[str, Any]:
    says = rollouts.attributes
    return {
        "controller": name.replace("_", " "), "file": rollouts.path.name, "body": str(says.get("model_name", "")),
        "trials": len(rollouts.trials), "steps": int(rollouts.n_steps.sum()), "steps a second": rollouts.rate_hz,
        "frames a second, clips": rollouts.reference_rate_hz, "engine": str(says.get("engine", "")),
        "trained, steps": says.get("checkpoint_step"),
        "repeat": f"seed {rollouts.seeds[rollouts.seed]} of {len(rollouts.seeds)}" if rollouts.seeds else None,
        "acts": "on its means" if says.get("deterministic") == 1 else "with noise", "seed": says.get("random_seed"),
        "written by": str(says.get("generator", "")),
    }  # fmt: skip


def files_table(hashes: Sequence[Mapping[str, str]]) -> Table:
    """Every file with its hash."""
    columns = [Column("file", "name"), Column("sha256", "sha256")]
    return table("Every file that was read", columns, hashes)


def focus_note(inputs: Inputs) -> str:
    """How many controllers there are, and which stands in focus."""
    if len(inputs.conditions) == 1:
        return "One controller was analysed. Trials go by their names, and times count from the start of each clip."
    focus = inputs.focus.replace("_", " ")
    return (
        f"{len(inputs.conditions)} controllers were analysed. Forecasts, cross maps and the comparison with the papers "
        f"look at {focus} where nothing else is said. Trials are joined by their names, and times count from the start "
        "of each clip."
    )


def input_notes(inputs: Inputs, hashes: Iterable[Mapping[str, str]], synthetic: str) -> list[str]:
    """What has to be said about the inputs: few trials, synthetic EMG, clips that are not those that were followed."""
    by_name = {entry["name"]: entry["sha256"] for entry in hashes}
    notes = []
    fewest = min(len(rollouts.trials) for rollouts in inputs.conditions.values())
    if fewest < FEW_TRIALS:
        notes.append(
            f"{fewest} trials are few: intervals that resample them are rough, and exchanging them whole has only "
            f"{math.factorial(fewest):,} arrangements, so p-values of such nulls cannot become smaller than about "
            f"{p_text(1 / math.factorial(fewest))}."
        )
    if synthetic:
        notes.append(
            "Synthetic EMG is only compared with muscles; it is neither forecast nor held against layers, since that "
            "would tell nothing beyond the activation it was made from."
        )
    for condition, path in inputs.clips.items():
        followed = _source_hashes(inputs.conditions[condition])
        if followed and by_name.get(path.name) not in followed:
            notes.append(
                f"{path.name} is not the file that {condition} says it followed (another SHA-256): errors of keypoints "
                "may be about other movements."
            )
    return notes


def _source_hashes(rollouts: Rollouts) -> set[str]:
    return {str(entry.get("sha256")) for entry in listed_in(rollouts, "source_files") if isinstance(entry, dict)}
