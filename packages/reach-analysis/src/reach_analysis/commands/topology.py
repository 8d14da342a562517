"""`reach-analysis topology`: loops and voids of latents and layers, by persistent homology."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import TopologyConfig


def run(config: TopologyConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import one_rollout
    from reach_analysis.studies.topology import study

    rollouts = one_rollout(config.rollouts, config.clip_pattern, config.rollouts_seed)
    return write_results("topology", config, partial(study, rollouts, config))
