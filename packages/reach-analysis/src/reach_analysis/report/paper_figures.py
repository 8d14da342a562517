"""The figures of a paper that given files allow, on one page; those that cannot be drawn with what is missing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from reach_analysis._common.files import results_folder, write_json, write_text
from reach_analysis._common.progress import Stage, reporting, silent
from reach_analysis.config import FiguresConfig
from reach_analysis.report.build import save_pictures, synthetic_of
from reach_analysis.report.opening import body_of, file_safe, gather, made_up
from reach_analysis.report.page import FIGURES, Picture, claim_row, figure_entry, picture, render
from reach_analysis.report.papers import Checked, Facts, check, citations
from reach_analysis.report.sections import Chapter, Inputs, chapters
from reach_analysis.studies.section import plain

PAGE = "figures.html"


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper; the fields are described at the head of the data file."""

    paper: str
    where: str
    shows: str
    needs: str
    chapter: str = ""
    drawn: tuple[str, ...] = ()
    values: str = ""
    conditions: int = 1


@dataclass(frozen=True)
class Drawn:
    """What became of one figure of the paper."""

    figure: PaperFigure
    pictures: tuple[Picture, ...]
    why: str
    """Why there is no picture; empty where there is one."""
    checked: tuple[Checked, ...]
    """Values that the paper prints in it, with ours."""


def paper_figures(paper: str) -> list[PaperFigure]:
    """Every figure of a paper in the data file."""
    content = files("reach_analysis.report").joinpath("paper_figures.toml").read_text(encoding="utf-8")
    rows = [{**row, "drawn": tuple(row.get("drawn", ()))} for row in tomllib.loads(content)["figures"]]
    return [PaperFigure(**row) for row in rows if row["paper"] == paper]


def run(config: FiguresConfig) -> int:
    """Draw what can be drawn, and write the page."""
    inputs = gather(config)
    with results_folder(config.out, f"reach_results/figures_{config.paper}") as folder, reporting() as (log, stage):
        drawn = draw(inputs, config, stage)
        write(drawn, inputs, config, folder)
        missing = [f"{one.figure.where}: {one.why}" for one in drawn if one.why]
        log.info("%d of %d figures of paper %s: %s", len(drawn) - len(missing), len(drawn), config.paper, folder / PAGE)
        for text in missing:
            log.warning("not drawn: %s", text)
    return 0


def draw(inputs: Inputs, config: FiguresConfig, stage: Stage = silent) -> list[Drawn]:
    """Run the studies that the figures of the paper need, and pick their figures."""
    wanted = paper_figures(config.paper)
    made = {one.key: one for one in chapters(inputs, config, stage, {one.chapter for one in wanted})}
    synthetic, computed = bool(synthetic_of(inputs, config)), made_up(inputs)
    checked = check(Facts.of(list(made.values()), inputs), body_of(inputs), synthetic=synthetic, made_up=computed)
    given = len(inputs.conditions)
    return [_drawn(one, made.get(one.chapter) if given >= one.conditions else None, checked) for one in wanted]


def _drawn(figure: PaperFigure, chapter: Chapter | None, checked: Sequence[Checked]) -> Drawn:
    """Pictures of one figure: of every condition that has them."""
    place = re.compile(rf"Fig\. {figure.values or re.escape(figure.where)}\b")
    values = tuple(one for one in checked
                   if one.claim.paper == figure.paper and one.here and place.search(one.claim.where))  # fmt: skip
    if chapter is None:
        return Drawn(figure, (), f"Needs {figure.needs}.", values)
    named = len(chapter.parts) > 1
    pictures = [
        picture(
            replace(drawn, caption=f"{plain(part.condition)}: {drawn.caption}") if named else drawn,
            "-".join(filter(None, (file_safe(figure.where), drawn.name, file_safe(part.condition)))),
        )
        for part in chapter.parts
        if part.study
        for pattern in figure.drawn
        for drawn in part.study.figures
        if fnmatchcase(drawn.name, pattern)
    ]
    why = "" if pictures else " ".join(filter(None, (chapter.absent, f"Needs {figure.needs}.")))
    return Drawn(figure, tuple(pictures), why, values)


def write(drawn: Sequence[Drawn], inputs: Inputs, config: FiguresConfig, folder: Path) -> None:
    """Write the page, the pictures, and a JSON with captions, values and what is missing."""
    save_pictures([one for entry in drawn for one in entry.pictures], folder / FIGURES)
    write_json(folder / "figures.json", {
        "paper": config.paper, "settings": config,
        "figures": [{"figure": one.figure.where, "shows": one.figure.shows, "missing": one.why,
                     "captions": {shown.name: shown.caption for shown in one.pictures},
                     "values": [{"id": row.claim.id, "paper": row.claim.value, "ours": row.ours, "verdict": row.verdict}
                                for row in one.checked]} for one in drawn],
    })  # fmt: skip
    write_text(folder / PAGE, _page(drawn, inputs, config))


def _page(drawn: Sequence[Drawn], inputs: Inputs, config: FiguresConfig) -> str:
    numbers = iter(range(1, 1 + sum(len(one.pictures) for one in drawn)))
    entries: list[dict[str, Any]] = [
        {"figure": one.figure, "why": one.why,
         "pictures": [figure_entry(shown, next(numbers)) for shown in one.pictures],
         "claims": [claim_row(row, len(inputs.conditions) > 1) for row in one.checked]}
        for one in drawn
    ]  # fmt: skip
    return render("figures.html.jinja", {
        "title": f"Figures of paper {config.paper}: {body_of(inputs).replace('_', ' ')}", "entries": entries,
        "citation": citations()[config.paper], "missing": sum(bool(one.why) for one in drawn),
        "synthetic": synthetic_of(inputs, config), "made_up": made_up(inputs),
    })  # fmt: skip
