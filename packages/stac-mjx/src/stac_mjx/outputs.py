"""All files a registration leaves in its folder, in one place for the commands and for Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stac_mjx._common.files import write_text
from stac_mjx.registration import Registration
from stac_mjx.results import config_yaml, offsets_of, summary_of, write_results, write_summary

STEPS = 3
"""Times `tick` is called."""


def save_registration(
    registration: Registration, out: Path, begin: float, tick: Callable[[int], None] = lambda _n: None
) -> dict[str, Any]:
    """Write ``offsets.h5`` (where calibrated), ``clips.h5``, ``config.yaml``, ``fit_summary.json`` and the report.

    Args:
        registration: what to write; its `config.report` says whether to draw the report.
        out: an existing folder.
        begin: `time.perf_counter` when the work began, for the summary's wall time.
        tick: called with 1 after each of `STEPS` steps.

    Returns:
        The summary.

    Raises:
        OutputError: when a file cannot be written; each file is the old or the whole new one.
    """
    clips = write_results(registration, out)
    tick(1)
    write_text(out / "config.yaml", config_yaml(registration.config))
    summary = summary_of(registration, time.perf_counter() - begin)
    if registration.config.report:
        from stac_mjx.report.page import write_report

        offsets = None if registration.calibration is None else offsets_of(registration)
        write_report(clips, offsets, summary, out)
        summary = summary_of(registration, time.perf_counter() - begin)
    tick(1)
    write_summary(summary, out)
    tick(1)
    return summary
