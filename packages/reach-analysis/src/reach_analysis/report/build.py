"""From inputs to the report: studies, facts, comparison with the papers, page and numbers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reach_analysis._common.files import output_folder, write_bytes, write_json, write_table, write_text
from reach_analysis._common.progress import Stage, silent
from reach_analysis.report.facts import facts_of
from reach_analysis.report.findings import findings
from reach_analysis.report.opening import (
    body_of,
    conditions_table,
    file_safe,
    files_table,
    focus_note,
    input_notes,
)
from reach_analysis.report.page import Head, Picture, html_of, part_name, picture
from reach_analysis.report.papers import Checked, check, counts
from reach_analysis.report.plans import PLANS
from reach_analysis.report.sections import Inputs, Part, Section, sections
from reach_analysis.report_config import ReportConfig
from reach_analysis.studies.emg import is_synthetic
from reach_analysis.studies.study import input_hashes, versions

PAGE, NUMBERS, FIGURES, TABLES = "report.html", "report.json", "figures", "tables"
TITLE = "what the controller does, and how sure we are"


@dataclass(frozen=True)
class Report:
    """A report, before it is written.

    Attributes:
        html: the page.
        numbers: what the JSON holds.
        pictures: every figure.
        tables: rows by the name of their CSV file.
    """

    html: str
    numbers: Mapping[str, Any]
    pictures: tuple[Picture, ...]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]


def build(inputs: Inputs, config: ReportConfig, stage: Stage = silent) -> Report:
    """Run all studies and write them up.

    Raises:
        UserError: when something the user named cannot be used.
    """
    found = sections(PLANS, inputs, config, stage)
    facts = facts_of(found, list(inputs.conditions), inputs.focus)
    synthetic = _synthetic(inputs, config)
    checked = check(facts, body_of(inputs), synthetic=bool(synthetic))
    told = findings(inputs, facts, counts(checked))
    pictures = _pictures(found, stage)
    hashes = input_hashes(path for section in found for study in section.studies for path in study.inputs)
    head = Head(
        title=config.title or f"{body_of(inputs).replace('_', ' ').capitalize()}: {TITLE}",
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        findings=tuple(told),
        synthetic=synthetic,
        inputs=conditions_table(inputs),
        files=files_table(hashes),
        focus_note=focus_note(inputs),
        notes=tuple(input_notes(inputs, hashes, synthetic)),
        versions=versions(),
        seed=config.seed,
    )
    return Report(
        html_of(head, found, pictures, checked),
        _numbers(head, config, hashes, found, checked),
        tuple(one for entries in pictures.values() for one in entries),
        _tables(found),
    )


def write(report: Report, folder: Path) -> None:
    """Write page, JSON, figures and tables.

    Raises:
        OutputError: when a file cannot be written.
    """
    for name in (FIGURES, TABLES):
        output_folder(str(folder / name), name)
    for one in report.pictures:
        write_bytes(folder / FIGURES / f"{one.name}.svg", one.svg)
        write_bytes(folder / FIGURES / f"{one.name}.png", one.png)
    for name, rows in report.tables.items():
        write_table(folder / TABLES / f"{name}.csv", rows)
    write_json(folder / NUMBERS, report.numbers)
    write_text(folder / PAGE, report.html)


def _synthetic(inputs: Inputs, config: ReportConfig) -> str:
    """The condition that synthetic EMG is made from; empty where it is recorded, or there is none."""
    if not is_synthetic(config.emg):
        return ""
    return config.emg.partition(":")[2] or next(iter(inputs.conditions))


def _file_name(name: str, section: Section, part: Part) -> str:
    """Name of the file of a figure or table: with its condition where there are several."""
    return f"{name}.{file_safe(part.condition)}" if len(section.parts) > 1 else name


def _pictures(found: Sequence[Section], stage: Stage) -> dict[str, list[Picture]]:
    tick = stage("figures", sum(len(study.figures) for section in found for study in section.studies))
    out: dict[str, list[Picture]] = {}
    for section in found:
        for part in section.parts:
            for shown in () if part.study is None else part.study.figures:
                name = _file_name(shown.name, section, part)
                out.setdefault(part_name(section, part), []).append(picture(shown, name))
                tick(1)
    return out


def _tables(found: Sequence[Section]) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {
        _file_name(name, section, part): rows
        for section in found
        for part in section.parts
        if part.study is not None
        for name, rows in part.study.tables.items()
    }


def _numbers(
    head: Head,
    config: ReportConfig,
    hashes: Sequence[Mapping[str, str]],
    found: Sequence[Section],
    checked: Sequence[Checked],
) -> dict[str, Any]:
    """Everything that is on the page, in full."""
    return {
        "analysis": "report", "created_utc": head.created, "title": head.title, "versions": head.versions,
        "inputs": hashes, "settings": replace(config, out=None), "findings": [one.text for one in head.findings],
        "conditions": [[cell.values or cell.text for cell in row] for row in head.inputs.rows],
        "sections": {section.key: _section_numbers(section) for section in found},
        "papers": [asdict(one.claim) | {"condition": one.condition, "ours": one.ours, "verdict": one.verdict,
                                        "why": one.why, "about_this_body": one.here} for one in checked],
    }  # fmt: skip


def _section_numbers(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "absent": section.absent,
        "parts": [
            {"condition": part.condition, "absent": part.absent, "settings": part.settings}
            | ({} if part.study is None else {
                "numbers": part.study.results, "notes": part.study.notes,
                "captions": {shown.name: shown.caption for shown in part.study.figures},
            })
            for part in section.parts
        ],
    }  # fmt: skip
