"""Single numbers out of the studies, by name: what the opening paragraph and the comparison with the papers speak of.

A fact is named ``section/what/...@condition``; those about all conditions have no ``@``. What could not be computed is
not there, and :meth:`Facts.why` says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reach_analysis._common.figures import layer_label
from reach_analysis.report.sections import Section
from reach_analysis.studies.study import Study

MUSCLES = ("biceps", "triceps")
CONTROL_COST = "task.costs.control.weight"
"""Setting whose sweep the papers show."""

JOINT_ONLY, PHYSICS_AWARE = r"joint.?only", r"physics.?aware"
"""Names that conditions of the papers go by."""


@dataclass(frozen=True)
class Fact:
    """One number.

    Attributes:
        value: the number.
        low, high: its interval; NaN where it has none.
        n: number of units behind it.
        of: what these are.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    of: str = "trials"

    @property
    def has_interval(self) -> bool:
        """Whether it has an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value, and its interval where it has one."""
        return (self.value, self.low, self.high) if self.has_interval else (self.value,)


@dataclass(frozen=True)
class Facts:
    """All numbers by name.

    Attributes:
        known: those there are.
        absent: section -> why it is empty.
        conditions: names of the conditions, in order.
        focus: the condition that stands beside the papers.
    """

    known: Mapping[str, Fact]
    absent: Mapping[str, str]
    conditions: tuple[str, ...]
    focus: str

    def get(self, name: str, condition: str = "") -> Fact | None:
        """A number, of a condition where it belongs to one."""
        return self.known.get(f"{name}@{condition}") or self.known.get(name)

    def why(self, name: str) -> str:
        """Why the section of this number is empty; an empty text where it is not."""
        return self.absent.get(name.split("/")[0], "")

    def role(self, pattern: str) -> str | None:
        """The one condition whose name fits a pattern."""
        hits = [name for name in self.conditions if re.search(pattern, name, re.IGNORECASE)]
        return hits[0] if len(hits) == 1 else None


def facts_of(sections: Sequence[Section], conditions: Sequence[str], focus: str) -> Facts:
    """Collect all numbers."""
    known: dict[str, Fact] = {}
    for section in sections:
        for part in section.parts:
            if part.study is not None:
                at = f"@{part.condition}" if part.condition else ""
                found = _READERS.get(section.key, _nothing)(part.study)
                known |= {name if "@" in name else name + at: fact for name, fact in found if math.isfinite(fact.value)}
    return Facts(known, {section.key: section.absent for section in sections}, tuple(conditions), focus)


Found = Iterator[tuple[str, Fact]]


def _fact(row: Mapping[str, Any], key: str, low: str = "", high: str = "", of: str = "trials") -> Fact:
    """A number of a row with its interval."""
    numbers = [row.get(name) if name else None for name in (key, low, high)]
    value, bottom, top = (math.nan if number is None else float(number) for number in numbers)
    return Fact(value, bottom, top, int(row.get(of) or row.get("trials") or 0), of)


def _nothing(study: Study) -> Found:
    yield from ()


def _errors(study: Study) -> Found:
    for row in study.results:
        kind = str(row["error"]).split(" ")[0]
        name = row["name"] if row["level"] == "single" else ("total" if row["name"] == "total" else "")
        if not name:
            continue
        where = f"errors/{kind}/{str(name).lower()}/{row['unit']}"
        yield f"{where}/mean", _fact(row, "mean", "mean_low", "mean_high")
        yield f"{where}/median", _fact(row, "median")


def _survival(study: Study) -> Found:
    for row in study.results:
        at = f"@{row['condition']}"
        yield f"survival/episodes{at}", _fact(row, "episodes", of="episodes")
        yield f"survival/ended{at}", _fact(row, "ended", of="episodes")
        yield f"survival/seen{at}", _fact(row, "last_seen_s", of="episodes")
        for time, values in row["at_s"].items():
            if float(time) <= row["last_seen_s"]:
                fact = _fact(values | {"episodes": row["episodes"]}, "survival", "low", "high", "episodes")
                yield f"survival/{time}{at}", fact


def _comparison(study: Study) -> Found:
    for row in study.results:
        pair = f"{row['first']}>{row['second']}"
        yield f"comparison/{row['quantity']}/{pair}", _fact(row, "difference", "low", "high")
        yield f"comparison/{row['quantity']}/first/{pair}", _fact(row, "first_mean", "first_low", "first_high")
        yield f"comparison/{row['quantity']}/second/{pair}", _fact(row, "second_mean", "second_low", "second_high")
        back = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"], "trials": row["trials"]}
        yield f"comparison/{row['quantity']}/{row['second']}>{row['first']}", _fact(back, "difference", "low", "high")


