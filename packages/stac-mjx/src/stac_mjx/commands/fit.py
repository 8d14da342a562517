"""`stac-mjx fit`: calibrate, then register everything."""

from __future__ import annotations

import time
from pathlib import Path

from stac_mjx.config import FitConfig


def run(config: FitConfig) -> int:
    """Fit and write ``offsets.h5``, ``clips.h5``, ``fit_summary.json``, ``config.yaml``, ``fit.log`` and the report."""
    return register_to_files(config, offsets_file=None)


def register_to_files(config: FitConfig, offsets_file: str | None) -> int:
    """Shared by `fit` and `ik`: everything from settings to files."""
    begin = time.perf_counter()
    from stac_mjx.files import output_folder
    from stac_mjx.progress import reporting, use_compilation_cache

    out = output_folder(config.out, "stac_results")
    with reporting(out / "fit.log") as (log, stage):
        from stac_mjx.inputs import load_inputs
        from stac_mjx.registration import register
        from stac_mjx.results import config_yaml, offsets_of, summary_of, write_results, write_summary
        from stac_mjx.files import write_text

        use_compilation_cache()
        inputs = load_inputs(config)
        for note in inputs.notes:
            log.info(note)
        for warning in inputs.warnings:
            log.warning(warning)
        known = _known_offsets(offsets_file, inputs.body)
        registration = register(inputs, config, offsets=known, stage=stage)
        tick = stage("write", 3)
        clips = write_results(registration, out)
        tick(1)
        write_text(out / "config.yaml", config_yaml(config))
        summary = summary_of(registration, time.perf_counter() - begin)
        if config.report:
            from stac_mjx.report import write_report

            write_report(clips, None if registration.calibration is None else offsets_of(registration), summary, out)
        tick(1)
        summary = summary_of(registration, time.perf_counter() - begin)
        write_summary(summary, out)
        tick(1)
        for warning in summary["warnings"][len(inputs.warnings) :]:
            log.warning(warning)
        log.info(closing_line(summary, out))
    return 0


def _known_offsets(path: str | None, body):  # noqa: ANN001, ANN202
    if path is None:
        return None
    from stac_mjx.results import offsets_for

    return offsets_for(Path(path), body)


def closing_line(summary: dict, out: Path) -> str:
    """One line that says how it went."""
    return (
        f"{summary['frames']} frames, {summary['keypoints']} keypoints: mean error {summary['mean_error_mm']:.3f} mm, "
        f"rmse {summary['rmse_mm']:.3f} mm, {summary['failed_frames']} frames failed; {summary['wall_s']:.1f} s; "
        f"results in {out}"
    )
