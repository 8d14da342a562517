"""pyEDM as engine, where it applies, and what it makes of trials on its own.

pyEDM knows one series. Our states and targets, one a row, can still be handed to it as a finished embedding with
horizon 0: then nothing is left that could cross a border, and its simplex and S-map must give what ours give. Left to
itself on trials end to end it builds states across borders. With NaN rows between trials it drops those, but a state
whose neighbours include one of the last Tp samples of a trial has a NaN among its neighbours' targets and is lost too;
a mask for the library (validLib) avoids that.

pyEDM is loaded at the first call. Its licence allows non-commercial use only.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int

from reach_analysis._common.errors import ConfigError
from reach_analysis.forecasting.embedding import Embedding, Split
from reach_analysis.forecasting.simplex import Forecast

if TYPE_CHECKING:
    from pandas import DataFrame


def simplex_by_pyedm(
    embedding: Embedding, splits: Sequence[Split], *, knn: int | None = None, exclusion: int | None = None
) -> Forecast:
    """Forecast by pyEDM's Simplex; arguments as for ``simplex``.

    Ties between trials are broken by pyEDM's rule, which goes by rows and not by time within the trial.
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
            # pyEDM warns when an exclusion radius leaves S-map fewer states than knn; it uses the rest.
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
