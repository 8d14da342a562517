"""Measure how often the 95 % intervals of reach-analysis hold the true value, with 5, 10 and 46 trials or animals.

Each case draws data sets whose truth is known, makes the interval as the package does, and counts. Data sets for which
the package gives no interval do not count; the table says for how many it gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from reach_analysis._common.survival import kaplan_meier
from reach_analysis.data.levels import Levels, levels_of
from reach_analysis.data.series import one_trial_each
from reach_analysis.forecasting.assessment import AssessmentSettings, Task, assess
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.forecaster import fixed_lags
from reach_analysis.forecasting.shared_search import SharedSearch
from reach_analysis.representation.pca import explained_intervals
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.estimates import (
    FEWEST_UNITS,
    Resampling,
    mean_of,
    paired_difference,
    rank_correlation,
    rms_of,
    student_mean,
)
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.studies.gait_feet import over_trials, phase_over_trials

TRIALS = (5, 10, 46)
Ends = tuple[float, float]
QUICK = Resampling(1000)


@dataclass(frozen=True)
class Case:
    """An interval, and data sets whose true value is known."""

    name: str
    draw: Callable[[np.random.Generator, int], Ends]
    """Interval of a data set of so many trials."""
    truth: Callable[[int], float]
    """True value for studies of so many trials."""
    data_sets: int = 1000


def _ends(estimate: Any) -> Ends:
    return estimate.low, estimate.high


def _mean(draw: Callable[..., np.ndarray]) -> Callable[[np.random.Generator, int], Ends]:
    return lambda rng, n: _ends(mean_of(draw(rng, n), "1", QUICK))


def _difference(rng: np.random.Generator, n: int) -> Ends:
    common = rng.gamma(4.0, size=n)
    return _ends(paired_difference(common * rng.gamma(8.0, 1 / 8, n), common, "1", QUICK).estimate)


def _bouts(rng: np.random.Generator, n: int) -> Ends:
    """Duty factors of 18 steps in each trial; trials differ (0.6, standard deviation 0.04)."""
    duty = rng.normal(0.6, 0.04, (n, 1)) + 0.01 * rng.normal(size=(n, 18))
    return _ends(over_trials(duty.ravel(), np.repeat(np.arange(n), 18), "1", QUICK))


def _phases(rng: np.random.Generator, n: int) -> Ends:
    phases = (0.02 + rng.normal(0, 0.05, (n, 1)) + 0.03 * rng.normal(size=(n, 15))) % 1.0
    low, high = _ends(phase_over_trials(phases.ravel(), np.repeat(np.arange(n), 15), QUICK))
    turns = round((low + high) / 2 - 0.02)  # an interval around 1 is one around 0
    return low - turns, high - turns


def _animals(
    rng: np.random.Generator, n: int, sessions: tuple[int, int] = (2, 3), counts: tuple[int, int] = (2, 6)
) -> tuple[list[str], Levels]:
    """Trials of `n` animals, each with so many sessions (least and most) of so many trials."""
    trials = [f"{animal}_{session}_{trial}" for animal in range(n)
              for session in range(rng.integers(*sessions, endpoint=True))
              for trial in range(rng.integers(*counts, endpoint=True))]  # fmt: skip
    return trials, levels_of({"animal": r"^(\d+)_", "session": r"_(\d)_"}, trials, trials, "drawn")


def _alike(rng: np.random.Generator, trials: Sequence[str], levels: Levels, *shape: int) -> np.ndarray:
    """Normal values of each trial; animals and sessions differ as much as trials."""
    _, nest = levels.nest(trials, 1)
    parts = [rng.normal(size=(max(level) + 1, *shape))[level] for level in nest]
    return (np.sum(parts, axis=0) + rng.normal(size=(len(trials), *shape))) / np.sqrt(len(nest) + 1)


def _of_animals(rng: np.random.Generator, n: int) -> Ends:
    trials, levels = _animals(rng, n)
    return _ends(mean_of(_alike(rng, trials, levels), "1", Resampling(400).of(levels, trials)))


def _survival(rng: np.random.Generator, n: int) -> Ends:
    durations = rng.exponential(1.0, n)
    return kaplan_meier(np.minimum(durations, 0.6), durations < 0.6).at(0.3)[1:]


def _trend(rng: np.random.Generator, n: int) -> Ends:
    one = rng.normal(size=n)
    return _ends(rank_correlation(one, 0.6 * one + 0.8 * rng.normal(size=n)))


def _rho(pearson: float) -> float:
    """Spearman's coefficient of a bivariate normal distribution."""
    return 6 / np.pi * np.arcsin(pearson / 2)


def _layers(weights: np.ndarray, decay: float) -> np.ndarray:
    """Slow courses of each dimension with `weights` (trial, course, dimension) of each trial: (trial, time, dimension).

    Variances of the dimensions fall off by `decay` squared.
    """
    _, count, dimensions = weights.shape
    phase = np.pi * np.arange(30)[:, None] * (np.arange(count) + 0.5) / 30
    courses = np.cos(phase) * np.exp(-np.arange(count) / 2)
    return np.einsum("tb,nbd->ntd", courses, weights) * decay ** np.arange(dimensions)


def _explained(dimensions: int, decay: float) -> float:
    """Weights are independent, so the variances of the dimensions are those of all trials there could be."""
    variances = decay ** (2.0 * np.arange(dimensions))
    return float(variances[:3].sum() / variances.sum())


def _variance(dimensions: int, decay: float) -> Callable[[np.random.Generator, int], Ends]:
    return lambda rng, n: _together(_layers(rng.normal(size=(n, 6, dimensions)), decay))


