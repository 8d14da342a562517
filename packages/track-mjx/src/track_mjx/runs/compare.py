"""Comparison of runs: settings, final numbers, and means over the seeds of every setting.

Seeds are few, so intervals over them are Student's t with n - 1 degrees of freedom, not a bootstrap; they say how well
the mean over seeds is known, not how far a single run may be from it.
"""

from __future__ import annotations

import glob
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from track_mjx._common.errors import RunError, shorten
from track_mjx._common.files import output_folder, write_json, write_table
from track_mjx.runs.curves import COLOURS, title_of
from track_mjx.runs.footfalls import NAME, draw_footfalls, read_footfalls
from track_mjx.runs.run_folder import IMITATION_OUTCOMES, RECORD, RunFolder, flat_settings

IGNORED_SETTINGS = ("seed", "out", "run", "clips", "physics.threads")
"""Settings, and groups of settings, in which runs of one group may differ."""

MOST_NAMED = 3
"""Settings that the name of a group contains."""


@dataclass(frozen=True)
class Run:
    """A training."""

    folder: Path
    settings: Mapping[str, Any]
    """Every setting, by dotted key."""
    lines: Sequence[Mapping[str, Any]]
    """Its metrics."""
    outcomes: tuple[str, ...] = IMITATION_OUTCOMES
    """Numbers of its task that are compared."""

    def outcome(self, name: str) -> float:
        """A number of its last line; NaN where there is none."""
        return _number(self.lines[-1].get(name)) if self.lines else math.nan


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval; NaN where one seed, or none, has the number."""

    mean: Any
    """A number, or one for each point of a curve."""
    low: Any
    high: Any
    n: int


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed only."""

    settings: Mapping[str, Any]
    """What distinguishes it from the other groups."""
    runs: Sequence[Run]
    outcomes: Mapping[str, Estimate]
    """Estimates by name."""
    label: str
    """What distinguishes it, for people."""


