"""Settings of the report, and of the two studies that are made for it alone.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reach_analysis.config import RecordingConfig


@dataclass
class ComparisonConfig:
    """How the report compares controllers trial by trial."""

    low_hz: float = 10.0
    """Lower edge of the band of high-frequency power of the actions, Hz; it reaches up to half the rate."""
    resamples: int = 2000
    """Bootstrap resamples of trials for the intervals, and draws of the null."""
    seed: int = 0
    """Seed of resamples and draws."""


@dataclass
class CouplingConfig:
    """How the report cross maps muscles and joints."""

    joints: list[str] = field(default_factory=list)
    """Joints; empty: all angles that vary."""
    most_joints: int = 6
    """Where no joints are named and more of them vary, the ones that vary most are taken, this many."""
    muscles: list[str] = field(default_factory=list)
    """Muscles; empty: long biceps and lateral triceps, as in paper A; in a body without them, the two actuators that
    vary most."""
    signal: str = "act"
    """What is taken of the muscles: act (muscle activation) or ctrl."""
    rate_hz: float | None = 200.0
    """Rate everything is brought down to, by means over intervals, Hz; empty: the rate of the rollouts."""
    lags: list[int] = field(default_factory=lambda: [3, -1, 0])
    """E, tau and Tp, samples."""
    sizes: list[int] = field(default_factory=list)
    """Sizes of the libraries, trials; empty: five between 2 and all but one."""
    samples: int = 20
    """Libraries drawn of each size."""
    permutations: int = 199
    """Permutations of trials for the null at the largest library; 0: none."""
    seed: int = 0
    """Seed of libraries and permutations."""


@dataclass
class ReportConfig:
    """What `reach-analysis report` can be told."""

    rollouts: Any = None
    """Rollouts by condition: {joint_only: a.h5, physics_aware: b.h5}, or a file, or a list of files."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where a file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    focus: str | None = None
    """Condition that forecasts look at, and that stands beside the papers; empty: the last one given."""
    clips: Any = None
    """The mimic.reference_clips file that was imitated, for errors of keypoints, or a map from condition to file;
    empty: errors of joints only."""
    emg: Any = None
    """Map from muscle to CSV file (a row a trial), as {biceps: b.csv, triceps: t.csv}; or one NWB file; or `synthetic`
    or `synthetic:CONDITION` (EMG made from activation, to see the chain at work); empty: no EMG."""
    trials: str | None = None
    """Table of the trials (CSV), for EMG in CSV files."""
    recording: RecordingConfig = field(default_factory=RecordingConfig)
    muscles: Any = None
    """Map from EMG channel to actuator, as for `emg`."""
    runs: Any = None
    """Folders of the runs of a sweep, or a pattern, as 'sweep/*'; empty: no sweep."""
    parameter: str | None = None
    """Setting that is swept, as for `sweep`."""
    studies: dict[str, Any] = field(default_factory=dict)
    """Settings of single studies that shall differ from the report's, as {forecast:{permutations:5000},
    gait:{lead:hand_L}}; the studies are the sections of the page, their settings those of the verbs."""
    extras: list[str] = field(default_factory=list)
    """Sections that are made only where they are named: topology (loops of the intention beside nulls; needs the extra
    `topology`), replication (forecasts with the choices of paper A's public notebooks beside ours)."""
    title: str | None = None
    """Title of the page; empty: made from the name of the body."""
    seed: int = 0
    """Seed of everything that is drawn."""
    out: str | None = None
    """Folder of the results; empty: reach_results/report."""
