"""`reach-analysis sweep`: the runs of a sweep side by side."""

from __future__ import annotations

from reach_analysis.config import SweepConfig


def run(config: SweepConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.progress import reporting
    from reach_analysis.studies.study import write_study
    from reach_analysis.studies.sweep import find_runs, study

    runs = find_runs(config.runs)
    folder = output_folder(config.out, "reach_results/sweep")
    with reporting() as (log, stage):
        found = study(runs, config, stage)
        for note in found.notes:
            log.warning(note)
        write_study(found, folder, config)
    return 0
