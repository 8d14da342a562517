"""The public notebooks' choices: each inflates, or changes, what it is known to on data with known truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyedm_padding import kept_by_padding
from reach_analysis.cli import main
from reach_analysis.config import ForecastConfig
from reach_analysis.forecasting.embedding import Lags, TrialData, embed, trial_data
from reach_analysis.forecasting.forecaster import grid
from reach_analysis.replication.forecast import Protocol, departures, kept_by_nan_rows, score, stretched
from reach_analysis.replication.table import Comparison
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.studies.forecast_questions import Question
from reach_analysis.synthetic.emg import EmgSettings
from reach_analysis.synthetic.systems import autoregressive
from synthetic.emg import write_emg
from synthetic.reach import ReachSettings, write_reaches
from synthetic.systems import lorenz


def independent(phi: float, n_trials: int = 12, n: int = 50, seed: int = 0) -> TrialData:
    """Predictor and target that have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    return trial_data(list(autoregressive(rng, n_trials, n, phi)), list(autoregressive(rng, n_trials, n, phi)))


def spearman(data: TrialData, protocol: Protocol, lags: tuple[Lags, ...] = (Lags(3),)) -> float:
    folds = trial_folds(data.ids, 4)
    return float(score(data, lags, folds, protocol, data.target[:, None]).scores[Measure.SPEARMAN][0])


def test_neighbours_a_sample_away_make_independent_series_predict_each_other() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([autoregressive(rng, 12, 50, 0.98) for _ in range(4)], axis=2)
    data = trial_data(list(x), list(autoregressive(rng, 12, 50, 0.98)))
    assert abs(spearman(data, Protocol())) < 0.25
    assert spearman(data, Protocol(own_trial=True)) > 0.6


