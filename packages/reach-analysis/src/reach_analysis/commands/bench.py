"""`reach-analysis bench`: speed beside pyEDM, and whether tests hold their level."""

from __future__ import annotations

import sys
from dataclasses import asdict

from reach_analysis.config import BenchConfig


def run(config: BenchConfig) -> int:
    """Measure, print the tables and write ``BENCHMARKS.md`` and ``bench.json``."""
    from reach_analysis._common.errors import ConfigError
    from reach_analysis._common.files import output_folder
    from reach_analysis._common.progress import reporting
    from reach_analysis.bench.calibration import CASES, calibrate
    from reach_analysis.bench.report import write_bench
    from reach_analysis.bench.speed import contests, kept, measure

    if config.data_sets < 20:
        raise ConfigError(f"data_sets must be at least 20, got {config.data_sets}")
    out = output_folder(config.out, "reach_results/bench")
    tasks = list(contests(config)) if config.speed else []
    with reporting() as (log, stage):
        tick, rows = stage("speed", len(tasks)), []
        for task in tasks:
            rows.append(measure(task, config.repeats))
            log.info(f"{rows[-1].name}: ours {rows[-1].ours_s:.3g} s, pyEDM {rows[-1].pyedm_s:.3g} s")
            tick(1)
        counted = kept(config) if config.speed else []
        cases = CASES if config.truths else ()
        tick = stage("calibration", config.data_sets * len(cases))
        held = [calibrate(case, config.data_sets, tick) for case in cases]
        text = write_bench(rows, counted, held, out, _command(config))
    sys.stdout.write(text)
    return 0


def _command(config: BenchConfig) -> str:
    """The command that repeats this run."""
    usual = asdict(BenchConfig())
    changed = [(key, value) for key, value in asdict(config).items() if value != usual[key] and key != "out"]
    return " ".join(["reach-analysis bench", *(f"{key}={str(value).lower()}" for key, value in changed)])
