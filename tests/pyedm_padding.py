"""What pyEDM forecasts from trials with NaN rows between them, by running it: a truth for our count of lost states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from pandas import DataFrame
from pyEDM import Simplex
from reach_analysis.forecasting.embedding import Lags, TrialData, embed, fold_splits
from reach_analysis.forecasting.simplex import simplex


@dataclass(frozen=True)
class Kept:
    """Predictions that can be scored, of the same trials, lags and folds."""

    ours: int
    """Every state whose vector and target lie within its trial."""
    padded: int
    """By pyEDM with NaN rows between trials."""
    masked: int
    """By pyEDM with NaN rows between trials and a mask that keeps states without a target out of the library."""
    crossing: int
    """States pyEDM would build across borders if trials stood end to end without padding."""
    largest_difference: float
    """Between our predictions and those of `masked`, in standard deviations of the target."""


def kept_by_padding(data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"]) -> Kept:
    """Count the predictions of simplex that pyEDM keeps on trials with NaN rows between them, and those we keep."""
    embedding = embed(data, lags)
    ours = simplex(embedding, fold_splits(embedding, folds))
    plain, masked = (_padded(data, lags, folds, mask=mask) for mask in (False, True))
    first, last = lags.reach
    scored = np.isfinite(plain[ours.embedding.row[ours.state]])
    theirs = masked[ours.embedding.row[ours.state]]
    difference = np.abs(theirs - ours.predicted)
    return Kept(
        ours=len(ours.predicted),
        padded=int(scored.sum()),
        masked=int(np.isfinite(theirs).sum()),
        crossing=len(data.target) - (last - first) - len(embedding.targets),
        largest_difference=float(np.nanmax(difference, initial=0.0) / np.std(ours.observed)),
    )


def _padded(data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], *, mask: bool) -> Float[np.ndarray, " row"]:
    """What pyEDM forecasts from each sample of each trial, with NaN where it has none."""
    pad = max(-lags.reach[0], lags.reach[1])
    starts = data.starts + pad * np.arange(len(data.lengths))
    rows = starts[data.trial] + np.arange(len(data.target)) - data.starts[data.trial]
    total = int(data.lengths.sum() + pad * len(data.lengths))
    predictors, target = np.full((total, data.predictors.shape[1]), np.nan), np.full(total, np.nan)
    predictors[rows], target[rows] = data.predictors, data.target
    names = [f"x{number}" for number in range(predictors.shape[1])]
    frame = DataFrame({"time": np.arange(total), **dict(zip(names, predictors.T, strict=True)), "target": target})
    ahead = np.arange(total) + lags.Tp
    has_target = (ahead >= 0) & (ahead < total) & np.isfinite(target[np.clip(ahead, 0, total - 1)])
    options: dict[str, Any] = {"columns": names, "validLib": has_target if mask else []}
    ends = np.stack([starts + 1, starts + data.lengths], axis=1)
    out = np.full(total, np.nan)
    for fold in np.unique(folds):
        options |= {"lib": ends[folds != fold].ravel().tolist(), "pred": ends[folds == fold].ravel().tolist()}
        found = Simplex(frame, target="target", E=lags.E, tau=lags.tau, Tp=lags.Tp, returnObject=True, **options)
        out[found.pred_i] = found.projection
    return out[rows]
