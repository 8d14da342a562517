"""Levels above trials, such as sessions and animals: the units that intervals are over, and what trials stay within.

Trials of one animal are alike, so an interval over trials says how certain the mean of these animals is, not that of
others. Intervals are over the outermost level with enough units, whose trials then count together; within it the
bootstrap also draws each level and the trials (hierarchical bootstrap, Saravanan et al. 2020). Tests exchange trials
within the innermost level only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from reach_analysis._common.errors import ConfigError, DataError, raise_all, shorten


@dataclass(frozen=True)
class Levels:
    """Which animal, session, ... each trial belongs to; without levels trials are the units."""

    names: tuple[str, ...] = ()
    """Levels, outermost first."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Trial -> its label at each level."""

    def nest(self, trials: Sequence[str], fewest: int) -> tuple[str, list[Int[np.ndarray, " trial"]]]:
        """Name and numbers of the units of trials, and numbers of each level within them, outermost first.

        Units are those of the outermost level with at least `fewest`; where none has, trials, with no numbers.
        """
        numbers = [self._numbers(trials, depth) for depth in range(1, len(self.names) + 1)]
        for depth, (name, own) in enumerate(zip(self.names, numbers, strict=True)):
            if len(np.unique(own)) >= fewest:
                return f"{name}s", numbers[depth:]
        return "trials", []

    def units(self, trials: Sequence[str], fewest: int) -> tuple[str, Int[np.ndarray, " trial"]]:
        """Name and numbers of the units of trials, as :meth:`nest`."""
        name, numbers = self.nest(trials, fewest)
        return name, numbers[0] if numbers else np.arange(len(trials))

    def strata(self, trials: Sequence[str]) -> Int[np.ndarray, " trial"]:
        """Number of the innermost unit of each trial; all 0 without levels."""
        return self._numbers(trials, len(self.names)) if self.names else np.zeros(len(trials), dtype=int)

    def _numbers(self, trials: Sequence[str], depth: int) -> Int[np.ndarray, " trial"]:
        labels = [self.labels[trial][:depth] for trial in trials]
        known = list(dict.fromkeys(labels))
        return np.array([known.index(label) for label in labels], dtype=int)

    @property
    def exchanged(self) -> str:
        """What tests exchange, for captions."""
        return f"whole trials within {self.names[-1]}s" if self.names else "whole trials"

    def counted(self, trials: Sequence[str]) -> str:
        """Number of units at each level and of trials, for captions: ``3 animals, 8 sessions, 40 trials``."""
        counts = [len(np.unique(self._numbers(trials, depth))) for depth in range(1, len(self.names) + 1)]
        there = [f"{count} {name}s" for name, count in zip(self.names, counts, strict=True)]
        return ", ".join([*there, f"{len(trials)} trials"])

    def note(self, trials: Sequence[str], fewest: int) -> str:
        """What intervals are over, and what tests keep; empty without levels."""
        if not self.names:
            return ""
        unit, _ = self.units(trials, fewest)
        few = "" if unit == f"{self.names[0]}s" else (
            f" Fewer than {fewest} {self.names[0]}s give no interval, so nothing is said about others.")  # fmt: skip
        count = "" if unit == "trials" else ", which the columns named trials count"
        return (f"{self.counted(trials)}: intervals and signs of differences are over {unit}{count}; trials are "
                f"exchanged within {self.names[-1]}s.{few}")  # fmt: skip


def levels_of(patterns: Any, trials: Sequence[str], clip_names: Sequence[str], where: str) -> Levels:
    """Levels of trials whose patterns are found in the names of their clips.

    Raises:
        ConfigError: when `patterns` is not a map from name to regular expression.
        DataError: when a pattern finds nothing in a name, or is not a regular expression with one group.
    """
    if not patterns:
        return Levels()
    if not isinstance(patterns, Mapping):
        raise ConfigError(f"levels: expected a map from level to regular expression, got {patterns!r}")
    found = [found_in(str(pattern), clip_names, where, f"levels.{name}") for name, pattern in patterns.items()]
    return Levels(tuple(map(str, patterns)), dict(zip(trials, zip(*found, strict=True), strict=True)))


def found_in(pattern: str, names: Sequence[str], where: str, what: str) -> tuple[str, ...]:
    """What a regular expression with one group finds in each name.

    Raises:
        DataError: when it is invalid, or finds nothing in a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"{what} {pattern!r} is not a regular expression: {error}") from error
    hits = [compiled.search(name) for name in names]
    lost = [name for name, hit in zip(names, hits, strict=True) if hit is None]
    problems = [f"{what} {pattern!r} finds nothing in {shorten(lost, 4)}"] if lost else []
    if compiled.groups != 1:
        problems.append(f"{what} {pattern!r} needs exactly one group in parentheses")
    raise_all(DataError, where, problems)
    return tuple(hit[1] or "" for hit in hits if hit is not None)
