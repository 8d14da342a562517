"""`reach-analysis check`: compare rollouts files with the contract."""

from __future__ import annotations

import sys
from pathlib import Path

from reach_analysis._common.cli import require
from reach_analysis.config import CheckConfig


def run(config: CheckConfig) -> int:
    """Print all departures of each file; exit code 2 when one has an error."""
    from reach_analysis._common.hdf5.check import check_rollouts, format_departures

    files = require(config.file, "file", "rollouts.h5")
    wrong = False
    for path in [files] if isinstance(files, str) else list(files):
        departures = check_rollouts(Path(path))
        sys.stdout.write(format_departures(Path(path), departures) + "\n")
        wrong |= any(departure.severity == "error" for departure in departures)
    return 2 if wrong else 0
