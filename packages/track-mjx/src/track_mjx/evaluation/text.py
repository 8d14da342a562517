"""The summary of an evaluation, for a reader at a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def summary_text(found: Mapping[str, Any]) -> str:
    """What was played, one row a set of clips, one row a reward term, and what ended episodes early."""
    sets = {name: numbers for name, numbers in found["sets"].items() if name != "all" or len(found["sets"]) == 1}
    of = "" if found["clips_of_the_run"] else ", not the clips of the run"
    blocks = [
        f"{found['run']}, checkpoint at step {found['checkpoint_step']:,}, {found['engine']}, "
        f"{found['clips_file']}{of}",
        _error_table(sets),
        _term_table(sets, found["weights"]),
        _ends(sets, found),
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
    return _table(head, rows)


def _interval(low: float, high: float) -> str:
    """An interval; nothing where one clip gives none."""
    return f"{low:.3f}..{high:.3f}" if math.isfinite(low) else ""


def _term_table(sets: Mapping[str, Mapping[str, Any]], weights: Mapping[str, float]) -> str:
    rows = [
        [name, f"{weight:g}", *(f"{numbers[f'terms/{name}']:.4g}" for numbers in sets.values())]
        for name, weight in weights.items()
    ]
    rows.append(["reward a step", "", *(f"{numbers['reward']:.4g}" for numbers in sets.values())])
    return _table(["reward term", "weight", *sets], rows)


def _ends(sets: Mapping[str, Mapping[str, Any]], found: Mapping[str, Any]) -> str:
    by = ", ".join(found["ends_by"])
    lines = [f"episodes end early by: {by}"]
    if found["ends_by"] == ["non_finite"]:
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