def _emg(study: Study) -> Found:
    kind = "synthetic" if study.results["emg"]["synthetic"] else "recorded"
    for row in study.results["fits"]:
        where = f"emg/{kind}/{str(row['muscle']).lower()}/{row['signal']}"
        yield f"{where}/mae@{row['condition']}", _fact(row, "mae", "mae_low", "mae_high")
        yield f"{where}/r@{row['condition']}", _fact(row, "correlation", "correlation_low", "correlation_high")


def _pca(study: Study) -> Found:
    for row in study.results:
        where = f"pca/{layer_label(row['layer'])}"
        for number in range(1, 4):
            key = f"explained_pc{number}"
            yield f"{where}/pc{number}", _fact(row, key, f"{key}_low", f"{key}_high")
        if "explained_pc3" in row and "explained_pc4" not in row:
            yield f"{where}/first_3", _fact(row, "explained", "explained_low", "explained_high")
        yield f"{where}/held_out", _fact(row, "held_out")
        yield f"{where}/participation", _fact(row, "participation_ratio")
        yield f"{where}/units", _fact(row, "units")


def _synergies(study: Study) -> Found:
    yield "synergies/chosen", _fact(study.results, "chosen")
    yield "synergies/accounted", _fact(study.results, "accounted")


def _question(name: str) -> str | None:
    """A question of the forecasts under the name facts have: muscle / simulated or emg / own past or joints."""
    muscle = next((m for m in reversed(MUSCLES) if m in name.lower()), None)
    if muscle is None:
        return None
    return f"{muscle}/{'emg' if ' EMG ' in name else 'simulated'}/{'past' if 'own past' in name else 'joints'}"


def _forecast(study: Study) -> Found:
    for row in study.tables["forecast_scores"]:
        question = _question(row["question"])
        if question is None:
            continue
        where = f"forecast/{question}/{row['measure']}"
        yield where, _fact(row, "value", "low", "high")
        for rival in ("trial_permutation_median", "trial_permutation_p", "mean_trial", "ridge", "persistence"):
            if row.get(rival) is not None:
                yield f"{where}/{rival}", _fact(row, rival)
    yield from _best_of_sweeps(study.results["sweeps"])


def _best_of_sweeps(rows: Sequence[Mapping[str, Any]]) -> Found:
    """The best E, tau and Tp of each sweep by Pearson's r, and the score there."""
    for asked in dict.fromkeys((row["question"], row["swept"]) for row in rows):
        question = _question(asked[0])
        points = [row for row in rows if (row["question"], row["swept"]) == asked]
        best = max(points, key=lambda row: row["pearson"])
        if question is not None:
            yield f"forecast/{question}/best_{asked[1]}", Fact(float(best[asked[1]]))
            yield f"forecast/{question}/score_at_best_{asked[1]}", Fact(float(best["pearson"]))


def _gait(study: Study) -> Found:
    yield "gait/cycles", Fact(float(study.results["cycles"]))
    yield "gait/feet", Fact(float(len(study.results["feet"])))
    yield "gait/still", Fact(float(study.results["without_cycles"]))
    yield "gait/duration", _fact(study.results, "duration_s", "duration_low_s", "duration_high_s")
    rms = [row["rms_of_means"] for row in study.results["joints"] if math.isfinite(row["rms_of_means"])]
    if rms:
        yield "gait/joints", Fact(sum(rms) / len(rms))


def _sweep(study: Study) -> Found:
    kind = "control_cost" if study.results["parameter"] == CONTROL_COST else "other"
    for row in study.results["trends"]:
        yield f"sweep/{kind}/trend/{row['outcome']}", _fact(row, "spearman", "low", "high", "runs")
    first: Mapping[str, Any] = study.results["levels"][0]
    keys = ("steps_to_fraction", "steps_to_fraction_low", "steps_to_fraction_high", "runs")
    yield f"sweep/{kind}/steps", _fact(first, *keys)
    if study.results["knee"] is not None:
        yield f"sweep/{kind}/knee", Fact(study.results["knee"].value)


_READERS = {
    "errors": _errors,
    "survival": _survival,
    "comparison": _comparison,
    "emg": _emg,
    "pca": _pca,
    "synergies": _synergies,
    "forecast": _forecast,
    "gait": _gait,
    "sweep": _sweep,
}
