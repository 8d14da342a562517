"""`track-mjx evaluate`: how well are the clips followed?"""

from __future__ import annotations

import sys
from pathlib import Path

from track_mjx._common.cli import require
from track_mjx.config import EvaluateConfig


def run(config: EvaluateConfig) -> int:
    """Play train and held-out clips on the policy's means, write summary, tables and figures, and print the summary."""
    from track_mjx._common.progress import use_compilation_cache
    from track_mjx.evaluation.assess import assess
    from track_mjx.evaluation.text import summary_text
    from track_mjx.runs.run_folder import RunFolder

    folder = RunFolder.open(require(config.run, "run", "run"))
    use_compilation_cache()
    target = Path(config.out).expanduser() if config.out else folder.path / "evaluation"
    found = assess(folder, config, target)
    sys.stdout.write(f"{summary_text(found)}\n\n{target}: summary.json, tables (csv) and figures (png, svg)\n")
    return 0
