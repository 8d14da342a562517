"""pyEDM as engine gives what ours gives, on one series and over trials; what its own handling of trials loses."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyEDM
import pytest
from pandas import DataFrame
from pyedm_padding import kept_by_padding
from reach_analysis._common.errors import ConfigError
from reach_analysis.forecasting.ccm import Libraries, cross_map
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
from reach_analysis.forecasting.pyedm import simplex_by_pyedm, smap_by_pyedm
from reach_analysis.forecasting.simplex import simplex
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.folds import trial_folds
from synthetic.systems import lorenz


@pytest.fixture(scope="module")
def trials() -> TrialData:
    pieces = np.split(lorenz(240), [30, 70, 100, 130, 160, 200])
    return trial_data([rows[:, :2] for rows in pieces], [rows[:, 2] for rows in pieces])


@pytest.fixture(scope="module")
def series() -> TrialData:
    states = lorenz(200)
    return trial_data([states[:, 0]], [states[:, 2]])


@pytest.mark.parametrize("n_folds", [None, 3])
@pytest.mark.parametrize("lags", [Lags(1, -1, 0), Lags(3, -2, 2), Lags(2, 1, 4)])
def test_engines_agree_over_trials(trials: TrialData, lags: Lags, n_folds: int | None) -> None:
    embedding = embed(trials, lags)
    splits = fold_splits(embedding, trial_folds(embedding.ids, n_folds))
    theirs = simplex_by_pyedm(embedding, splits)
    ours = simplex(embedding, splits)
    np.testing.assert_allclose(ours.predicted, theirs.predicted, rtol=0, atol=1e-12 * np.ptp(ours.observed))
    np.testing.assert_array_equal(ours.state, theirs.state)
    for knn in (None, 30):
        by_svd = smap_by_pyedm(embedding, splits, 2.0, knn=knn)
        fast = smap(embedding, splits, [2.0], knn=knn)[0]
        np.testing.assert_allclose(fast.predicted, by_svd.predicted, rtol=0, atol=1e-9 * np.ptp(ours.observed))


def cross_map_by_pyedm(embedding: Embedding, libraries: Libraries, radius: int) -> np.ndarray:
    """Mean skill for each library size by pyEDM's CCM."""
    columns = {f"lag{number}": values for number, values in enumerate(embedding.vectors.T)}
    frame = DataFrame({"time": np.arange(len(embedding.targets)), **columns, "target": embedding.targets})
    drawn: dict[str, Any] = {"libSizes": list(libraries.sizes), "sample": libraries.samples, "seed": libraries.seed}
    states: dict[str, Any] = {"columns": list(columns), "target": "target", "embedded": True, "Tp": 0}
    near = {"knn": embedding.lags.E + 1, "exclusionRadius": radius}
    return np.asarray(pyEDM.CCM(frame, parallel=False, **states, **near, **drawn))[:, 1]


@pytest.mark.parametrize("radius", [0, 4])
def test_engines_agree_on_one_series(series: TrialData, radius: int) -> None:
    embedding = embed(series, Lags(3, -1, 1))
    span = np.ptp(embedding.targets)
    theirs = simplex_by_pyedm(embedding, whole(embedding), exclusion=radius)
    ours = simplex(embedding, whole(embedding), exclusion=radius)
    np.testing.assert_allclose(ours.predicted, theirs.predicted, rtol=0, atol=1e-12 * span)
    by_svd = smap_by_pyedm(embedding, whole(embedding), 3.0, exclusion=radius)
    fast = smap(embedding, whole(embedding), [3.0], exclusion=radius)[0]
    np.testing.assert_allclose(fast.predicted, by_svd.predicted, rtol=0, atol=1e-9 * span)
    libraries = Libraries((10, 50, 150), 6, 5, "state")
    mapped = cross_map(embedding, libraries, exclusion=radius)
    skill = cross_map_by_pyedm(embedding, libraries, radius)
    np.testing.assert_allclose(mapped.skill[:, 0], skill, rtol=0, atol=1e-9)


def test_padding_loses_predictions_and_a_mask_gives_ours(trials: TrialData) -> None:
    for lags in (Lags(2, -1, 1), Lags(3, -2, 4), Lags(2, 1, -3)):
        kept = kept_by_padding(trials, lags, trial_folds(trials.ids))
        first, last = lags.reach
        assert kept.ours == sum(n - (last - first) for n in trials.lengths)
        assert kept.padded < kept.ours
        assert kept.masked == kept.ours
        assert kept.largest_difference < 1e-12
        assert kept.crossing == (len(trials.lengths) - 1) * (last - first)


def test_nothing_is_lost_when_nothing_lies_ahead(trials: TrialData) -> None:
    kept = kept_by_padding(trials, Lags(3, -1, 0), trial_folds(trials.ids, 2))
    assert kept.padded == kept.masked == kept.ours


def test_what_pyedm_cannot_express_is_refused(trials: TrialData, series: TrialData) -> None:
    embedding = embed(trials, Lags(2))
    with pytest.raises(ConfigError, match="use our engine"):
        simplex_by_pyedm(embedding, whole(embedding), exclusion=3)
    single = embed(series, Lags(2))
    rows = np.arange(len(single.targets))
    with pytest.raises(ConfigError, match="set exclusion=0"):
        simplex_by_pyedm(single, [Split(rows[:50], rows[50:])], exclusion=3)


def test_pyedm_is_not_loaded_before_it_is_called() -> None:
    code = "import sys, reach_analysis.forecasting.pyedm; sys.exit('pyEDM' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
