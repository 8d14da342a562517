"""The page: values for the template, and figures, which it loads when shown. The template engine escapes all text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reach_analysis._common import files as saved
from reach_analysis._common.figures import encode
from reach_analysis.report.papers import BETTER, DIFFERS, OPEN, REPLICATES, Checked, citations
from reach_analysis.report.sections import Chapter, Part
from reach_analysis.studies.section import Table, plain
from reach_analysis.studies.study import StudyFigure

_SIGNS = {REPLICATES: "●", BETTER: "◆", DIFFERS: "▲", OPEN: "○"}
_KINDS = {REPLICATES: "replicates", BETTER: "replicates", DIFFERS: "differs", OPEN: "open"}


@dataclass(frozen=True)
class Finding:
    """One sentence of the summary."""

    section: str
    """Key of the chapter it is about."""
    text: str
    opening: bool = False
    """Whether it belongs to the first paragraph rather than to the list below."""


@dataclass(frozen=True)
class Head:
    """Everything on the page but the chapters."""

    title: str
    created: str
    findings: tuple[Finding, ...]
    synthetic: str
    """Condition that synthetic EMG was made from; empty where there is none."""
    made_up: bool
    """Whether the movement that was imitated is synthetic."""
    inputs: Table
    files: Table
    focus_note: str
    notes: tuple[str, ...]
    """Remarks about the inputs."""
    versions: Mapping[str, str]
    seed: int


def html_of(
    head: Head, chapters: Sequence[Chapter], pictures: Mapping[str, Sequence[Picture]], checked: Sequence[Checked]
) -> str:
    """The page as text.

    Figures of each part go by its name (:func:`part_name`).
    """
    numbers = iter(range(1, 1 + sum(len(entries) for entries in pictures.values())))
    shown = [_chapter(chapter, pictures, numbers, head) for chapter in chapters]
    page = {
        "title": head.title, "created": head.created, "version": head.versions.get("reach-analysis", ""),
        "findings": head.findings, "synthetic": head.synthetic, "made_up": head.made_up, "inputs": head.inputs,
        "files": head.files, "focus_note": head.focus_note, "notes": head.notes, "seed": head.seed, "sections": shown,
        "versions": "\n".join(f"{name} {value}" for name, value in {**head.versions, "seed": head.seed}.items()),
        "claims": [claim_row(one, len(head.inputs.rows) > 1) for one in checked if one.here],
        "others": [claim_row(one, False) for one in checked if not one.here], "citations": citations(),
    }  # fmt: skip
    return render("report.html.jinja", page)


def render(template: str, page: Mapping[str, Any]) -> str:
    """A page of this template, which escapes all text, with the style of all pages."""
    loader = PackageLoader("reach_analysis.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["words"] = plain
    style = files("reach_analysis.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(page=page, style=Markup(style))


def part_name(chapter: Chapter, part: Part) -> str:
    """Name of a part in file names and links."""
    return f"{chapter.key}.{part.condition}" if part.condition else chapter.key


def _chapter(chapter: Chapter, pictures: Mapping[str, Sequence[Picture]], numbers: Any, head: Head) -> dict[str, Any]:
    return {
        "key": chapter.key, "title": chapter.title, "question": chapter.question, "absent": chapter.absent,
        "synthetic": chapter.key == "emg" and bool(head.synthetic) and not chapter.absent,
        "parts": [_part(chapter, part, pictures, numbers) for part in chapter.parts],
    }  # fmt: skip


def _part(chapter: Chapter, part: Part, pictures: Mapping[str, Sequence[Picture]], numbers: Any) -> dict[str, Any]:
    name = part_name(chapter, part)
    figures = [figure_entry(one, next(numbers)) for one in pictures.get(name, ())]
    settings = json.dumps(saved.plain(part.settings), indent=1, ensure_ascii=False)
    return {
        "condition": part.condition, "anchor": anchor(part.condition), "absent": part.absent, "figures": figures,
        "tables": [one for one in part.section.tables if one.rows and one.headings],
        "notes": () if part.study is None else part.study.notes, "settings": settings,
    }  # fmt: skip


def figure_entry(one: Picture, number: int) -> dict[str, Any]:
    """A picture as the templates take it."""
    file = f"{FIGURES}/{quote(one.name)}.svg"
    return {"anchor": anchor(one.name), "number": number, "caption": one.caption, "file": file,
            "width": round(one.width), "height": round(one.height)}  # fmt: skip


def claim_row(one: Checked, several: bool) -> dict[str, Any]:
    """A row of the comparison with the papers; it names the condition where there are several."""
    ours = () if one.ours is None else one.ours.numbers
    return {
        "claim": one.claim, "condition": one.condition if several and one.ours is not None else "",
        "shown": one.shown, "data": " ".join(repr(float(value)) for value in ours), "verdict": one.verdict,
        "why": one.why, "kind": _KINDS[one.verdict], "sign": _SIGNS[one.verdict],
    }  # fmt: skip


FIGURES = "figures"
"""Folder of the figures, next to the page."""
PIXELS_PER_INCH = 96
"""CSS pixels."""


@dataclass(frozen=True)
class Picture:
    """A figure for its files, which the page shows."""

    name: str
    """Name of its files and of its place in the page; unique in a report."""
    caption: str
    svg: bytes
    png: bytes
    width: float
    """Size of the SVG, CSS pixels."""
    height: float


def anchor(name: str) -> str:
    """A name as an id or link."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name)


def picture(shown: StudyFigure, name: str) -> Picture:
    """Draw a figure for its files."""
    svg = encode(shown.figure, "svg").decode("utf-8").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    width, height = (PIXELS_PER_INCH * shown.figure.get_size_inches()).tolist()
    return Picture(name, shown.caption, svg.encode("utf-8"), encode(shown.figure, "png"), width, height)
