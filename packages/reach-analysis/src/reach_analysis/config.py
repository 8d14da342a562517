"""Every setting of the package: one documented field each, filled by Hydra from defaults and the command line.

The docstring under a field is its help text. Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class CheckConfig:
    """What `reach-analysis check` can be told."""

    file: Any = None
    """A mimic.rollouts file, or a list of files."""


@dataclass
class PcaConfig:
    """What `reach-analysis pca` can be told."""

    rollouts: Any = None
    """A mimic.rollouts file."""
    rollouts_seed: int | None = None
    """Which repeat to read, by its seed, where the file holds several; empty: the first."""
    clip_pattern: str | None = None
    """Regular expression with one group that finds the trial's name in clip names; empty: trial_id, or clip_name."""
    layers: list[str] = field(default_factory=list)
    """What to analyse: latent_mean, encoder/layer_0, decoder/layer_2, ...; empty: the intention and every layer."""
    components: int = 3
    """Components kept."""
    folds: int = 5
    """Folds of trials for the held-out variance."""
    window_frames: int = 0
    """Analyse windows of this many frames (odd) in place of single frames; paper B takes 31 for the walking fly."""
    colour_by: str | None = None
    """Joint that colours the trajectories, by name; empty: the last one."""
    resamples: int = 200
    """Bootstrap resamples of trials for the intervals; 0: no intervals."""
    seed: int = 0
    """Seed of folds and resamples."""
    out: str | None = None
    """Folder of the results; empty: reach_results/pca."""