def _together(layers: np.ndarray, units: np.ndarray | None = None) -> Ends:
    """Interval of the variance along three components together."""
    channels = [str(number) for number in range(layers.shape[2])]
    return _ends(explained_intervals(one_trial_each("layer", list(layers), 100.0, channels), 3, units=units)[-1])


def _variance_of_animals(rng: np.random.Generator, n: int) -> Ends:
    trials, levels = _animals(rng, n)
    return _together(_layers(_alike(rng, trials, levels, 6, 8), 0.6), levels.units(trials, FEWEST_UNITS)[1])


def _coupled(rng: np.random.Generator, sizes: np.ndarray, ids: Sequence[str] | None = None) -> TrialData:
    """A target that a smooth random predictor drives, with noise whose logarithmic size in each trial is given."""
    time = np.linspace(0, 1, 50)
    predictors, targets = [], []
    for size in sizes:
        waves = [rng.normal() * np.sin((k + 1) * 3.1 * time + rng.normal()) for k in range(4)]
        predictors.append(np.sum(waves, axis=0))
        targets.append(np.tanh(predictors[-1]) + 0.6 * np.exp(0.5 * size) * rng.normal(size=50))
    return trial_data(predictors, targets, ids).standardised()


def _assessed(data: TrialData, units: np.ndarray | None = None, *, intervals: bool) -> Any:
    shared = SharedSearch(data, folds_at_most(data.ids, 5))
    settings = AssessmentSettings((Measure.SPEARMAN,), permutations=0, surrogates=0, intervals=intervals)
    task = Task("forecast", data, lambda given: fixed_lags(given, Lags(3), shared.folds, shared), units=units)
    return assess(task, settings)[0]


def _one_by_one(rng: np.random.Generator, n: int) -> tuple[TrialData, None]:
    return _coupled(rng, rng.normal(size=n)), None


def _by_animal(rng: np.random.Generator, n: int) -> tuple[TrialData, np.ndarray]:
    trials, levels = _animals(rng, n, (1, 2), (1, 3))
    return _coupled(rng, _alike(rng, trials, levels), trials), levels.units(trials, FEWEST_UNITS)[1]


def _forecast(draw: Callable[..., tuple[TrialData, Any]]) -> tuple[Callable[..., Ends], Callable[[int], float]]:
    """Interval of a forecast's score, and its expectation over studies of as many units."""

    @cache
    def expected(n: int) -> float:
        studies = (draw(np.random.default_rng([2, k]), n)[0] for k in range(150))
        return float(np.mean([_assessed(data, intervals=False).value for data in studies]))

    return lambda rng, n: _ends(_assessed(*draw(rng, n), intervals=True).interval), expected


def _constant(value: float) -> Callable[[int], float]:
    return lambda n: value


CASES = (
    Case("mean, normal values", _mean(lambda rng, n: rng.normal(size=n)), _constant(0.0)),
    Case("mean, skewed values (gamma 2), as errors", _mean(lambda rng, n: rng.gamma(2.0, size=n)), _constant(2.0)),
    Case("mean, very skewed values (exponential)", _mean(lambda rng, n: rng.exponential(size=n)), _constant(1.0)),
    Case("mean, heavy tails (t, 3)", _mean(lambda rng, n: rng.standard_t(3, n)), _constant(0.0)),
    Case("root mean square", lambda rng, n: _ends(rms_of(rng.gamma(3.0, size=n), "1", QUICK)), _constant(3**0.5)),
    Case("paired difference", _difference, _constant(0.0)),
    Case("mean over few seeds (Student)", lambda rng, n: _ends(student_mean(rng.normal(size=n), "1")), _constant(0.0)),
    Case("duty factor, steps of trials that differ", _bouts, _constant(0.6)),
    Case("phase lag near 0", _phases, _constant(0.02)),
    Case("mean over animals with sessions of trials", _of_animals, _constant(0.0)),
    Case("survival of 74 %", _survival, _constant(float(np.exp(-0.3)))),
    Case("trend over runs (Spearman)", _trend, _constant(_rho(0.6))),
    Case("explained variance, 24 dimensions", _variance(24, 0.85), lambda n: _explained(24, 0.85), 300),
    Case("explained variance, 8 dimensions", _variance(8, 0.6), lambda n: _explained(8, 0.6), 300),
    Case("explained variance, 8 dimensions, over animals", _variance_of_animals, lambda n: _explained(8, 0.6), 300),
    Case("forecast (Spearman)", *_forecast(_one_by_one), 100),
    Case("forecast (Spearman), over animals", *_forecast(_by_animal), 100),
)  # fmt: skip
FAST = CASES[:-2]
"""Cases that take a few milliseconds a data set."""


def coverages(cases: Sequence[Case], data_sets: int | None = None) -> list[dict[str, Any]]:
    """One row a case and number of trials: how often the interval is given, and holds the truth where it is."""
    rows = []
    for case in cases:
        for n in TRIALS:
            count = data_sets or case.data_sets
            ends = np.array([case.draw(np.random.default_rng([7, n, k]), n) for k in range(count)])
            given = np.isfinite(ends).all(axis=1)
            held = (ends[given, 0] <= case.truth(n)) & (case.truth(n) <= ends[given, 1])
            rows.append({"case": case.name, "trials": n, "data_sets": count, "given": float(given.mean()),
                         "coverage": float(held.mean())})  # fmt: skip
    return rows


def main() -> None:
    """Print the table: ``python benchmarks/reach/coverage.py``."""
    print("| interval | trials | data sets | given, % | holds the truth, % |")
    print("| --- | --- | --- | --- | --- |")
    for case in CASES:
        for row in coverages([case]):
            print(f"| {row['case']} | {row['trials']} | {row['data_sets']} | {100 * row['given']:.0f} | "
                  f"{100 * row['coverage']:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
