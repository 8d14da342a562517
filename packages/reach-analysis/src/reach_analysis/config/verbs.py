"""Settings of the verbs that are no study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reach_analysis._common.settings import setting
from reach_analysis.config.recordings import RecordingSettings
from reach_analysis.config.shared import OutputSettings, RunSettings, SeedSettings, TrialSettings


@dataclass
class ReportConfig(RunSettings, SeedSettings, RecordingSettings, TrialSettings):
    """Settings of `reach-analysis report`."""

    focus: str | None = None
    """Condition of the forecasts and of the comparison with the papers; empty: the last one given."""
    clips: Any = None
    """The mimic.reference_clips file that was imitated, for errors of keypoints, or a map from condition to file;
    empty: errors of joints only."""
    studies: dict[str, Any] = setting({})
    """Settings of single studies that differ from the report's, as {forecast:{permutations:5000}, gait:{lead:hand_L}};
    the studies are the chapters of the page, their settings are those of the verbs."""
    extras: list[str] = setting([])
    """Chapters that are made only on request: topology (loops of the intention, with nulls; needs the extra
    `topology`), replication (forecasts with the choices of paper A's public notebooks)."""
    title: str | None = None
    """Title of the page; empty: made from the name of the body."""


@dataclass
class FiguresConfig(ReportConfig):
    """Settings of `reach-analysis figures`."""

    paper: str = setting("A", choices=("A", "B"))
    """The paper: A (mouse forelimb) or B (MIMIC-MJX)."""


@dataclass
class ConvertConfig:
    """Settings of `reach-analysis convert`."""

    rollouts: str | None = None
    """A rollouts file in the layout that is published with paper A."""
    clips: str | None = None
    """The mimic.reference_clips file of the clips in it, in the order of their names."""
    rate_hz: float = setting(400.0, gt=0)
    """Control steps a second; those of paper A last 2.5 ms."""
    out: str | None = None
    """File that is written; empty: NAME_converted.h5."""


@dataclass
class CheckConfig:
    """Settings of `reach-analysis check`."""

    file: Any = None
    """A mimic.rollouts file, or a list of files."""


@dataclass
class BenchConfig(OutputSettings):
    """Settings of `reach-analysis bench`."""

    trials: int = setting(46, ge=5)
    """Trials of the tasks; paper A has 46."""
    samples: int = setting(60, ge=30)
    """Samples of each trial."""
    permutations: int = setting(1000, ge=3)
    """Trial permutations that are forecast; pyEDM forecasts three of them, and its time is scaled."""
    repeats: int = setting(3, ge=1)
    """Runs of each task; medians are shown."""
