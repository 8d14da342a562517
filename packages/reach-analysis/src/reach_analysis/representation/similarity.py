"""Similarity of two representations of the same trials: CKA and RSA, with nulls that keep the common time course.

Trials of one task share their time course, so any two signals of them look alike. The nulls here exchange whole trials
of one side: what remains similar then is common to all trials; only what exceeds it is particular to each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import ConfigError, DataError, MismatchError
from reach_analysis.data.series import TrialSeries, match
from reach_analysis.representation.pca import components
from reach_analysis.statistics.correlation import ranks
from reach_analysis.statistics.permutation import Arrangements, arrangements, p_value

Stack = Float[np.ndarray, "trial time channel"]
OtherStack = Float[np.ndarray, "trial time other"]

KEPT_VARIANCE = 0.9999
MOST_PRODUCTS = 1 << 24
"""Numbers (128 MB) of products of trials that are kept; more are computed again for every exchange."""
MOST_AXES = 48
"""CKA weighs axes by the square of their variance: further axes do not change the third digit."""


@dataclass(frozen=True)
class Similarity:
    """Similarity of two representations."""

    first: str
    second: str
    measure: str
    value: float
    null_mean: float
    """Mean and 95th percentile when whole trials of one side are exchanged."""
    null_high: float
    p: float
    """Probability of a value as high when trials are exchangeable."""
    n_trials: int
    n_samples: int


class Window(NamedTuple):
    """Series over the trials and times that all have, as arrays of equal shape but for their channels."""

    stacks: list[Stack]
    trials: tuple[str, ...]


def common_window(series: Sequence[TrialSeries]) -> Window:
    """Cut series to the trials and times that all have.

    Trials that are shorter than most are cut away rather than cutting all to them: a trial stays if it has at least
    the median length.
    """
    series = [one.with_samples() for one in series]
    remaining = series[0]
    for other in series[1:]:
        remaining = match(remaining, other).first
    least = int(np.median(remaining.lengths))
    trials = [name for name, length in zip(remaining.trials, remaining.lengths, strict=True) if length >= least]
    if len(trials) < 3:
        raise MismatchError("fewer than three trials are in all series that are analysed together")
    begin = max(float(one.take(trials).start_s.max()) for one in (remaining, *series))
    # after the last sample that every trial of every series has
    end = min(
        float((one.take(trials).start_s + np.array(one.take(trials).lengths) / one.rate_hz).min()) for one in series
    )
    stacks = [one.take(trials).crop(begin, end).stacked() for one in series]
    length = min(stack.shape[1] for stack in stacks)
    return Window([stack[:, :length] for stack in stacks], tuple(trials))


def cka(one: Stack, two: OtherStack, exchanged: Arrangements, names: tuple[str, str] = ("a", "b")) -> Similarity:
    """Linear centred kernel alignment (Kornblith et al. 2019) over all samples, from :func:`main_axes` of both.

    1: equal up to rotation and scale; 0: nothing in common. The null exchanges trials.
    """
    scale = np.linalg.norm(np.einsum("atp,atq->pq", one, one)) * np.linalg.norm(np.einsum("atp,atq->pq", two, two))
    n_trials, pair = len(one), one.shape[2] * two.shape[2]
    products = None
    if n_trials**2 * pair <= MOST_PRODUCTS:
        # cross-covariance of every trial of one with every trial of two, which many exchanges share
        products = np.einsum("atp,btq->abpq", one, two, optimize=True)

    def alignment(order: np.ndarray) -> float:
        if products is not None:
            cross = products[np.arange(n_trials), order].sum(axis=0)
        else:
            cross = np.tensordot(one, two[order], axes=((0, 1), (0, 1)))
        return float(np.square(cross).sum() / scale)

    return _similarity("CKA", names, alignment, exchanged, one.shape[:2])


def rsa(
    one: Float[np.ndarray, "trial trial"],
    two: Float[np.ndarray, "trial trial"],
    exchanged: Arrangements,
    names: tuple[str, str],
    n_times: int,
) -> Similarity:
    """Representational similarity (Kriegeskorte et al. 2008): rank correlation of :func:`trial_distances` of both.

    The null exchanges trials (Mantel's test).
    """
    upper = np.triu_indices(len(one), 1)
    own, others = _standard(ranks(one[upper][:, None])[:, 0]), np.zeros_like(two)
    # exchanging trials moves ranks about; it does not change them
    others[upper] = _standard(ranks(two[upper][:, None])[:, 0])
    others += others.T

    def agreement(order: np.ndarray) -> float:
        return float(own @ others[np.ix_(order, order)][upper] / len(own))

    return _similarity("RSA", names, agreement, exchanged, (len(one), n_times))


def exchanges(n_trials: int, draws: int, seed: int, strata: Int[np.ndarray, " trial"] | None = None) -> Arrangements:
    """Exchanges of trials within `strata`: `draws` random ones, or all where they are no more."""
    if draws < 19:
        raise ConfigError(f"at least 19 exchanges of trials are needed for a null, got {draws}")
    return arrangements(np.zeros(n_trials, dtype=int) if strata is None else strata, draws, seed)


def _similarity(
    measure: str,
    names: tuple[str, str],
    statistic: Callable[[np.ndarray], float],
    exchanged: Arrangements,
    shape: tuple[int, ...],
) -> Similarity:
    value, null = statistic(np.arange(shape[0])), np.array([statistic(order) for order in exchanged.orders])
    mean, high = float(null.mean()), float(np.quantile(null, 0.95))
    p = p_value(value, null, complete=exchanged.complete)
    return Similarity(*names, measure, value, mean, high, p, shape[0], shape[0] * shape[1])


def main_axes(stack: Stack, name: str) -> Float[np.ndarray, "trial time axis"]:
    """Scores on the axes that hold nearly all variance; CKA does not depend on the axes themselves."""
    samples = stack.reshape(-1, stack.shape[-1])
    model = components(samples, name)
    count = int(np.searchsorted(np.cumsum(model.explained), KEPT_VARIANCE)) + 1
    return model.scores(samples, min(count, MOST_AXES)).reshape(*stack.shape[:2], -1)


def trial_distances(stack: Stack, name: str) -> Float[np.ndarray, "trial trial"]:
    """Distances between the whole time courses of trials."""
    rows = stack.reshape(len(stack), -1)
    if not np.isfinite(rows).all():
        raise DataError(f"{name}: holds values that are not finite")
    squares = (rows**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * rows @ rows.T, 0.0))
    if not np.ptp(distances[np.triu_indices(len(rows), 1)]) > 0:
        raise DataError(f"{name}: all trials are equally far apart, so they cannot be compared")
    return distances


def _standard(values: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
    centred = values - values.mean()
    spread = centred.std()
    return centred / spread if spread > 0 else centred
