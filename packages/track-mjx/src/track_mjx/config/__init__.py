"""Every setting of the package: one documented field each, filled by Hydra from presets and the command line.

The docstring under a field is its help text. Nothing heavy is imported here, so that ``--help`` answers at once.
"""

# ruff: noqa: I001, RUF022 (a table of names, not one a line)
from track_mjx.config.training import (
    CloningConfig, DecoderConfig, DistributedConfig, NetworkConfig, PpoConfig, RunConfig, TaskConfig, TrainConfig,
)  # fmt: skip
from track_mjx.config.verbs import (
    BenchConfig, CheckConfig, CompareConfig, EvaluateConfig, ExportConfig, PerturbConfig, PlayedRun, RenderConfig,
    ReplayConfig, ResumeConfig, RolloutConfig, ShownRollouts, StudioConfig,
)  # fmt: skip
from track_mjx.config.world import (
    ArenaConfig, MASS_UNITS, PhysicsConfig, RandomizeConfig, TerrainConfig,
)  # fmt: skip

__all__ = [
    "ArenaConfig", "BenchConfig", "CheckConfig", "CloningConfig", "CompareConfig", "DecoderConfig",
    "DistributedConfig", "EvaluateConfig", "ExportConfig", "MASS_UNITS", "NetworkConfig", "PerturbConfig",
    "PhysicsConfig", "PlayedRun", "PpoConfig", "RandomizeConfig", "RenderConfig", "ReplayConfig", "ResumeConfig",
    "RolloutConfig", "RunConfig", "ShownRollouts", "StudioConfig", "TaskConfig", "TerrainConfig", "TrainConfig",
]  # fmt: skip
