"""A registration: how it is found, its records, its summary and its files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from stac_mjx._common.errors import counted
from stac_mjx._common.files import output_folder, write_json, write_text
from stac_mjx._common.progress import Stage, silent
from stac_mjx._common.system import environment
from stac_mjx.body.body import Body, with_segments
from stac_mjx.calibration.calibrate import Alternation, Calibration, calibrate, offset_pull
from stac_mjx.calibration.known_offsets import KnownOffsets
from stac_mjx.calibration.pose_errors import Solved, compile_errors, pose_errors
from stac_mjx.calibration.segments import SegmentScales, Start, factors_of, fit_segments
from stac_mjx.caveats import clipped_errors, fit_warnings, open_turns
from stac_mjx.config import FitConfig
from stac_mjx.inputs import Inputs, confidence_weights
from stac_mjx.inverse_kinematics.pose_solver import Observation, PoseSolver, pose_solver
from stac_mjx.inverse_kinematics.solve import compile_solver, pilot
from stac_mjx.keypoints.alignment import IDENTITY, Similarity
from stac_mjx.records import Offsets, ReferenceClips, write_clips, write_offsets
from stac_mjx.registration import config_yaml, derive, solve_segments
from stac_mjx.report.accuracy import figures_of, marker_warnings

SAVE_STEPS = 3
"""Times that `Registration.save` calls `tick`."""


@dataclass(frozen=True)
class Registration:
    """The result of a fit."""

    inputs: Inputs
    config: FitConfig
    offsets: Float[np.ndarray, "keypoint 3"]
    """Marker offsets in the frames of their bodies, metres."""
    T_body_recording: Similarity
    """Transform from the prepared recording, or from each of its clips, to the frame of the body."""
    calibration: Calibration | None
    """How the offsets were found; None where they were given."""
    clips: ReferenceClips
    """Poses and what follows from them: what ``clips.h5`` will hold."""
    timings: dict[str, float]
    """Seconds each stage took."""
    caveats: tuple[str, ...] = ()
    """What the fit leaves open (`caveats.fit_warnings`)."""
    segments: SegmentScales | None = None
    """Scales of segments, where they were fitted."""

    @property
    def body(self) -> Body:
        """The body."""
        return self.inputs.body

    @property
    def trajectory(self) -> ReferenceClips:
        """The same as `clips`."""
        return self.clips

    def summary(self) -> dict[str, Any]:
        """Return errors in mm, failed frames, warnings and times, as in ``fit_summary.json``."""
        return figures_of(self.clips) | _run_figures(self)

    def save(self, out: str | Path, *, report: bool = True, tick: Callable[[int], None] = lambda _n: None) -> Path:
        """Write all files of the registration to folder `out` and return the folder.

        Files: ``offsets.h5`` (where calibrated), ``clips.h5``, ``config.yaml``, ``fit_summary.json``, and with `report`
        also ``report.html`` and ``figures``. `tick` is called with 1 after each of `SAVE_STEPS` steps.

        Raises:
            OutputError: when the folder or a file cannot be written; each file is the old one or the whole new one.
        """
        begin, folder = time.perf_counter(), output_folder(str(out), "")
        offsets = None if self.calibration is None else offsets_of(self)
        if offsets is not None:
            write_offsets(folder / "offsets.h5", offsets)
        write_clips(folder / "clips.h5", self.clips)
        tick(1)
        write_text(folder / "config.yaml", config_yaml(self.config))
        summary = self.summary()
        if report:
            from stac_mjx.report.page import write_report

            write_report(self.clips, offsets, summary, folder)
        tick(1)
        self.timings["write_s"] = time.perf_counter() - begin
        write_json(folder / "fit_summary.json", summary | _run_figures(self))
        tick(1)
        return folder

    def __repr__(self) -> str:
        """Return one line."""
        error = np.nanmean(self.clips.error_mm)
        return f"<Registration of {self.body.name!r}: {self.clips.n_frames} frames, mean error {error:.3f} mm>"

    def __str__(self) -> str:
        """Say what was registered, and how well."""
        figures = self.summary()
        worst = sorted(((e, name) for name, e in figures["per_keypoint_mm"].items() if e is not None), reverse=True)[:5]
        frames, clips = counted(figures["frames"], "frame"), counted(figures["clips"], "clip")
        lines = [
            f"{figures['body']}: {frames} ({clips}) at {figures['rate_hz']:g} Hz, "
            f"{counted(figures['keypoints'], 'keypoint')}, {figures['degrees_of_freedom']} degrees of freedom",
            f"error: mean {figures['mean_error_mm']:.3f} mm, median {figures['median_error_mm']:.3f} mm, "
            f"rmse {figures['rmse_mm']:.3f} mm, 95 % below {figures['p95_mm']:.3f} mm",
            f"largest: {', '.join(f'{name} {error:.3f} mm' for error, name in worst)}",
            f"failed frames: {figures['failed_frames']}; at a joint limit: {figures['frames_at_limit']}",
            f"offsets: calibrated on {figures['calibration_frames']} frames in {figures['calibration_rounds']} rounds"
            if self.calibration is not None
            else "offsets: given",
            *(f"scale of {name}: {f['scale']} ± {f['std']}" for name, f in figures["segment_scales"].items()),
        ]
        return "\n".join([*lines, *(f"note: {warning}" for warning in figures["warnings"])])


def register(
    inputs: Inputs,
    config: FitConfig,
    *,
    known: KnownOffsets | None = None,
    stage: Stage = silent,
    watch: Callable[[Int[np.ndarray, " frame"], Alternation], None] = lambda _frames, _state: None,
) -> Registration:
    """Calibrate, unless offsets are `known`, and solve all frames.

    `stage` is called as ``stage(name, total)`` when a stage begins; what it returns is called with the amount done.
    `watch` is called after each round of the calibration with the frames it uses and what it has found.
    """
    recorded = inputs.keypoints
    solver = pose_solver(inputs.body, config.solver, recorded.n_frames)
    observation = Observation(recorded.positions, confidence_weights(recorded), recorded.clip_lengths)
    timings, begin = {}, time.perf_counter()
    with ThreadPoolExecutor() as pool:  # both compile at the same time
        list(pool.map(lambda program: program(solver), (compile_solver, compile_errors)))
    timings["compile_s"], begin = time.perf_counter() - begin, time.perf_counter()
    calibration, used, scales = None, known, None
    if used is None:
        tick = stage("calibrate", config.calibration.max_rounds)

        def progress(error_mm: float, frames: np.ndarray, state: Alternation) -> None:
            tick(1, f"{error_mm:.3f} mm")
            watch(frames, state)

        settings: dict[str, Any] = {"alignment": config.alignment, "seed": config.seed}
        calibration = calibrate(solver, observation, config.calibration, progress=progress, **settings)
        if config.calibration.segments:
            inputs, solver, scales = _with_segments(inputs, solver, observation, calibration, config)
            calibration = calibrate(solver, observation, config.calibration, **settings)
        used = KnownOffsets(calibration.offsets, calibration.T_body_recording, (), calibration.errors.covariance)
        timings["calibrate_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    offsets, T_body_recording = used.offsets, used.T_body_recording
    each = T_body_recording.of_clips(recorded.frame_clip)
    keypoints = replace(recorded, positions=each.apply(recorded.positions))
    observation = replace(observation, target=keypoints.positions)
    robust_mm = pilot(solver, observation, offsets) if calibration is None else calibration.robust_mm
    qpos, status = solve_segments(solver, observation, offsets, robust_mm, stage)
    timings["solve_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    errors = pose_errors(solver, Solved(qpos, status, observation, offsets, used.covariance, robust_mm))
    timings["errors_s"] = time.perf_counter() - begin
    begin = time.perf_counter()
    clips = derive(replace(inputs, keypoints=keypoints), config, offsets, qpos, status, errors)
    clips = replace(clips, qpos_observed=inputs.body.tree.in_qpos(errors.observed))
    caveats = fit_warnings(solver, errors.observed, config.alignment.mode if known is None else "none", clips.qpos)
    caveats += open_turns(solver, errors.stderr) + clipped_errors(solver, errors.stderr, errors.observed)
    timings["derive_s"] = time.perf_counter() - begin
    caveats += scales.warnings() if scales is not None else []
    return Registration(inputs, config, offsets, T_body_recording, calibration, clips, timings, tuple(caveats), scales)


def _with_segments(
    inputs: Inputs, solver: PoseSolver, observation: Observation, found: Calibration, config: FitConfig
) -> tuple[Inputs, PoseSolver, SegmentScales]:
    """Fit scales of segments from a calibration; return the scaled body with its recording, and its solver."""
    target = found.T_body_recording.of_clips(found.sample.clip).apply(observation.target[found.frames])
    seen = Observation(target, found.weight, np.ones(len(found.frames), np.int64))
    start = Start(seen, found.sample, found.qpos, found.offsets)
    scales = fit_segments(solver, start, offset_pull(solver, config.calibration), config.calibration.segment_sd)
    inputs = replace(inputs, body=with_segments(inputs.body, factors_of(inputs.body, scales)))
    return inputs, pose_solver(inputs.body, config.solver, observation.n_frames), scales


def offsets_of(registration: Registration) -> Offsets:
    """Return the offsets as a `mimic.offsets` record; where they were given, it has no history."""
    body, calibration, alignment = registration.body, registration.calibration, registration.config.alignment
    fitted = registration.T_body_recording is not IDENTITY or (calibration is not None and alignment.mode != "none")
    T_keypoints_file = registration.inputs.T_keypoints_file
    aligned = fitted or T_keypoints_file.translation.any() or any(alignment.rotation[1:])
    T_body_file = registration.T_body_recording.after(T_keypoints_file)
    history: dict[str, Any] = {} if calibration is None else {
        "offset_std": calibration.errors.standard_error.astype(np.float32),
        "fit_frames": np.asarray(calibration.frames, np.int64),
        "mean_error_history": calibration.mean_error_mm / 1000,
    }  # fmt: skip
    if registration.segments is not None:
        history |= {
            "segment": registration.segments.names,
            "segment_scale": registration.segments.scale,
            "segment_scale_std": registration.segments.standard_error,
        }
    if T_body_file.scale.ndim:
        history |= {
            "alignment_clip": registration.inputs.keypoints.clip_names,
            "clip_alignment_rotation": T_body_file.rotation,
            "clip_alignment_translation": T_body_file.translation,
        }
        aligned = False
    return Offsets(
        info=registration.clips.info,
        kp_names=body.marker_names,
        kp_body=body.marker_body_names,
        offsets=registration.offsets.astype(np.float32),
        offset_initial=body.marker_offset.astype(np.float32),
        regularised=(body.regularize > 0).astype(np.uint8),
        scale_factor=body.scale,
        keypoint_scale_factor=float(T_body_file.scale.max()),
        loss_history=np.empty(0) if calibration is None else calibration.loss,
        alignment_rotation=T_body_file.rotation if aligned else None,
        alignment_translation=T_body_file.translation if aligned else None,
        **history,
    )


def _run_figures(registration: Registration) -> dict[str, Any]:
    """Return the figures of a fit that only the run itself knows."""
    inputs, calibration, body = registration.inputs, registration.calibration, registration.body
    clips, timings = registration.clips, registration.timings
    warnings = [
        *inputs.warnings,
        *registration.caveats,
        *marker_warnings(body.marker_names, clips.error_mm, registration.offsets, body.size_m),
    ]
    rounds = 0 if calibration is None else len(calibration.mean_error_mm)
    if calibration is not None and not calibration.converged:
        warnings.append(
            f"calibration had not converged after {rounds} rounds. Raise calibration.max_rounds for smaller errors"
        )
    return {
        "calibration_frames": 0 if calibration is None else len(calibration.frames),
        "calibration_rounds": rounds,
        "effective_frames": 0 if calibration is None else round(calibration.errors.effective_frames, 1),
        "segment_scales": {} if registration.segments is None else registration.segments.figures(),
        "wall_s": round(sum(timings.values()), 3),
        "frames_per_s": round(clips.n_frames / max(timings.get("solve_s", 0.0), 1e-9), 1),
        "timings": {name: round(seconds, 3) for name, seconds in timings.items()},
        "peak_rss_mb": round(_peak_rss_mb(), 1),
        "warnings": warnings,
        "notes": list(inputs.keypoints.notes),
        "versions": environment(),
    }


def _peak_rss_mb() -> float:
    """Peak memory of this process, MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
