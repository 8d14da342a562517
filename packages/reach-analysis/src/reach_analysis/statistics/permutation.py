"""Permutation tests: which arrangements are possible, and p-values that are never 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations, product
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import DataError

LEAST_ARRANGEMENTS = 20
"""With fewer arrangements of trials no p-value can reach 0.05."""

Side = Literal["greater", "less", "two-sided"]


ROUNDING = 1e-9
"""Part of the largest value within which two values count as equal: sums in another order differ by rounding."""


def p_value(
    observed: float, null: Float[np.ndarray, " draw"], side: Side = "greater", *, complete: bool = False
) -> float:
    """Probability under the null of a value as extreme as the one observed.

    Among random draws the observed arrangement counts as one: (1 + count) / (1 + draws) (Phipson and Smyth 2010), so
    the test holds its level and p > 0. Where `null` holds every arrangement (`complete`), p is the exact count / draws.
    Values equal up to rounding count as equal. Two-sided p-values are twice the smaller one-sided one.
    """
    if not (np.isfinite(null).all() and math.isfinite(observed) and len(null)):
        raise DataError("a p-value needs a finite statistic and a finite null distribution")
    slack = ROUNDING * max(abs(observed), float(np.abs(null).max()))
    own = 0 if complete else 1
    above = (own + int(np.count_nonzero(null >= observed - slack))) / (own + len(null))
    below = (own + int(np.count_nonzero(null <= observed + slack))) / (own + len(null))
    match side:
        case "greater":
            return above
        case "less":
            return below
        case "two-sided":
            return min(1.0, 2 * min(above, below))


def exchangeable(
    values: Float[np.ndarray, " sample"],
    lengths: Int[np.ndarray, " trial"],
    strata: Int[np.ndarray, " trial"] | None = None,
) -> Int[np.ndarray, " trial"]:
    """Groups of trials that may be exchanged: of one length, with the same samples missing, of one of the `strata`."""
    missing = np.isnan(values)
    starts = np.cumsum(lengths) - lengths
    kinds: dict[tuple[int, bytes, int], int] = {}
    groups = []
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        gaps = missing[start : start + length].tobytes()
        kind = (int(length), gaps, 0 if strata is None else int(strata[number]))
        groups.append(kinds.setdefault(kind, len(kinds)))
    return np.array(groups)


def permuted_rows(
    permutations: Int[np.ndarray, "draw trial"], lengths: Int[np.ndarray, " trial"]
) -> Int[np.ndarray, "sample draw"]:
    """Row of the data that each sample is given when trials are exchanged whole; one column a permutation."""
    starts = np.cumsum(lengths) - lengths
    within = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    return np.repeat(starts[permutations], lengths, axis=1).T + within[:, None]


class Arrangements(NamedTuple):
    """Permutations of trials: entry t of each says whose data trial t is given."""

    orders: Int[np.ndarray, "draw trial"]
    complete: bool
    """Whether these are all there are, the recorded one among them, rather than random draws."""


def arrangements(strata: Int[np.ndarray, " trial"], draws: int, seed: int = 0) -> Arrangements:
    """All permutations of trials within strata where they are at most `draws`, else so many random ones."""
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    if math.prod(math.factorial(len(members)) for members in groups) > draws:
        return Arrangements(trial_permutations(strata, draws, seed), complete=False)
    _require_arrangements(groups)
    listed = []
    for orders in product(*(permutations(members) for members in groups)):
        order = np.empty(len(strata), dtype=int)
        order[np.concatenate(groups)] = np.concatenate(orders)
        listed.append(order)
    return Arrangements(np.array(listed), complete=True)


def trial_permutations(strata: Int[np.ndarray, " trial"], draws: int, seed: int = 0) -> Int[np.ndarray, "draws trial"]:
    """Random permutations of trials within strata: entry t says whose data trial t is given."""
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    _require_arrangements(groups)
    rng = np.random.default_rng([*b"permutation", seed])
    permuted = np.tile(np.arange(len(strata)), (draws, 1))
    for members in groups:
        permuted[:, members] = rng.permuted(np.tile(members, (draws, 1)), axis=1)
    return permuted


def _require_arrangements(groups: Sequence[Int[np.ndarray, " _member"]]) -> None:
    sizes = sorted(map(len, groups), reverse=True)
    if math.prod(map(math.factorial, sizes)) < LEAST_ARRANGEMENTS:
        raise DataError(
            f"trials can be exchanged only among equals, in groups of {sizes[:8]}: too few arrangements for a "
            "permutation test. Crop trials to a common length, or use more trials"
        )


def holm(p_values: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Adjusted p-values that bound the chance of any false discovery, under any dependence (Holm 1979)."""
    outside = ~((p_values >= 0) & (p_values <= 1))
    if outside.any():
        raise DataError(f"p-values: expected 0 to 1, got {p_values[outside][0]} at test {outside.argmax()}")
    order = np.argsort(p_values, kind="stable")
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    out = np.empty(len(order))
    out[order] = np.minimum(adjusted, 1.0)
    return out
