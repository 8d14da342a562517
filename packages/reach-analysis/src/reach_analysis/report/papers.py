"""Values that the papers print, compared with ours: one rule derives the verdict from our value and its interval.

A claim names a region: the paper's value plus or minus a margin, or everything up to (or from) a bound. Our whole
interval inside it replicates the claim, or is better where a bound is a whole margin away from the paper's value; our
whole interval outside differs. An interval across the border, a number without an interval or none at all, another
body, synthetic movement or synthetic recordings leave it open.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from reach_analysis.report.sections import Chapter, Inputs
from reach_analysis.studies.section import ABSENT, Fact, exact

JOINT_ONLY, PHYSICS_AWARE = r"joint.?only", r"physics.?aware"
"""Patterns of the names of the papers' conditions."""
REPLICATES, BETTER, DIFFERS, OPEN = "replicates", "better", "differs", "cannot be checked"
VERDICTS = (REPLICATES, BETTER, DIFFERS, OPEN)
VALUES = "paper_values.toml"
_SLACK = 1e-9
"""Differences of rounding do not push a value over a border."""


@dataclass(frozen=True)
class Facts:
    """Our numbers by the names that the claims use: ``chapter/...``, of one condition ``chapter/...@condition``."""

    known: Mapping[str, Fact]
    absent: Mapping[str, str]
    """Why a chapter is empty."""
    conditions: tuple[str, ...]
    focus: str

    @classmethod
    def of(cls, chapters: Sequence[Chapter], inputs: Inputs) -> Facts:
        """Collect the finite facts of all studies."""
        known = {}
        for chapter in chapters:
            for part in chapter.parts:
                at = f"@{part.condition}" if part.condition else ""
                known |= {
                    f"{chapter.key}/{name}{at}": fact for name, fact in part.facts.items() if math.isfinite(fact.value)
                }
        return cls(known, {one.key: one.absent for one in chapters}, tuple(inputs.conditions), inputs.focus)

    def get(self, name: str, condition: str = "") -> Fact | None:
        """A number, of a condition where it belongs to one."""
        return self.known.get(f"{name}@{condition}") or self.known.get(name)

    def role(self, pattern: str) -> str | None:
        """The one condition whose name matches a pattern."""
        hits = [name for name in self.conditions if re.search(pattern, name, re.IGNORECASE)]
        return hits[0] if len(hits) == 1 else None


@dataclass(frozen=True)
class Claim:
    """One value of a paper; the fields are described at the head of the data file."""

    id: str
    paper: str
    where: str
    quantity: str
    unit: str
    fact: str
    needs: str
    bodies: tuple[str, ...] = ()
    role: str = "focus"
    shown: str = ""
    value: float | None = None
    scale: float = 1.0
    margin: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    recorded: bool = False

    @property
    def region(self) -> tuple[float, float]:
        """Values that count as the same."""
        if self.margin is not None and self.value is not None:
            return self.value - self.margin, self.value + self.margin
        low = -math.inf if self.at_least is None else self.at_least
        return low, math.inf if self.at_most is None else self.at_most

    @property
    def counts(self) -> str:
        """What counts as the same, in words."""
        if self.margin is not None:
            return "the same number" if self.margin == 0 else f"±{exact(self.margin)}"
        low, high = self.region
        return f"at most {exact(high)}" if math.isinf(low) else f"at least {exact(low)}"

    @property
    def printed(self) -> str:
        """The paper's value as text, with its unit."""
        if self.shown or self.value is None:
            return self.shown
        return exact(self.value) + ("" if self.unit == "1" else f" {self.unit}")


@dataclass(frozen=True)
class Checked:
    """A claim and what became of it."""

    claim: Claim
    condition: str
    """The condition our value is from; empty where it is about several, or there is none."""
    ours: Fact | None
    """Our number in the claim's unit; None where there is none."""
    verdict: str
    """One of `VERDICTS`."""
    why: str
    here: bool
    """Whether the claim is about this body."""

    @property
    def shown(self) -> str:
        """Our value as text, with its unit."""
        if self.ours is None:
            return ABSENT
        text = self.ours.text()
        return text if self.claim.unit == "1" else f"{text} {self.claim.unit}"


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("reach_analysis.report").joinpath(VALUES).read_text(encoding="utf-8"))


