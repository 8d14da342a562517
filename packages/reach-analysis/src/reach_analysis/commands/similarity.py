"""`reach-analysis similarity`: how alike intention, layers, muscles and joints are."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import SimilarityConfig


def run(config: SimilarityConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import one_rollout
    from reach_analysis.studies.similarity import study

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    return write_results("similarity", config, partial(study, rollouts, config))
