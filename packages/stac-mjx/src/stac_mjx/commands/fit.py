"""`stac-mjx fit`: calibrate, then register everything."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stac_mjx._common.errors import ConfigError, counted
from stac_mjx.config import FitConfig

if TYPE_CHECKING:
    import numpy as np

    from stac_mjx.body.body import Body
    from stac_mjx.keypoints.alignment import Similarity


def run(config: FitConfig) -> int:
    """Fit and write ``offsets.h5``, ``clips.h5``, ``fit_summary.json``, ``config.yaml``, ``fit.log`` and the report."""
    if config.offsets is not None:
        raise ConfigError("offsets: fit finds offsets of its own; to use known ones: stac-mjx ik offsets=FILE ...")
    return register_to_files(config, offsets_file=None)


def register_to_files(config: FitConfig, offsets_file: str | None) -> int:
    """Shared by `fit` and `ik`: everything from settings to files."""
    begin = time.perf_counter()
    from stac_mjx.validation import check_fit

    check_fit(config)
    from stac_mjx._common.files import output_folder
    from stac_mjx._common.progress import reporting, use_compilation_cache
    from stac_mjx.inputs import load_inputs
    from stac_mjx.outputs import STEPS, save_registration
    from stac_mjx.registration import register

    inputs = load_inputs(config)
    offsets, similarity, said = _known_offsets(offsets_file, inputs.body, config)
    inputs = replace(inputs, warnings=(*inputs.warnings, *said))
    # made only now, so that a mistake in the settings or the recording leaves nothing behind
    out = output_folder(config.out, "stac_results")
    with reporting(out / "fit.log") as (log, stage):
        use_compilation_cache()
        for note in inputs.notes:
            log.info(note)
        for warning in inputs.warnings:
            log.warning(warning)
        registration = register(inputs, config, offsets=offsets, similarity=similarity, stage=stage)
        summary = save_registration(registration, out, begin, stage("write", STEPS))
        for warning in summary["warnings"][len(inputs.warnings) :]:
            log.warning(warning)
        log.info(closing_line(summary, out))
    return 0


def _known_offsets(
    path: str | None, body: Body, config: FitConfig
) -> tuple[np.ndarray | None, Similarity, tuple[str, ...]]:
    """Offsets of an earlier fit, the transform its recording needs, and what has to be said about them."""
    from stac_mjx.calibration.known_offsets import offsets_for, similarity_for
    from stac_mjx.keypoints.alignment import IDENTITY

    if path is None:
        return None, IDENTITY, ()
    known = offsets_for(path, body)
    similarity, said = similarity_for(known, config.alignment)
    return known.offsets, similarity, (*known.warnings, *said)


def closing_line(summary: dict, out: Path) -> str:
    """One line that says how it went."""
    frames, keypoints = counted(summary["frames"], "frame"), counted(summary["keypoints"], "keypoint")
    return (
        f"{frames}, {keypoints}: mean error {summary['mean_error_mm']:.3f} mm, rmse {summary['rmse_mm']:.3f} mm, "
        f"{counted(summary['failed_frames'], 'frame')} failed; {summary['wall_s']:.1f} s; results in {out}"
    )
