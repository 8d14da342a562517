"""Measure how often the 95 % intervals of reach-analysis hold the true value, with 5, 10 and 46 trials.

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
from reach_analysis.data.levels import levels_of
from reach_analysis.data.series import one_trial_each
from reach_analysis.forecasting.assessment import AssessmentSettings, Task, assess
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.forecaster import fixed_lags
from reach_analysis.representation.pca import components, explained_intervals
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.estimates import (
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


def _of_animals(rng: np.random.Generator, n: int) -> Ends:
    """Trials of `n` animals with 2 or 3 sessions of 2 to 6 trials; animals and sessions differ as much as trials."""
    trials = [f"{animal}_{session}_{trial}" for animal in range(n) for session in range(rng.integers(2, 4))
              for trial in range(rng.integers(2, 7))]  # fmt: skip
    chosen = Resampling(400).of(
        levels_of({"animal": r"^(\d+)_", "session": r"_(\d)_"}, trials, trials, "drawn"), trials
    )
    parts = [rng.normal(size=max(level) + 1)[list(level)] for level in chosen.nest]
    return _ends(mean_of(np.sum(parts, axis=0) + rng.normal(size=len(trials)), "1", chosen))


def _survival(rng: np.random.Generator, n: int) -> Ends:
    durations = rng.exponential(1.0, n)
    return kaplan_meier(np.minimum(durations, 0.6), durations < 0.6).at(0.3)[1:]


def _trend(rng: np.random.Generator, n: int) -> Ends:
    one = rng.normal(size=n)
    return _ends(rank_correlation(one, 0.6 * one + 0.8 * rng.normal(size=n)))


def _rho(pearson: float) -> float:
    """Spearman's coefficient of a bivariate normal distribution."""
    return 6 / np.pi * np.arcsin(pearson / 2)


def _layers(rng: np.random.Generator, n: int, dimensions: int, decay: float) -> np.ndarray:
    """Six slow courses a dimension, whose weights differ from trial to trial: (trial, time, dimension)."""
    phase = np.pi * np.arange(30)[:, None] * (np.arange(6) + 0.5) / 30
    courses = np.cos(phase) * np.exp(-np.arange(6) / 2)
    return np.einsum("tb,nbd->ntd", courses, rng.normal(size=(n, 6, dimensions))) * decay ** np.arange(dimensions)


@cache
def _explained(dimensions: int, decay: float) -> float:
    many = _layers(np.random.default_rng(1), 20_000, dimensions, decay)
    return float(components(many.reshape(-1, dimensions)).explained[:3].sum())


def _variance(dimensions: int, decay: float) -> Callable[[np.random.Generator, int], Ends]:
    def draw(rng: np.random.Generator, n: int) -> Ends:
        trials = list(_layers(rng, n, dimensions, decay))
        series = one_trial_each("layer", trials, 100.0, [str(number) for number in range(dimensions)])
        return _ends(explained_intervals(series, 3)[-1])

    return draw


def _coupled(rng: np.random.Generator, n: int) -> TrialData:
    """A target that a smooth random predictor drives, with noise whose size differs between trials."""
    time = np.linspace(0, 1, 50)
    predictors, targets = [], []
    for _ in range(n):
        waves = [rng.normal() * np.sin((k + 1) * 3.1 * time + rng.normal()) for k in range(4)]
        predictors.append(np.sum(waves, axis=0))
        targets.append(np.tanh(predictors[-1]) + 0.6 * np.exp(0.5 * rng.normal()) * rng.normal(size=50))
    return trial_data(predictors, targets).standardised()


def _assessed(rng: np.random.Generator, n: int, *, intervals: bool) -> Any:
    data = _coupled(rng, n)
    folds = folds_at_most(data.ids, 5)
    settings = AssessmentSettings((Measure.SPEARMAN,), permutations=0, surrogates=0, intervals=intervals)
    return assess(Task("forecast", data, lambda given: fixed_lags(given, Lags(3), folds)), settings)[0]


@cache
def _expected_rho(n: int) -> float:
    return float(np.mean([_assessed(np.random.default_rng([2, k]), n, intervals=False).value for k in range(150)]))


def _forecast(rng: np.random.Generator, n: int) -> Ends:
    return _ends(_assessed(rng, n, intervals=True).interval)


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
    Case("forecast (Spearman)", _forecast, _expected_rho, 100),
)  # fmt: skip
FAST = CASES[:-1]
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