def test_leads_hold_the_answer() -> None:
    """White noise whose copy comes two samples later: nothing of it can be forecast, all of it looked up."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=(12, 50))
    x = np.concatenate([rng.normal(size=(12, 1)), y[:, :-1]], axis=1)
    data = trial_data(list(x), list(y))
    assert abs(spearman(data, Protocol())) < 0.15
    assert spearman(data, Protocol(leads=True)) > 0.8


def test_the_best_of_many_lags_on_noise_looks_like_something() -> None:
    """The best of thirty candidates on white noise; on average over data sets it must be above zero, fixed lags not."""
    candidates = grid(range(1, 7), range(-1, -6, -1))
    best, fixed = [], []
    for seed in range(8):
        data = independent(0.0, 8, 30, seed)
        best.append(spearman(data, Protocol(test_lags=True), candidates))
        fixed.append(spearman(data, Protocol(), candidates))
    assert np.mean(best) > 0.1
    assert abs(np.mean(fixed)) < 0.08
    assert np.mean(best) > np.mean(fixed) + 0.08


def test_states_across_borders_find_the_jump_that_all_trials_share() -> None:
    """Noise that is the same only in the first and last samples of every trial: across borders it can be forecast."""
    rng = np.random.default_rng(2)
    y = 0.2 * rng.normal(size=(20, 12))
    y[:, -2:], y[:, :2] = [3.0, 6.0], [-6.0, -3.0]
    data = trial_data(list(y), list(y), own=0)
    inside = score(data, (Lags(2),), trial_folds(data.ids, 4), Protocol(), data.target[:, None])
    across = score(data, (Lags(2),), trial_folds(data.ids, 4), Protocol(borders=True), data.target[:, None])
    assert inside.predictions == 20 * 10
    assert across.predictions == 20 * 12 - 2, "only the two ends of the whole series are lost"
    assert across.scores[Measure.PEARSON][0] > inside.scores[Measure.PEARSON][0] + 0.1


def test_a_split_by_rows_cuts_a_trial_and_predicts_the_rest() -> None:
    data = independent(0.9)
    found = score(data, (Lags(1),), trial_folds(data.ids, 4), Protocol(rows=True), data.target[:, None])
    cut = round(14730 / 20759 * 12 * 50)
    assert cut % 50 != 0, "the cut lies within a trial"
    assert found.predictions == sum(embed(data, Lags(1)).row >= cut)


@pytest.mark.parametrize("lags", [Lags(1), Lags(3, -1, 1), Lags(3, -2, 4), Lags(2, -1, 8)])
def test_nan_rows_lose_what_pyedm_loses(lags: Lags) -> None:
    pieces = np.split(lorenz(400), 10)
    data = trial_data([rows[:, 0] for rows in pieces], [rows[:, 1] for rows in pieces])
    folds = trial_folds(data.ids, 5)
    theirs = kept_by_padding(data, lags, folds)
    kept = kept_by_nan_rows(data, lags, folds, Protocol(padding=True))
    assert (int(kept.sum()), len(kept)) == (theirs.padded, theirs.ours)
    found = score(data, (lags,), folds, Protocol(padding=True), data.target[:, None])
    assert found.predictions == theirs.padded < theirs.ours


def test_a_stretch_puts_other_times_side_by_side() -> None:
    ramp = trial_data([np.arange(11.0)] * 2, [np.zeros(11)] * 2)
    np.testing.assert_allclose(stretched(ramp).predictors[:11, 0], np.linspace(0, 4, 11))
    rng = np.random.default_rng(3)
    x = autoregressive(rng, 16, 60, 0.9)
    related = trial_data(list(x), list(np.tanh(x) + 0.05 * rng.normal(size=x.shape)))
    assert spearman(related, Protocol()) > 0.7
    assert spearman(related, Protocol(stretched=True)) < 0.4


@pytest.fixture(scope="module")
def template() -> dict[str, Comparison]:
    """Trials that share a course and nothing else, as every departure sees them."""
    rng = np.random.default_rng(4)
    course = np.sin(np.linspace(0, 5, 40))
    x, y = (course + 0.2 * autoregressive(rng, 14, 40) for _ in range(2))
    data = trial_data(list(x), list(np.exp(2 * y)))
    question = Question("y from x", data, own=False, noise=lambda one: one.normal(size=len(data.target)))
    config = ForecastConfig(E=[1, 2, 3], tau=[-1, -2], Tp=[1], folds=4)
    return {row.departure: row for row in departures(question, config)}


def test_every_departure_has_its_row(template: dict[str, Comparison]) -> None:
    assert list(template) == [
        "library and prediction split by rows", "library holds the predicted trial", "states across trial borders",
        "NaN rows between trials", "leads for lags", "simulation stretched over the EMG",
        "lags chosen on what is predicted", "Pearson under Spearman's name", "shuffled samples as the null",
        "all of them, as published",
    ]  # fmt: skip
    base = template["leads for lags"]
    for name in list(template)[:6]:
        assert (template[name].ours, template[name].ours_n) == (base.ours, base.ours_n), "one thing changes at a time"
        assert template[name].measure == "spearman"
    assert template["NaN rows between trials"].public_n < base.ours_n
    assert template["all of them, as published"].public_n < base.ours_n / 2


def test_shuffling_shows_a_signal_where_exchanged_trials_show_none(template: dict[str, Comparison]) -> None:
    null = template["shuffled samples as the null"]
    score_itself = template["leads for lags"].ours
    assert null.ours == pytest.approx(score_itself, abs=0.1), "all there is, is the shared course"
    assert abs(null.public) < 0.1
    assert score_itself > 0.5


def test_pearson_is_not_spearman_where_the_relation_is_bent(template: dict[str, Comparison]) -> None:
    row = template["Pearson under Spearman's name"]
    assert row.ours > row.public + 0.03
    assert row.row["difference"] == row.public - row.ours


def test_lags_chosen_on_the_predictions_never_score_less_in_pearson(template: dict[str, Comparison]) -> None:
    row = template["lags chosen on what is predicted"]
    assert row.public >= row.ours - 0.02
    assert row.public_null >= row.ours_null - 0.02


@pytest.mark.parametrize("fraction", ["rows", "folds"])
def test_nan_rows_and_a_split_by_rows_go_together(fraction: str) -> None:
    """Ten trials of forty: the library ends at row 284, four samples into the eighth trial."""
    data = independent(0.9, 10, 40)
    protocol = Protocol(rows=fraction == "rows", padding=True)
    kept = kept_by_nan_rows(data, Lags(2, -1, 3), trial_folds(data.ids, 5), protocol)
    states = embed(data, Lags(2, -1, 3))
    predicted = states.row >= 284 if fraction == "rows" else np.ones(len(states.row), dtype=bool)
    assert not kept[~predicted].any()
    assert 0 < kept.sum() < predicted.sum()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight reaches and their EMG, whose trials stand in another order."""
    path = tmp_path_factory.mktemp("lab")
    truth = write_reaches(path / "reaches.h5", ReachSettings(n_trials=8, seed=1, trial_spread=2.0))
    write_emg(path, truth.activation, {"biceps": "biceps_long"}, EmgSettings(lead_s=0.1, tail_s=0.05))
    header, *lines = (path / "trials.csv").read_text().splitlines()
    rows = (path / "emg_biceps.csv").read_text().splitlines()
    (path / "trials.csv").write_text("\n".join([header, *lines[::-1]]) + "\n")
    (path / "emg_biceps.csv").write_text("\n".join(rows[::-1]) + "\n")
    return path


