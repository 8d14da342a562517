"""A score that never stands alone: with its n, unit, interval, null distributions, baselines and ceiling."""

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
    """Values of the same measure when a hypothesis holds.

    Attributes:
        name: of the null.
        keeps: what the data keeps under it; the score shows nothing about that.
        values: one value a draw.
        p_value: share of draws at least as good as the score, with the score counted as one of them.
        controls: whether rejecting at 5 % is wrong in at most 5 % of cases where the hypothesis holds. Nulls that only
            reproduce earlier analyses do not.
    """

    name: str
    keeps: str
    values: Float[np.ndarray, " draw"]
    p_value: float
    controls: bool = True


@dataclass(frozen=True)
class Baseline:
    """The same measure for a simpler prediction of the same samples.

    Attributes:
        name: of the baseline.
        knows: what it predicts from.
        value: of the measure.
        gain: interval, paired over trials, for how much better the score is; above 0 the forecast is better.
        knows_more: whether it knows something the forecast does not, such as the target's present value.
    """

    name: str
    knows: str
    value: float
    gain: Interval
    knows_more: bool = False


@dataclass(frozen=True)
class Score:
    """How well something is predicted, and what that is worth.

    Attributes:
        name: what is predicted from what.
        measure: how agreement is measured.
        value: of the measure over all predictions.
        unit: of the value.
        trials: number of trials, the unit of resampling.
        predictions: number of predictions.
        interval: over trials.
        nulls, baselines: what it stands beside.
        ceiling: what a common time course could reach; only for Pearson's correlation, which it is about.
        parameters: every setting behind it.
        notes: what a reader has to know, such as a circular prediction.
    """

    name: str
    measure: Measure
    value: float
    unit: str
    trials: int
    predictions: int
    interval: Interval
    nulls: tuple[Null, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    ceiling: Ceiling | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def null(self, name: str) -> Null:
        """The null of this name.

        Raises:
            DataError: when there is none, with the nearest names.
        """
        return _find("null", name, self.nulls)

    def baseline(self, name: str) -> Baseline:
        """The baseline of this name.

        Raises:
            DataError: when there is none, with the nearest names.
        """
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
