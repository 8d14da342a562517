"""`reach-analysis forecast`: muscles and EMG by simplex projection."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import ForecastConfig


def run(config: ForecastConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import one_rollout
    from reach_analysis.replication.forecast import compare_forecasts
    from reach_analysis.studies.forecast import study

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    further = [partial(compare_forecasts, rollouts, config)] if config.replication else []
    return write_results("forecast", config, partial(study, rollouts, config), *further)