def table(folder: Path, verb: str, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Run a verb with `replication=true`; rows by departure and measure."""
    out = folder / verb
    assert main([verb, f"rollouts={folder}/reaches.h5", "replication=true", *arguments, f"out={out}"]) == 0
    found = json.loads((out / f"{verb}_replication.json").read_text())
    rows = found["results"]["numbers"]
    assert (out / f"{verb}_replication.csv").read_text().count("\n") == 1 + len(rows)
    assert (out / f"{verb}_replication.svg").exists()
    assert (out / f"{verb}.json").exists(), "ours is written as without it"
    assert found["inputs"][0]["sha256"]
    return {(row["departure"], row["measure"]): row for row in rows}


def test_emg_both_ways(folder: Path) -> None:
    files = [f"emg={{biceps:{folder}/emg_biceps.csv}}", f"trials={folder}/trials.csv"]
    rows = table(folder, "emg", *files, "resamples=100")
    stretch = "half the simulation and 250 ms of EMG, both stretched"
    for departure in (stretch, "trials joined by position", "all of them, as published"):
        error, likeness = rows[departure, "mean absolute error"], rows[departure, "correlation"]
        assert likeness["ours"] > 0.9
        assert likeness["public"] < likeness["ours"] - 0.1, departure
        assert error["public"] > error["ours"] * 1.5, departure
    late = rows["control for the muscle", "correlation"]
    assert 0 < late["ours"] - late["public"] < 0.3, "control leads its muscle by 10 ms"
    assert rows["trials joined by position", "correlation"]["public_n"] == 8
    json_ours = json.loads((folder / "emg" / "emg.json").read_text())["results"]["numbers"]["fits"]
    assert rows["control for the muscle", "mean absolute error"]["ours"] == pytest.approx(
        next(fit["mae"] for fit in json_ours if fit["signal"] == "act")
    )


def test_components_both_ways(folder: Path) -> None:
    rows = table(folder, "pca", "layers=[decoder/layer_0]", "resamples=0", "colour_by=elbow")
    variance = next(row for (name, _), row in rows.items() if name.startswith("explained"))
    json_ours = json.loads((folder / "pca" / "pca.json").read_text())["results"]["numbers"][0]
    assert (variance["ours"], variance["public"]) == pytest.approx((json_ours["held_out"], json_ours["explained"]))
    colour = next(row for (name, _), row in rows.items() if name.startswith("coloured"))
    assert "by name" in colour["ours_does"]
    assert 0 <= colour["public"] <= 1


def test_spectra_both_ways(folder: Path) -> None:
    rows = table(folder, "spectra", "resamples=100")
    power = rows["a band of 10-1000 Hz", "power"]
    assert power["public"] == pytest.approx(power["ours"]), "the same band under a larger name"
    assert "in truth 10-200 Hz" in power["public_does"]
    width = next(row for (name, _), row in rows.items() if name == "width of the band")
    assert width["public"] == pytest.approx(190 / 990)


def test_forecasts_both_ways(folder: Path) -> None:
    quick = ["permutations=19", "surrogates=0", "resamples=100", "sweeps=false", "nonlinear=false", "folds=4"]
    rows = table(folder, "forecast", "targets=[biceps]", "E=[1,2]", "tau=[-1]", *quick)
    assert len(rows) == 9
    assert {row["question"] for row in rows.values()} == {"biceps_long (act) from its own past"}, "the last one's rows"
    assert all(np.isfinite(row["public"]) for row in rows.values())
