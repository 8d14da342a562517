"""What the report is about: opening the files it is given, and the tables that say what they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError, ContractError, unknown
from reach_analysis._common.hdf5.check import check_file, errors_in, format_violations
from reach_analysis._common.hdf5.reading import json_list
from reach_analysis.config import ReportConfig
from reach_analysis.data.clips import read_clips
from reach_analysis.data.inputs import conditions
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.report.page import Finding
from reach_analysis.report.papers import BETTER, DIFFERS, OPEN, REPLICATES
from reach_analysis.report.sections import Chapter, Inputs
from reach_analysis.statistics.estimates import FEWEST_UNITS
from reach_analysis.studies.section import Column, Table, number, p_text, plain, table
from reach_analysis.studies.study import levels_note
from reach_analysis.studies.sweep import find_runs

FEW_TRIALS = 7
"""With fewer trials the page warns about intervals and p-values: 6 trials have 720 arrangements."""


def gather(config: ReportConfig) -> Inputs:
    """Open everything the report is about, and see that it conforms to docs/schema."""
    rollouts_of = conditions(config.rollouts, config.clip_pattern, config.rollouts_seed, config.levels)
    for path in dict.fromkeys(rollouts.path for rollouts in rollouts_of.values()):
        errors = errors_in(check_file(path))
        if errors:
            raise ContractError(format_violations(path, errors))
    if len({file_safe(name).lower() for name in rollouts_of}) < len(rollouts_of):
        raise ConfigError(
            f"rollouts: names of conditions become file names, and these are equal: {', '.join(rollouts_of)}"
        )
    if config.runs:
        find_runs(config.runs)
    focus = config.focus or list(rollouts_of)[-1]
    if focus not in rollouts_of:
        raise ConfigError(f"focus: {unknown('condition', focus, list(rollouts_of))}")
    return Inputs(rollouts_of, _clips(config.clips, list(rollouts_of)), focus)


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


def made_up(inputs: Inputs) -> bool:
    """Whether the movement that was imitated is synthetic, as rollouts or clips say of themselves."""
    says = [rollouts.attributes.get("synthetic") for rollouts in inputs.conditions.values()]
    return any(value == 1 for value in (*says, *(read_clips(path).synthetic for path in set(inputs.clips.values()))))


def conditions_table(inputs: Inputs) -> Table:
    """What each rollouts file says about itself."""
    rows = [_about(name, rollouts) for name, rollouts in inputs.conditions.items()]
    columns = [Column(heading, heading) for heading in dict.fromkeys(key for row in rows for key in row)]
    return table("Controllers", columns, rows)


def _about(name: str, rollouts: Rollouts) -> dict[str, Any]:
    says = rollouts.attributes
    return {
        "controller": plain(name), "file": rollouts.path.name, "body": str(says.get("model_name", "")),
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
    """The number of controllers, and the condition in focus."""
    if len(inputs.conditions) == 1:
        return "One controller was analysed. Trials are matched by name, and times count from the start of each clip."
    focus = plain(inputs.focus)
    return (
        f"{len(inputs.conditions)} controllers were analysed. Forecasts, cross maps and the comparison with the papers "
        f"are about {focus} unless stated otherwise. Trials are matched by name, and times count from the start "
        "of each clip."
    )


def input_notes(inputs: Inputs, hashes: Iterable[Mapping[str, str]], synthetic: str) -> list[str]:
    """What has to be said about the inputs: few trials, synthetic EMG, clips that are not those that were followed."""
    by_name = {entry["name"]: entry["sha256"] for entry in hashes}
    notes = [note for rollouts in inputs.conditions.values() if (note := _sets_note(rollouts))]
    notes += list(dict.fromkeys(filter(None, map(levels_note, inputs.conditions.values()))))
    fewest = min(len(rollouts.trials) for rollouts in inputs.conditions.values())
    if fewest < FEW_TRIALS:
        notes.append(
            f"{fewest} trials are few: {'there are no' if fewest < FEWEST_UNITS else 'they have wide'} intervals, and "
            f"exchanging them whole has only {math.factorial(fewest):,} arrangements, so p-values of such nulls cannot "
            f"become smaller than {p_text(1 / math.factorial(fewest))}."
        )
    if synthetic:
        notes.append(
            "Synthetic EMG is only compared with muscles; it is not forecast or compared with layers, because that "
            "would only repeat the results for the activation it was made from."
        )
    for condition, path in inputs.clips.items():
        sources = json_list(inputs.conditions[condition].attributes, "source_files")
        followed = {str(entry.get("sha256")) for entry in sources if isinstance(entry, dict)}
        if followed and by_name.get(path.name) not in followed:
            notes.append(
                f"{path.name} is not the clips file named in the rollouts of {condition} (another SHA-256): errors of "
                "keypoints may be about other recordings."
            )
    return notes


def _sets_note(rollouts: Rollouts) -> str:
    """What is known of which clips were trained on."""
    count = rollouts.sets.count("train")
    if not rollouts.sets:
        return f"{rollouts.path.name} does not say which clips the controller was trained on."
    if not count:
        return ""
    return (
        f"{count} of the {len(rollouts.trials)} clips of {rollouts.path.name} were trained on. Errors are given for "
        "the others first; all other sections take all clips together."
    )


def findings(inputs: Inputs, chapters: Sequence[Chapter], verdicts: Mapping[str, int]) -> list[Finding]:
    """The sentences of the summary; `verdicts` counts the claims of the papers."""
    told = [
        Finding(
            chapter.key, f"{plain(part.condition)}: {text}" if len(chapter.parts) > 1 else text, part.section.opening
        )
        for chapter in chapters
        for part in chapter.parts
        for text in part.section.findings
    ]
    opening = [finding for finding in told if finding.opening]
    rest = [finding for finding in told if not finding.opening]
    return [Finding("inputs", _who(inputs), True), *opening, *_papers(verdicts), *rest]


def _who(inputs: Inputs) -> str:
    parts = []
    for name, rollouts in inputs.conditions.items():
        longest = number(float(rollouts.n_steps.max(initial=0)) / rollouts.rate_hz)
        parts.append(f"{plain(name)} ({len(rollouts.trials)} trials of at most {longest} s)")
    noun = "controller" if len(parts) == 1 else "controllers"
    body, what = plain(body_of(inputs)), "synthetic movements" if made_up(inputs) else "clips of movement"
    return f"This page is about {len(parts)} {noun} of the {body}, trained to imitate {what}: {'; '.join(parts)}."


def _papers(verdicts: Mapping[str, int]) -> list[Finding]:
    total = sum(verdicts.values())
    text = (
        f"Of {total} {'value' if total == 1 else 'values'} that the papers print about this body, "
        f"{verdicts[REPLICATES]} replicate here, {verdicts[BETTER]} are better here, {verdicts[DIFFERS]} differ, and "
        f"{verdicts[OPEN]} cannot be checked with these files."
    )
    return [Finding("papers", text, True)] if total else []
