"""`reach-analysis bench`: speed of the forecasts next to pyEDM, on the same tasks in the same process.

Both sides return their predictions, so that every time comes with the difference between the results.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from reach_analysis._common.files import markdown_table, output_folder, write_json
from reach_analysis._common.progress import reporting
from reach_analysis._common.system import environment, n_cores, now, processor
from reach_analysis.config import BenchConfig
from reach_analysis.forecasting.embedding import Embedding, Lags, Split, TrialData, embed, fold_splits, trial_data
from reach_analysis.forecasting.forecaster import target_rows
from reach_analysis.forecasting.nulls import trial_permuted
from reach_analysis.forecasting.pyedm import simplex_by_pyedm, smap_by_pyedm
from reach_analysis.forecasting.simplex import simplex, simplex_map
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.synthetic.systems import autoregressive

FOLDS, LARGEST_E, THETAS = 5, 10, (0.0, 0.5, 2.0, 8.0)
BY_PYEDM = 3
"""Trial permutations that pyEDM forecasts; its time is scaled to all of them."""

Result = np.ndarray
"""Predictions or scores of one side, in the order of the other."""


@dataclass(frozen=True)
class Contest:
    """One task for both."""

    name: str
    ours: Callable[[], Result]
    theirs: Callable[[], Result]
    scale: float = 1.0
    """How many times the work of `theirs` the whole task is."""


Row = dict[str, Any]
"""One measurement: median wall times of the whole task, and how far the results differ."""


def run(config: BenchConfig) -> int:
    """Measure, print the table and write ``bench.json``."""
    out = output_folder(config.out, "reach_results/bench")
    tasks, rows = list(contests(config)), []
    with reporting() as (_, stage):
        tick = stage("speed", len(tasks))
        for task in tasks:
            rows.append(measure(task, config.repeats))
            tick(1)
    record = {
        "machine": {"processor": processor(), "cores": n_cores(), "load_average_1min": os.getloadavg()[0]},
        "versions": environment(), "measured_utc": now(),
        "settings": asdict(replace(config, out=None)), "speed": rows,
    }  # fmt: skip
    write_json(out / "bench.json", record)
    sys.stdout.write(markdown_table(rows, COLUMNS))
    return 0


COLUMNS = [
    ("name", "task", "{}"), ("ours_s", "ours, s", "{:.3g}"), ("pyedm_s", "pyEDM, s", "{:.3g}"),
    ("ratio", "ratio", "{:,.1f}"), ("measured", "part pyEDM did", "{:.3g}"),
    ("largest_difference", "largest difference, sd", "{:.1e}"),
]  # fmt: skip


def measure(contest: Contest, repeats: int) -> Row:
    """Run both sides in turn, and compare times and results."""
    wall = np.empty((2, repeats))
    results: list[Result] = [np.empty(0), np.empty(0)]
    for repeat in range(repeats):
        for side, call in enumerate((contest.ours, contest.theirs)):
            begin = time.perf_counter()
            results[side] = call()
            wall[side, repeat] = time.perf_counter() - begin
    ours, theirs = np.median(wall, axis=1) * (1.0, contest.scale)
    first = results[0].ravel()[: results[1].size]
    difference = np.abs(first - results[1].ravel()).max() / np.std(results[1])
    return {
        "name": contest.name, "ours_s": float(ours), "pyedm_s": float(theirs), "ratio": float(theirs / ours),
        "measured": 1 / contest.scale, "largest_difference": float(difference),
    }  # fmt: skip


def contests(config: BenchConfig) -> Iterator[Contest]:
    """Simplex, its permutations, and S-map, over trials."""
    x, y = (autoregressive(np.random.default_rng([0, one]), config.trials, config.samples, 0.95) for one in (0, 1))
    data = trial_data(list(x), list(y))
    task = _task(data, 2)
    simplex_by_pyedm(*task)  # warm up
    smap_by_pyedm(*task, 1.0)
    tasks = [_task(data, E) for E in range(1, LARGEST_E + 1)]
    size = f"{config.trials} x {config.samples} samples, {FOLDS} folds"
    yield Contest(
        f"simplex, {size}, E = 1 to {LARGEST_E}",
        lambda: np.concatenate([simplex(*task).predicted for task in tasks]),
        lambda: np.concatenate([simplex_by_pyedm(*task).predicted for task in tasks]),
    )
    yield _permutations(data, tasks, config)
    task = _task(data, 3)
    yield Contest(
        f"S-map, {size}, E = 3, theta = {', '.join(map(str, THETAS))}",
        lambda: np.concatenate([one.predicted for one in smap(*task, THETAS)]),
        lambda: np.concatenate([smap_by_pyedm(*task, theta).predicted for theta in THETAS]),
    )


def _task(data: TrialData, E: int) -> tuple[Embedding, list[Split]]:
    embedding = embed(data, Lags(E))
    return embedding, fold_splits(embedding, trial_folds(data.ids, FOLDS))


def _permutations(data: TrialData, tasks: list[tuple[Embedding, list[Split]]], config: BenchConfig) -> Contest:
    """Spearman correlation of every permutation at every E."""
    drawn = trial_permuted(data, config.permutations, 0).values

    def ours() -> Result:
        scores = []
        for embedding, splits in tasks:
            map_, targets = simplex_map(embedding, splits), drawn[target_rows(embedding)]
            scores.append(agreement(Measure.SPEARMAN, targets[map_.state], map_.apply(targets)))
        return np.stack(scores)[:, :BY_PYEDM].copy()

    def theirs() -> Result:
        scores = []
        for embedding, splits in tasks:
            columns = drawn[target_rows(embedding), :BY_PYEDM].T
            runs = [simplex_by_pyedm(replace(embedding, targets=column), splits) for column in columns]
            observed, predicted = (
                np.stack([getattr(one, side) for one in runs], axis=1) for side in ("observed", "predicted")
            )
            scores.append(agreement(Measure.SPEARMAN, observed, predicted))
        return np.stack(scores)

    name = f"{config.permutations} trial permutations of it, Spearman"
    return Contest(name, ours, theirs, config.permutations / BY_PYEDM)
