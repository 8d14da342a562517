"""Forecasts with the public notebooks' choices, each alone and all together, beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.progress import Stage, silent
from reach_analysis.config import ForecastConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.forecasting.embedding import Lags, TrialData
from reach_analysis.forecasting.nulls import samples_shuffled, trial_permuted
from reach_analysis.forecasting.selection import NestedLags
from reach_analysis.replication.protocols import Outcome, Protocol, score
from reach_analysis.replication.table import Comparison, comparison_study
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.studies.forecast_questions import Question, lags_within, questions
from reach_analysis.studies.study import Study

DRAWS = 99
"""Exchanges of trials, and shuffles, behind the nulls of the table."""


@dataclass(frozen=True)
class _Departure:
    """A public choice: its name, both sides in words, and the protocol that makes it."""

    name: str
    ours: str
    public: str
    protocol: Protocol


DEPARTURES = (
    _Departure("library and prediction split by rows", "folds of whole trials, each predicted once",
               "first 71 % of the rows predict the rest; a trial is cut", Protocol(rows=True)),
    _Departure("library holds the predicted trial", "library of other trials only",
               "all other states, those a sample away too", Protocol(own_trial=True)),
    _Departure("states across trial borders", "states within one trial", "trials end to end as one series",
               Protocol(borders=True)),
    _Departure("NaN rows between trials", "every valid prediction is scored",
               "predictions with a trial's last samples among their neighbours are dropped", Protocol(padding=True)),
    _Departure("leads for lags", "states hold the past", "the sign of the shift turned round: states hold the future",
               Protocol(leads=True)),
)  # fmt: skip
STRETCHED = _Departure(
    "simulation stretched over the EMG", "the same times",
    "the first half of the simulated trial over all of the EMG (there 147.5 ms over 250 ms)", Protocol(stretched=True),
)  # fmt: skip

TEST_LAGS = _Departure(
    "lags chosen on what is predicted", "E, tau and Tp by nested folds",
    "the best of the candidates on the predictions themselves", Protocol(test_lags=True),
)  # fmt: skip


def compare_forecasts(rollouts: Rollouts, config: ForecastConfig, stage: Stage = silent) -> Study:
    """Every question of the settings, ours and theirs.

    Raises:
        UserError: as for the forecast study.
    """
    asked, inputs, _ = questions(rollouts, config)
    tick, rows = stage("replication", len(asked)), []
    for question in asked:
        rows += list(departures(question, config))
        tick(1)
    notes = [
        f"Simplex projection, n = {len(asked[0].data.ids)} trials; medians over {DRAWS} exchanges of trials. Lags are "
        "those that nested folds chose most often, but where the choice of lags itself is compared."
    ]
    return comparison_study("forecast", rows, (rollouts.path, *inputs), notes)


@dataclass(frozen=True)
class _Setting:
    """One question with everything its rows share; column 0 of the targets is the recorded one."""

    name: str
    data: TrialData
    candidates: tuple[Lags, ...]
    usual: Lags
    folds: Int[np.ndarray, " trial"]
    targets: Float[np.ndarray, "sample column"]
    ours: Outcome

    def row(self, departure: _Departure, ours: Outcome, public: Outcome, measure: Measure) -> Comparison:
        """The comparison of two outcomes."""
        one, two = ours.scores[measure], public.scores[measure]
        return Comparison(
            self.name, departure.name, departure.ours, departure.public, str(measure), float(one[0]), float(two[0]),
            ours.predictions, public.predictions, float(np.median(one[1:])), float(np.median(two[1:])),
        )  # fmt: skip


def departures(question: Question, config: ForecastConfig) -> Iterator[Comparison]:
    """One row a public choice, and one for all together.

    Raises:
        DataError: when trials cannot be exchanged, or no state is left.
    """
    setting = _setting(question, config)
    extra = (STRETCHED,) if question.noise is not None and not question.own else ()
    for departure in (*DEPARTURES, *extra):
        public = score(setting.data, (setting.usual,), setting.folds, departure.protocol, setting.targets)
        yield setting.row(departure, setting.ours, public, Measure.SPEARMAN)
    nested = setting.ours
    if len(setting.candidates) > 1:
        nested = _nested(setting)
        public = score(setting.data, setting.candidates, setting.folds, TEST_LAGS.protocol, setting.targets)
        yield setting.row(TEST_LAGS, nested, public, Measure.SPEARMAN)
    yield _measures(setting)
    yield _nulls(setting, config.seed)
    together = Protocol(rows=True, padding=True, test_lags=True, stretched=bool(extra))
    public = score(setting.data, setting.candidates, setting.folds, together, setting.targets)
    yield Comparison(
        setting.name, "all of them, as published", "Spearman, nested lags, folds of trials, exchanged trials",
        "Pearson, best lags, rows, NaN rows" + (", stretched" if extra else ""), "spearman, pearson for theirs",
        float(nested.scores[Measure.SPEARMAN][0]), float(public.scores[Measure.PEARSON][0]),
        nested.predictions, public.predictions,
        float(np.median(nested.scores[Measure.SPEARMAN][1:])), float(np.median(public.scores[Measure.PEARSON][1:])),
    )  # fmt: skip


def _setting(question: Question, config: ForecastConfig) -> _Setting:
    data = question.data
    folds = folds_at_most(data.ids, config.folds, config.seed)
    candidates = lags_within(data, config)
    usual = candidates[0]
    if len(candidates) > 1:
        chosen = NestedLags(data, candidates, folds).chosen(data.target)
        usual = max(dict.fromkeys(chosen), key=chosen.count)
    targets = np.column_stack([data.target, trial_permuted(data, DRAWS, config.seed).values])
    ours = score(data, (usual,), folds, Protocol(), targets)
    return _Setting(question.name, data, candidates, usual, folds, targets, ours)


def _nested(setting: _Setting) -> Outcome:
    forecaster = NestedLags(setting.data, setting.candidates, setting.folds)
    observed, predicted = setting.targets[forecaster.samples], forecaster.predict(setting.targets)
    scores = {measure: agreement(measure, observed, predicted) for measure in (Measure.PEARSON, Measure.SPEARMAN)}
    return Outcome(scores, len(forecaster.samples))


def _measures(setting: _Setting) -> Comparison:
    """The same predictions under both names."""
    ours = setting.ours
    one, two = ours.scores[Measure.SPEARMAN], ours.scores[Measure.PEARSON]
    return Comparison(
        setting.name, "Pearson under Spearman's name", "Spearman's rho where rho is written",
        "pyEDM's rho, which is Pearson's", "spearman, pearson for theirs", float(one[0]), float(two[0]),
        ours.predictions, ours.predictions, float(np.median(one[1:])), float(np.median(two[1:])),
    )  # fmt: skip


def _nulls(setting: _Setting, seed: int) -> Comparison:
    """What the score is held against: exchanged trials, or shuffled samples."""
    shuffled = samples_shuffled(setting.data, DRAWS, seed).values
    public = score(setting.data, (setting.usual,), setting.folds, Protocol(), shuffled)
    return Comparison(
        setting.name, "shuffled samples as the null", "trials exchanged whole", "all samples shuffled",
        "spearman, median of the null", float(np.median(setting.ours.scores[Measure.SPEARMAN][1:])),
        float(np.median(public.scores[Measure.SPEARMAN])), setting.ours.predictions, public.predictions,
    )  # fmt: skip
