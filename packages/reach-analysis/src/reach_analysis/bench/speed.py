"""How fast forecasts are, beside pyEDM on the same task in the same process.

Both sides return their predictions, so that a speed never stands without the difference it was had for. pyEDM works on
one task at a time; where that would take hours it does a part, and its time is scaled up and marked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reach_analysis._common.errors import ConfigError
from reach_analysis.config import BenchConfig
from reach_analysis.forecasting.ccm import Libraries, cross_map_both_ways
from reach_analysis.forecasting.embedding import (
    Embedding,
    Lags,
    Split,
    TrialData,
    embed,
    fold_splits,
    trial_data,
    whole,
)
from reach_analysis.forecasting.forecaster import grid, target_rows
from reach_analysis.forecasting.nulls import trial_permuted
from reach_analysis.forecasting.pyedm import kept_by_padding, simplex_by_pyedm, smap_by_pyedm
from reach_analysis.forecasting.simplex import simplex, simplex_map
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.synthetic.systems import autoregressive, coupled_logistic, lorenz

FOLDS = 5
THETAS = (0.0, 0.5, 2.0, 8.0)
PADDED = (Lags(1), Lags(3), Lags(3, -2, 1), Lags(3, -1, 5), Lags(4, -1, 10))
"""Lags whose predictions are counted with NaN rows between trials."""

Result = np.ndarray
"""What both sides computed, in the same order: predictions or skills."""


@dataclass(frozen=True)
class Contest:
    """One task for both.

    Attributes:
        name, size: what is computed, and how much of it.
        ours, theirs: run it.
        scale: how many times the work of `theirs` the whole task would be.
        goal: smallest ratio, or largest number of seconds of ours, that was aimed at; empty: none.
    """

    name: str
    size: str
    ours: Callable[[], Result]
    theirs: Callable[[], Result]
    scale: float = 1.0
    goal: str = ""


@dataclass(frozen=True)
class SpeedRow:
    """One measurement.

    Attributes:
        name, size, goal: of the contest.
        ours_s, pyedm_s: median wall time of the whole task, s.
        ours_processor_s, pyedm_processor_s: median processor time, all threads, s.
        ratio: pyEDM's wall time over ours.
        measured: part of the task that pyEDM really did.
        largest_difference: between the two results, in standard deviations of them.
        repeats: runs of each side.
    """

    name: str
    size: str
    goal: str
    ours_s: float
    pyedm_s: float
    ours_processor_s: float
    pyedm_processor_s: float
    ratio: float
    measured: float
    largest_difference: float
    repeats: int


def measure(contest: Contest, repeats: int) -> SpeedRow:
    """Run both sides in turn, and compare times and results."""
    wall, processor = np.empty((2, repeats)), np.empty((2, repeats))
    results: list[Result] = [np.empty(0), np.empty(0)]
    for repeat in range(repeats):
        for side, call in enumerate((contest.ours, contest.theirs)):
            begin, begin_processor = time.perf_counter(), time.process_time()
            results[side] = call()
            wall[side, repeat] = time.perf_counter() - begin
            processor[side, repeat] = time.process_time() - begin_processor
    ours, theirs = np.median(wall, axis=1) * (1.0, contest.scale)
    cpu = np.median(processor, axis=1) * (1.0, contest.scale)
    difference = np.abs(results[0].ravel()[: results[1].size] - results[1].ravel()).max() / np.std(results[1])
    return SpeedRow(
        contest.name, contest.size, contest.goal, float(ours), float(theirs), float(cpu[0]), float(cpu[1]),
        float(theirs / ours), 1 / contest.scale, float(difference), repeats,
    )  # fmt: skip


def contests(config: BenchConfig) -> Iterator[Contest]:
    """Everything that is measured.

    Raises:
        ConfigError: when there is too little to measure.
    """
    if config.trials < FOLDS or config.samples < 3 * config.largest_E or config.largest_E < 1:
        raise ConfigError(f"bench needs at least {FOLDS} trials, each of three times largest_E samples or more")
    if min(config.permutations, config.pyedm_permutations, config.repeats) < 1:
        raise ConfigError("permutations, pyedm_permutations and repeats must be at least 1")
    _warm_up()
    x, y = (autoregressive(np.random.default_rng([config.seed, one]), config.trials, config.samples, 0.95)
            for one in (0, 1))  # fmt: skip
    data = trial_data(list(x), list(y))
    yield from _simplex(data, config)
    yield _permutations(data, config)
    yield from _smap(data, config)
    yield _ccm(config)


def _warm_up() -> None:
    """Load pyEDM and run each method once on little, so that nobody pays for the first call."""
    values = lorenz(60)[:, 0]
    embedding = embed(trial_data([values], [values]), Lags(2))
    simplex_by_pyedm(embedding, whole(embedding), exclusion=0)
    smap_by_pyedm(embedding, whole(embedding), 1.0, exclusion=0)
    smap(embedding, whole(embedding), [1.0], exclusion=0)


def _tasks(data: TrialData, lags: Sequence[Lags]) -> list[tuple[Embedding, list[Split]]]:
    folds = trial_folds(data.ids, FOLDS)
    embeddings = [embed(data, one) for one in lags]
    return [(embedding, fold_splits(embedding, folds)) for embedding in embeddings]


def _simplex(data: TrialData, config: BenchConfig) -> Iterator[Contest]:
    lags = grid(range(1, config.largest_E + 1))
    count = config.trials * config.samples
    series = lorenz(count)[:, 0]
    single = trial_data([series], [series])
    for name, used, apart in (("one series", single, 0), ("trials", data, None)):

        def tasks(used: TrialData = used, apart: int | None = apart) -> list[tuple[Embedding, list[Split]]]:
            if apart is None:
                return _tasks(used, lags)
            return [(embedding, whole(embedding)) for embedding in (embed(used, one) for one in lags)]

        def ours(tasks: Callable = tasks, apart: int | None = apart) -> Result:
            return np.concatenate([simplex(*task, exclusion=apart).predicted for task in tasks()])

        def theirs(tasks: Callable = tasks, apart: int | None = apart) -> Result:
            return np.concatenate([simplex_by_pyedm(*task, exclusion=apart).predicted for task in tasks()])

        size = f"{count} samples" if apart == 0 else f"{config.trials} x {config.samples} samples, {FOLDS} folds"
        yield Contest(f"simplex on {name}, E = 1 to {config.largest_E}", size, ours, theirs)


def _permutations(data: TrialData, config: BenchConfig) -> Contest:
    """Both correlations of every permutation at every E."""
    lags = grid(range(1, config.largest_E + 1))
    drawn = trial_permuted(data, config.permutations, config.seed).values

    def scores(embedding: Embedding, predicted: np.ndarray, state: np.ndarray, count: int) -> list[np.ndarray]:
        observed = drawn[target_rows(embedding)[state], :count]
        return [agreement(measure, observed, predicted) for measure in (Measure.PEARSON, Measure.SPEARMAN)]

    def ours() -> Result:
        found = []
        for embedding, splits in _tasks(data, lags):
            map_ = simplex_map(embedding, splits)
            found += scores(embedding, map_.apply(drawn[target_rows(embedding)]), map_.state, drawn.shape[1])
        return np.stack(found)[:, : config.pyedm_permutations].copy()

    def theirs() -> Result:
        found = []
        for embedding, splits in _tasks(data, lags):
            runs = [
                simplex_by_pyedm(replace(embedding, targets=targets), splits)
                for targets in drawn[target_rows(embedding), : config.pyedm_permutations].T
            ]
            predicted = np.stack([run.predicted for run in runs], axis=1)
            found += scores(embedding, predicted, runs[0].state, len(runs))
        return np.stack(found)

    scale = config.permutations / min(config.pyedm_permutations, config.permutations)
    return Contest(
        f"{config.permutations} trial permutations of it, Pearson and Spearman",
        f"{config.trials} x {config.samples} samples, {FOLDS} folds, E = 1 to {config.largest_E}",
        ours, theirs, scale, "ours within 15 s",
    )  # fmt: skip


def _smap(data: TrialData, config: BenchConfig) -> Iterator[Contest]:
    series = lorenz(config.trials * config.samples)[:, 0]
    embedding = embed(trial_data([series], [series]), Lags(3))
    size = f"{len(series)} samples, E = 3, theta = 2"
    yield Contest(
        "S-map on one series", size,
        lambda: smap(embedding, whole(embedding), [2.0], exclusion=0)[0].predicted,
        lambda: smap_by_pyedm(embedding, whole(embedding), 2.0, exclusion=0).predicted,
        goal="10 times",
    )  # fmt: skip
    task = _tasks(data, [Lags(3)])[0]
    size = f"{config.trials} x {config.samples} samples, {FOLDS} folds, E = 3, theta = {', '.join(map(str, THETAS))}"
    yield Contest(
        "S-map on trials", size,
        lambda: np.concatenate([one.predicted for one in smap(*task, THETAS)]),
        lambda: np.concatenate([smap_by_pyedm(*task, theta).predicted for theta in THETAS]),
        goal="10 times",
    )  # fmt: skip


def _ccm(config: BenchConfig) -> Contest:
    count = max(200, config.trials * config.samples // 3)
    x, y = coupled_logistic(count, 0.1, 0.02).T
    data, sizes = trial_data([x], [y]), (count // 20, count // 5, count * 3 // 4)

    def ours() -> Result:
        found = cross_map_both_ways(data, Lags(2, -1, 0), Libraries(sizes, 30, 1, "state"), exclusion=0)
        return np.stack([found.predictors_map_target.skill[:, 0], found.target_maps_predictor.skill[:, 0]])

    def theirs() -> Result:
        import pyEDM
        from pandas import DataFrame

        frame = DataFrame({"time": np.arange(count), "x": x, "y": y})
        drawn = {"libSizes": list(sizes), "sample": 30, "seed": 1}
        found = pyEDM.CCM(frame, columns="x", target="y", E=2, tau=-1, Tp=0, parallel=False, **drawn)
        return np.stack([found["x:y"], found["y:x"]])  # type: ignore[index]

    size = f"{count} samples, E = 2, libraries of {', '.join(map(str, sizes))}, 30 draws each, one process"
    return Contest("CCM both ways, one series", size, ours, theirs)


def kept(config: BenchConfig) -> list[dict[str, float | int]]:
    """Predictions that can be scored over trials: ours, and pyEDM's with NaN rows between trials."""
    values = lorenz(config.trials * config.samples)
    trials = np.split(values, config.trials)
    data = trial_data([rows[:, 0] for rows in trials], [rows[:, 1] for rows in trials])
    rows = []
    for lags in PADDED:
        found = kept_by_padding(data, lags, trial_folds(data.ids, FOLDS))
        rows.append({
            "E": lags.E, "tau": lags.tau, "Tp": lags.Tp, "samples": len(data.target), "ours": found.ours,
            "pyedm_padded": found.padded, "pyedm_masked": found.masked, "crossing_unpadded": found.crossing,
            "largest_difference_masked": found.largest_difference,
        })  # fmt: skip
    return rows
