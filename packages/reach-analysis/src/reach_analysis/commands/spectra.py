"""`reach-analysis spectra`: power of actions within a band."""

from __future__ import annotations

from reach_analysis.config import SpectraConfig


def run(config: SpectraConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import conditions
    from reach_analysis.progress import reporting
    from reach_analysis.studies.spectra import study
    from reach_analysis.studies.study import write_study

    rollouts = conditions(config.rollouts, config.clip_pattern, config.rollouts_seed)
    with reporting() as (log, stage):
        found = study(rollouts, config, stage)
        for note in found.notes:
            log.warning(note)
        out = output_folder(config.out, "reach_results/spectra")
        write_study(found, out, config)
        if config.replication:
            from reach_analysis.replication.geometry import compare_spectra

            write_study(compare_spectra(rollouts, config, stage), out, config)
    return 0
