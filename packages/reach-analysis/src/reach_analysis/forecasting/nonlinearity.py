"""Is the system nonlinear? The gain of local over global linear forecasts, against linear surrogates.

S-map is run at several theta. A linear stochastic process is forecast best by theta = 0 (one linear model for all
states); a gain from theta > 0 means that coefficients depend on the state (Sugihara 1994). Since the best of several
thetas is taken, and short trials overfit, the gain is held against that of phase-randomised trials, which are linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError
from reach_analysis.forecasting.embedding import Lags, TrialData, embed
from reach_analysis.forecasting.nulls import phases_randomised
from reach_analysis.forecasting.smap import smap
from reach_analysis.statistics.correlation import Measure, agreement
from reach_analysis.statistics.folds import fold_splits
from reach_analysis.statistics.permutation import p_value

THETAS = (0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0)


@dataclass(frozen=True)
class Nonlinearity:
    """Forecasts by S-map at several theta.

    Attributes:
        thetas: from 0 upward.
        scores: each measure at each theta.
        predictions: number of predictions at each theta.
        gain: largest reduction of RMSE by theta > 0, as a fraction of the RMSE at theta = 0; at least 0.
        null_gains: the same for each surrogate.
        p_value: of the gain; NaN without surrogates.
    """

    thetas: tuple[float, ...]
    scores: dict[Measure, Float[np.ndarray, " theta"]]
    predictions: int
    gain: float
    null_gains: Float[np.ndarray, " draw"]
    p_value: float


def nonlinearity(
    data: TrialData,
    lags: Lags,
    folds: Int[np.ndarray, " trial"],
    *,
    thetas: Sequence[float] = THETAS,
    surrogates: int = 0,
    seed: int = 0,
) -> Nonlinearity:
    """Forecast at several theta, and test the gain against `surrogates` linear series.

    Surrogates replace the target, and its own past where that is a predictor (`TrialData.own`).

    Raises:
        ConfigError: when thetas do not begin at 0 and go on.
        DataError: when there are no states, or surrogates are asked for with samples missing.
    """
    if len(thetas) < 2 or thetas[0] != 0 or list(thetas) != sorted(set(thetas)):
        raise ConfigError(f"thetas must ascend from 0 and hold at least two values, got {list(thetas)}")
    scores, count = _scores(data, lags, folds, thetas)
    gain = _gain(scores)
    null_gains = np.empty(0)
    if surrogates:
        drawn = phases_randomised(data, surrogates, seed).values.T
        null_gains = np.array([_gain(_scores(data.with_target(values), lags, folds, thetas)[0]) for values in drawn])
    chance = p_value(gain, null_gains) if surrogates else float("nan")
    return Nonlinearity(tuple(thetas), scores, count, gain, null_gains, chance)


def _scores(
    data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], thetas: Sequence[float]
) -> tuple[dict[Measure, Float[np.ndarray, " theta"]], int]:
    embedding = embed(data, lags)
    forecasts = smap(embedding, fold_splits(embedding, folds), thetas)
    predicted = np.stack([forecast.predicted for forecast in forecasts], axis=1)
    observed = forecasts[0].observed[:, None]
    return {measure: agreement(measure, observed, predicted) for measure in Measure}, len(observed)


def _gain(scores: dict[Measure, Float[np.ndarray, " theta"]]) -> float:
    error = scores[Measure.RMSE]
    return float(1 - error.min() / error[0]) if error[0] > 0 else 0.0
