"""`stac-mjx ik`: register a recording with the offsets of an earlier fit."""

from __future__ import annotations

from stac_mjx._common.cli import require
from stac_mjx.commands.fit import register_to_files
from stac_mjx.config import FitConfig


def run(config: FitConfig) -> int:
    """Solve all frames with known offsets and write ``clips.h5``, ``fit_summary.json`` and the report."""
    return register_to_files(config, require(config.offsets, "offsets", "results/offsets.h5"))
