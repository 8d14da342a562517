"""Figures of forecasts: scores with nulls, baselines and ceilings; courses of single trials; sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from reach_analysis._common.figures import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    INK,
    LIGHT,
    ORANGE,
    PURPLE,
    RED,
    SEQUENTIAL,
    drawing,
    label,
    panels,
)
from reach_analysis.figures import grid, trial_label
from reach_analysis.forecasting.assessment import Nonlinearity
from reach_analysis.forecasting.lag_sweep import SweepPoint
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.score import Score

BASELINES = {"mean trial": (ORANGE, "D"), "ridge": (GREEN, "s"), "persistence": (PURPLE, "^")}


@dataclass(frozen=True)
class Traces:
    """Courses of a few trials."""

    name: str
    """What is predicted from what."""
    trials: tuple[str, ...]
    observed: tuple[np.ndarray, ...]
    """One array a trial; NaN where nothing is predicted."""
    predicted: tuple[np.ndarray, ...]


def forecast_scores(answers: Sequence[Sequence[Score]], measure: Measure) -> Figure:
    """One row a question: the score with its interval, nulls as bars behind it, baselines and ceiling as marks."""
    with drawing():
        scores = [score for answer in answers for score in answer if score.measure is measure]
        figure, axes = panels(7.4, 1.3 + 0.75 * len(scores))
        axis = axes[0][0]
        names = list(dict.fromkeys(null.name for score in scores for null in score.nulls))
        shades = {name: _shade(number) for number, name in enumerate(names)}
        for row, score in enumerate(scores):
            _score(axis, row, score, shades)
        axis.set_yticks(range(len(scores)), [label(score.name, 42) for score in scores])
        axis.invert_yaxis()
        axis.set_ylim(len(scores) - 0.4, -0.6)
        low = min([0.0, *(float(np.quantile(null.values, 0.025)) for score in scores for null in score.nulls)])
        axis.set_xlim(max(-1.0, low - 0.03), 1.02)
        axis.axvline(0, color=LIGHT, lw=1, zorder=0)
        axis.set_xlabel({Measure.SPEARMAN: "Spearman's ρ", Measure.PEARSON: "Pearson's r"}.get(measure, str(measure)))
        handles = [Line2D([], [], color=BLUE, marker="o", lw=2, label="forecast, 95 % interval")]
        handles += [Patch(facecolor=shade, label=f"null: {name}") for name, shade in shades.items()]
        handles += [
            Line2D([], [], color=colour, marker=marker, ls="", label=name)
            for name, (colour, marker) in BASELINES.items()
        ]
        if any(score.ceiling is not None for score in scores):
            handles.append(Line2D([], [], color=RED, marker="|", ls="", ms=12, label="ceiling of a common time course"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7.5)
        return figure


def _shade(number: int) -> str:
    return ("#BBBBBB", "#DDDDDD", "#CCCCEE", "#EEDDCC", "#DDEEDD")[number % 5]


def _score(axis: Axes, row: int, score: Score, shades: Mapping[str, str]) -> None:
    height = 0.7 / max(1, len(score.nulls))
    for number, null in enumerate(score.nulls):
        low, middle, high = np.quantile(null.values, [0.025, 0.5, 0.975])
        bottom = row - 0.35 + number * height
        axis.barh(bottom + height / 2, high - low, 0.9 * height, left=low, color=shades[null.name], zorder=1)
        axis.plot([middle, middle], [bottom + 0.05 * height, bottom + 0.95 * height], color=INK, lw=1, zorder=2)
    for baseline in score.baselines:
        colour, marker = BASELINES.get(baseline.name, (GREY, "x"))
        axis.plot(baseline.value, row, marker, color=colour, ms=6, zorder=3)
    if score.ceiling is not None:
        axis.plot([score.ceiling.value] * 2, [row - 0.4, row + 0.4], color=RED, lw=1.5, zorder=3)
    axis.plot([score.interval.low, score.interval.high], [row, row], color=BLUE, lw=2.5, zorder=4)
    axis.plot(score.value, row, "o", color=BLUE, ms=7, zorder=5)


def forecast_traces(traces: Sequence[Traces]) -> Figure:
    """Observed and forecast courses, a row a question, a column a trial."""
    with drawing():
        columns = max(len(one.trials) for one in traces)
        figure, axes = panels(1.75 * columns + 0.4, 1.35 * len(traces) + 0.3, rows=len(traces), columns=columns)
        for row, one in zip(axes, traces, strict=True):
            values = np.concatenate([*one.observed, *one.predicted])
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            for axis, trial, observed, predicted in zip(row, one.trials, one.observed, one.predicted, strict=False):
                axis.plot(observed, color=INK, lw=1)
                axis.plot(predicted, color=BLUE, lw=1)
                axis.set_ylim(low, high)
                axis.set_xticks([])
                axis.set_yticks([])
                if row is axes[0]:
                    axis.set_title(trial_label(trial), fontsize=8)
            row[0].set_ylabel("\nfrom ".join(label(part, 24) for part in one.name.split(" from ", 1)), fontsize=7)
        return figure


def forecast_sweeps(
    sweeps: Mapping[str, Mapping[str, Sequence[SweepPoint]]], curves: Mapping[str, Nonlinearity]
) -> Figure:
    """Spearman's rho against E, tau and Tp, one line a question, and Pearson's r of S-map against theta."""
    with drawing():
        columns = 3 + bool(curves)
        figure, axes = panels(2.6 * columns, 3.4, columns=columns)
        for number, (question, by_name) in enumerate(sweeps.items()):
            colour = CYCLE[number % len(CYCLE)]
            style = "-" if number < len(CYCLE) else "--"
            for axis, name in zip(axes[0], ("E", "tau", "Tp"), strict=False):
                points = by_name.get(name, [])
                place = [getattr(point.lags, name) for point in points]
                values = [point.common_scores[Measure.SPEARMAN] for point in points]
                axis.plot(place, values, "o", ls=style, ms=3, color=colour, label=label(question, 40))
            if question in curves:
                curve = curves[question]
                axes[0][3].plot(curve.thetas, curve.scores[Measure.PEARSON], "o", ls=style, ms=3, color=colour)
        for axis, name in zip(axes[0], ("E", "tau (samples)", "Tp (samples)", "theta of S-map"), strict=False):
            axis.set_xlabel(name)
            axis.set_ylim(top=1.0)
        axes[0][0].set_ylabel("Spearman's ρ")
        if curves:
            axes[0][3].set_ylabel("Pearson's r")
        handles, names = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=7.5)
        return figure


def forecast_map(maps: Mapping[str, Sequence[SweepPoint]]) -> Figure:
    """Spearman's rho over E and tau, a panel a question; at E = 1 tau changes nothing."""
    with drawing():
        figure, axes = grid(len(maps), 4, (2.5, 2.1))
        scores = [point.common_scores[Measure.SPEARMAN] for points in maps.values() for point in points]
        for axis, (question, points) in zip(axes, maps.items(), strict=True):
            widest, deepest = max(point.lags.E for point in points), max(-point.lags.tau for point in points)
            image = np.full((deepest, widest), np.nan)
            for point in points:
                rows = slice(None) if point.lags.E == 1 else -point.lags.tau - 1
                image[rows, point.lags.E - 1] = point.common_scores[Measure.SPEARMAN]
            extent = (0.5, widest + 0.5, -deepest - 0.5, -0.5)
            look: Any = {"cmap": SEQUENTIAL, "vmin": min(scores), "vmax": max(scores), "extent": extent}
            drawn = axis.imshow(image, aspect="auto", **look)
            best = max(points, key=lambda point: point.common_scores[Measure.SPEARMAN]).lags
            axis.plot(best.E, best.tau, "o", ms=9, mfc="none", mec=ORANGE, mew=2)
            axis.set_title("\nfrom ".join(label(part, 24) for part in question.split(" from ", 1)), fontsize=7)
        axes[0].set_ylabel("tau (samples)")
        axes[-1].set_xlabel("E")
        figure.colorbar(drawn, ax=axes, shrink=0.7, label="Spearman's ρ")
        return figure
