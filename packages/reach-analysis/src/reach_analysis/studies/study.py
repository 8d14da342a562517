"""What a study gives: numbers, tables, figures with captions, and what has to be said about them."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from reach_analysis._common.errors import InputError
from reach_analysis._common.figures import save
from reach_analysis._common.files import write_json, write_table
from reach_analysis.data.rollouts import file_sha256


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


_log = logging.getLogger(__name__)
_LIBRARIES = ("numpy", "scipy", "h5py", "scikit-learn", "matplotlib", "pyEDM")


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that the numbers come from."""
    found = {"python": platform.python_version()}
    for name in ("reach-analysis", *_LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed" if name in _LIBRARIES else "unreleased"
    return found


def input_hashes(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Name and SHA-256 of each file read; names without folders, as outputs are passed on.

    Raises:
        InputError: when a file cannot be read.
    """
    out = []
    for path in dict.fromkeys(paths):
        try:
            out.append({"name": path.name, "sha256": file_sha256(path)})
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
    return out


def save_result(folder: Path, name: str, settings: Any, inputs: Iterable[Path], results: Any) -> None:
    """Write ``name.json``: what was asked, of which files, with which versions, and what came out.

    Raises:
        OutputError: when it cannot be written.
    """
    write_json(
        folder / f"{name}.json",
        {
            "analysis": name,
            "versions": versions(),
            "inputs": input_hashes(inputs),
            "settings": settings,
            "results": results,
        },
    )
    _log.info("results in %s", folder)
