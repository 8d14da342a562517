"""Forecasts with the public notebooks' choices, each alone and all together, compared with ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from reach_analysis._common.progress import Stage, silent
from reach_analysis.config import ForecastConfig
from reach_analysis.data.rollouts import Rollouts
from reach_analysis.forecasting.embedding import Embedding, Lags, Split, TrialData, embed, fold_splits, whole
from reach_analysis.forecasting.forecaster import NestedLags, target_rows
from reach_analysis.forecasting.nulls import samples_shuffled, trial_permuted
from reach_analysis.forecasting.simplex import NeighbourMap, simplex_map
from reach_analysis.replication.table import Comparison, comparison_study
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import folds_at_most
from reach_analysis.studies.forecast_questions import Question, lags_within, questions
from reach_analysis.studies.section import Column, Section, table
from reach_analysis.studies.study import Study, each

TITLE = "The public notebooks' choices"
QUESTION = (
    "How do the choices of the notebooks that were published with paper A change the forecasts? Each choice is made "
    "alone, with everything else as above. The table also gives the score of each choice with exchanged trials."
)

LIBRARY_FRACTION = 14730 / 20759
"""Part of the rows that the public notebook takes as library."""


@dataclass(frozen=True)
class Protocol:
    """Which of the public choices are made; none of them is ours."""

    borders: bool = False
    rows: bool = False
    own_trial: bool = False
    leads: bool = False
    test_lags: bool = False
    padding: bool = False
    stretched: bool = False


class Outcome(NamedTuple):
    """Scores of each column of targets, and the number of predictions behind the first."""

    scores: dict[Measure, Float[np.ndarray, " column"]]
    predictions: int


def score(
    data: TrialData,
    candidates: Sequence[Lags],
    folds: Int[np.ndarray, " trial"],
    protocol: Protocol,
    targets: Float[np.ndarray, "sample column"],
) -> Outcome:
    """Forecast every column of targets from the same predictors, and score it.

    With several candidates and `test_lags` the best one by Pearson's correlation is taken for each column; otherwise
    the first counts.
    """
    if protocol.stretched:
        data = stretched(data)
    tried = candidates if protocol.test_lags else candidates[:1]
    outcomes = []
    for lags in tried:
        map_, remaining = _map(data, lags, folds, protocol)
        predicted = map_.apply(targets[target_rows(map_.embedding)])[remaining]
        observed = targets[target_rows(map_.embedding)[map_.state]][remaining]
        outcomes.append(({one: agreement(one, observed, predicted) for one in _MEASURES}, int(remaining.sum())))
    best = np.stack([scores[Measure.PEARSON] for scores, _ in outcomes]).argmax(axis=0)
    columns = np.arange(targets.shape[1])
    scores = {one: np.stack([entry[one] for entry, _ in outcomes])[best, columns] for one in _MEASURES}
    return Outcome(scores, outcomes[int(best[0])][1])


_MEASURES = (Measure.PEARSON, Measure.SPEARMAN)


def _map(
    data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], protocol: Protocol
) -> tuple[NeighbourMap, Bool[np.ndarray, " prediction"]]:
    """Neighbours and weights, and which predictions are kept."""
    used = Lags(lags.E, -lags.tau, lags.Tp) if protocol.leads else lags
    embedding = _across_borders(data, used) if protocol.borders else embed(replace(data, own=None), used)
    splits, exclusion = _splits(embedding, len(data.target), folds, protocol)
    map_ = simplex_map(embedding, splits, exclusion=exclusion)
    if not protocol.padding:
        return map_, np.ones(len(map_.state), dtype=bool)
    return map_, kept_by_nan_rows(data, used, folds, protocol)[map_.state]


def _splits(
    embedding: Embedding, samples: int, folds: Int[np.ndarray, " trial"], protocol: Protocol
) -> tuple[list[Split], int | None]:
    """Library and prediction, and the neighbours in time that are left out."""
    if protocol.own_trial:
        return whole(embedding), 0
    if protocol.rows:
        cut = embedding.row < round(LIBRARY_FRACTION * samples)
        return [Split(np.flatnonzero(cut), np.flatnonzero(~cut))], 0
    return fold_splits(embedding, folds), None


def _across_borders(data: TrialData, lags: Lags) -> Embedding:
    """States of the end-to-end series; each keeps the trial of its present sample."""
    series = TrialData(data.predictors, data.target, np.array([len(data.target)]), ("all trials",))
    embedding = embed(series, lags)
    time = embedding.row - data.starts[data.trial[embedding.row]]
    return replace(embedding, trial=data.trial[embedding.row], time=time, ids=data.ids)


def kept_by_nan_rows(
    data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], protocol: Protocol
) -> Bool[np.ndarray, " state"]:
    """States whose prediction pyEDM keeps with NaN rows between trials.

    There the library also holds the states that have no target, but for those at its very end, and a prediction with
    one of them among its neighbours is NaN.
    """
    here = embed(replace(data, own=None), Lags(lags.E, lags.tau, 0))
    splits, exclusion = _splits(here, len(data.target), folds, protocol)
    whole_neighbours = np.zeros(len(here.targets), dtype=bool)
    for split in splits:
        last_trial = int(here.trial[split.library].max())
        end = int(data.starts[last_trial] + data.lengths[last_trial])
        if protocol.rows:
            end = round(LIBRARY_FRACTION * len(data.target))
        library = split.library[here.row[split.library] + lags.Tp < end]
        map_ = simplex_map(here, [Split(library, split.prediction)], exclusion=exclusion)
        ahead = here.time[map_.neighbour] + lags.Tp
        has_target = (ahead >= 0) & (ahead < data.lengths[here.trial[map_.neighbour]])
        whole_neighbours[map_.state] = has_target.all(axis=1)
    return whole_neighbours[np.isin(here.row, embed(data, lags).row)]


def stretched(data: TrialData) -> TrialData:
    """The first half of each trial of the predictors, stretched to the whole by linear interpolation."""
    pieces = []
    for start, length in zip(data.starts, data.lengths, strict=True):
        rows = data.predictors[start : start + length]
        half = max(1, length // 2)
        place = np.linspace(0, half - 1, length)
        pieces.append(np.stack([np.interp(place, np.arange(half), column[:half]) for column in rows.T], axis=1))
    return replace(data, predictors=np.concatenate(pieces))


DRAWS = 99
"""Exchanges of trials, and shuffles, behind the nulls of the table."""


class _Choice(NamedTuple):
    """A public choice: its name, both sides in words, and the protocol that makes it."""

    name: str
    ours: str
    public: str
    protocol: Protocol = Protocol()


DEPARTURES = (
    _Choice("library and prediction split by rows", "folds of whole trials, each predicted once",
               "first 71 % of the rows predict the rest; a trial is cut", Protocol(rows=True)),
    _Choice("library holds the predicted trial", "library of other trials only",
               "all other states, those a sample away too", Protocol(own_trial=True)),
    _Choice("states across trial borders", "states within one trial", "trials end to end as one series",
               Protocol(borders=True)),
    _Choice("NaN rows between trials", "every valid prediction is scored",
               "predictions with a trial's last samples among their neighbours are dropped", Protocol(padding=True)),
    _Choice("leads for lags", "states hold the past", "the sign of the shift is flipped: states hold the future",
               Protocol(leads=True)),
)  # fmt: skip
STRETCHED = _Choice(
    "simulation stretched over the EMG", "the same times",
    "the first half of the simulated trial over all of the EMG (there 147.5 ms over 250 ms)", Protocol(stretched=True),
)  # fmt: skip

TEST_LAGS = _Choice(
    "lags chosen on what is predicted", "E, tau and Tp by nested folds",
    "the best of the candidates on the predictions themselves", Protocol(test_lags=True),
)  # fmt: skip
MEASURES = _Choice(
    "Pearson under Spearman's name", "Spearman's rho where rho is written", "pyEDM's rho, which is Pearson's"
)


def run(rollouts: Rollouts, config: ForecastConfig, stage: Stage = silent) -> Study:
    """Every question of the settings, ours and theirs."""
    chosen, inputs, _ = questions(rollouts, config)
    rows = [row for question in each(stage, "replication", chosen) for row in departures(question, config)]
    notes = [
        f"Simplex projection, n = {len(chosen[0].data.ids)} trials; medians over {DRAWS} exchanges of trials. Lags are "
        "those that nested folds chose most often, but where the choice of lags itself is compared."
    ]
    return comparison_study("forecast", rows, (rollouts.path, *inputs), notes)


def departures(question: Question, config: ForecastConfig) -> list[Comparison]:
    """One row a public choice, and one for all together; column 0 of all targets is the recorded one."""
    data, candidates = question.data, lags_within(question.data, config)
    folds = folds_at_most(data.ids, config.folds, config.seed)
    forecaster = NestedLags(data, candidates, folds) if len(candidates) > 1 else None
    chosen = forecaster.chosen(data.target) if forecaster else list(candidates)
    usual = max(dict.fromkeys(chosen), key=chosen.count)
    targets = np.column_stack([data.target, trial_permuted(data, DRAWS, config.seed).values])

    def scored(protocol: Protocol, lags: Sequence[Lags] = (usual,), columns: np.ndarray = targets) -> Outcome:
        return score(data, lags, folds, protocol, columns)

    def row(choice: _Choice, ours: Outcome, public: Outcome, theirs: Measure = Measure.SPEARMAN) -> Comparison:
        one, two = ours.scores[Measure.SPEARMAN], public.scores[theirs]
        measure = "spearman" if theirs is Measure.SPEARMAN else f"spearman, {theirs} for theirs"
        return Comparison(
            question.name, choice.name, choice.ours, choice.public, measure, float(one[0]), float(two[0]),
            ours.predictions, public.predictions, float(np.median(one[1:])), float(np.median(two[1:])),
        )  # fmt: skip

    extra = (STRETCHED,) if question.noise is not None and not question.own else ()
    ours = nested = scored(Protocol())
    rows = [row(choice, ours, scored(choice.protocol)) for choice in (*DEPARTURES, *extra)]
    if forecaster:
        observed, predicted = targets[forecaster.samples], forecaster.predict(targets)
        nested = Outcome({one: agreement(one, observed, predicted) for one in _MEASURES}, len(observed))
        rows.append(row(TEST_LAGS, nested, scored(TEST_LAGS.protocol, candidates)))
    rows.append(row(MEASURES, ours, ours, Measure.PEARSON))
    shuffled = scored(Protocol(), columns=samples_shuffled(data, DRAWS, config.seed).values)
    rows.append(Comparison(
        question.name, "shuffled samples as the null", "trials exchanged whole", "all samples shuffled",
        "spearman, median of the null", float(np.median(ours.scores[Measure.SPEARMAN][1:])),
        float(np.median(shuffled.scores[Measure.SPEARMAN])), ours.predictions, shuffled.predictions,
    ))  # fmt: skip
    together = Protocol(rows=True, padding=True, test_lags=True, stretched=bool(extra))
    published = _Choice(
        "all of them, as published", "Spearman, nested lags, folds of trials, exchanged trials",
        "Pearson, best lags, rows, NaN rows" + (", stretched" if extra else ""),
    )  # fmt: skip
    return [*rows, row(published, nested, scored(together, candidates), Measure.PEARSON)]


def section(study: Study) -> Section:
    """Both choices and their scores."""
    columns = (
        Column("question", "question"), Column("their choice", "departure"), Column("measure", "measure"),
        Column("ours", "ours"), Column("theirs", "public"), Column("ours, exchanged", "ours_null"),
        Column("theirs, exchanged", "public_null"), Column("n, ours", "ours_n"), Column("n, theirs", "public_n"),
    )  # fmt: skip
    return Section((table("Our choice and theirs, and the scores with exchanged trials", columns, study.results),))
