"""`reach-analysis forecast`: muscles and EMG by simplex projection."""

from __future__ import annotations

from reach_analysis.config import ForecastConfig


def run(config: ForecastConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import one_rollout
    from reach_analysis.progress import reporting
    from reach_analysis.studies.forecast import study
    from reach_analysis.studies.study import write_study

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    with reporting() as (log, stage):
        found = study(rollouts, config, stage)
        for note in found.notes:
            log.warning(note)
        out = output_folder(config.out, "reach_results/forecast")
        write_study(found, out, config)
        if config.replication:
            from reach_analysis.replication.forecast import compare_forecasts

            write_study(compare_forecasts(rollouts, config, stage), out, config)
    return 0
