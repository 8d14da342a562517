"""Simplex projection under the public notebooks' choices, each of which can be switched on alone.

What each does, on trials end to end:

- `borders`: states are built from the end-to-end series, so that some reach from one trial into the next.
- `rows`: the first 71 % of all samples are the library, the rest is predicted; a trial is cut in two.
- `own_trial`: every state may be predicted from all others, those of its own trial too.
- `leads`: the sign of the lag is turned round, so that states hold the future.
- `test_lags`: of all candidates the one with the best score on the predictions themselves is taken.
- `padding`: NaN rows between trials; a state with one of a trial's last samples among its neighbours is lost.
- `stretched`: the first half of each simulated trial is stretched to the length of the recorded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from reach_analysis.forecasting.embedding import Embedding, Lags, TrialData, embed
from reach_analysis.forecasting.forecaster import target_rows
from reach_analysis.forecasting.simplex import NeighbourMap, simplex_map
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import Split, fold_splits, whole

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

    Raises:
        DataError: when no state is left.
    """
    if protocol.stretched:
        data = stretched(data)
    tried = candidates if protocol.test_lags else candidates[:1]
    outcomes = []
    for lags in tried:
        map_, kept = _map(data, lags, folds, protocol)
        predicted = map_.apply(targets[target_rows(map_.embedding)])[kept]
        observed = targets[target_rows(map_.embedding)[map_.state]][kept]
        outcomes.append(({one: agreement(one, observed, predicted) for one in _MEASURES}, int(kept.sum())))
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
    embedding = _across_borders(data, used) if protocol.borders else embed(data, used)
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
    """States of the end-to-end series; each still says in which trial its present sample lies."""
    series = TrialData(data.predictors, data.target, np.array([len(data.target)]), ("all trials",))
    embedding = embed(series, lags)
    time = embedding.row - data.starts[data.trial[embedding.row]]
    return replace(embedding, trial=data.trial[embedding.row], time=time, ids=data.ids)


def kept_by_nan_rows(
    data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], protocol: Protocol
) -> Bool[np.ndarray, " state"]:
    """States whose prediction pyEDM keeps when NaN rows stand between trials.

    There the library also holds the states that have no target, but for those at its very end, and a prediction with
    one of them among its neighbours is NaN.
    """
    here = embed(data, Lags(lags.E, lags.tau, 0))
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
