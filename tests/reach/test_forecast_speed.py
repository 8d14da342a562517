"""Speed against pyEDM in the same process, by processor time on one thread, so that load matters little."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyEDM
import pytest
from pandas import DataFrame
from reach_analysis.forecasting.embedding import Lags, embed, trial_data, whole
from reach_analysis.forecasting.forecaster import grid
from reach_analysis.forecasting.lag_sweep import sweep
from reach_analysis.forecasting.nulls import trial_permuted
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.synthetic.systems import autoregressive
from synthetic.systems import lorenz
from threadpoolctl import threadpool_limits


def processor_s(call: Callable[[], object], repeats: int = 3) -> float:
    """Least processor time of a call."""
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        taken.append(time.process_time() - begin)
    return min(taken)


@pytest.mark.slow
def test_smap_is_ten_times_faster_than_pyedm() -> None:
    x = lorenz(1500)[:, 0]
    frame = DataFrame({"t": np.arange(1500), "x": x})

    def ours() -> None:
        embedding = embed(trial_data([x], [x]), Lags(3))
        smap(embedding, whole(embedding), [2.0], exclusion=0)

    def theirs() -> None:
        pyEDM.SMap(frame, columns="x", target="x", lib=[1, 1500], pred=[1, 1500], E=3, theta=2.0)  # type: ignore[arg-type]

    with threadpool_limits(1, "blas"):
        assert processor_s(theirs) > 10 * processor_s(ours)


@pytest.mark.slow
def test_a_sweep_with_a_thousand_permutations_takes_seconds() -> None:
    """E = 1 to 10 over 46 trials of 60 samples, both correlations for every permutation; the goal is 15 s."""
    x, y = (autoregressive(np.random.default_rng(seed), 46, 60, 0.95) for seed in (0, 1))
    data = trial_data(list(x), list(y))
    folds = trial_folds(data.ids)

    def run() -> None:
        sweep(data, grid(range(1, 11)), folds, null_targets=trial_permuted(data, 1000).values)

    assert processor_s(run, 1) < 15
