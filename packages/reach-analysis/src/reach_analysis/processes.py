"""Several processes for work that keeps one busy for seconds; small work is done here, as processes take time to start.

Processes are those of joblib (loky): they do not run the user's script again, stay for the next piece of work, and end
with this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from reach_analysis._common.system import n_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

MANY_SAMPLES = 4000
"""Samples of all trials from which studies take seconds."""


def each_of(call: Callable[[Item], Result], items: Sequence[Item], samples: int) -> Iterator[Result]:
    """Results of a call for every item, in order; in several processes where there are many `samples`."""
    if samples < MANY_SAMPLES or len(items) < 2 or n_cores() < 2:
        yield from map(call, items)
        return
    from joblib import Parallel, delayed

    workers = Parallel(n_jobs=min(n_cores(), len(items)), return_as="generator", max_nbytes=None)
    results: Any = workers(delayed(call)(item) for item in items)
    yield from results
