"""Tables over the runs of a sweep: what each run was set to, what came out, and means over seeds (paper A, Fig. 2A).

A run is a folder as track-mjx leaves it: ``config.yaml``, ``metrics.jsonl`` (or ``metrics.csv``), ``run.json`` and a
rollouts file. Seeds are few, so intervals over them are Student's t, not a bootstrap.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from reach_analysis._common.errors import ConfigError, DataError, InputError, shorten, unknown
from reach_analysis._common.files import json_lines
from reach_analysis._common.settings import plain_yaml
from reach_analysis.statistics.estimates import Estimate, student_mean

CONFIG, RECORD, METRICS, TABLE, ROLLOUTS = "config.yaml", "run.json", "metrics.jsonl", "metrics.csv", "rollouts.h5"

IGNORED_SETTINGS = ("out", "run.", "clips", "physics.threads", "physics.engine")
"""Settings that may differ between runs of one sweep without being what is swept."""

Point = tuple[float, ...]
"""Values of what is swept, one a setting."""


@dataclass(frozen=True)
class Run:
    """A training run."""

    folder: Path
    settings: Mapping[str, Any]
    """Every setting, under its dotted key."""
    progress: Mapping[str, Float[np.ndarray, " line"]]
    """Metrics by name, in the order they were logged; NaN where a line lacks one."""
    train: tuple[str, ...]
    """Clips trained on and held out; empty where the run does not say."""
    test: tuple[str, ...]
    rollouts: Path | None


def read_run(folder: Path) -> Run:
    """Read what a run left."""
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: not the folder of a run: {CONFIG} is missing")
    record = _read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    result = sorted(folder.glob("*.h5"))
    chosen = folder / ROLLOUTS if folder / ROLLOUTS in result else (result[0] if len(result) == 1 else None)
    return Run(
        folder=folder,
        settings=_settings(folder / CONFIG),
        progress=_progress(folder),
        train=tuple(map(str, record.get("train") or ())),
        test=tuple(map(str, record.get("test") or ())),
        rollouts=chosen,
    )


def _settings(path: Path) -> dict[str, Any]:
    try:
        loaded = plain_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the settings cannot be read: {error}") from error
    flat: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", loaded)]
    while waiting:
        prefix, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{prefix}.{key}" if prefix else str(key), entry) for key, entry in value.items()]
        else:
            flat[prefix] = value
    return dict(sorted(flat.items()))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _progress(folder: Path) -> dict[str, np.ndarray]:
    """Numbers logged during training; a line that was cut off by a crash is left out."""
    lines: list[Mapping[str, Any]] = []
    try:
        if (folder / METRICS).is_file():
            lines = list(json_lines((folder / METRICS).read_text(encoding="utf-8")))
        elif (folder / TABLE).is_file():
            with (folder / TABLE).open(newline="", encoding="utf-8") as file:
                lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: the metrics cannot be read: {error}") from error
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: np.array([_float(line.get(name)) for line in lines]) for name in names}


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def differing(runs: Sequence[Run]) -> list[str]:
    """Settings that are not the same in all runs, except seeds and settings without effect."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    return [
        key
        for key in keys
        if key != "seed"
        and not key.startswith(IGNORED_SETTINGS)
        and len({json.dumps(run.settings.get(key), default=str) for run in runs}) > 1
    ]


def swept(runs: Sequence[Run], parameter: str | Sequence[str] | None) -> tuple[tuple[str, ...], list[Point]]:
    """The settings that are swept and their values in each run.

    Args:
        runs: the runs.
        parameter: dotted key, or ``n_train`` for the number of training clips; two keys of a grid; more keys of
            conditions; None: the one number that differs.
    """
    if not parameter:
        numbers = [key for key in differing(runs) if all(_is_number(run.settings.get(key, 0.0)) for run in runs)]
        if len(numbers) != 1:
            what = f"several settings differ: {shorten(numbers)}" if numbers else "no number differs between the runs"
            raise ConfigError(
                f"parameter is not set, and {what}; choose one with parameter=KEY, several with [KEY,KEY]"
            )
        parameter = numbers
    names = (parameter,) if isinstance(parameter, str) else tuple(map(str, parameter))
    if len(set(names)) < len(names):
        raise ConfigError(f"parameter: a setting is named twice: {shorten(names)}")
    return names, list(zip(*(_values(runs, name) for name in names), strict=True))


