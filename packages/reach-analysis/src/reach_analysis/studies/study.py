"""The outcome of a study: numbers, tables, figures with captions, and notes; and the files it is written to."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from reach_analysis._common.errors import InputError
from reach_analysis._common.figures import save
from reach_analysis._common.files import output_folder, write_json, write_table
from reach_analysis._common.progress import Stage
from reach_analysis._common.system import environment
from reach_analysis.data.rollouts import Rollouts, file_sha256
from reach_analysis.statistics.estimates import FEWEST_UNITS

_log = logging.getLogger(__name__)
Item = TypeVar("Item")


@dataclass(frozen=True)
class StudyFigure:
    """A figure and the name of its files."""

    name: str
    figure: Figure
    caption: str
    """What is drawn, how many units, parameters, intervals and nulls."""


@dataclass(frozen=True)
class Study:
    """The outcome of one study."""

    name: str
    """Name of its JSON file."""
    results: Any
    inputs: tuple[Path, ...]
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Rows by name of the CSV file."""
    figures: tuple[StudyFigure, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know to judge the numbers."""
    settings: Any = None
    """With which it was made."""

    def save(self, folder: str | Path) -> None:
        """Write ``NAME.json``, each table as CSV, each figure as SVG and PNG.

        Raises:
            OutputError: when the folder or a file cannot be written.
        """
        folder = output_folder(str(folder), "")
        for name, rows in self.tables.items():
            write_table(folder / f"{name}.csv", rows)
        for drawn in self.figures:
            save(drawn.figure, folder, drawn.name)
        captions = {drawn.name: drawn.caption for drawn in self.figures}
        record = {
            "analysis": self.name,
            "versions": environment(),
            "inputs": input_hashes(self.inputs),
            "settings": self.settings,
            "results": {"numbers": self.results, "captions": captions, "notes": self.notes},
        }
        write_json(folder / f"{self.name}.json", record)
        _log.info("results in %s", folder)


def levels_note(rollouts: Rollouts) -> str:
    """What intervals of these rollouts are over, where they have levels; else empty."""
    return rollouts.levels.note(rollouts.trials, FEWEST_UNITS)


def lost_notes(rollouts: Rollouts, trials: Collection[str]) -> list[str]:
    """A note where only some trials are shared by everything that is analysed together."""
    lost = len(rollouts.trials) - len(trials)
    return [f"{lost} trials were left out: they ended early, or no other series has them."] if lost else []


def left_out_notes(flaws: Mapping[str, str]) -> list[str]:
    """A note for each flaw, with the names of what was left out for it; an empty flaw is none."""
    return [
        f"{flaw}, and left out: {', '.join(name for name, own in flaws.items() if own == flaw)}."
        for flaw in dict.fromkeys(filter(None, flaws.values()))
    ]


def each(stage: Stage, name: str, items: Collection[Item]) -> Iterator[Item]:
    """Give items one by one, and count them in a progress bar."""
    tick = stage(name, len(items))
    for item in items:
        yield item
        tick(1)


def input_hashes(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Name (without folder) and SHA-256 of each file."""
    out = []
    for path in dict.fromkeys(paths):
        try:
            out.append({"name": path.name, "sha256": file_sha256(path)})
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
    return out
