"""What the report is made of: one section a question, filled by the studies, or one sentence that says why not.

What the user named (EMG, clips, runs) has to work, and settings of a study have to be right: a mistake there ends the
command. What the report tries by itself may be impossible with the rollouts at hand; then the section says so and the
others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import ConfigError, UserError, raise_all, unknown
from reach_analysis._common.progress import Stage, silent
from reach_analysis._common.settings import configure
from reach_analysis.behaviour.muscles import kind_of_actuators
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.report_config import ReportConfig
from reach_analysis.studies.study import Study


@dataclass(frozen=True)
class Inputs:
    """What the report is about.

    Attributes:
        conditions: rollouts by condition, in the order given.
        clips: clips file of each condition; empty where none was given.
        focus: the condition that forecasts look at.
    """

    conditions: Mapping[str, Rollouts]
    clips: Mapping[str, Path] = field(default_factory=dict)
    focus: str = ""


@dataclass(frozen=True)
class Part:
    """One study within a section.

    Attributes:
        condition: the condition it is about; empty where it is about all of them.
        study: its outcome; None where it could not be made.
        absent: why not, in one sentence; empty where there is an outcome.
        settings: the settings it ran with.
    """

    condition: str
    study: Study | None
    absent: str
    settings: Any


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Attributes:
        key: its name in links and in the JSON.
        title: heading.
        question: what is asked here, for readers who do not know the method.
        parts: studies in the order they are shown.
    """

    key: str
    title: str
    question: str
    parts: tuple[Part, ...]

    @property
    def studies(self) -> list[Study]:
        """The outcomes there are."""
        return [part.study for part in self.parts if part.study is not None]

    @property
    def absent(self) -> str:
        """Why the section is empty; an empty text where it is not."""
        return "" if self.studies else " ".join(dict.fromkeys(part.absent for part in self.parts))


Make = Callable[[Inputs, ReportConfig, Any, str, Stage], Study]
"""Makes the study of one condition ("" for all of them) with its settings."""


@dataclass(frozen=True)
class Plan:
    """How a section is filled.

    Attributes:
        key, title, question: as of the section; {actuators} in a question stands for what the body's are called.
        base: settings of the study before the user's changes.
        make: runs it.
        spread: "all" for one study of all conditions, "each" for one a condition, "focus" for the condition in focus.
        asked: whether the user named something this section needs, so that its errors are the user's.
        extra: whether it is made only where the user names it.
    """

    key: str
    title: str
    question: str
    base: Callable[[Inputs, ReportConfig, str], Any]
    make: Make
    spread: str = "each"
    asked: Callable[[ReportConfig], bool] = lambda config: False
    extra: bool = False


def sections(plans: Sequence[Plan], inputs: Inputs, config: ReportConfig, stage: Stage = silent) -> list[Section]:
    """Run every study.

    Raises:
        UserError: when something the user named cannot be used.
    """
    known, extras = [plan.key for plan in plans], [plan.key for plan in plans if plan.extra]
    faults = [unknown("study", str(name), known) for name in config.studies if name not in known]
    faults += [f"extras: {unknown('section', name, extras)}" for name in config.extras if name not in extras]
    raise_all(ConfigError, "report", faults)
    chosen = [plan for plan in plans if not plan.extra or plan.key in config.extras]
    return [
        _section(plan, inputs, config, _numbered(stage, f"{number + 1}/{len(chosen)}"))
        for number, plan in enumerate(chosen)
    ]


def _numbered(stage: Stage, place: str) -> Stage:
    """A stage whose bars say how far the whole report has come."""
    return lambda name, total: stage(f"{place} {name}", total)


def _section(plan: Plan, inputs: Inputs, config: ReportConfig, stage: Stage) -> Section:
    names = {"all": [""], "each": list(inputs.conditions), "focus": [inputs.focus]}[plan.spread]
    question = plan.question.format(actuators=kind_of_actuators(inputs.conditions[inputs.focus]))
    return Section(plan.key, plan.title, question, tuple(_part(plan, inputs, config, n, stage) for n in names))


def _part(plan: Plan, inputs: Inputs, config: ReportConfig, condition: str, stage: Stage) -> Part:
    changes = config.studies.get(plan.key) or {}
    if not isinstance(changes, Mapping):
        raise ConfigError(f"studies.{plan.key}: expected a map from setting to value, got {changes!r}")
    settings = configure(plan.base(inputs, config, condition), changes, f"studies.{plan.key}")
    try:
        return Part(condition, plan.make(inputs, config, settings, condition, stage), "", settings)
    except UserError as error:
        if plan.extra or plan.asked(config) or (changes and isinstance(error, ConfigError)):
            raise
        return Part(condition, None, _sentence(str(error), inputs), settings)


def _sentence(text: str, inputs: Inputs) -> str:
    """An error's message as a sentence on the page, which knows the files and does not show folders."""
    for rollouts in inputs.conditions.values():
        text = text.removeprefix(f"{rollouts.path}: ").replace(str(rollouts.path), rollouts.path.name)
    plain = " ".join(text.split()).rstrip(".")
    return plain[:1].upper() + plain[1:] + "."
