"""Measurements as Markdown and JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reach_analysis._common.files import write_json, write_text
from reach_analysis._common.system import n_cores, processor
from reach_analysis.bench.calibration import Calibration
from reach_analysis.bench.speed import SpeedRow
from reach_analysis.studies.study import versions

_SPEED = (
    ("name", "task", "{}"),
    ("size", "size", "{}"),
    ("ours_s", "ours, s", "{:.3g}"),
    ("pyedm_s", "pyEDM, s", "{:.3g}"),
    ("ratio", "ratio", "{:,.1f}"),
    ("ours_processor_s", "ours, processor s", "{:.3g}"),
    ("pyedm_processor_s", "pyEDM, processor s", "{:.3g}"),
    ("measured", "part pyEDM did", "{:.3g}"),
    ("largest_difference", "largest difference, sd", "{:.1e}"),
    ("goal", "goal", "{}"),
)
_KEPT = (
    ("E", "E", "{}"),
    ("tau", "tau", "{}"),
    ("Tp", "Tp", "{}"),
    ("samples", "samples", "{}"),
    ("ours", "ours", "{}"),
    ("pyedm_padded", "pyEDM, NaN padding", "{}"),
    ("pyedm_masked", "pyEDM, NaN padding and mask", "{}"),
    ("crossing_unpadded", "across borders without padding", "{}"),
    ("largest_difference_masked", "largest difference to the masked, sd", "{:.1e}"),
)
_CALIBRATION = (
    ("case", "null and data", "{}"),
    ("holds", "promises 5 %", "{}"),
    ("data_sets", "data sets", "{}"),
    ("false_positives", "called significant", "{}"),
    ("rate", "rate", "{:.1%}"),
    ("low", "from", "{}"),
    ("high", "to", "{}"),
    ("as_promised", "as promised", "{}"),
)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    about = {"processor": processor(), "cores": n_cores(), "load_average_1min": load, "platform": platform.system()}
    return {**about, "versions": versions(), "measured_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]]) -> str:
    """Rows as a Markdown table; `columns` are key, heading and format."""
    lines = ["| " + " | ".join(heading for _, heading, _ in columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(form.format(row[key]) for key, _, form in columns) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write_bench(
    speed: Sequence[SpeedRow],
    kept: Sequence[Mapping[str, Any]],
    calibration: Sequence[Calibration],
    out: Path,
    command: str,
) -> str:
    """Write ``BENCHMARKS.md`` and ``bench.json`` to folder `out`; return the Markdown.

    Raises:
        OutputError: when a file cannot be written.
    """
    about = machine()
    record = {
        "machine": about,
        "command": command,
        "speed": [asdict(row) for row in speed],
        "kept": list(kept),
        "calibration": [asdict(row) for row in calibration],
    }
    write_json(out / "bench.json", record)
    text = _head(about, command)
    if speed:
        text += _SPEED_TEXT.format(repeats=speed[0].repeats) + table([asdict(row) for row in speed], _SPEED)
        text += _KEPT_TEXT + table(kept, _KEPT)
    if calibration:
        text += _CALIBRATION_TEXT.format(draws=calibration[0].draws)
        text += table([asdict(row) | {"as_promised": _yes(row.as_promised)} for row in calibration], _CALIBRATION)
    write_text(out / "BENCHMARKS.md", text)
    return text


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"


def _head(about: Mapping[str, Any], command: str) -> str:
    found = about["versions"]
    named = ", ".join(f"{name} {found[name]}" for name in ("python", "numpy", "scipy", "pyEDM", "reach-analysis"))
    load = "" if about["load_average_1min"] is None else f", load average {about['load_average_1min']:.2f}"
    return (
        f"# Benchmarks of reach-analysis\n\n`{command}` writes this page (and `bench.json`).\n\n"
        f"Machine: {about['processor']}, {about['cores']} cores{load}; {named}; {about['measured_utc']}.\n"
    )


_SPEED_TEXT = """
## Speed beside pyEDM

Both in the same process, in turn, on the same states and folds; median wall time of the runs ({repeats} of each).
Processor time counts all threads (pyEDM searches its tree with all cores). "Part pyEDM did" below 1: its time is that
of a part of the task, scaled up. "Largest difference" is between the two results, in standard deviations of them.

"""
_KEPT_TEXT = """
## Predictions that can be scored, over trials

Predictions of simplex from other trials. Ours are all whose state and target lie within one trial. pyEDM has NaN rows
between trials: a state with one of the last Tp samples of a trial among its neighbours is lost; a mask of the library
(validLib) mends that. The last column but one counts states that pyEDM builds across borders when trials stand end to
end without padding.

"""
_CALIBRATION_TEXT = """
## Do tests hold their level?

Data sets without an effect, tested by Spearman's correlation at 5 % against {draws} draws of the null; "from" and "to"
are the 95 % binomial interval of an exact test. "no": the null claims no control of such data, and is shown to have
none.

"""
