"""`stac-mjx check`: compare files with the contract."""

from __future__ import annotations

import sys

from stac_mjx._common.cli import require
from stac_mjx.config import CheckConfig


def run(config: CheckConfig) -> int:
    """Print all departures of each file; exit code 2 when one has an error."""
    from stac_mjx.check import check_file, errors_in, format_departures

    files = require(config.file, "file", "results/clips.h5")
    wrong = False
    for path in [files] if isinstance(files, str) else list(files):
        departures = check_file(path)
        sys.stdout.write(format_departures(path, departures) + "\n")
        wrong |= bool(errors_in(departures))
    return 2 if wrong else 0
