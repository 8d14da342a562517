"""`reach-analysis synergies`: muscle synergies."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import SynergiesConfig


def run(config: SynergiesConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import one_rollout
    from reach_analysis.studies.synergies import study

    rollouts = one_rollout(config.rollouts, None, config.rollouts_seed)
    return write_results("synergies", config, partial(study, rollouts, config))
