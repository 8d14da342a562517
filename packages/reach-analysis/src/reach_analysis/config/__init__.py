"""Every setting of the package: one documented field each, whose docstring is its help text.

Nothing heavy is imported here, so that ``--help`` is fast.
"""

# ruff: noqa: I001 (a table of names, not one a line)
from reach_analysis.config.behaviour import (
    ComparisonConfig, EmgConfig, EnvelopesConfig, ErrorsConfig, GaitConfig, SpectraConfig, SurvivalConfig, SweepConfig,
)  # fmt: skip
from reach_analysis.config.recordings import ChainConfig, RecordingConfig, RecordingSettings
from reach_analysis.config.shared import RolloutSettings
from reach_analysis.config.structure import (
    CouplingConfig, ForecastConfig, PcaConfig, SimilarityConfig, SynergiesConfig, TopologyConfig,
)  # fmt: skip
from reach_analysis.config.verbs import BenchConfig, CheckConfig, ConvertConfig, FiguresConfig, ReportConfig

__all__ = [
    "BenchConfig", "ChainConfig", "CheckConfig", "ComparisonConfig", "ConvertConfig", "CouplingConfig", "EmgConfig",
    "EnvelopesConfig", "ErrorsConfig", "FiguresConfig", "ForecastConfig", "GaitConfig", "PcaConfig", "RecordingConfig",
    "RecordingSettings", "ReportConfig", "RolloutSettings", "SimilarityConfig", "SpectraConfig", "SurvivalConfig",
    "SweepConfig", "SynergiesConfig", "TopologyConfig",
]  # fmt: skip
