"""The report: all studies of one body on one page, compared with what the papers print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reach_analysis._common.files import output_folder, results_folder, write_bytes, write_json, write_table, write_text
from reach_analysis._common.progress import Stage, reporting, silent
from reach_analysis._common.system import environment, now
from reach_analysis.config import ReportConfig
from reach_analysis.processes import each_of
from reach_analysis.report.opening import (
    body_of,
    conditions_table,
    file_safe,
    files_table,
    findings,
    focus_note,
    gather,
    input_notes,
    made_up,
)
from reach_analysis.report.page import FIGURES, Head, Picture, html_of, part_name, picture
from reach_analysis.report.papers import Checked, Facts, check, counts
from reach_analysis.report.sections import Chapter, Inputs, Part, chapters
from reach_analysis.studies.recordings import is_synthetic
from reach_analysis.studies.study import StudyFigure, input_hashes

PAGE, NUMBERS, TABLES = "report.html", "report.json", "tables"
TITLE = "what the controller does, and how certain it is"


def run(config: ReportConfig) -> int:
    """Write page, numbers, figures and tables."""
    inputs = gather(config)
    with results_folder(config.out, "reach_results/report") as folder, reporting() as (log, stage):
        write(build(inputs, config, stage), folder)
        log.info("%s", folder / PAGE)
    return 0


@dataclass(frozen=True)
class Report:
    """A report, before it is written."""

    html: str
    numbers: Mapping[str, Any]
    pictures: tuple[Picture, ...]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    """Rows by the name of their CSV file."""


def build(inputs: Inputs, config: ReportConfig, stage: Stage = silent) -> Report:
    """Run all studies and compose the page."""
    made = chapters(inputs, config, stage)
    synthetic = synthetic_of(inputs, config)
    checked = check(Facts.of(made, inputs), body_of(inputs), synthetic=bool(synthetic), made_up=made_up(inputs))
    pictures = _pictures(made, inputs, stage)
    hashes = input_hashes(path for chapter in made for study in chapter.studies for path in study.inputs)
    head = Head(
        title=config.title or f"{body_of(inputs).replace('_', ' ').capitalize()}: {TITLE}",
        created=now(),
        findings=tuple(findings(inputs, made, counts(checked))),
        synthetic=synthetic,
        made_up=made_up(inputs),
        inputs=conditions_table(inputs),
        files=files_table(hashes),
        focus_note=focus_note(inputs),
        notes=tuple(input_notes(inputs, hashes, synthetic)),
        versions=environment(),
        seed=config.seed,
    )
    return Report(
        html_of(head, made, pictures, checked),
        _numbers(head, config, hashes, made, checked),
        tuple(one for entries in pictures.values() for one in entries),
        _tables(made),
    )


def write(report: Report, folder: Path) -> None:
    """Write page, JSON, figures and tables."""
    output_folder(str(folder / TABLES), TABLES)
    save_pictures(report.pictures, folder / FIGURES)
    for name, rows in report.tables.items():
        write_table(folder / TABLES / f"{name}.csv", rows)
    write_json(folder / NUMBERS, report.numbers)
    write_text(folder / PAGE, report.html)


def save_pictures(pictures: Iterable[Picture], folder: Path) -> None:
    """Write each picture as SVG and PNG."""
    output_folder(str(folder), FIGURES)
    for one in pictures:
        write_bytes(folder / f"{one.name}.svg", one.svg)
        write_bytes(folder / f"{one.name}.png", one.png)


def synthetic_of(inputs: Inputs, config: ReportConfig) -> str:
    """The condition that synthetic EMG is made from; empty where it is recorded, or there is none."""
    if not is_synthetic(config.emg):
        return ""
    return config.emg.partition(":")[2] or next(iter(inputs.conditions))


def _file_name(name: str, chapter: Chapter, part: Part) -> str:
    """Name of the file of a figure or table: with its condition where there are several."""
    return f"{name}.{file_safe(part.condition)}" if len(chapter.parts) > 1 else name


def _pictures(made: Sequence[Chapter], inputs: Inputs, stage: Stage) -> dict[str, list[Picture]]:
    wanted = [
        (part_name(chapter, part), drawn, _file_name(drawn.name, chapter, part))
        for chapter in made for part in chapter.parts
        for drawn in (() if part.study is None else part.study.figures)
    ]  # fmt: skip
    tick, out = stage("figures", len(wanted)), dict[str, list[Picture]]()
    samples = sum(int(rollouts.n_steps.sum()) for rollouts in inputs.conditions.values())
    for (part, *_), one in zip(wanted, each_of(_picture, wanted, samples), strict=True):
        out.setdefault(part, []).append(one)
        tick(1)
    return out


def _picture(wanted: tuple[str, StudyFigure, str]) -> Picture:
    return picture(*wanted[1:])


def _tables(made: Sequence[Chapter]) -> dict[str, Sequence[Mapping[str, Any]]]:
    return {
        _file_name(name, chapter, part): rows
        for chapter in made
        for part in chapter.parts
        if part.study is not None
        for name, rows in part.study.tables.items()
    }


def _numbers(
    head: Head,
    config: ReportConfig,
    hashes: Sequence[Mapping[str, str]],
    made: Sequence[Chapter],
    checked: Sequence[Checked],
) -> dict[str, Any]:
    """Everything that is on the page, in full."""
    return {
        "analysis": "report", "created_utc": head.created, "title": head.title, "versions": head.versions,
        "inputs": hashes, "settings": replace(config, out=None), "findings": [one.text for one in head.findings],
        "conditions": [[cell.values or cell.text for cell in row] for row in head.inputs.rows],
        "sections": {chapter.key: _chapter_numbers(chapter) for chapter in made},
        "papers": [asdict(one.claim) | {"condition": one.condition, "ours": one.ours, "verdict": one.verdict,
                                        "why": one.why, "about_this_body": one.here} for one in checked],
    }  # fmt: skip


def _chapter_numbers(chapter: Chapter) -> dict[str, Any]:
    return {
        "title": chapter.title,
        "absent": chapter.absent,
        "parts": [
            {"condition": part.condition, "absent": part.absent, "settings": part.settings}
            | ({} if part.study is None else {
                "numbers": part.study.results, "notes": part.study.notes,
                "captions": {drawn.name: drawn.caption for drawn in part.study.figures},
            })
            for part in chapter.parts
        ],
    }  # fmt: skip
