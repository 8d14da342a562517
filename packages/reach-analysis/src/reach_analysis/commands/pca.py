"""`reach-analysis pca`: principal components of the intention and of every layer."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import PcaConfig


def run(config: PcaConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import one_rollout
    from reach_analysis.replication.components import compare_components
    from reach_analysis.studies.pca import study

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    further = [partial(compare_components, rollouts, config)] if config.replication else []
    return write_results("pca", config, partial(study, rollouts, config), *further)
