"""Results of an evaluation as tables: CSV files, and the summary on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from track_mjx._common.files import write_table
from track_mjx.policy.metrics import case_numbers, ending
from track_mjx.runs.compare import aligned

if TYPE_CHECKING:
    from track_mjx.evaluation.assessed import Assessed


def write_all(assessed: Assessed, folder: Path) -> None:
    """Write ``clips.csv``, ``parts.csv``, ``survival.csv`` and ``error_over_time.csv``."""
    for name, rows in {
        "clips": clip_rows(assessed),
        "parts": part_rows(assessed),
        "survival": survival_rows(assessed),
        "error_over_time": time_rows(assessed),
    }.items():
        write_table(folder / f"{name}.csv", rows)


def clip_rows(assessed: Assessed) -> list[dict[str, Any]]:
    """Numbers of every clip."""
    return [
        {"clip": assessed.names[row], "set": name}
        | {path: values[assessed.clips[row]] for path, values in assessed.setup.clips.labels.items()}
        | case_numbers(assessed.setup.task, assessed.played, row)
        | ending(assessed.setup.task, assessed.realigned, row)
        for name in assessed.shown
        for row in assessed.rows[name]
    ]


def part_rows(assessed: Assessed) -> list[dict[str, Any]]:
    """Error of every body and joint in every set, over the steps before an episode ends."""
    parts, out = assessed.parts, []
    region = {column: name for name, columns in parts.regions.items() for column in columns}
    for name in assessed.shown:
        played = assessed.rollout(name)
        bodies, joints = (
            1e3 * played.measured["body_error_m"][played.valid],
            played.measured["joint_error_rad"][played.valid],
        )
        for column, body in enumerate(parts.bodies):
            out.append(_part(name, "body", body, region.get(column, ""), bodies[:, column], "mm"))
        unit_mm = 1e3 * assessed.setup.task.body.length_unit_m
        for column, joint in enumerate(parts.joints):
            turns = column in parts.angles
            values = joints[:, column] * (180 / np.pi if turns else unit_mm)
            out.append(_part(name, "joint", joint, "", values, "deg" if turns else "mm"))
    return out


def _part(name: str, kind: str, part: str, region: str, errors: np.ndarray, unit: str) -> dict[str, Any]:
    mean, middle, high = _spread(errors, 0.5, 0.95)
    return {
        "set": name, "kind": kind, "name": part, "region": region, "unit": unit,
        "mean": mean, "median": middle, "percentile_95": high,
    }  # fmt: skip


def _spread(values: np.ndarray, *parts: float) -> list[float]:
    """Mean and quantiles; NaN where there is no value."""
    return [float(values.mean(dtype=np.float64)), *np.quantile(values, parts)] if len(values) else [math.nan] * 3


def survival_rows(assessed: Assessed) -> list[dict[str, Any]]:
    """The survival curve of every set, control step by control step."""
    dt, out = assessed.setup.task.body.ctrl_dt, []
    for name in assessed.shown:
        curve = assessed.survival(name)
        columns = {"unterminated": curve.survival, "low": curve.low, "high": curve.high}
        columns["episodes_watched"] = curve.at_risk
        for i, step in enumerate(curve.time.tolist()):
            values = {key: column[i].item() for key, column in columns.items()}
            out.append({"set": name, "time_s": round(step * dt, 9), **values})
    return out


def errors_over_time(assessed: Assessed, name: str) -> dict[str, Float[np.ndarray, "clip step"]]:
    """Mean error of every clip of a set after every control step; NaN where it took none."""
    played, parts = assessed.rollout(name), assessed.parts
    errors = {
        "body_error_mm": 1e3 * played.measured["body_error_m"][:, :, parts.reported].mean(-1, dtype=np.float64),
        "joint_error_deg": np.degrees(played.measured["joint_error_rad"][:, :, parts.angles].mean(-1, dtype=np.float64))
        if parts.angles
        else np.full(played.valid.shape, np.nan),
    }
    return {key: np.where(played.valid, values, np.nan) for key, values in errors.items()}


def time_rows(assessed: Assessed) -> list[dict[str, Any]]:
    """Errors against the time in the clip."""
    dt = assessed.setup.task.body.ctrl_dt
    return [
        row for name in assessed.shown for row in rows_over_time(name, errors_over_time(assessed, name), dt, "clips")
    ]


def rows_over_time(name: str, values: Mapping[str, np.ndarray], dt: float, counted: str) -> list[dict[str, Any]]:
    """Means of quantities (case, step) over the cases that have them, and their middle 80 %, step by step."""
    known, rows = {key: np.isfinite(value) for key, value in values.items()}, []
    for step in np.flatnonzero(np.any([some.any(0) for some in known.values()], axis=0)).tolist():
        n = max(int(some[:, step].sum()) for some in known.values())
        row: dict[str, Any] = {"set": name, "time_s": round((step + 1) * dt, 9), counted: n}
        for key, value in values.items():
            mean, low, high = _spread(value[known[key][:, step], step], 0.1, 0.9)
            row |= {key: mean, f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
    return rows


def summary_text(summary: Mapping[str, Any]) -> str:
    """What was played, one row a set of clips, one row a reward term, and what ended episodes early."""
    sets = {name: numbers for name, numbers in summary["sets"].items() if name != "all" or len(summary["sets"]) == 1}
    of = "" if summary["clips_of_the_run"] else ", not the clips of the run"
    broken = ", ".join(f"{name} in {count}" for name, count in summary["not_finite"].items())
    blocks = [
        f"{summary['run']}, {summary['task']}, checkpoint at step {summary['checkpoint_step']:,}, {summary['engine']}, "
        f"{summary['clips_file']}{of}",
        *([_error_table(sets | summary["labels"])] if "ends_by" in summary else [_outcome_table(sets)]),
        _term_table(sets, summary["weights"]),
        *([_ends(sets, summary)] if "ends_by" in summary else []),
        *([f"WARNING: not finite, by control steps: {broken}"] if broken else []),
    ]
    return "\n\n".join(blocks)


def _error_table(sets: Mapping[str, Mapping[str, Any]]) -> str:
    one = next(iter(sets.values()))
    regions = [key.removeprefix("body_error_mm/") for key in one if key.startswith("body_error_mm/")]
    head = ["set", "clips", "body error mm", "95 % interval", *(f"{r} mm" for r in regions), "joints deg", "to the end"]
    rows = [
        [
            name,
            str(numbers["clips"]),
            f"{numbers['mean_body_error_mm']:.3f}",
            _interval(numbers["mean_body_error_mm_low"], numbers["mean_body_error_mm_high"]),
            *(f"{numbers[f'body_error_mm/{region}']:.3f}" for region in regions),
            f"{numbers['mean_joint_error_deg']:.2f}",
            f"{100 * numbers['unterminated_fraction']:.1f} %",
        ]
        for name, numbers in sets.items()
    ]
    return aligned([head, *rows])


def _outcome_table(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Numbers of a task without a reference: all that are neither reward nor one of its terms."""
    one = next(iter(sets.values()))
    names = [name for name in one if name != "reward" and not name.startswith("terms/")]
    rows = [[name, *(f"{numbers[name]:.4g}" for numbers in sets.values())] for name in names]
    return aligned([["", *sets], *rows])


