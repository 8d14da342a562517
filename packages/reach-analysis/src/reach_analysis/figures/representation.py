"""Figures of representations: variance by component and layer, trajectories in the space of the first three."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from reach_analysis.figures.style import BLUE, GREY, LIGHT, ORANGE, SEQUENTIAL, SKY, drawing, layer_label, panels
from reach_analysis.representation.pca import LayerPca


def variance_by_layer(layers: Sequence[LayerPca]) -> Figure:
    """Explained variance of each component, stacked, and the held-out variance of all of them, by layer."""
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
        held = [100 * layer.held_out[-1] for layer in layers]
        axis.plot(place, held, "o", color=ORANGE, markersize=6, label=f"first {count}, trials left out")
        axis.set_xticks(place, [layer_label(layer.name) for layer in layers], rotation=30, ha="right")
        axis.set_ylabel("variance (%)")
        axis.set_ylim(0, 105)
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return figure


def trajectories(layers: Sequence[LayerPca], colours: Sequence[Sequence[np.ndarray]], colour_name: str) -> Figure:
    """Each trial as a line in the space of the first three components, one panel a layer, coloured by `colours`."""
    with drawing():
        columns = min(4, len(layers))
        rows = int(np.ceil(len(layers) / columns))
        figure, axes = panels(3.0 * columns + 0.6, 3.0 * rows, rows=rows, columns=columns, three_d=True)
        every = np.concatenate([values for layer in colours for values in layer])
        low, high = float(every.min()), float(every.max())
        lines = None
        flat = [axis for row in axes for axis in row]
        for axis, layer, values in zip(flat, layers, colours, strict=False):
            lines = _draw_lines(axis, layer, values, (low, high))
        for axis in flat[len(layers) :]:
            axis.remove()
        if lines is not None:
            figure.colorbar(lines, ax=flat[: len(layers)], shrink=0.5, label=colour_name)
        return figure


def _draw_lines(axis, layer: LayerPca, values: Sequence[np.ndarray], limits: tuple[float, float]):  # noqa: ANN001, ANN202
    """Draw one layer; three-dimensional axes have no public type to annotate."""
    segments, shades = [], []
    for points, shade in zip(layer.scores.values, values, strict=True):
        path = np.zeros((len(points), 3))
        path[:, : min(3, points.shape[1])] = points[:, :3]
        segments.append(np.stack([path[:-1], path[1:]], axis=1))
        shades.append((shade[:-1] + shade[1:]) / 2)
    joined = np.concatenate(segments)
    # thousands of short lines: as a picture within the vector file they stay small and quick to draw
    lines = Line3DCollection(list(joined), cmap=SEQUENTIAL, linewidths=0.8, rasterized=True)
    lines.set_array(np.concatenate(shades))
    lines.set_clim(*limits)
    axis.add_collection(lines)
    low, high = joined.reshape(-1, 3).min(axis=0), joined.reshape(-1, 3).max(axis=0)
    margin = np.maximum(high - low, 1e-9) * 0.02
    axis.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    axis.set_zlim(low[2] - margin[2], high[2] + margin[2])
    for setter, number in ((axis.set_xlabel, 0), (axis.set_ylabel, 1), (axis.set_zlabel, 2)):
        if number < len(layer.explained):
            setter(f"PC {number + 1}: {100 * layer.explained[number]:.1f} %", fontsize=7, labelpad=-10)
    axis.set_xticklabels([])
    axis.set_yticklabels([])
    axis.set_zticklabels([])
    axis.set_title(f"{layer_label(layer.name)}: {100 * layer.explained.sum():.1f} %", color=GREY)
    return lines
