"""`reach-analysis sweep`: the runs of a sweep side by side."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import SweepConfig


def run(config: SweepConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.studies.sweep import find_runs, study

    return write_results("sweep", config, partial(study, find_runs(config.runs), config))
