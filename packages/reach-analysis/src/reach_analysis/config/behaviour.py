"""Settings of the studies of movement and muscles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reach_analysis._common.settings import setting
from reach_analysis.config.recordings import RecordingSettings, WholeTrialSettings
from reach_analysis.config.shared import (
    SIGNALS,
    ActuatorSettings,
    BandSettings,
    ClipNameSettings,
    ClipsSettings,
    OutputSettings,
    ReplicationSettings,
    ResampleSettings,
    RolloutSettings,
    RunSettings,
    SeedSettings,
    TrialSettings,
)  # fmt: skip


@dataclass
class ErrorsConfig(ClipsSettings, ResampleSettings, RolloutSettings):
    """Settings of `reach-analysis errors`."""

    regions: Any = None
    """Map from region to names of joints or keypoints, as {arm: ['Elbow*', 'Wrist*'], hand: ['Hand*']}; empty: limbs,
    head, back and tail by their usual names."""
    clip: str | None = None
    """Clip whose joint angles are drawn over the reference; empty: the unseen clip of median error, else of all."""


@dataclass
class SurvivalConfig(RolloutSettings):
    """Settings of `reach-analysis survival`."""

    times_s: list[float] = setting([1.0, 5.0, 30.0, 120.0], ge=0)
    """Times at which survival is given, s; paper B names half a minute and two minutes."""
    level: float = setting(0.95, gt=0, lt=1)
    """Coverage of the pointwise interval."""


@dataclass
class ComparisonConfig(BandSettings, ResampleSettings, RolloutSettings):
    """Settings of `reach-analysis comparison`: controllers trial by trial, each with the first one."""


@dataclass
class EmgConfig(ReplicationSettings, ResampleSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis emg`."""

    signals: list[str] = setting(list(SIGNALS), choices=SIGNALS)
    """Signals that are compared with EMG: act (muscle activation), ctrl (control)."""
    resample: bool = True
    """Average the simulation over intervals to the rate of the envelopes; off: unequal rates are refused."""
    largest_lag_s: float = setting(0.05, ge=0)
    """Largest lag that is tried, in both directions, s."""
    onset_fraction: float = setting(0.25, gt=0, lt=1)
    """Fraction of a trial's range that counts as its onset."""


@dataclass
class EnvelopesConfig(ResampleSettings, WholeTrialSettings, OutputSettings):
    """Settings of `reach-analysis envelopes`."""


@dataclass
class SpectraConfig(ReplicationSettings, BandSettings, ActuatorSettings, ResampleSettings, TrialSettings):
    """Settings of `reach-analysis spectra`."""

    signal: str = setting("action", choices=("action", "ctrl", "act", "actuator_force"))
    """Signal to analyse: action (the policy's output), ctrl, act or actuator_force."""


@dataclass
class GaitConfig(ClipsSettings, ResampleSettings, WholeTrialSettings, TrialSettings):
    """Settings of `reach-analysis gait`."""

    planted: float = setting(0.4, gt=0, lt=1)
    """A foot of the animal is in contact where it is slower than this part of its fast steps (95th percentile)."""
    feet: list[str] = setting([])
    """Names of contacts that are feet; empty: all stored contacts."""
    lead: str | None = None
    """Foot whose touch-down begins a cycle; empty: the left forefoot, or the left foot of a biped, if its name is
    recognised."""
    shortest_stance_s: float = setting(0.03, ge=0)
    """Shorter contacts and gaps are removed as flicker, s."""
    cycle_s: list[float] = setting([0.1, 1.5], gt=0)
    """Shortest and longest cycle, s."""
    min_speed: float = setting(0.0, ge=0)
    """Cycles with a lower mean speed of the root are left out, m/s."""
    joints: list[str] = setting([])
    """Joints shown over the cycle; empty: shoulders, elbows, hips and knees, if their names are recognised."""


@dataclass
class SweepConfig(
    BandSettings, RunSettings, ClipsSettings, SeedSettings, RecordingSettings, ClipNameSettings, OutputSettings
):
    """Settings of `reach-analysis sweep`."""

    reward: str | None = None
    """Term of the reward that is compared, or `reward` for all of it; empty: the term for joints, as
    in paper A, or all of it where a run lacks that term."""
    progress_metric: str = "reward"
    """Metric logged during training, for the number of steps."""
    fraction: float = setting(0.95, gt=0, le=1)
    """Fraction of that metric's largest value that counts as reached."""