def labels(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each of several settings with the same keys: their values, or where there are many what departs."""
    keys, usual = list(settings[0]), {}
    if len(keys) > MOST_NAMED:
        usual = {key: Counter(str(one[key]) for one in settings).most_common(1)[0][0] for key in keys}
    named = ([key for key in keys if usual.get(key) != str(one[key])] for one in settings)
    names = (
        shorten([f"{_ending(key, keys)}={one[key]}" for key in own], MOST_NAMED)
        for own, one in zip(named, settings, strict=True)
    )
    return [name or ("baseline" if usual else "all") for name in names]


def _ending(key: str, keys: Iterable[str]) -> str:
    """The shortest end of a dotted key that no other key has."""
    parts = key.split(".")
    ends = (".".join(parts[-n:]) for n in range(1, len(parts)))
    return next((end for end in ends if sum(other.endswith(f".{end}") for other in keys) == 1), key)


def find_runs(where: Any) -> list[Path]:
    """Folders of runs.

    `where` is one or several of: a run, a folder of runs, a pattern such as ``sweep/*``.
    """
    texts = [str(text) for text in (where if isinstance(where, list | tuple) else [where])]
    folders: dict[Path, None] = {}
    for text in texts:
        for place in map(Path, sorted(glob.glob(str(Path(text).expanduser()), recursive=True))):
            records = [place / RECORD] if (place / RECORD).is_file() else sorted(place.glob(f"*/{RECORD}"))
            folders |= dict.fromkeys(record.parent for record in records)
    if not folders:
        raise RunError(f"runs: no run folder at {shorten(texts)}; expected RUN, SWEEP or 'SWEEP/*'")
    return list(folders)


def has_runs(folder: Path) -> bool:
    """Whether there are runs in a folder."""
    return any(folder.glob(f"*/{RECORD}"))


def read_run(folder: Path) -> Run:
    """Read what a run left."""
    opened = RunFolder.open(folder)
    return Run(folder, flat_settings(opened.config()), opened.metrics(), opened.record().outcomes)


def differing(runs: Sequence[Run]) -> list[str]:
    """Settings that are not the same in all runs; a setting that a run lacks counts as another value."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    groups = tuple(f"{name}." for name in IGNORED_SETTINGS)
    return [
        key
        for key in keys
        if key not in IGNORED_SETTINGS
        and not key.startswith(groups)
        and len({json.dumps(run.settings.get(key), default=str) for run in runs}) > 1
    ]


def grouped(runs: Sequence[Run]) -> list[Group]:
    """Runs with the same settings together, in the order in which they first come."""
    kinds = list(dict.fromkeys(str(run.settings["task.kind"]) for run in runs))
    if len(kinds) > 1:
        raise RunError(f"runs: they are of several tasks ({shorten(kinds)}), which have no numbers in common")
    evaluated = [f"eval/{clip_set}/{name}" for clip_set in ("test", "train") for name in runs[0].outcomes]
    names, keys = (*evaluated, "reward", "steps", "seconds"), differing(runs)
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(json.dumps([run.settings.get(key) for key in keys], default=str), []).append(run)
    settings = [{key: alike[0].settings.get(key) for key in keys} for alike in members.values()]
    return [
        Group(own, alike, {name: estimate([run.outcome(name) for run in alike], name) for name in names}, label)
        for own, alike, label in zip(settings, members.values(), labels(settings), strict=True)
    ]


def estimate(values: Sequence[Any], name: str = "") -> Estimate:
    """Mean and Student's t interval over numbers or curves; those with NaN are left out.

    The interval of an error or a part, by its `name`, ends where such numbers end.
    """
    known = np.array([value for value in values if np.isfinite(value).all()])
    n = len(known)
    mean = known.mean(0) if n else math.nan
    reach = stdtrit(n - 1, 0.975) * known.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, math.nan)
    least = 0.0 if name.endswith("_fraction") or "error" in name else -np.inf
    most = 1.0 if name.endswith("_fraction") else np.inf
    return Estimate(mean, np.maximum(mean - reach, least), np.minimum(mean + reach, most), n)


def curve(runs: Sequence[Run], name: str, n_points: int = 100) -> tuple[Float[np.ndarray, " point"], Estimate] | None:
    """A number over the course of a training: control steps where all runs have it, and its estimate there.

    It is interpolated to the same steps for all runs; None where some run has it less than twice.
    """
    tracks = []
    for run in runs:
        pairs = [(line["steps"], _number(line.get(name))) for line in run.lines]
        tracks.append(np.array([pair for pair in pairs if np.isfinite(pair[1])]).reshape(-1, 2))
    if not tracks or any(len(track) < 2 for track in tracks):
        return None
    first, last = max(track[0, 0] for track in tracks), min(track[-1, 0] for track in tracks)
    if not first < last:
        return None
    steps = np.linspace(first, last, n_points)
    return steps, estimate([np.interp(steps, track[:, 0], track[:, 1]) for track in tracks], name)


TABLE, NUMBERS, FIGURE = "comparison.csv", "comparison.json", "comparison.png"
FOOTFALLS = "comparison_footfalls.png"


def compare(where: Any, out: str) -> str:
    """Compare runs, write the files into `out`, and return the table as text."""
    groups = grouped([read_run(folder) for folder in find_runs(where)])
    names = [name for name in groups[0].outcomes if any(group.outcomes[name].n for group in groups)]
    folder = output_folder(out, "comparison")
    write_table(folder / TABLE, table_rows(groups, names))
    write_json(folder / NUMBERS, as_json(groups, names))
    draw(groups, folder / FIGURE)
    draw_rasters(groups, folder / FOOTFALLS)
    return as_text(groups, names) + f"\n{folder / TABLE}, {NUMBERS}, {FIGURE}\n"


def as_text(groups: Sequence[Group], names: Sequence[str] | None = None) -> str:
    """Means and intervals over seeds as a table."""
    names = list(groups[0].outcomes) if names is None else names
    rows = [["", "runs", *(name.removeprefix("eval/") for name in names)]]
    for group in groups:
        cells = []
        for name in names:
            estimated = group.outcomes[name]
            interval = f" [{estimated.low:.4g}, {estimated.high:.4g}]" if estimated.n > 1 else ""
            cells.append(f"{estimated.mean:.4g}{interval}" if estimated.n else "-")
        rows.append([group.label, str(len(group.runs)), *cells])
    return f"{aligned(rows)}\nmean over seeds [95 % interval, Student's t]"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text in columns, the first aligned to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def table_rows(groups: Sequence[Group], names: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each group: what distinguishes it, its runs, and mean, low and high of every outcome."""
    return [
        {**group.settings, "runs": len(group.runs)}
        | {f"{name} {part}": getattr(group.outcomes[name], part) for name in names for part in ("mean", "low", "high")}
        for group in groups
    ]


def as_json(groups: Sequence[Group], names: Sequence[str]) -> dict[str, Any]:
    """The same, with every run's own numbers."""

    def numbers(run: Run) -> dict[str, Any]:
        known = {name: run.outcome(name) for name in names}
        return {"folder": str(run.folder), "seed": run.settings.get("seed"), **known}

    rows = [
        {
            "settings": group.settings,
            "outcomes": {name: group.outcomes[name] for name in names},
            "runs": [numbers(run) for run in group.runs],
        }
        for group in groups
    ]
    return {"interval": "95 %, Student's t over runs", "groups": rows}


def draw(groups: Sequence[Group], path: Path) -> None:
    """Learning curves of the reward and two outcomes, one line a group, the interval over its seeds as a band.

    Of an outcome, the curve on held-out clips is drawn, or that on train clips where some group lacks it; a point where
    runs were evaluated at their end only.
    """
    from track_mjx._common.figures import drawing, panels, save

    with drawing():
        figure, [axes] = panels(11, 3.4, columns=3)
    pairs = [(title_of(name), (f"eval/test/{name}", f"eval/train/{name}")) for name in groups[0].runs[0].outcomes[:2]]
    for ax, (title, names) in zip(axes, [("reward a step", ("reward",)), *pairs], strict=False):
        drawn = [(name, [curve(group.runs, name) for group in groups]) for name in names]
        name, curves = next(((n, c) for n, c in drawn if all(c)), drawn[0])
        for i, (group, line) in enumerate(zip(groups, curves, strict=True)):
            colour, style = COLOURS[i % len(COLOURS)], "-" if i < len(COLOURS) else "--"
            if line is None:
                last = group.outcomes[name]
                reach = [[last.mean - last.low], [last.high - last.mean]]
                steps = group.outcomes["steps"].mean / 1e6
                ax.errorbar(steps, last.mean, reach, fmt="o", color=colour, ms=3, label=group.label)
                continue
            millions, value = line[0] / 1e6, line[1]
            ax.plot(millions, value.mean, style, color=colour, lw=1.3, label=group.label)
            ax.fill_between(millions, value.low, value.high, color=colour, alpha=0.2, lw=0)
        side = {"test": "held-out clips", "train": "train clips"}.get(name.split("/")[1] if "/" in name else "", "")
        ax.set(title=f"{title}{', ' * bool(side)}{side}", xlabel="control steps, millions")
    if len(groups) > 1 and figure.axes[0].lines:
        figure.axes[0].legend(fontsize=6, frameon=False)
    save(figure, path.parent, path.stem, ("png",))


def draw_rasters(groups: Sequence[Group], path: Path) -> None:
    """Draw the footfalls of one held-out episode of each group, of the first of its runs that has them.

    Those of ``evaluate`` come before those of the last evaluation of the training.
    """
    from track_mjx._common.figures import drawing, panels, save

    found = {}
    for group in groups:
        places = (folder for run in group.runs for folder in (run.folder / "evaluation", run.folder))
        tables = (read_footfalls(folder / f"{NAME.format('test')}.csv") for folder in places)
        if columns := next(filter(None, tables), None):
            found[group.label] = columns
    if not found:
        return
    rewards = np.concatenate([columns["reward"] for columns in found.values()])
    with drawing():
        figure, axes = panels(7.0, 2.4 * len(found), rows=len(found))
        for (ax,), (label, columns) in zip(axes, found.items(), strict=True):
            draw_footfalls(ax, columns, label, (np.nanmin(rewards), np.nanmax(rewards)))
        save(figure, path.parent, path.stem, ("png",))
