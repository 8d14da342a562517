"""What a study gives: numbers, tables, figures with captions, and what has to be said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from reach_analysis._common.figures import save
from reach_analysis._common.files import write_table
from reach_analysis.studies.outputs import save_result


@dataclass(frozen=True)
class Shown:
    """A figure.

    Attributes:
        name: name of its files.
        figure: the drawing.
        caption: what is drawn, from how many of what, in which unit, with which parameters, interval and null.
    """

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Study:
    """The outcome of one study.

    Attributes:
        name: the verb.
        title: heading in the report.
        results: every number, for the JSON.
        inputs: files read.
        tables: rows by name of the CSV file.
        figures: figures in the order they are shown.
        notes: what a reader must know to judge the numbers.
    """

    name: str
    title: str
    results: Any
    inputs: tuple[Path, ...]
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    figures: tuple[Shown, ...] = ()
    notes: tuple[str, ...] = ()


def write_study(study: Study, folder: Path, settings: Any) -> None:
    """Write ``NAME.json``, each table as CSV, each figure as SVG and PNG.

    Raises:
        OutputError: when a file cannot be written.
    """
    for name, rows in study.tables.items():
        write_table(folder / f"{name}.csv", rows)
    for shown in study.figures:
        save(shown.figure, folder, shown.name)
    captions = {shown.name: shown.caption for shown in study.figures}
    save_result(
        folder,
        study.name,
        settings,
        study.inputs,
        {"numbers": study.results, "captions": captions, "notes": study.notes},
    )
