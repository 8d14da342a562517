"""Permutation tests: which arrangements are possible, and p-values that are never 0."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from reach_analysis._common.errors import DataError

LEAST_ARRANGEMENTS = 20
"""With fewer arrangements of trials no p-value can reach 0.05."""

Side = Literal["greater", "less", "two-sided"]


def p_value(observed: float, null: Float[np.ndarray, " draw"], side: Side = "greater") -> float:
    """Probability under the null of a value as extreme as the one observed: (1 + count) / (1 + draws).

    The observed arrangement counts as one of them (Phipson and Smyth 2010), so the test holds its level and p > 0.
    Two-sided p-values are twice the smaller one-sided one.
    """
    if not (np.isfinite(null).all() and math.isfinite(observed) and len(null)):
        raise DataError("a p-value needs a finite statistic and a finite null distribution")
    above = (1 + int(np.count_nonzero(null >= observed))) / (1 + len(null))
    below = (1 + int(np.count_nonzero(null <= observed))) / (1 + len(null))
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


def trial_permutations(strata: Int[np.ndarray, " trial"], draws: int, seed: int = 0) -> Int[np.ndarray, "draws trial"]:
    """Random permutations of trials within strata: entry t says whose data trial t is given."""
    sizes = np.unique(strata, return_counts=True)[1]
    if sum(math.lgamma(size + 1) for size in sizes) < math.log(LEAST_ARRANGEMENTS):
        raise DataError(
            f"trials can be exchanged only among equals, in groups of {sorted(sizes.tolist(), reverse=True)[:8]}: too "
            "few arrangements for a permutation test. Crop trials to a common length, or use more trials"
        )
    rng = np.random.default_rng([*b"permutation", seed])
    permuted = np.tile(np.arange(len(strata)), (draws, 1))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        permuted[:, members] = rng.permuted(np.tile(members, (draws, 1)), axis=1)
    return permuted


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
