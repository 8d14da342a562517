"""`reach-analysis gait`: gait from contacts."""

from __future__ import annotations

from reach_analysis.config import GaitConfig


def run(config: GaitConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import one_rollout
    from reach_analysis.progress import reporting
    from reach_analysis.studies.gait import study
    from reach_analysis.studies.study import write_study

    rollouts = one_rollout(config.rollouts, None, config.rollouts_seed)
    folder = output_folder(config.out, "reach_results/gait")
    with reporting() as (log, stage):
        found = study(rollouts, config, stage)
        for note in found.notes:
            log.warning(note)
        write_study(found, folder, config)
    return 0