def _values(runs: Sequence[Run], name: str) -> list[float]:
    """One setting of every run."""
    if name == "n_train":
        return [float(len(run.train)) for run in runs]
    known = sorted({key for run in runs for key in run.settings})
    if name not in known:
        raise ConfigError(f"parameter: {unknown('setting', name, known)}")
    # a cost that a run does not have weighs nothing in it
    values = [run.settings.get(name, 0.0) for run in runs]
    if not all(_is_number(value) for value in values):
        raise ConfigError(f"parameter: {name} is not a number in all runs: {shorten([str(v) for v in values])}")
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def condition_names(names: Sequence[str], points: Sequence[Point]) -> dict[Point, str]:
    """A name for each point: the settings in which it departs from most runs, without what their names share."""
    parts = [name.split(".") for name in names]
    first = next((k for k, column in enumerate(zip(*parts, strict=False)) if len(set(column)) > 1), 0)
    last = next((k for k, column in enumerate(zip(*map(reversed, parts), strict=False)) if len(set(column)) > 1), 0)
    short = [".".join(part[first : len(part) - last]) for part in parts]
    usual = [Counter(column).most_common(1)[0][0] for column in zip(*points, strict=True)]
    return {
        point: ", ".join(
            f"{name} = {value:g}" for name, value, most in zip(short, point, usual, strict=True) if value != most
        )
        or "baseline"
        for point in points
    }


def steps_to(progress: Mapping[str, np.ndarray], metric: str, fraction: float) -> float:
    """Environment steps after which a smoothed metric first reaches a fraction of its largest value; NaN if unknown.

    The metric is smoothed by a running median of five lines, so that a single lucky line does not count.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction: expected 0 to 1, got {fraction:g}")
    steps, values = progress.get("steps"), progress.get(metric)
    if steps is None or values is None:
        return float("nan")
    known = np.isfinite(steps) & np.isfinite(values)
    steps, values = steps[known], values[known]
    if not len(values):
        return float("nan")
    padded = np.pad(values, 2, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    if smooth.max() <= 0:
        return float("nan")
    return float(steps[np.argmax(smooth >= fraction * smooth.max())])


@dataclass(frozen=True)
class Level:
    """All runs at one point of the sweep."""

    value: Point
    n: int
    outcomes: Mapping[str, Estimate]
    """Mean of each outcome over runs, with Student's t interval; none for a single run."""


def over_seeds(
    values: Sequence[Point], outcomes: Mapping[str, Sequence[float]], limits: Mapping[str, tuple[float, float]]
) -> list[Level]:
    """Mean and interval of each outcome over the runs at one point, points ascending; it ends at the `limits`."""
    levels = []
    for value in sorted(set(values)):
        members = np.array([own == value for own in values])
        means = {
            name: student_mean(np.array(numbers)[members], "1").within(*limits.get(name, (-np.inf, np.inf)))
            for name, numbers in outcomes.items()
        }
        levels.append(Level(value, int(members.sum()), means))
    return levels


@dataclass(frozen=True)
class Knee:
    """The point of a sweep that is best by two outcomes."""

    value: Point
    agreement: float
    """Fraction of resamples of seeds that put it there."""


def knee(
    values: Sequence[Point], gain: Sequence[float], price: Sequence[float], resamples: int = 1000, seed: int = 0
) -> Knee | None:
    """The point with the largest gain over price, both scaled from 0 to 1 over the sweep; None for fewer than three.

    Gain is what shall be large (reward), price what shall be small (high-frequency power). Along one setting, on the
    frontier from all of both to none of both, this is the point farthest from the straight line between its ends
    (Satopaa et al. 2011).
    """
    levels = sorted(set(values))
    if len(levels) < 3:
        return None
    table = np.array([gain, price], dtype=float)
    if not np.isfinite(table).all():
        raise DataError("a knee needs gain and price of every run")
    members = [np.array([i for i, own in enumerate(values) if own == value]) for value in levels]
    best = _farthest(np.stack([table[:, rows].mean(axis=1) for rows in members], axis=1))
    rng = np.random.default_rng(seed)
    drawn = [
        _farthest(np.stack([table[:, rng.choice(rows, len(rows))].mean(axis=1) for rows in members], axis=1))
        for _ in range(resamples)
    ]
    return Knee(levels[best], float(np.mean(np.array(drawn) == best)))


def _farthest(means: Float[np.ndarray, "two level"]) -> int:
    spread = np.ptp(means, axis=1, keepdims=True)
    scaled = (means - means.min(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return int(np.argmax(scaled[0] - scaled[1]))
