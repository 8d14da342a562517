"""`track-mjx bench`: how fast this machine simulates and learns."""

from __future__ import annotations

import sys

from track_mjx._common.cli import require
from track_mjx.config import BenchConfig


def run(config: BenchConfig) -> int:
    """Measure, print the table and write ``bench.json``, ``bench.md`` and ``bench.png``."""
    from track_mjx._common.files import output_folder
    from track_mjx._common.progress import reporting, use_compilation_cache
    from track_mjx.bench.measure import check, engines_at_hand, run_bench, train_config
    from track_mjx.bench.report import write_bench
    from track_mjx.clips import read_clips
    from track_mjx.learning.setup import build
    from track_mjx.learning.trainer import verify

    check(config)
    clips = read_clips(require(config.clips, "clips", "results/clips.h5"))
    setup = build(train_config(config, engines_at_hand(config)[0]), clips)
    verify(setup)
    out = output_folder(config.out, "bench")
    use_compilation_cache()
    with reporting(out / "bench.log") as (log, _):
        report = run_bench(config, clips, log.info)
        text = write_bench(setup, report, out)
    sys.stdout.write(text)
    return 0
