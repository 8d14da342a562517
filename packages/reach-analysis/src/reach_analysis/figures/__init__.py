"""Figures: functions that draw results, and one look for all."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from reach_analysis._common.figures import panels


def grid(count: int, most: int, size: tuple[float, float], three_d: bool = False) -> tuple[Figure, list[Any]]:
    """A figure of `count` axes in rows of at most `most`, each of `size` (width, height) inches."""
    columns = min(most, count)
    rows = -(-count // columns)
    figure, axes = panels(size[0] * columns, size[1] * rows, rows=rows, columns=columns, three_d=three_d)
    flat = [axis for row in axes for axis in row]
    for axis in flat[count:]:
        axis.remove()
    return figure, flat[:count]
