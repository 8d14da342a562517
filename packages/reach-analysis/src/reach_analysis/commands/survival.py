"""`reach-analysis survival`: how long rollouts last."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import SurvivalConfig


def run(config: SurvivalConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import conditions
    from reach_analysis.studies.survival import study

    rollouts = conditions(config.rollouts, None, config.rollouts_seed)
    return write_results("survival", config, partial(study, rollouts, config))
