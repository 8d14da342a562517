"""Clips that were played for an evaluation, by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from track_mjx._common.survival import Episodes, Survival, episodes_of, kaplan_meier
from track_mjx.learning.setup import Setup
from track_mjx.policy.tape import Rollout
from track_mjx.task.imitation import Imitation
from track_mjx.task.parts import Parts


@dataclass(frozen=True, eq=False)
class Assessed:
    """Clips that were played, and the set of each."""

    setup: Setup
    played: Rollout
    """All clips, each to its end or to where its episode ended early."""
    realigned: Rollout
    """The same, to their ends: where an episode ended, the next began on the reference."""
    clips: tuple[int, ...]
    """Number of each row in the clips file."""
    rows: Mapping[str, list[int]]
    """Set -> rows; no set is empty."""

    @cached_property
    def parts(self) -> Parts:
        """Meaning of the columns of errors."""
        assert isinstance(self.setup.task, Imitation)
        return self.setup.task.parts

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each row's clip."""
        return tuple(self.setup.clips.clip_name[clip] for clip in self.clips)

    @property
    def shown(self) -> list[str]:
        """The sets without `all`, which repeats the others."""
        return [name for name in self.rows if name != "all"]

    def rollout(self, name: str, *, realigned: bool = False) -> Rollout:
        """Return the clips of one set."""
        return (self.realigned if realigned else self.played).rows(self.rows[name])

    def episodes(self, name: str) -> Episodes:
        """Return the episodes of one set."""
        rows = self.rows[name]
        length = np.asarray(self.setup.reference.length)[[self.clips[row] for row in rows]]
        return episodes_of(self.realigned.ended_by[rows] > 0, length.astype(np.int64) - 1)

    def survival(self, name: str) -> Survival:
        """Return the survival curve of one set at each control step; times are in control steps."""
        episodes = self.episodes(name)
        steps = np.arange(int(episodes.steps.max(initial=0)) + 1)
        return kaplan_meier(episodes.steps.astype(np.float64), episodes.ended, times=steps)
