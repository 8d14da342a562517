"""The longest lifetimes of the data compared with those of every null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from reach_analysis._common.errors import DataError
from reach_analysis.config import TopologyConfig
from reach_analysis.data.series import TrialSeries
from reach_analysis.representation.pca import components
from reach_analysis.statistics.permutation import p_value
from reach_analysis.topology.homology import Diagram, homology
from reach_analysis.topology.nulls import KEEPS, null_clouds

RADII = np.linspace(0.0, 2.0, 101)
"""Radii of the Betti curves, in units of the cloud's root mean square distance from its centre."""


@dataclass(frozen=True)
class NullShape:
    """What a null gives."""

    name: str
    keeps: str
    longest: tuple[Float[np.ndarray, " draw"], ...]
    """Longest lifetime of each draw, by dimension (1 first)."""
    betti: tuple[Float[np.ndarray, " radius"], ...]
    """95th percentile of the Betti curves, by dimension."""


@dataclass(frozen=True)
class Shape:
    """One latent or layer."""

    name: str
    n_trials: int
    n_samples: int
    n_units: int
    diagram: Diagram
    nulls: tuple[NullShape, ...]
    notes: tuple[str, ...]

    def p(self, null: NullShape, dimension: int) -> float:
        """Probability under a null of a lifetime as long as the longest one."""
        return p_value(self.diagram.longest(dimension), null.longest[dimension - 1])

    def beyond(self, null: NullShape, dimension: int, level: float = 0.05) -> int:
        """Features that live longer than the longest of the null, at a level; 2 loops and 1 void speak for a torus."""
        values = null.longest[dimension - 1]
        return sum(p_value(float(life), values) <= level for life in self.diagram.features(dimension))


def shape(series: TrialSeries, settings: TopologyConfig, tick: Callable[[int], None] = lambda amount: None) -> Shape:
    """Look for loops and voids in one latent or layer."""
    rows, _ = series.rows()
    if settings.components:
        model = components(rows, series.name)
        rows = model.scores(rows, settings.components)
    lengths = np.array(series.lengths)
    result = _homology(rows, settings)
    nulls, notes = [], []
    for name in settings.nulls:
        try:
            nulls.append(_null(name, rows, lengths, settings, tick))
        except DataError as error:  # trials of unequal length, which cannot be exchanged
            notes.append(f"{series.name}: no null `{name}`: {error}")
    return Shape(series.name, len(series.trials), len(rows), len(series.channels), result, tuple(nulls), tuple(notes))


def _homology(rows: np.ndarray, settings: TopologyConfig) -> Diagram:
    return homology(rows, count=settings.landmarks, dimension=settings.max_dimension, trim=settings.trim)


def _null(
    name: str, rows: np.ndarray, lengths: np.ndarray, settings: TopologyConfig, tick: Callable[[int], None]
) -> NullShape:
    diagrams: list[Diagram] = []
    for cloud in null_clouds(name, rows, lengths, settings.draws, settings.seed):
        diagrams.append(_homology(cloud, settings))
        tick(1)
    dimensions: Sequence[int] = range(1, settings.max_dimension + 1)
    return NullShape(
        name,
        KEEPS[name],
        tuple(np.array([diagram.longest(one) for diagram in diagrams]) for one in dimensions),
        tuple(np.quantile([diagram.betti(one, RADII) for diagram in diagrams], 0.95, axis=0) for one in dimensions),
    )
