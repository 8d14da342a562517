"""Figures: functions that draw results, and one look for all."""

from __future__ import annotations

import re
from typing import Any

from matplotlib.figure import Figure

from reach_analysis._common.figures import label, panels


def grid(count: int, most: int, size: tuple[float, float], three_d: bool = False) -> tuple[Figure, list[Any]]:
    """A figure of `count` axes in rows of at most `most`, each of `size` (width, height) inches."""
    columns = min(most, count)
    rows = -(-count // columns)
    figure, axes = panels(size[0] * columns, size[1] * rows, rows=rows, columns=columns, three_d=three_d)
    flat = [axis for row in axes for axis in row]
    for axis in flat[count:]:
        axis.remove()
    return figure, flat[:count]


def trial_label(name: str, longest: int = 14) -> str:
    """The name of a trial, short enough for a panel; the end is kept, because names of recordings differ there."""
    short = name if len(name) <= longest else f"…{name[1 - longest :]}"
    return short if "trial" in short else f"trial {short}"


def layer_label(name: str) -> str:
    """The name of a layer as in the papers: "intention", "decoder 1"; layers count from 1 there."""
    if name.startswith("latent_mean"):
        return name.replace("latent_mean", "intention", 1)
    layer = re.match(r"(?:activations/)?(\w+)/layer_(\d+)(.*)", name)
    return f"{layer[1]} {int(layer[2]) + 1}{layer[3]}" if layer else label(name)
