"""`reach-analysis spectra`: power of actions within a band."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import SpectraConfig


def run(config: SpectraConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import conditions
    from reach_analysis.replication.components import compare_spectra
    from reach_analysis.studies.spectra import study

    rollouts = conditions(config.rollouts, config.clip_pattern, config.rollouts_seed)
    further = [partial(compare_spectra, rollouts, config)] if config.replication else []
    return write_results("spectra", config, partial(study, rollouts, config), *further)
