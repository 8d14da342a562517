"""pyEDM as engine, where it applies, and what it makes of trials on its own.

pyEDM knows one series. Our states and targets, one a row, can still be handed to it as a finished embedding with
horizon 0: then nothing is left that could cross a border, and its simplex and S-map must give what ours give. Left to
itself on trials end to end it builds states across borders. With NaN rows between trials it drops those, but a state
whose neighbours include one of the last Tp samples of a trial has a NaN among its neighbours' targets and is lost too;
a mask for the library (validLib) mends that. :func:`kept_by_padding` counts.

pyEDM is loaded at the first call. Its licence allows non-commercial use only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError
from reach_analysis.forecasting.ccm import Libraries
from reach_analysis.forecasting.embedding import Embedding, Lags, Split, TrialData, embed, fold_splits
from reach_analysis.forecasting.simplex import Forecast, simplex

if TYPE_CHECKING:
    from pandas import DataFrame


def simplex_by_pyedm(
    embedding: Embedding, splits: Sequence[Split], *, knn: int | None = None, exclusion: int | None = None
) -> Forecast:
    """Forecast by pyEDM's Simplex; arguments as for ``simplex``.

    Ties between trials are broken by pyEDM's rule, which goes by rows and not by time within the trial.

    Raises:
        ConfigError: for splits that pyEDM cannot express.
    """
    from pyEDM import Simplex

    neighbours = embedding.lags.E + 1 if knn is None else knn
    return _forecast(embedding, splits, exclusion, lambda task: Simplex(**task.arguments, knn=neighbours))


def smap_by_pyedm(
    embedding: Embedding, splits: Sequence[Split], theta: float, *, knn: int | None = None, exclusion: int | None = None
) -> Forecast:
    """Forecast by pyEDM's SMap; arguments as for ``smap``, errors as for :func:`simplex_by_pyedm`."""
    from pyEDM import SMap

    return _forecast(
        embedding, splits, exclusion, lambda task: SMap(**task.arguments, theta=theta, knn=knn or task.library)
    )


def cross_map_by_pyedm(
    embedding: Embedding, libraries: Libraries, *, knn: int | None = None, exclusion: int = 0
) -> Float[np.ndarray, " size"]:
    """Mean skill for each library size by pyEDM's CCM; arguments as for ``cross_map``.

    Raises:
        ConfigError: for more than one trial, or libraries of trials.
    """
    import pyEDM

    if len(embedding.ids) > 1 or libraries.unit != "state":
        raise ConfigError("pyEDM draws single states of one series: use our engine, or unit=state and a single trial")
    frame = _frame(embedding, np.arange(len(embedding.targets)))
    drawn: dict[str, Any] = {"libSizes": list(libraries.sizes), "sample": libraries.samples, "seed": libraries.seed}
    states: dict[str, Any] = {"columns": _columns(frame), "target": "target", "embedded": True, "Tp": 0}
    near = {"knn": knn or embedding.lags.E + 1, "exclusionRadius": exclusion}
    found = pyEDM.CCM(frame, parallel=False, **states, **near, **drawn)
    return np.asarray(found)[:, 1]


class _Task(NamedTuple):
    """Arguments of one call, and the neighbours a state can have at most."""

    arguments: dict[str, Any]
    library: int


def _forecast(
    embedding: Embedding, splits: Sequence[Split], exclusion: int | None, call: Callable[[_Task], Any]
) -> Forecast:
    predicted = []
    for split in splits:
        count = len(split.prediction)
        with warnings.catch_warnings():
            # Where an exclusion radius leaves S-map fewer states than asked for, it takes those there are, and says so.
            warnings.filterwarnings("ignore", "(?s).*Fewer than knn", UserWarning)
            predicted.append(np.asarray(call(_task(embedding, split, exclusion)).projection)[:count])
    state = np.concatenate([split.prediction for split in splits])
    return Forecast(embedding.targets[state], np.concatenate(predicted), state, embedding)


def _task(embedding: Embedding, split: Split, exclusion: int | None) -> _Task:
    """States to predict first, then the library; or all in their order where the two are the same series."""
    shared = np.intersect1d(split.library, split.prediction)
    n_predicted, n_library = len(split.prediction), len(split.library)
    common: dict[str, Any] = {"target": "target", "embedded": True, "Tp": 0, "returnObject": True}
    if not len(shared):
        if np.isin(embedding.trial[split.prediction], embedding.trial[split.library]).any() and exclusion != 0:
            raise ConfigError("pyEDM cannot leave out neighbours in time where a trial is split: set exclusion=0")
        frame = _frame(embedding, np.concatenate([split.prediction, split.library]))
        # pyEDM predicts two rows at least; what a second one gives is dropped.
        spans = {"pred": [1, max(2, n_predicted)], "lib": [n_predicted + 1, n_predicted + n_library]}
        return _Task({"dataFrame": frame, "columns": _columns(frame), **spans, **common}, n_library)
    steps = np.diff(embedding.row[split.library])
    if len(shared) < max(n_predicted, n_library) or len(embedding.ids) > 1 or exclusion is None or (steps != 1).any():
        raise ConfigError(
            "pyEDM needs library and prediction that share nothing, or one gapless trial predicted from itself with an "
            "exclusion in samples; use our engine"
        )
    frame = _frame(embedding, split.library)
    spans = {"lib": [1, n_library], "pred": [1, n_library], "exclusionRadius": exclusion}
    return _Task({"dataFrame": frame, "columns": _columns(frame), **spans, **common}, n_library - 1)


def _frame(embedding: Embedding, rows: Int[np.ndarray, " row"]) -> DataFrame:
    """States and targets as pyEDM takes them: a time, one column for each entry of the state, the target."""
    from pandas import DataFrame

    columns = {f"lag{number}": values[rows] for number, values in enumerate(embedding.vectors.T)}
    return DataFrame({"time": np.arange(len(rows)), **columns, "target": embedding.targets[rows]})


def _columns(frame: DataFrame) -> list[str]:
    return [name for name in frame.columns if name.startswith("lag")]


@dataclass(frozen=True)
class Kept:
    """Predictions that can be scored, of the same trials, lags and folds.

    Attributes:
        ours: every state whose vector and target lie within its trial.
        padded: by pyEDM with NaN rows between trials.
        masked: by pyEDM with NaN rows between trials and a mask that keeps states without a target out of the library.
        crossing: states pyEDM would build across borders if trials stood end to end without padding.
        largest_difference: between our predictions and those of `masked`, in standard deviations of the target.
    """

    ours: int
    padded: int
    masked: int
    crossing: int
    largest_difference: float


def kept_by_padding(data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"]) -> Kept:
    """Count the predictions of simplex that pyEDM keeps on trials with NaN rows between them, and those we keep.

    Raises:
        DataError: when no state is left.
    """
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
        crossing=len(data.target) - (last - first) - embedding.counts.kept - embedding.counts.missing,
        largest_difference=float(np.nanmax(difference, initial=0.0) / np.std(ours.observed)),
    )


def _padded(data: TrialData, lags: Lags, folds: Int[np.ndarray, " trial"], *, mask: bool) -> Float[np.ndarray, " row"]:
    """What pyEDM forecasts from each sample of each trial, with NaN where it has none."""
    from pandas import DataFrame
    from pyEDM import Simplex

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