def claims() -> list[Claim]:
    """Every claim of the data file."""
    return [Claim(**{**entry, "bodies": tuple(entry.get("bodies", ()))}) for entry in _data()["claims"]]


def citations() -> dict[str, str]:
    """Which paper each letter means."""
    return dict(_data()["citation"])


def check(facts: Facts, body: str, *, synthetic: bool, made_up: bool = False) -> list[Checked]:
    """Hold every claim against our numbers.

    `synthetic` says that the EMG is, `made_up` that the movement is that was imitated.
    """
    return [_check(claim, facts, body, synthetic, made_up) for claim in claims()]


def _check(claim: Claim, facts: Facts, body: str, synthetic: bool, made_up: bool) -> Checked:
    patterns = [pattern for name in claim.bodies for pattern in _data()["bodies"][name]]
    here = not patterns or any(fnmatchcase(body.lower(), pattern) for pattern in patterns)
    if not here:
        return Checked(claim, "", None, OPEN, f"The body here is {body}, not a {' or '.join(claim.bodies)}.", False)
    if made_up:
        return Checked(claim, "", None, OPEN, "The movement here is synthetic and says nothing about the animal.", True)
    if claim.recorded and synthetic:
        return Checked(claim, "", None, OPEN, "The EMG here is synthetic and says nothing about the animal.", True)
    name, condition, why = _place(claim, facts)
    result = None if why else facts.get(name, condition)
    if result is None:
        why = why or facts.absent.get(claim.fact.split("/")[0]) or f"Needs {claim.needs}."
        return Checked(claim, condition, None, OPEN, why, True)
    low, high = result.low * claim.scale, result.high * claim.scale
    ours = replace(result, value=result.value * claim.scale, low=low, high=high)
    return Checked(claim, condition, ours, *judge(claim, ours), True)


def _place(claim: Claim, facts: Facts) -> tuple[str, str, str]:
    """Name of our number, the condition it is about, and why there is none."""
    if claim.role == "focus":
        return claim.fact, facts.focus, ""
    if claim.role == "pair":
        first, second = facts.role(JOINT_ONLY), facts.role(PHYSICS_AWARE)
        missing = f"Needs {claim.needs}." if first is None or second is None else ""
        return f"{claim.fact}/{first}>{second}", "", missing
    pattern = {"joint_only": JOINT_ONLY, "physics_aware": PHYSICS_AWARE}[claim.role]
    condition = facts.role(pattern)
    if condition is None:
        return claim.fact, "", f"No controller here is called {claim.role}."
    return claim.fact, condition, ""


def judge(claim: Claim, ours: Fact) -> tuple[str, str]:
    """Verdict and reason for our number in the claim's unit."""
    low, high = claim.region
    region = claim.counts if math.isinf(low) or math.isinf(high) or low == high else f"{exact(low)} to {exact(high)}"
    if not ours.has_interval:
        at_end = " It is at the end of the sweep." if ours.at_end else ""
        return OPEN, f"Our value has no interval, so it may differ by chance alone.{at_end}"
    slack = _SLACK * max(1.0, abs(ours.value))
    if low - slack <= ours.low and ours.high <= high + slack:
        if _beyond(claim, ours):
            return BETTER, f"Our whole interval is better than the paper's value ({region} counts as the same)."
        inside = region if region.startswith(("at", "the")) else f"within {region}"
        return REPLICATES, f"Our whole interval is {inside}."
    if ours.high < low - slack or ours.low > high + slack:
        side = "below" if ours.high < low else "above"
        return DIFFERS, f"Our whole interval is {side} what counts as the same ({region})."
    return OPEN, f"Our interval reaches across the border of what counts as the same ({region}): too uncertain."


def _beyond(claim: Claim, ours: Fact) -> bool:
    """Whether our interval is on the good side of the paper's value by more than the bound is on the other."""
    if claim.value is None or claim.margin is not None:
        return False
    low, high = claim.region
    return ours.high < 2 * claim.value - high if math.isinf(low) else ours.low > 2 * claim.value - low


def counts(checked: list[Checked]) -> Mapping[str, int]:
    """How many claims about this body came to each verdict."""
    return {word: sum(one.here and one.verdict == word for one in checked) for word in VERDICTS}