def _interval(low: float, high: float) -> str:
    """An interval; nothing where one clip gives none."""
    return f"{low:.3f}..{high:.3f}" if math.isfinite(low) else ""


def _term_table(sets: Mapping[str, Mapping[str, Any]], weights: Mapping[str, float]) -> str:
    rows = [
        [name, f"{weight:g}", *(f"{numbers[f'terms/{name}']:.4g}" for numbers in sets.values())]
        for name, weight in weights.items()
    ]
    rows.append(["reward a step", "", *(f"{numbers['reward']:.4g}" for numbers in sets.values())])
    return aligned([["reward term", "weight", *sets], *rows])


def _ends(sets: Mapping[str, Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    by = ", ".join(summary["ends_by"])
    lines = [f"episodes end early by: {by}"]
    if summary["ends_by"] == ["non_finite"]:
        lines[0] += " (the task has no other terminations; deviation_mm=X ends them X mm from the reference)"
    for name, numbers in sets.items():
        early = ", ".join(f"{count} by {reason}" for reason, count in numbers["ended_early"].items())
        half = numbers["half_of_episodes_ended_after_s"]
        lines.append(
            f"  {name}: {numbers['episodes']} episodes of up to {numbers['longest_episode_s']:.3g} s"
            + (f"; ended early {early}, {numbers['ended_early_per_minute']:.3g} a minute" if early else "; none did")
            + (f"; half of them within {half:.3g} s" if half is not None else "")
        )
    return "\n".join(lines)
