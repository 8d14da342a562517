"""`reach-analysis emg`: EMG envelopes, and simulated muscles against them."""

from __future__ import annotations

from reach_analysis.config import EmgConfig


def run(config: EmgConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import conditions
    from reach_analysis.progress import reporting
    from reach_analysis.studies.emg import study
    from reach_analysis.studies.study import write_study

    rollouts = conditions(config.rollouts, config.clip_pattern, config.rollouts_seed)
    with reporting() as (log, stage):
        found = study(rollouts, config, stage)
        for note in found.notes:
            log.warning(note)
        out = output_folder(config.out, "reach_results/emg")
        write_study(found, out, config)
        if config.replication:
            from reach_analysis.replication.muscles import compare_muscles

            write_study(compare_muscles(rollouts, config, stage), out, config)
    return 0
