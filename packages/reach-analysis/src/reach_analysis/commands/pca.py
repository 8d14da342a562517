"""`reach-analysis pca`: principal components of the intention and of every layer."""

from __future__ import annotations

from reach_analysis.config import PcaConfig


def run(config: PcaConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.files import output_folder
    from reach_analysis.inputs import one_rollout
    from reach_analysis.progress import reporting
    from reach_analysis.studies.pca import study
    from reach_analysis.studies.study import write_study

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    with reporting() as (_, stage):
        found = study(rollouts, config, stage)
        out = output_folder(config.out, "reach_results/pca")
        write_study(found, out, config)
        if config.replication:
            from reach_analysis.replication.geometry import compare_components

            write_study(compare_components(rollouts, config, stage), out, config)
    return 0
