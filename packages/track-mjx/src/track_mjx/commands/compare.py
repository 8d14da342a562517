"""`track-mjx compare`: several runs beside each other."""

from __future__ import annotations

import sys
from pathlib import Path

from track_mjx._common.cli import require
from track_mjx.config import CompareConfig


def run(config: CompareConfig) -> int:
    """Write table, JSON and learning curves of runs, and print the table."""
    from track_mjx.runs.compare import find_runs
    from track_mjx.runs.comparison_files import compare

    runs = require(config.runs, "runs", "'sweep/*'")
    parents = {folder.parent for folder in find_runs(runs)}
    default = parents.pop() if len(parents) == 1 else Path("comparison")
    sys.stdout.write(compare(runs, config.out or str(default)))
    return 0
