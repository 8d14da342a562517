"""The chapters of the report: one for each study, with its outcomes, or one sentence that explains why it is empty.

Where the user names EMG, clips or runs, or settings of a study, an error of that study ends the command. Other studies
may be impossible with the given rollouts; their chapter then says why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError, UserError, raise_all, unknown
from reach_analysis._common.progress import Stage
from reach_analysis._common.settings import configure
from reach_analysis.behaviour.muscles import kind_of_actuators
from reach_analysis.config import ChainConfig, ReportConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.forecasting.neighbours import one_blas_thread
from reach_analysis.studies.recordings import is_synthetic
from reach_analysis.studies.section import Fact, Section
from reach_analysis.studies.study import Study
from reach_analysis.verbs import STUDIES, StudyVerb, load

SHARED = ("seed", "runs", "parameter", "clip_pattern", "emg", "trials", "recording", "muscles", "mvc", "chain")
"""Settings that studies take over from the report."""
RECORDINGS = SHARED[-6:]


@dataclass(frozen=True)
class Inputs:
    """What the report is about."""

    conditions: Mapping[str, Rollouts]
    """Rollouts by condition, in the order given."""
    clips: Mapping[str, Path] = field(default_factory=dict)
    """Clips file by condition; empty where none was given."""
    focus: str = ""
    """The condition that forecasts and the comparison with the papers are about."""


@dataclass(frozen=True)
class Part:
    """One study of a chapter."""

    condition: str
    """The condition it is about; empty: all of them."""
    settings: Any
    study: Study | None = None
    """Its outcome; None where it is impossible."""
    absent: str = ""
    """Why it is impossible, in one sentence."""
    section: Section = field(default_factory=Section)
    facts: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Chapter:
    """One chapter of the page."""

    key: str
    """Its verb, which names it in links and in the JSON."""
    title: str
    question: str
    parts: tuple[Part, ...]

    @property
    def studies(self) -> list[Study]:
        """The outcomes."""
        return [part.study for part in self.parts if part.study is not None]

    @property
    def absent(self) -> str:
        """Why the chapter is empty; an empty text where it is not."""
        return "" if self.studies else " ".join(dict.fromkeys(part.absent for part in self.parts))


def chapters(inputs: Inputs, config: ReportConfig, stage: Stage, only: Collection[str] = ()) -> list[Chapter]:
    """Run every study of the report, or `only` some of them."""
    extras = [key for key, verb in STUDIES.items() if verb.extra]
    problems = [unknown("study", str(name), list(STUDIES)) for name in config.studies if name not in STUDIES]
    problems += [f"extras: {unknown('section', name, extras)}" for name in config.extras if name not in extras]
    raise_all(ConfigError, "report", problems)
    chosen = {key for key, verb in STUDIES.items() if not verb.extra or key in config.extras}
    chosen = [key for key in STUDIES if key in chosen and (not only or key in only)]
    with one_blas_thread():  # matrices are small; threads would wait for each other
        return [
            _chapter(key, inputs, config, _numbered(stage, f"{number}/{len(chosen)}"))
            for number, key in enumerate(chosen, 1)
        ]


def _numbered(stage: Stage, place: str) -> Stage:
    """A stage whose bars show the progress of the whole report."""
    return lambda name, total: stage(f"{place} {name}", total)


def _chapter(key: str, inputs: Inputs, config: ReportConfig, stage: Stage) -> Chapter:
    verb = STUDIES[key]
    names = {"all": [""], "each": list(inputs.conditions), "focus": [inputs.focus]}[verb.report]
    module = load(verb.module)
    question = module.QUESTION.format(actuators=kind_of_actuators(inputs.conditions[inputs.focus]))
    return Chapter(key, module.TITLE, question, tuple(_part(key, inputs, config, name, stage) for name in names))


def _part(key: str, inputs: Inputs, config: ReportConfig, condition: str, stage: Stage) -> Part:
    verb, changes = STUDIES[key], config.studies.get(key) or {}
    if not isinstance(changes, Mapping):
        raise ConfigError(f"studies.{key}: expected a map from setting to value, got {changes!r}")
    settings = configure(_settings(verb, inputs, config, condition), changes, f"studies.{key}")
    module = load(verb.module)
    try:
        study = module.run(inputs.conditions[condition] if condition else inputs.conditions, settings, stage)
    except UserError as error:
        requested = verb.extra or (verb.uses and getattr(config, verb.uses))
        if requested or (changes and isinstance(error, ConfigError)):
            raise
        return Part(condition, settings, absent=_sentence(str(error), inputs))
    facts = module.facts(study) if hasattr(module, "facts") else {}
    return Part(condition, settings, study, "", module.section(study), facts)


def _settings(verb: StudyVerb, inputs: Inputs, config: ReportConfig, condition: str) -> Any:
    """Settings of a study before the user's changes.

    Studies of one condition ignore synthetic EMG: it was made from that condition.
    """
    names = {entry.name for entry in fields(verb.config)}
    ignored = RECORDINGS if "emg" not in names or (is_synthetic(config.emg) and verb.takes != "all") else ()
    values = {name: getattr(config, name) for name in SHARED if name in names and name not in ignored}
    if "chain" in values:
        given, usual = vars(config.chain), vars(ChainConfig())  # some are of whole trials unless set otherwise
        changed = {name: value for name, value in given.items() if value != usual[name]}
        values["chain"] = replace(verb.config().chain, **changed)
    if "clips" in names and condition in inputs.clips:
        values["clips"] = str(inputs.clips[condition])
    return verb.config(**values, **verb.changed)


def _sentence(text: str, inputs: Inputs) -> str:
    """The message of an error as a sentence of the page, without folders."""
    for rollouts in inputs.conditions.values():
        text = text.removeprefix(f"{rollouts.path}: ").replace(str(rollouts.path), rollouts.path.name)
    words = " ".join(text.split()).rstrip(".")
    return words[:1].upper() + words[1:] + "."
