"""`reach-analysis emg`: EMG envelopes, and simulated muscles against them."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import EmgConfig


def run(config: EmgConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import conditions
    from reach_analysis.replication.muscles import compare_muscles
    from reach_analysis.studies.emg import study

    rollouts = conditions(config.rollouts, config.clip_pattern, config.rollouts_seed)
    further = [partial(compare_muscles, rollouts, config)] if config.replication else []
    return write_results("emg", config, partial(study, rollouts, config), *further)
