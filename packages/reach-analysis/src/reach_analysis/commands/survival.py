"""`reach-analysis survival`: how long rollouts last."""

from __future__ import annotations

from reach_analysis.config import SurvivalConfig


def run(config: SurvivalConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import conditions
    from reach_analysis.progress import reporting
    from reach_analysis.studies.study import write_study
    from reach_analysis.studies.survival import study

    rollouts = conditions(config.rollouts, None, config.rollouts_seed)
    folder = output_folder(config.out, "reach_results/survival")
    with reporting() as (log, stage):
        found = study(rollouts, config, stage)
        for note in found.notes:
            log.warning(note)
        write_study(found, folder, config)
    return 0
