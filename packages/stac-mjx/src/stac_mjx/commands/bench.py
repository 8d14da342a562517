"""`stac-mjx bench`: how fast registration is on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stac_mjx._common.errors import ConfigError, unknown
from stac_mjx.config import BenchConfig


def run(config: BenchConfig) -> int:
    """Measure, print the table and write ``bench.json``, ``bench.md`` and ``bench.png``."""
    from stac_mjx._common.files import output_folder
    from stac_mjx._common.progress import reporting, use_compilation_cache
    from stac_mjx.body.presets import preset_names

    for name in config.bodies:
        if name not in preset_names():
            raise ConfigError(f"bodies: {unknown('body', name, preset_names())}")
    if not config.bodies or config.frames < 1 or config.repeats < 1:
        raise ConfigError("bench needs at least one body, one frame and one repeat")
    out = output_folder(config.out, "bench")
    data = data_folder(config.data)
    with reporting(out / "bench.log") as (log, stage):
        from stac_mjx.bench import run_bodies, run_scaling
        from stac_mjx.bench_report import write_bench

        use_compilation_cache()
        log.info("real recordings from %s", data) if data else log.info("no data folder: synthetic recordings")
        tick, rows = stage("bodies", len(config.bodies)), []
        for row in run_bodies(config, data, log.info):
            rows.append(row)
            tick(1)
        scaling = run_scaling(config, data, log.info) if config.scaling else {}
        text = write_bench(rows, scaling, out)
    sys.stdout.write(text)
    return 0


def data_folder(given: str | None) -> Path | None:
    """The folder of real recordings: the one given, $MIMIC_DATA, or none.

    Raises:
        ConfigError: when the one given does not exist.
    """
    if given is None:
        folder = Path(os.environ["MIMIC_DATA"]) if os.environ.get("MIMIC_DATA") else None
        return folder if folder is not None and folder.is_dir() else None
    folder = Path(os.path.expandvars(given)).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"data: no folder {folder}")
    return folder
