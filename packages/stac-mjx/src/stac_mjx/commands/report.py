"""`stac-mjx report`: a page of plots about a fit."""

from __future__ import annotations

from pathlib import Path

from stac_mjx._common.cli import require
from stac_mjx.config import ReportConfig


def run(config: ReportConfig) -> int:
    """Write ``report.html`` and ``figures/`` from a clips file and what lies beside it."""
    path = Path(require(config.clips, "clips", "results/clips.h5")).expanduser()
    from stac_mjx._common.files import output_folder
    from stac_mjx._common.progress import reporting

    with reporting(None) as (log, stage):
        tick = stage("read", 2)
        from stac_mjx.records import read_clips, read_offsets
        from stac_mjx.report.page import summary_beside, write_report

        clips = read_clips(path)
        beside = path.parent / "offsets.h5"
        chosen = Path(config.offsets).expanduser() if config.offsets else beside if beside.exists() else None
        offsets = None if chosen is None else read_offsets(chosen)
        tick(1)
        page = write_report(clips, offsets, summary_beside(clips, path), output_folder(config.out, str(path.parent)))
        tick(1)
        log.info(f"{page}: open it in a browser")
    return 0
