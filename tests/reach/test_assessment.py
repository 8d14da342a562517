"""A forecast is held against nulls and baselines: what is there is found, what is not there is not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from reach_analysis._common.errors import ConfigError, DataError
from reach_analysis.forecasting.assessment import AssessmentSettings, Task, assess
from reach_analysis.forecasting.embedding import Lags, TrialData, trial_data
from reach_analysis.forecasting.forecaster import fixed_lags
from reach_analysis.forecasting.nulls import MakeForecaster, forecast_null, noise_filtered, trial_permuted
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.folds import trial_folds
from reach_analysis.synthetic.systems import autoregressive
from scipy.stats import spearmanr, t
from synthetic.systems import coupled_logistic

QUICK = AssessmentSettings(permutations=99, surrogates=39)


def with_lags(lags: Lags, n_folds: int | None = 5) -> MakeForecaster:
    return lambda data: fixed_lags(data, lags, trial_folds(data.ids, n_folds))


@pytest.fixture(scope="module")
def coupled() -> TrialData:
    """Trials of two logistic maps where x drives y: the history of y holds x."""
    rng = np.random.default_rng(0)
    trials = [coupled_logistic(50, 0.2, 0.0, tuple(rng.uniform(0.2, 0.4, 2))) for _ in range(12)]
    return trial_data([rows[:, 1] for rows in trials], [rows[:, 0] for rows in trials])


def test_a_real_relation_beats_everything(coupled: TrialData) -> None:
    score = assess(Task("driver from driven", coupled, with_lags(Lags(2, -1, 0))), QUICK)[0]
    assert score.measure is Measure.SPEARMAN
    assert score.value > 0.9
    assert score.null("trial permutation").p_value == pytest.approx(1 / 100)
    assert score.null("phase-randomised").p_value == pytest.approx(1 / 40)
    assert score.baseline("mean trial").gain.low > 0.5
    assert score.baseline("ridge").gain.low > 0.05
    assert score.unbeaten() == ()
    assert score.verdict() == "beyond every null and baseline"
    assert score.interval.low < score.value < score.interval.high
    assert (score.trials, score.predictions) == (12, 12 * 49)
    assert any("Tp = 0" in note for note in score.notes)


@pytest.mark.parametrize(("n", "arrangements"), [(4, 24), (5, 120)])
def test_p_of_few_trials_counts_every_exchange(n: int, arrangements: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng([n, seed])
        x = [np.cumsum(rng.normal(size=40)) for _ in range(n)]
        data = trial_data(x, [np.sin(rows) + 0.01 * rng.normal(size=40) for rows in x]).standardised()
        for score in assess(Task("y", data, with_lags(Lags(2), n)), replace(QUICK, permutations=1000, surrogates=0)):
            p = score.null("trial permutation").p_value
            assert p >= 1 / arrangements
            assert p * arrangements == pytest.approx(round(p * arrangements))


def test_intervals_come_from_forecasts_without_each_trial() -> None:
    """By hand: take a trial away from the data, and forecast the rest with the folds it had."""
    rng = np.random.default_rng(3)
    x = list(autoregressive(rng, 6, 30, 0.9))
    y = [np.tanh(rows) + 0.3 * rng.normal(size=30) for rows in x]
    data = trial_data(x, y)
    folds = trial_folds(data.ids, 3)
    score = assess(Task("y", data, lambda given: fixed_lags(given, Lags(2), folds)), QUICK)[0]
    without = []
    for left_out in range(6):
        kept = [number for number in range(6) if number != left_out]
        rest = trial_data([x[i] for i in kept], [y[i] for i in kept], [data.ids[i] for i in kept])
        forecaster = fixed_lags(rest, Lags(2), folds[kept])
        predicted = forecaster.predict(rest.target[:, None])[:, 0]
        without.append(spearmanr(rest.target[forecaster.samples], predicted)[0])
    left = np.arctanh(without)
    reach = t.ppf(0.975, 5) * np.sqrt(((left - left.mean()) ** 2).sum())
    assert score.interval == pytest.approx(np.tanh(np.arctanh(score.value) + np.array([-reach, reach])))
    few = trial_data(x[:4], y[:4])
    assert np.isnan(assess(Task("y", few, with_lags(Lags(2), 4)), QUICK)[0].interval.low)


def test_persistence_counts_only_for_a_target_forecast_from_its_own_past(coupled: TrialData) -> None:
    other = assess(Task("x from y", coupled, with_lags(Lags(2))), QUICK)[0]
    assert other.baseline("persistence").knows_more
    smooth = list(np.cumsum(autoregressive(np.random.default_rng(0), 12, 50), axis=1))
    own = assess(Task("x", trial_data(smooth, smooth, own=0), with_lags(Lags(2))), QUICK)[0]
    assert not own.baseline("persistence").knows_more
    assert "persistence" in own.unbeaten()
    assert not own.null("phase-randomised").controls
    assert own.null("linear process").controls


def test_template_only_data_is_shown_as_template_only() -> None:
    """Two signals that share the time course of the trial and nothing else: high scores, none of them particular."""
    rng = np.random.default_rng(1)
    time = np.linspace(0, 1, 50)
    x = 6 * time + 0.2 * autoregressive(rng, 20, 50)
    y = np.sin(6 * time) + 0.3 * autoregressive(rng, 20, 50)
    scores = assess(Task("y from x", trial_data(list(x), list(y)), with_lags(Lags(3))), QUICK)
    assert {score.measure for score in scores} >= {Measure.PEARSON, Measure.SPEARMAN}
    for score in scores:
        assert score.value > 0.3
        assert score.null("phase-randomised").p_value < 0.05  # spectra alone do not explain it,
        assert score.null("trial permutation").p_value > 0.05  # what all trials share does,
        assert np.median(score.null("trial permutation").values) > 0.3
        assert score.baseline("mean trial").gain.high < 0  # and the mean trial does it better.
        if score.measure is Measure.PEARSON:
            assert score.ceiling is not None
            assert score.value < score.ceiling.value
            assert score.baseline("mean trial").value == pytest.approx(score.ceiling.value, abs=0.05)
        assert {"trial permutation", "mean trial"} <= set(score.unbeaten())
        assert score.verdict().startswith("not beyond: trial permutation")


def test_filtered_noise_is_not_called_a_signal() -> None:
    """Smoothed white noise forecasts its own next sample with a high correlation; noise filtered alike does so too."""
    kernel = np.hanning(9)

    def noise(rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([np.convolve(rng.normal(size=68), kernel, "valid") for _ in range(10)])

    signal = np.split(noise(np.random.default_rng(2)), 10)
    data = trial_data(signal, signal, own=0)
    score = assess(Task("noise", data, with_lags(Lags(3)), noise=noise), QUICK)[0]
    assert score.value > 0.8
    assert score.null("filtered white noise").p_value > 0.05
    assert np.median(score.null("filtered white noise").values) == pytest.approx(score.value, abs=0.05)
    assert "filtered white noise" in score.unbeaten()
    assert score.null("trial permutation").p_value < 0.05  # its own past is particular to the trial


def test_shuffling_is_shown_only_on_request_and_never_counts() -> None:
    x, y = (autoregressive(np.random.default_rng(seed), 12, 40, 0.95) for seed in (1, 2))
    settings = AssessmentSettings(permutations=0, surrogates=0, shuffle=True)
    score = assess(Task("independent", trial_data(list(x), list(y)), with_lags(Lags(2))), settings)[0]
    null = score.null("shuffled samples")
    assert not null.controls
    assert null.values.std() < 0.15
    assert "shuffled samples" not in score.unbeaten()
    assert score.verdict() == "tested against no null that controls its level"


def test_errors_count_downwards(coupled: TrialData) -> None:
    settings = AssessmentSettings((Measure.MAE, Measure.RMSE), permutations=99, surrogates=0)
    scores = assess(Task("x", coupled, with_lags(Lags(2, -1, 1)), unit="mV"), settings)
    assert [score.measure for score in scores] == [Measure.MAE, Measure.RMSE]
    for score in scores:
        assert score.unit == "mV"
        assert score.ceiling is None
        assert score.null("trial permutation").p_value == pytest.approx(0.01)
        assert score.null("trial permutation").values.min() > score.value
        assert score.baseline("mean trial").gain.low > 0
        assert score.baseline("persistence").value > score.value


def test_a_score_says_all_about_itself_in_json(coupled: TrialData) -> None:
    task = Task("x", coupled, with_lags(Lags(2)), notes=("circular",), parameters={"E": 2})
    score = assess(task, QUICK)[0]
    plain = json.loads(json.dumps(score.to_dict()))
    assert plain["value"] == score.value
    assert plain["measure"] == "spearman"
    assert plain["parameters"] == {"E": 2}
    assert plain["notes"] == ["circular"]
    assert len(plain["nulls"][0]["values"]) == 99
    assert plain["nulls"][0]["median"] == pytest.approx(np.median(score.nulls[0].values))
    assert {b["name"] for b in plain["baselines"]} == {"mean trial", "ridge", "persistence"}
    with pytest.raises(DataError, match="did you mean 'mean trial'"):
        score.baseline("mean trail")


def test_permutation_stays_within_strata(coupled: TrialData) -> None:
    strata = np.repeat([0, 1, 2], 4)
    targets = trial_permuted(coupled, 40, seed=1, strata=strata)
    per_trial = coupled.target.reshape(12, 50)
    for draw in targets.values.T.reshape(40, 12, 50):
        given = [int(np.flatnonzero((per_trial == rows).all(axis=1))[0]) for rows in draw]
        assert sorted(given) == list(range(12))
        assert (strata[given] == strata).all()


def test_artificial_targets_replace_their_own_past_among_predictors() -> None:
    x, y = (autoregressive(np.random.default_rng(seed), 6, 30) for seed in (1, 2))
    data = trial_data([np.column_stack(rows) for rows in zip(y, x, strict=True)], list(x), own=1).standardised()
    make = with_lags(Lags(2), None)
    forecaster = make(data)
    drawn = noise_filtered(data, lambda rng: autoregressive(rng, 6, 30).ravel(), 3)
    observed, predicted = forecast_null(data, drawn, make, forecaster)
    for column, series in enumerate(drawn.values.T):
        replaced = data.with_target(series)
        np.testing.assert_array_equal(replaced.predictors[:, 0], data.predictors[:, 0])
        np.testing.assert_allclose(np.corrcoef(replaced.predictors[:, 1], series)[0, 1], 1)
        np.testing.assert_allclose(predicted[:, column], make(replaced).predict(series[:, None])[:, 0], atol=1e-12)
        np.testing.assert_array_equal(observed[:, column], series[forecaster.samples])
    permuted = trial_permuted(data, 20)
    np.testing.assert_allclose(
        forecast_null(data, permuted, make, forecaster)[1], forecaster.predict(permuted.values), atol=1e-12
    )


def test_trials_that_cannot_be_compared_are_refused(coupled: TrialData) -> None:
    ragged = trial_data([np.arange(float(n)) for n in range(20, 28)], [np.arange(float(n)) for n in range(20, 28)])
    with pytest.raises(DataError, match="Crop trials to a common length"):
        assess(Task("ragged", ragged, with_lags(Lags(2))), QUICK)
    gap = coupled.target.copy()
    gap[7] = np.nan
    with pytest.raises(DataError, match="without missing samples"):
        assess(Task("gap", coupled.with_target(gap), with_lags(Lags(2))), QUICK)
    with pytest.raises(ConfigError, match="permutations must be 0, or at least 19 to reach"):
        AssessmentSettings(permutations=5)
