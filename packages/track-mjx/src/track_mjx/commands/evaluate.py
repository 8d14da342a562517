"""`track-mjx evaluate`: how well are the clips followed?"""

from __future__ import annotations

import sys
from pathlib import Path

from track_mjx.app import require
from track_mjx.config import EvaluateConfig


def run(config: EvaluateConfig) -> int:
    """Play train and held-out clips on the policy's means, write summary and tables, and print the summary."""
    from track_mjx.assessment import assess, summary_text
    from track_mjx.progress import use_compilation_cache
    from track_mjx.run_folder import RunFolder

    folder = RunFolder.open(require(config.run, "run", "run"))
    use_compilation_cache()
    found = assess(folder, config, Path(config.out).expanduser() if config.out else folder.path / "evaluation")
    sys.stdout.write(summary_text(found) + "\n")
    return 0
