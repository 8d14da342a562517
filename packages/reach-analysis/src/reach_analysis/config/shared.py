"""Settings that several verbs share: rollouts, trials, random draws, folds, bands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from reach_analysis._common.settings import setting

SIGNALS = ("act", "ctrl")
"""Signals of a muscle: its activation, and its control."""


@dataclass
class OutputSettings:
    """Where results are written."""

    out: str | None = None
    """Folder of the results; empty: reach_results/VERB."""


@dataclass
class ClipNameSettings:
    """How clips are named."""

    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""


@dataclass
class RolloutSettings(OutputSettings):
    """Which rollouts are analysed."""

    rollouts: Any = None
    """A mimic.rollouts file; verbs that compare conditions also take a list of files, or a map from condition to file:
    {joint_only: a.h5, physics_aware: b.h5}."""
    rollouts_seed: int | None = None
    """Repeat to read, by its seed, where a file holds several; empty: the first."""
    levels: Any = None
    """Levels above trials, outermost first: a map from level to a regular expression with one group that finds it in
    clip names, as {animal: '^(A\\d+)', session: '_(\\d{4}-\\d\\d-\\d\\d)_'}. Intervals are over the outermost
    level with at least five units, and tests exchange trials within the innermost. Empty: trials are the units."""


@dataclass
class TrialSettings(ClipNameSettings, RolloutSettings):
    """How clips become trials."""


@dataclass
class ClipsSettings:
    """The reference of rollouts."""

    clips: str | None = None
    """The mimic.reference_clips file that was imitated, with the keypoints of the animal; empty: joints only."""


@dataclass
class RunSettings:
    """The runs of a sweep."""

    runs: Any = None
    """Run folders of track-mjx, or a pattern, as 'sweep/*'."""
    parameter: Any = None
    """Setting that is swept, by its dotted key, or n_train (number of training clips); a list of two is a grid,
    and of more, as the weights of an ablation, are conditions; empty: the one number that differs between the runs."""


@dataclass
class SeedSettings:
    """What random draws depend on."""

    seed: int = setting(0, ge=0)
    """Seed of everything that is drawn: folds, resamples, permutations, surrogates."""


@dataclass
class ResampleSettings(SeedSettings):
    """How intervals of means and tests of differences are computed."""

    resamples: int = setting(2000, ge=100)
    """Bootstrap resamples of trials for the intervals, and draws of signs for tests of differences."""


@dataclass
class IntervalSettings(SeedSettings):
    """Whether intervals are computed that need no random draws."""

    resamples: int = setting(1, ge=0)
    """0: no intervals. They come from leaving out trials (jackknife), so any other number gives the same ones."""


@dataclass
class FoldSettings(SeedSettings):
    """How trials are left out."""

    folds: int = setting(5, ge=2)
    """Folds of trials: each is predicted from the others."""


@dataclass
class ReplicationSettings:
    """Whether a verb is repeated with the choices of the public notebooks."""

    replication: bool = False
    """Also analyse with the choices of paper A's public notebooks, one at a time, and show both results."""


@dataclass
class WindowSettings:
    """What a sample of a representation is."""

    window_frames: int = setting(0, ge=0)
    """Analyse windows of this many frames (odd) in place of single frames; paper B takes 31 for the walking fly."""


@dataclass
class ActuatorSettings:
    """Which actuators are analysed."""

    actuators: list[str] = setting([])
    """Actuators (muscles), by name; empty: all."""


@dataclass
class BandSettings:
    """Frequencies whose power is measured."""

    low_hz: float = setting(10.0, gt=0)
    """Lower edge of the band, Hz; trials must last two of its periods."""
    high_hz: float | None = setting(None, gt=0)
    """Upper edge, Hz; empty: half the rate, which is the most there can be."""

    def shared(self, rates_hz: Iterable[float]) -> Self:
        """With one upper edge for signals of several rates: half the lowest."""
        rates = set(rates_hz)
        return replace(self, high_hz=min(rates) / 2) if self.high_hz is None and len(rates) > 1 else self

    @property
    def band(self) -> str:
        """The band, for captions."""
        return f"{self.low_hz:g} Hz to {'half the rate' if self.high_hz is None else f'{self.high_hz:g} Hz'}"


@dataclass
class MuscleSettings:
    """Series of simulated muscles."""

    signal: str = setting("act", choices=SIGNALS)
    """Signal of the muscles: act (muscle activation) or ctrl (control)."""
    rate_hz: float | None = setting(200.0, gt=0)
    """Common rate of all series (means over intervals), Hz; empty: the rate of the rollouts."""
