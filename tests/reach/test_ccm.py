"""Convergent cross mapping: equal to pyEDM, and right about who drives whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyEDM
import pytest
from pandas import DataFrame
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.ccm import CrossMap, Libraries, cross_map
from reach_analysis.forecasting.embedding import Lags, TrialData, embed, fold_splits, trial_data
from reach_analysis.forecasting.forecaster import target_rows
from reach_analysis.forecasting.nulls import trial_permuted
from reach_analysis.forecasting.simplex import simplex
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.statistics.permutation import p_value
from reach_analysis.synthetic.systems import autoregressive
from synthetic.systems import coupled_logistic


def with_pyedm(frame: DataFrame, **options: Any) -> Any:
    return pyEDM.CCM(frame, columns="x", target="y", parallel=False, **options)


def both_ways(data: TrialData, lags: Lags, libraries: Libraries, exclusion: int | None = None) -> list[CrossMap]:
    """The predictor maps the target, and the reverse."""
    reverse = TrialData(data.target[:, None], data.predictors[:, 0], data.lengths, data.ids)
    return [cross_map(embed(one, lags), libraries, exclusion=exclusion) for one in (data, reverse)]


@pytest.fixture(scope="module")
def maps() -> DataFrame:
    return DataFrame(np.column_stack([np.arange(200), coupled_logistic(200, 0.1, 0.02)]), columns=["t", "x", "y"])


@pytest.mark.parametrize("E", [1, 2, 4])
@pytest.mark.parametrize("tau", [-1, -2])
@pytest.mark.parametrize(("Tp", "radius"), [(0, 0), (1, 0), (-2, 3)])
def test_equal_to_pyedm(maps: DataFrame, E: int, tau: int, Tp: int, radius: int) -> None:
    sizes = (8, 40, 150)
    theirs = with_pyedm(maps, libSizes=list(sizes), sample=7, E=E, tau=tau, Tp=Tp, seed=11, exclusionRadius=radius)
    data = trial_data([maps["x"].to_numpy()], [maps["y"].to_numpy()])
    ours = both_ways(data, Lags(E, tau, Tp), Libraries(sizes, 7, 11, "state"), exclusion=radius)
    for mapped, name in zip(ours, ("x:y", "y:x"), strict=True):
        np.testing.assert_allclose(mapped.skill[:, 0], theirs[name], rtol=0, atol=1e-9)


def test_equal_to_pyedm_where_states_coincide() -> None:
    """At distance 0 only the neighbours at distance 0 count."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=60).repeat(2)[rng.permutation(120)]
    theirs = with_pyedm(
        DataFrame({"t": np.arange(120), "x": x, "y": np.sin(x)}), libSizes=[20, 100], sample=5, E=1, seed=2
    )
    embedding = embed(trial_data([x], [np.sin(x)]), Lags(1, -1, 0))
    ours = cross_map(embedding, Libraries((20, 100), 5, 2, "state"), exclusion=0)
    np.testing.assert_allclose(ours.skill[:, 0], theirs["x:y"], rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def one_way() -> list[np.ndarray]:
    """Trials of two logistic maps where x drives y, each with starting points of its own."""
    rng = np.random.default_rng(4)
    return [coupled_logistic(60, 0.15, 0.0, tuple(rng.uniform(0.2, 0.4, 2))) for _ in range(12)]


def test_direction_of_coupling_is_found_over_trials(one_way: list[np.ndarray]) -> None:
    data = trial_data([rows[:, 0] for rows in one_way], [rows[:, 1] for rows in one_way])
    driver, driven = both_ways(data, Lags(2, -1, 0), Libraries((1, 3, 11), 20))
    assert driven.skill[-1, 0] > max(0.9, driven.skill[0, 0] + 0.1)
    assert (np.diff(driven.skill[:, 0]) > 0).all()
    assert driver.skill[-1, 0] < 0.2


def test_of_two_coupled_maps_the_stronger_driver_is_read_better() -> None:
    """Sugihara et al. (2012), figure 1: x drives y five times as strongly as y drives x; both can be found."""
    rng = np.random.default_rng(0)
    trials = [coupled_logistic(80, 0.1, 0.02, tuple(rng.uniform(0.2, 0.4, 2))) for _ in range(12)]
    data = trial_data([rows[:, 0] for rows in trials], [rows[:, 1] for rows in trials])
    y_from_x, x_from_y = (one.skill[:, 0] for one in both_ways(data, Lags(2, -1, 0), Libraries((1, 3, 11), 20)))
    assert x_from_y[-1] > y_from_x[-1] > 0.5
    assert min(x_from_y[-1] - x_from_y[0], y_from_x[-1] - y_from_x[0]) > 0.05


def test_independent_series_map_neither_way() -> None:
    x, y = (autoregressive(np.random.default_rng(seed), 12, 60) for seed in (0, 1))
    one, other = both_ways(trial_data(list(x), list(y)), Lags(2, -1, 0), Libraries((2, 11), 20))
    assert abs(one.skill[-1, 0]) < 0.15
    assert abs(other.skill[-1, 0]) < 0.15


def test_permutation_tells_coupling_from_a_common_time_course(one_way: list[np.ndarray]) -> None:
    """Two signals locked to the trial map each other well, yet no better than those of exchanged trials."""
    rng = np.random.default_rng(2)
    time = np.linspace(0, 6, 40)
    x, y = time + 0.2 * autoregressive(rng, 12, 40), np.sin(time) + 0.2 * autoregressive(rng, 12, 40)
    coupled = trial_data([rows[:40, 1] for rows in one_way], [rows[:40, 0] for rows in one_way])
    for data, real in ((trial_data(list(x), list(y)), False), (coupled, True)):
        embedding = embed(data, Lags(2, -1, 0))
        permuted = trial_permuted(data, 39).values[target_rows(embedding)]
        targets = np.column_stack([embedding.targets, permuted])
        skill = cross_map(embedding, Libraries((11,), 10), targets=targets).skill[0]
        assert skill[0] > 0.5
        assert (p_value(float(skill[0]), skill[1:]) <= 0.05) == real


def test_a_library_of_all_other_trials_is_simplex(one_way: list[np.ndarray]) -> None:
    embedding = embed(trial_data([rows[:, 1] for rows in one_way], [rows[:, 0] for rows in one_way]), Lags(2))
    mapped = cross_map(embedding, Libraries((12,), 1))
    forecast = simplex(embedding, fold_splits(embedding, trial_folds(embedding.ids)))
    assert mapped.skill[0, 0] == pytest.approx(np.corrcoef(forecast.observed, forecast.predicted)[0, 1], abs=1e-9)
    assert mapped.states == len(forecast.observed)


def test_many_targets_equal_one_at_a_time(one_way: list[np.ndarray]) -> None:
    embedding = embed(trial_data([rows[:, 1] for rows in one_way], [rows[:, 0] for rows in one_way]), Lags(2))
    many = np.random.default_rng(0).normal(size=(len(embedding.targets), 3))
    many[:, 1] = embedding.targets
    libraries = Libraries((3, 8), 4)
    together = cross_map(embedding, libraries, targets=many).rho
    np.testing.assert_allclose(together[:, :, 1], cross_map(embedding, libraries).rho[:, :, 0], atol=1e-12)


def test_order_of_trials_changes_nothing(one_way: list[np.ndarray]) -> None:
    ids = [f"{number}" for number in range(len(one_way))]
    order = np.random.default_rng(0).permutation(len(ids))
    rho = []
    for rows in (range(len(ids)), order):
        data = trial_data([one_way[i][:, 1] for i in rows], [one_way[i][:, 0] for i in rows], [ids[i] for i in rows])
        rho.append(cross_map(embed(data, Lags(2)), Libraries((2, 6), 5, seed=3)).rho)
    np.testing.assert_allclose(rho[0], rho[1], rtol=0, atol=1e-12)


def test_impossible_libraries_are_refused(one_way: list[np.ndarray]) -> None:
    embedding = embed(trial_data([rows[:, 1] for rows in one_way], [rows[:, 0] for rows in one_way]), Lags(2))
    with pytest.raises(ConfigError, match=r"1 to 12 .*got 13"):
        cross_map(embedding, Libraries((2, 13)))
    with pytest.raises(ConfigError, match=r"4 to 696 .*got 3"):
        cross_map(embedding, Libraries((3,), unit="state"))
    single = embed(trial_data([one_way[0][:, 0]], [one_way[0][:, 1]]), Lags(2))
    with pytest.raises(DataError, match="no library of 1 trials holds enough states"):
        cross_map(single, Libraries((1,)))
    with pytest.raises(ConfigError, match=r"2 faults\n.*sizes must ascend, got \[5, 2\]\n.*samples must be at least 1"):
        Libraries((5, 2), 0)
