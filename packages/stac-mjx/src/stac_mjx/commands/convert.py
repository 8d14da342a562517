"""`stac-mjx convert`: bring output of the public stac-mjx to the contract, and mend what is wrong in it."""

from __future__ import annotations

import json
import time

from stac_mjx._common.cli import require
from stac_mjx.config import ConvertConfig


def run(config: ConvertConfig) -> int:
    """Write ``clips.h5``, ``offsets.h5``, ``convert_summary.json``, ``config.yaml`` and ``convert.log``."""
    begin = time.perf_counter()
    require(config.path, "path", "'old/*_ik.h5'")
    from stac_mjx._common.errors import counted
    from stac_mjx._common.files import output_folder, write_text
    from stac_mjx._common.progress import reporting, use_compilation_cache
    from stac_mjx.convert.convert import convert
    from stac_mjx.convert.convert_report import conversion_summary, report_lines
    from stac_mjx.records import write_clips, write_offsets
    from stac_mjx.results import config_yaml

    use_compilation_cache()
    conversion = convert(config)
    summary = conversion_summary(conversion, time.perf_counter() - begin)
    out = output_folder(config.out, "stac_converted")
    with reporting(out / "convert.log") as (log, _stage):
        for note in conversion.registration.inputs.notes:
            log.info(note)
        write_offsets(out / "offsets.h5", conversion.offsets)
        write_clips(out / "clips.h5", conversion.clips)
        write_text(out / "config.yaml", config_yaml(config))
        summary["wall_s"] = round(time.perf_counter() - begin, 3)
        write_text(out / "convert_summary.json", json.dumps(summary, indent=2) + "\n")
        for warning in summary["warnings"]:
            log.warning(warning)
        for line in report_lines(summary):
            log.info(line)
        log.info(f"{counted(summary['frames'], 'frame')} in {counted(summary['clips'], 'clip')}; results in {out}")
    return 0
