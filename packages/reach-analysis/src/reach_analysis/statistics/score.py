"""A score with its n, unit, interval, null distributions, baselines and ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from reach_analysis._common.errors import DataError, unknown
from reach_analysis.statistics.ceiling import Ceiling
from reach_analysis.statistics.correlation import Measure
from reach_analysis.statistics.estimates import Interval


@dataclass(frozen=True)
class Null:
    """Values of the same measure when a hypothesis holds."""

    name: str
    keeps: str
    """What the data keeps under it; the score shows nothing about that."""
    values: Float[np.ndarray, " draw"]
    p_value: float
    """Share of draws at least as good as the score, with the score counted as one of them."""
    controls: bool = True
    """Whether rejecting at 5 % is wrong in at most 5 % of cases where the hypothesis holds. Nulls that only reproduce
    earlier analyses do not."""


@dataclass(frozen=True)
class Baseline:
    """The same measure for a simpler prediction of the same samples."""

    name: str
    knows: str
    value: float
    gain: Interval
    """Interval over trials for how much better the score is; above 0 the forecast is better, NaN: too few trials."""
    knows_more: bool = False
    """Whether it knows something the forecast does not, such as the target's present value."""


@dataclass(frozen=True)
class Score:
    """How well something is predicted, and what that is worth."""

    name: str
    """What is predicted from what."""
    measure: Measure
    value: float
    """Of the measure over all predictions."""
    unit: str
    trials: int
    """Number of trials, or of the units above them that intervals are over."""
    predictions: int
    interval: Interval
    nulls: tuple[Null, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    ceiling: Ceiling | None = None
    """What a common time course could reach; only for Pearson's correlation, which it is about."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a reader has to know, such as a circular prediction."""

    def null(self, name: str) -> Null:
        """The null of this name."""
        return _find("null", name, self.nulls)

    def baseline(self, name: str) -> Baseline:
        """The baseline of this name."""
        return _find("baseline", name, self.baselines)

    def unbeaten(self, level: float = 0.05) -> tuple[str, ...]:
        """Names of what the score does not beat.

        These are nulls that control their level with a p-value above `level`, and baselines that know no more than the
        forecast and whose interval for the gain reaches 0. The score shows only what goes beyond all of them.
        """
        nulls = [null.name for null in self.nulls if null.controls and null.p_value > level]
        rivals = [one.name for one in self.baselines if not one.knows_more and not one.gain.low > 0]
        return (*nulls, *rivals)

    def verdict(self, level: float = 0.05) -> str:
        """One sentence on what the score is worth."""
        unbeaten = self.unbeaten(level)
        if not any(null.controls for null in self.nulls):
            return "tested against no null that controls its level"
        return f"not beyond: {', '.join(unbeaten)}" if unbeaten else "beyond every null and baseline"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, lists and text, for JSON."""
        plain: dict[str, Any] = asdict(self)
        for null in plain["nulls"]:
            null["median"] = float(np.median(null["values"]))
            null["quantile_95"] = float(np.quantile(null["values"], 0.95))
            null["values"] = null["values"].tolist()
        return plain | {"measure": str(self.measure), "verdict": self.verdict()}


def _find(kind: str, name: str, items: tuple[Any, ...]) -> Any:
    for item in items:
        if item.name == name:
            return item
    raise DataError(unknown(kind, name, [item.name for item in items]))
