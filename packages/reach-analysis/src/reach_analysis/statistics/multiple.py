"""Adjusted p-values for several tests at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from reach_analysis._common.errors import DataError


def holm(p_values: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Adjusted p-values that bound the chance of any false discovery, under any dependence (Holm 1979).

    Raises:
        DataError: for values outside 0 to 1.
    """
    _require_probabilities(p_values)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return _restored(np.minimum(adjusted, 1.0), order)


def benjamini_hochberg(p_values: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """Adjusted p-values that bound the expected share of false discoveries (Benjamini and Hochberg 1995).

    Holds for independent or positively dependent tests.

    Raises:
        DataError: for values outside 0 to 1.
    """
    _require_probabilities(p_values)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * len(order) / np.arange(1, len(order) + 1)
    return _restored(np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0), order)


def _restored(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    out = np.empty(len(values))
    out[order] = values
    return out


def _require_probabilities(p_values: np.ndarray) -> None:
    outside = ~((p_values >= 0) & (p_values <= 1))
    if outside.any():
        raise DataError(f"p-values must lie between 0 and 1, got {p_values[outside][0]} at test {outside.argmax()}")
