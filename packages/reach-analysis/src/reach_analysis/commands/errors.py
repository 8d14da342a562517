"""`reach-analysis errors`: how far rollouts are from what they follow."""

from __future__ import annotations

from functools import partial

from reach_analysis.config import ErrorsConfig


def run(config: ErrorsConfig) -> int:
    """Write numbers, tables and figures."""
    from reach_analysis.commands.running import write_results
    from reach_analysis.data.inputs import one_rollout
    from reach_analysis.studies.errors import study

    rollouts = one_rollout(config.rollouts, None, config.rollouts_seed)
    return write_results("errors", config, partial(study, rollouts, config))
