"""Scores over E, tau and Tp side by side (paper A, Fig. 4).

A sweep is for looking at: the best of its points is not a test, since it was chosen by its score. Nested folds
(:mod:`reach_analysis.forecasting.forecaster`) choose without that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from reach_analysis._common.errors import DataError
from reach_analysis.forecasting.embedding import Lags, TrialData
from reach_analysis.forecasting.forecaster import FixedLags, fixed_lags
from reach_analysis.forecasting.shared_search import SharedSearch
from reach_analysis.statistics.correlation import Measure, agreement

NULL_MEASURES = (Measure.PEARSON, Measure.SPEARMAN)
"""Measures that are computed for the draws of a null."""


@dataclass(frozen=True)
class SweepPoint:
    """Scores of one candidate."""

    lags: Lags
    trials: int
    """Trials it predicts samples of."""
    predictions: int
    scores: dict[Measure, float]
    common_predictions: int
    """Samples that every candidate of the sweep can predict."""
    common_scores: dict[Measure, float]
    """Each measure over those; these can be compared between candidates."""
    nulls: dict[Measure, Float[np.ndarray, " draw"]]
    """Both correlations over all its samples for each draw of the null, if there is one."""


def sweep(
    data: TrialData,
    candidates: Sequence[Lags],
    folds: Int[np.ndarray, " trial"],
    *,
    null_targets: Float[np.ndarray, "sample draw"] | None = None,
    shared: SharedSearch | None = None,
) -> list[SweepPoint]:
    """Score candidates side by side, with libraries of other folds.

    Draws of `null_targets` are in columns. Without `shared` it makes its own search.
    """
    shared = shared or SharedSearch(data, folds)
    forecasters = [fixed_lags(data, lags, folds, shared) for lags in candidates]
    common = np.logical_and.reduce([np.isin(np.arange(len(data.target)), one.samples) for one in forecasters])
    if not common.any():
        raise DataError("no sample can be predicted by every candidate of the sweep; take smaller E, tau or Tp")
    points = []
    for forecaster in forecasters:
        nulls = {}
        if null_targets is not None:
            observed, predicted = null_targets[forecaster.samples], forecaster.predict(null_targets)
            nulls = {measure: agreement(measure, observed, predicted) for measure in NULL_MEASURES}
        points.append(_point(data, forecaster, common, nulls))
    return points


def _point(
    data: TrialData,
    forecaster: FixedLags,
    common: Bool[np.ndarray, " sample"],
    nulls: dict[Measure, Float[np.ndarray, " draw"]],
) -> SweepPoint:
    samples = forecaster.samples
    observed, predicted = data.target[samples], forecaster.predict(data.target[:, None])[:, 0]
    shared = common[samples]
    return SweepPoint(
        forecaster.map.embedding.lags,
        len(np.unique(data.trial[samples])),
        len(samples),
        _scores(observed, predicted),
        int(shared.sum()),
        _scores(observed[shared], predicted[shared]),
        nulls,
    )


def _scores(observed: Float[np.ndarray, " row"], predicted: Float[np.ndarray, " row"]) -> dict[Measure, float]:
    return {measure: float(agreement(measure, observed[:, None], predicted[:, None])[0]) for measure in Measure}
