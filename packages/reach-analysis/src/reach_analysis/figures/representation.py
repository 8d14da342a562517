"""Figures of representations: variance by component and layer, trajectories in the space of the first three."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from reach_analysis._common.figures import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    SEQUENTIAL,
    SKY,
    drawing,
    label,
    panels,
)
from reach_analysis.figures import grid, layer_label
from reach_analysis.representation.pca import LayerPca
from reach_analysis.representation.similarity import Similarity
from reach_analysis.representation.synergies import RankChoice, Synergies
from reach_analysis.statistics.estimates import Interval


def variance_by_layer(layers: Sequence[LayerPca], together: Sequence[Interval]) -> Figure:
    """Explained variance of each component, stacked, their sum with its interval, and held-out variance, by layer."""
    with drawing():
        figure, axes = panels(max(5.0, 1.0 + 0.85 * len(layers)), 3.2)
        axis = axes[0][0]
        place = np.arange(len(layers))
        count = max(len(layer.explained) for layer in layers)
        bottom = np.zeros(len(layers))
        colours = (BLUE, SKY, LIGHT) if count <= 3 else tuple(BLUE for _ in range(count))
        for number in range(count):
            part = np.array([100 * layer.explained[number] if number < len(layer.explained) else 0 for layer in layers])
            axis.bar(place, part, 0.6, bottom, color=colours[number], edgecolor="white", label=f"PC {number + 1}")
            bottom += part
        ends = np.abs(100 * np.array(together).T - bottom)
        axis.errorbar(place, bottom, ends, fmt="none", ecolor=INK, capsize=4)
        held = [100 * layer.held_out[-1] for layer in layers]
        axis.plot(place + 0.18, held, "o", color=ORANGE, markersize=6, label=f"first {count}, trials left out")
        axis.set_xticks(place, [layer_label(layer.name) for layer in layers], rotation=30, ha="right")
        axis.set_ylabel("variance (%)")
        axis.set_ylim(0, 105)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def trajectories(
    layers: Sequence[LayerPca], colours: Sequence[Sequence[np.ndarray]], colour_name: str, *, three_d: bool = True
) -> Figure:
    """Each trial as a line in the space of the first three (or two) components, one panel a layer, with `colours`."""
    with drawing():
        figure, axes = grid(len(layers), 4, (3.2, 3.0), three_d=three_d)
        shades = np.concatenate([values for layer in colours for values in layer])
        low, high = float(shades.min()), float(shades.max())
        for axis, layer, values in zip(axes, layers, colours, strict=True):
            lines = _draw_lines(axis, layer, values, (low, high), 3 if three_d else 2)
        figure.colorbar(lines, ax=axes, shrink=0.5, label=colour_name)
        return figure


def _draw_lines(axis, layer: LayerPca, values: Sequence[np.ndarray], limits: tuple[float, float], count: int):  # noqa: ANN001, ANN202
    """Draw one layer; three-dimensional axes have no public type to annotate."""
    segments, shades = [], []
    for points, shade in zip(layer.scores.values, values, strict=True):
        path = np.zeros((len(points), count))
        path[:, : min(count, points.shape[1])] = points[:, :count]
        if len(path) == 1:  # a trial of one sample is a point
            path, shade = np.repeat(path, 2, axis=0), np.repeat(shade, 2)
        segments.append(np.stack([path[:-1], path[1:]], axis=1))
        shades.append((shade[:-1] + shade[1:]) / 2)
    joined = np.concatenate(segments)
    # thousands of short lines: as a picture within the vector file they stay small and quick to draw
    collection = Line3DCollection if count == 3 else LineCollection
    lines = collection(list(joined), cmap=SEQUENTIAL, linewidths=0.8, rasterized=True)
    lines.set_array(np.concatenate(shades))
    lines.set_clim(*limits)
    axis.add_collection(lines)
    low, high = joined.reshape(-1, count).min(axis=0), joined.reshape(-1, count).max(axis=0)
    margin = np.maximum(high - low, 1e-9) * 0.02
    for number, letter in enumerate("xyz"[:count]):
        getattr(axis, f"set_{letter}lim")(low[number] - margin[number], high[number] + margin[number])
        getattr(axis, f"set_{letter}ticklabels")([])
        if number < len(layer.explained):
            name = f"PC {number + 1}: {100 * layer.explained[number]:.1f} %"
            getattr(axis, f"set_{letter}label")(name, fontsize=7, labelpad=-10 if count == 3 else 2)
    short = layer_label(layer.name).partition(", windows")[0]
    axis.set_title(f"{short}: {100 * layer.explained[:count].sum():.1f} %", color=GREY)
    return lines


def similarity_matrices(names: Sequence[str], result: Sequence[Similarity]) -> Figure:
    """CKA, its excess over the null, and RSA as matrices; a dot where the null is exceeded."""
    with drawing():
        size = 1.4 + 0.36 * len(names)
        figure, axes = panels(3 * size + 0.8, size + 0.7, columns=3)
        shown = (("CKA", "CKA", False), ("CKA above its null", "CKA", True), ("RSA", "RSA", False))
        for axis, (title, measure, above) in zip(axes[0], shown, strict=True):
            matrix = np.full((len(names), len(names)), np.nan)
            for entry in result:
                if entry.measure != measure:
                    continue
                place = names.index(entry.first), names.index(entry.second)
                matrix[place] = matrix[place[::-1]] = entry.value - (entry.null_mean if above else 0.0)
                if entry.p <= 0.05:
                    axis.plot([place[0], place[1]], [place[1], place[0]], ".", color="white", markersize=3)
            image = axis.imshow(matrix, cmap=SEQUENTIAL, vmin=0, vmax=1 if not above else None)
            axis.set_xticks(range(len(names)), names, rotation=60, ha="right")
            axis.set_yticks(range(len(names)), names if axis is axes[0][0] else [])
            axis.set_title(title)
            figure.colorbar(image, ax=axis, shrink=0.7)
        return figure


WIDEST = 9.0
"""Width of a figure with many columns, inches: what fits the page."""
MOST_NAMES = 24
"""Names that fit below an axis of that width."""


def synergy_overview(choice: RankChoice, result: Synergies, muscles: Sequence[str]) -> Figure:
    """Held-out variance by number of synergies, and the synergies as bars over muscles."""
    with drawing():
        rows = len(result.patterns)
        width = min(4.4 + 0.42 * len(muscles), WIDEST)
        figure = Figure(figsize=(width, max(2.6, 0.9 * rows + 1.0)), layout="constrained")
        grid = figure.add_gridspec(rows, 2, width_ratios=(1.0, 1.6))
        left = figure.add_subplot(grid[:, 0])
        left.errorbar(choice.ranks, 100 * choice.held_out, 100 * choice.error, fmt="o-", color=BLUE, capsize=3)
        chosen = choice.ranks.index(choice.chosen)
        left.plot(choice.chosen, 100 * choice.held_out[chosen], "o", ms=13, mfc="none", mec=ORANGE, mew=2)
        left.set_xlabel("synergies")
        left.set_ylabel("left-out activation predicted (%)")
        left.set_xticks(choice.ranks)
        for number, pattern in enumerate(result.patterns):
            axis = figure.add_subplot(grid[number, 1])
            axis.bar(range(len(muscles)), pattern, 0.7, color=SKY)
            axis.set_ylim(0, 1.05)
            axis.set_ylabel(f"{number + 1}", rotation=0, labelpad=10)
            step = -(-len(muscles) // MOST_NAMES)  # names of every second, third, ... muscle where they would overlap
            names = [label(muscle, 18) for muscle in muscles[::step]] if number == rows - 1 else []
            axis.set_xticks(range(0, len(muscles), step), names, rotation=50, ha="right")
        return figure
