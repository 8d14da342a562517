"""Measure the rate of false positives of every null at 5 %, on data sets without an effect.

Each null that claims to control its level is tested on data for which its hypothesis is true. Two nulls are
conservative by construction and may stay below 5 %. The shuffle null claims no control and must be above 5 %.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from reach_analysis.forecasting import nulls
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.forecaster import Forecaster, NestedLags, fixed_lags, grid
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.statistics.permutation import p_value
from reach_analysis.synthetic.systems import autoregressive
from scipy.stats import binom

LEVEL = 0.05
DRAWS = 19
"""Draws of each null: enough for p = 0.05, where the data beats all of them."""
TRIALS = 8

Holds = Literal["exactly", "at most", "no"]
"""What a case promises: false positives at 5 %, at 5 % or fewer, or more than that."""


@dataclass(frozen=True)
class DataKind:
    """What data sets without an effect are made of."""

    own: bool = False
    """Whether the target is forecast from its own past; else from an independent series."""
    phi: float = 0.8
    """Coefficient of the first-order autoregression behind target and predictor."""
    samples: int = 24
    shared: float = 0.0
    """Height of a time course that all trials, of target and predictor, have in common."""

    def draw(self, seed: int) -> TrialData:
        """A data set of eight trials."""
        rng = np.random.default_rng([5, seed])
        x, y = (autoregressive(rng, TRIALS, self.samples, self.phi) for _ in range(2))
        course = self.shared * np.sin(np.linspace(0, 2 * np.pi, self.samples))
        return trial_data(list((y if self.own else x) + course), list(y + course), own=0 if self.own else None)


def simple(data: TrialData) -> Forecaster:
    """Simplex projection with fixed lags over two folds."""
    return fixed_lags(data, Lags(2), trial_folds(data.ids, 2))


def nested(data: TrialData) -> Forecaster:
    """Simplex projection whose E is chosen by nested folds."""
    return NestedLags(data, grid((1, 3)), trial_folds(data.ids, 3))


@dataclass(frozen=True)
class Case:
    """A null on data for which its hypothesis is true."""

    name: str
    draw: Callable[[TrialData, DataKind, int], nulls.Targets]
    data: DataKind = DataKind()
    """What data sets are made of."""
    make: nulls.MakeForecaster = simple
    holds: Holds = "exactly"


def _permutation(data: TrialData, kind: DataKind, seed: int) -> nulls.Targets:
    return nulls.trial_permuted(data, DRAWS, seed)


def _phases(data: TrialData, kind: DataKind, seed: int) -> nulls.Targets:
    return nulls.phases_randomised(data, DRAWS, seed)


def _values_and_phases(data: TrialData, kind: DataKind, seed: int) -> nulls.Targets:
    return nulls.phases_randomised(data, DRAWS, seed, "iaaft")


def _noise(data: TrialData, kind: DataKind, seed: int) -> nulls.Targets:
    return nulls.noise_filtered(
        data, lambda rng: autoregressive(rng, TRIALS, kind.samples, kind.phi).ravel(), DRAWS, seed
    )


def _linear(data: TrialData, kind: DataKind, seed: int) -> nulls.Targets:
    return nulls.linear_processes(data, DRAWS, seed)


def _shuffle(data: TrialData, kind: DataKind, seed: int) -> nulls.Targets:
    return nulls.samples_shuffled(data, DRAWS, seed)


_PAST = DataKind(own=True, samples=12)
CASES = (
    Case("trial permutation, independent series", _permutation),
    Case("trial permutation, E chosen by nested folds", _permutation, make=nested),
    Case("trial permutation, a time course shared by all trials", _permutation, DataKind(shared=1.5)),
    Case("trial permutation, white noise from its own past", _permutation, replace(_PAST, phi=0.0)),
    Case("phase-randomised, independent series", _phases),
    Case("phase-randomised keeping values, independent series", _values_and_phases),
    Case("filtered white noise, independent series", _noise),
    Case("filtered white noise, from its own past", _noise, _PAST),
    Case("linear process, from its own past", _linear, _PAST, holds="at most"),
    Case("shuffled samples, slow independent series", _shuffle, DataKind(phi=0.98, samples=40), holds="no"),
    Case("phase-randomised, a time course shared by all trials", _phases, DataKind(shared=1.5), holds="no"),
)


@dataclass(frozen=True)
class Calibration:
    """What came out for one case."""

    case: str
    null: str
    controls: bool
    """Whether the null says that it controls its level on such data."""
    holds: Holds
    data_sets: int
    """Data sets without an effect."""
    draws: int
    """Draws of the null for each."""
    false_positives: int
    """Data sets called significant."""
    rate: float
    low: int
    """95 % binomial interval of the number of false positives of an exact test."""
    high: int
    as_promised: bool
    """Whether the count keeps the promise."""


def calibrate(case: Case, data_sets: int = 1000, tick: Callable[[int], None] = lambda amount: None) -> Calibration:
    """Count the data sets that are called significant by Spearman's correlation at 5 %."""
    hits, targets = 0, None
    for seed in range(data_sets):
        data = case.data.draw(seed)
        targets = case.draw(data, case.data, seed)
        hits += _rejected(data, targets, case.make)
        tick(1)
    assert targets is not None
    low, high = (int(edge) for edge in binom.interval(0.95, data_sets, LEVEL))
    kept = {"exactly": low <= hits <= high, "at most": hits <= high, "no": hits > high}[case.holds]
    return Calibration(
        case.name, targets.name, targets.controls, case.holds, data_sets, DRAWS, hits, hits / data_sets, low, high, kept
    )


def _rejected(data: TrialData, null: nulls.Targets, make: nulls.MakeForecaster) -> bool:
    """Whether p <= 5 %: with 19 draws, where none is as good as the data. The first that is settles it."""
    forecaster = make(data)
    samples = forecaster.samples
    value = agreement(Measure.SPEARMAN, data.target[samples, None], forecaster.predict(data.target[:, None]))[0]
    for few in np.split(null.values, (1, 4), axis=1):
        drawn = nulls.forecast_null(data, replace(null, values=few), make, forecaster)
        if p_value(float(value), agreement(Measure.SPEARMAN, *drawn)) > 1 / (1 + few.shape[1]):
            return False
    return True


def main() -> None:
    """Print the calibration of every null as a table: ``python benchmarks/reach/calibration.py``."""
    print("| null and data | promises 5 % | data sets | called significant | from | to | as promised |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        row = calibrate(case)
        print(
            f"| {row.case} | {row.holds} | {row.data_sets} | {row.false_positives} | {row.low} | {row.high} | "
            f"{'yes' if row.as_promised else '**no**'} |"
        )


if __name__ == "__main__":
    main()
