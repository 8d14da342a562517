"""What a comparison of runs is written as: table for people, CSV, JSON, learning curves."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from track_mjx._common.files import output_folder, replace_file, write_text
from track_mjx.runs.compare import OUTCOMES, Group, curve, find_runs, grouped, read_run
from track_mjx.runs.curves import COLOURS

TABLE, RECORD, PICTURE = "comparison.csv", "comparison.json", "comparison.png"
CURVES = (
    ("reward a step", ("reward",)),
    ("body error, mm", ("eval/test/mean_body_error_mm", "eval/train/mean_body_error_mm")),
    ("joint error, deg", ("eval/test/mean_joint_error_deg", "eval/train/mean_joint_error_deg")),
)
"""Panels, and the numbers drawn in each: the first of them that all groups have."""


def compare(where: Any, out: str) -> str:
    """Compare runs, write the files into `out`, and return the table as text.

    Raises:
        UserError: when there are no runs, or the files cannot be written.
    """
    groups = grouped([read_run(folder) for folder in find_runs(where)])
    folder = output_folder(out, "comparison")
    write_text(folder / TABLE, as_csv(groups))
    write_text(folder / RECORD, json.dumps(as_json(groups), indent=1, default=str))
    draw(groups, folder / PICTURE)
    return as_text(groups) + f"\n{folder / TABLE}, {RECORD}, {PICTURE}\n"


def known_outcomes(groups: Sequence[Group]) -> list[str]:
    """Outcomes that some run has."""
    return [name for name in OUTCOMES if any(group.outcomes[name].n for group in groups)]


def as_text(groups: Sequence[Group]) -> str:
    """Means and intervals over seeds as a table."""
    names = known_outcomes(groups)
    rows = [["", "runs", *(name.removeprefix("eval/") for name in names)]]
    for group in groups:
        cells = []
        for name in names:
            found = group.outcomes[name]
            interval = "" if math.isnan(found.low) else f" [{found.low:.4g}, {found.high:.4g}]"
            cells.append(f"{found.mean:.4g}{interval}" if found.n else "-")
        rows.append([group.label, str(len(group.runs)), *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "mean over seeds [95 % interval, Student's t]"])


def as_csv(groups: Sequence[Group]) -> str:
    """One row a group: what distinguishes it, its runs, and mean, low and high of every outcome."""
    names, text = known_outcomes(groups), io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    parts = ("mean", "low", "high")
    table.writerow([*groups[0].settings, "runs", *(f"{name} {part}" for name in names for part in parts)])
    for group in groups:
        numbers = [getattr(group.outcomes[name], part) for name in names for part in parts]
        written = ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
        table.writerow([*group.settings.values(), len(group.runs), *written])
    return text.getvalue()


def as_json(groups: Sequence[Group]) -> dict[str, Any]:
    """The same, with every run's own numbers; what is not known is null."""
    names = known_outcomes(groups)
    return {
        "interval": "95 %, Student's t over runs",
        "groups": [
            {
                "settings": dict(group.settings),
                "outcomes": {
                    name: {part: _null(getattr(group.outcomes[name], part)) for part in ("mean", "low", "high", "n")}
                    for name in names
                },
                "runs": [
                    {
                        "folder": str(run.folder),
                        "seed": run.settings.get("seed"),
                        **{name: _null(run.outcome(name)) for name in names},
                    }
                    for run in group.runs
                ],
            }
            for group in groups
        ],
    }


def _null(number: float | int) -> float | int | None:
    return number if math.isfinite(number) else None


def draw(groups: Sequence[Group], path: Path) -> None:
    """Learning curves, one line a group, the interval over its seeds as a band.

    Raises:
        OutputError: when the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for ax, (title, names) in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        drawn = [(name, [curve(group.runs, name) for group in groups]) for name in names]
        name, found = next(((n, c) for n, c in drawn if all(c)), drawn[0])
        for i, (group, line) in enumerate(zip(groups, found, strict=True)):
            if line is None:
                continue
            colour, style = COLOURS[i % len(COLOURS)], "-" if i < len(COLOURS) else "--"
            ax.plot(line.steps / 1e6, line.mean, style, color=colour, lw=1.3, label=group.label)
            ax.fill_between(line.steps / 1e6, line.low, line.high, color=colour, alpha=0.2, lw=0)
        side = {"test": "held-out clips", "train": "train clips"}.get(name.split("/")[1] if "/" in name else "", "")
        ax.set(title=f"{title}{', ' * bool(side)}{side}", xlabel="control steps, millions")
        ax.spines[["top", "right"]].set_visible(False)
    if len(groups) > 1:
        figure.axes[0].legend(fontsize=6, frameon=False)
    with replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
