"""What is known of textbook systems comes out; the forecast study leaves the sweeps of paper A, Fig. 4, as numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from reach_analysis.cli import main
from reach_analysis.config import ForecastConfig
from reach_analysis.data.rollouts import read_rollouts
from reach_analysis.forecasting.assessment import nonlinearity
from reach_analysis.forecasting.embedding import Lags, trial_data
from reach_analysis.forecasting.forecaster import grid
from reach_analysis.forecasting.lag_sweep import sweep
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.studies.forecast import MAP, MAP_E
from reach_analysis.studies.forecast_questions import questions
from synthetic.reach import ReachSettings, write_reaches
from synthetic.systems import lorenz


def test_lorenz_is_nonlinear() -> None:
    trials = np.split(lorenz(480)[:, 0], 8)
    found = nonlinearity(
        trial_data(trials, trials, own=0), Lags(3, -2, 3), trial_folds([str(i) for i in range(8)], 4),
        thetas=(0.0, 1.0, 4.0, 8.0), surrogates=19,
    )  # fmt: skip
    assert found.gain > 0.3
    assert found.p_value == pytest.approx(1 / 20)


@pytest.fixture(scope="module")
def forecast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    write_reaches(folder / "reaches.h5", ReachSettings(n_trials=8, seed=3))
    quick = ["permutations=19", "surrogates=0", "resamples=100", "nonlinear=false", "folds=4"]
    sweeps = ["E=[1,2]", "tau=[-1,-2]"]
    arguments = [f"rollouts={folder}/reaches.h5", "targets=[biceps]", "predictors=[elbow]", *quick, *sweeps]
    assert main(["forecast", *arguments, f"out={folder}"]) == 0
    return folder


def test_sweeps_over_e_tau_and_tp_are_a_table_and_a_figure(forecast: Path) -> None:
    rows = list(csv.DictReader((forecast / "forecast_sweeps.csv").read_text().splitlines()))
    asked, _, _ = questions(
        read_rollouts(forecast / "reaches.h5"), ForecastConfig(targets=["biceps"], predictors=["elbow"])
    )
    candidates = {"E": grid(range(1, 11)), "tau": grid((3,), range(-1, -6, -1)), "Tp": grid((3,), (-1,), range(1, 11))}
    longest = int(asked[0].data.lengths.max())  # of E and tau together, those that fit into a trial
    together = tuple(
        lags for lags in grid(range(1, MAP_E + 1), range(-1, -6, -1)) if (lags.E - 1) * -lags.tau + 2 < longest
    )
    candidates[MAP] = together
    assert len(together) > 20
    assert len(rows) == len(asked) * (10 + 5 + 10 + len(together))
    for question in asked:
        folds = trial_folds(question.data.ids, 4, 0)
        for swept, lags in candidates.items():
            mine = [row for row in rows if (row["question"], row["swept"]) == (question.name, swept)]
            points = sweep(question.data, lags, folds)
            assert [(int(r["E"]), int(r["tau"]), int(r["Tp"])) for r in mine] == [(p.E, p.tau, p.Tp) for p in lags]
            assert len({row["common_predictions"] for row in mine}) == 1, "compared on the same samples"
            for row, point in zip(mine, points, strict=True):
                assert int(row["predictions"]) == point.predictions
                for measure in Measure:
                    assert float(row[str(measure)]) == pytest.approx(point.common_scores[measure], rel=1e-8)
            assert any(row["pearson"] != row["spearman"] for row in mine)
    assert (forecast / "forecast_sweeps.svg").stat().st_size > 5000
    numbers = json.loads((forecast / "forecast.json").read_text())["results"]["numbers"]
    assert len(numbers["sweeps"]) == len(rows)


def test_both_correlations_and_the_nested_choice_of_each_fold_are_kept(forecast: Path) -> None:
    scores = json.loads((forecast / "forecast.json").read_text())["results"]["numbers"]["scores"]
    joints = [score for score in scores if "from joints" in score["name"]]
    assert {score["measure"] for score in joints} == {"pearson", "spearman"}
    allowed = {(lags.E, lags.tau, lags.Tp) for lags in grid((1, 2), (-1, -2))}
    for score in joints:
        chosen = [tuple(lags) for lags in score["parameters"]["lags"]]
        assert len(chosen) == score["parameters"]["folds"] == 4
        assert set(chosen) <= allowed
    table = list(csv.DictReader((forecast / "forecast_scores.csv").read_text().splitlines()))
    assert {row["measure"] for row in table} == {"pearson", "spearman"}


def test_windows_of_31_frames_from_the_command_line(tmp_path: Path) -> None:
    """Paper B, section 4.7.2, on a latent of four dimensions."""
    write_reaches(tmp_path / "reaches.h5", ReachSettings(n_trials=4, seed=3))
    arguments = [f"rollouts={tmp_path}/reaches.h5", "layers=[latent_mean]", "window_frames=31", "resamples=0"]
    assert main(["pca", *arguments, f"out={tmp_path}/out"]) == 0
    row = json.loads((tmp_path / "out" / "pca.json").read_text())["results"]["numbers"][0]
    assert row["units"] == 31 * 4
    assert row["samples"] == 4 * (120 - 30)
