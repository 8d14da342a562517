"""What a registration leaves behind: numbers, records and files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx._common.files import write_text
from stac_mjx._common.hdf5.info import environment_json
from stac_mjx._common.system import peak_rss_mb
from stac_mjx.keypoints.alignment import prepared
from stac_mjx.records import SOLVER_STATUS, FileInfo, Offsets, ReferenceClips, write_clips, write_offsets
from stac_mjx.registration import Registration, failed
from stac_mjx.report.accuracy import error_figures, frames_at_limit, means, rounded, three_digits

POOR_FIT = 2.5
"""A marker whose mean error exceeds this multiple of the median over markers is reported."""
FAR_OFFSET = 0.35
"""So is one whose offset is longer than this part of the body."""


def info_of(registration: Registration) -> FileInfo:
    """What the files of this registration say about themselves."""
    body, config = registration.body, registration.config
    return FileInfo(
        title=f"{body.name}: keypoints registered to a MuJoCo body",
        model_name=body.name,
        mjcf_xml=body.mjcf_xml,
        length_unit_m=body.length_unit_m,
        rate_hz=registration.trajectory.rate_hz,
        assets=body.assets,
        source_files=registration.inputs.keypoints.sources,
        random_seed=config.seed,
        subject_id=config.subject_id,
        session_id=config.session_id,
        root_body=root_body(registration),
        end_effectors=body.end_effectors,
        skeleton=body.skeleton,
        config_yaml=config_yaml(config),
    )


def root_body(registration: Registration) -> str | None:
    """Body that stands for the animal's position: the first one that moves."""
    model = registration.body.model
    moving = [b for b in range(1, model.nbody) if model.body_jntnum[b]]
    return registration.body.body_names[moving[0]] if moving else None


def config_yaml(config: Any) -> str:
    """The resolved settings as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(config)))


def clips_of(registration: Registration) -> ReferenceClips:
    """The registration as a `mimic.reference_clips` record."""
    body, result = registration.body, registration.trajectory
    keypoints = result.keypoints
    confidence = np.where(keypoints.observed, keypoints.confidence, 0.0)
    return ReferenceClips(
        info=info_of(registration),
        clip_name=keypoints.clip_names,
        clip_length=np.asarray(result.clip_lengths, np.int64),
        qpos=result.qpos,
        qvel=result.qvel,
        xpos=result.xpos,
        xquat=result.xquat,
        kp_data=np.where(keypoints.observed[..., None], keypoints.positions, np.nan).astype(np.float32),
        marker_sites=result.marker_sites,
        kp_confidence=confidence.astype(np.float32),
        at_joint_limit=result.at_limit.astype(np.uint8),
        valid=(~failed(result.status)).astype(np.uint8),
        solver_status=result.status.astype(np.uint8),
        names_qpos=body.qpos_names,
        names_qvel=body.qvel_names,
        names_xpos=body.body_names,
        kp_names=body.marker_names,
        qpos_units=body.qpos_units,
        qvel_units=body.qvel_units,
        kp_body=tuple(body.body_names[b] for b in body.marker_body),
        offsets=registration.offsets.astype(np.float32),
        clip_label=registration.inputs.labels or None,
        events=dict(registration.inputs.events),
    )


def offsets_of(registration: Registration) -> Offsets:
    """The registration as a `mimic.offsets` record."""
    body, calibration = registration.body, registration.calibration
    assert calibration is not None, "offsets that were read are not written again"
    alignment = registration.config.alignment
    fitted = alignment.mode != "none"
    whole = calibration.similarity.after(prepared(alignment))
    return Offsets(
        info=info_of(registration),
        kp_names=body.marker_names,
        kp_body=tuple(body.body_names[b] for b in body.marker_body),
        offsets=calibration.offsets.astype(np.float32),
        offset_initial=body.marker_offset.astype(np.float32),
        regularised=(body.regularize > 0).astype(np.uint8),
        scale_factor=body.scale,
        keypoint_scale_factor=float(whole.scale),
        loss_history=(calibration.rmse_mm / 1000) ** 2,
        offset_std=calibration.standard_error.astype(np.float32),
        fit_frames=np.asarray(calibration.frames, np.int64),
        mean_error_history=calibration.mean_error_mm / 1000,
        alignment_rotation=whole.rotation if fitted else None,
        alignment_translation=whole.translation if fitted else None,
    )


def marker_warnings(names: tuple[str, ...], error_mm: np.ndarray, offsets: np.ndarray, size_m: float) -> list[str]:
    """One sentence for each marker that does not fit the body; `error_mm` is (frame, keypoint)."""
    mean = means(error_mm, axis=0)
    typical = float(np.median(mean[np.isfinite(mean)])) if np.isfinite(mean).any() else 0.0
    length = np.linalg.norm(offsets, axis=1)
    far = (length > FAR_OFFSET * size_m) & (size_m > 0)
    out = []
    if len(names) > 3 and far.mean() > 0.5:
        middle, size = (three_digits(1000 * metres) for metres in (float(np.median(length)), size_m))
        out.append(
            f"{far.sum()} of {len(names)} keypoints sit far from their bodies (median {middle} mm on a body of {size} "
            "mm): recording and body do not share a frame. Set alignment.up where another axis than z points up, "
            "alignment.mode=rigid where the root is fixed and the rig has axes of its own, and see that keypoints.unit "
            "and body.scale are right"
        )
        far[:] = False
    for k, name in enumerate(names):
        if len(names) > 3 and mean[k] > POOR_FIT * typical:
            worse = f"mean error {mean[k]:.2f} mm, {mean[k] / typical:.1f} times the median of all keypoints"
            out.append(f"{name}: {worse}; is it tied to the right body, and named as in the recording?")
        if far[k]:
            place = f"{1000 * length[k]:.1f} mm from the origin of its body"
            out.append(f"{name}: sits {place}; is it tied to the right one?")
    return out


def summary_of(registration: Registration, wall_s: float) -> dict[str, Any]:
    """Figures of a fit, as written to ``fit_summary.json``."""
    body, result, inputs = registration.body, registration.trajectory, registration.inputs
    error = result.error_mm
    counts = np.bincount(result.status, minlength=len(SOLVER_STATUS))
    calibration = registration.calibration
    warnings = [*inputs.warnings, *marker_warnings(body.marker_names, error, registration.offsets, body.size_m)]
    if calibration is not None and not calibration.converged:
        rounds = len(calibration.mean_error_mm)
        warnings.append(f"calibration still gained after {rounds} rounds; raise calibration.max_rounds for more")
    return {
        "body": body.name,
        "frames": len(result.qpos),
        "clips": len(result.clip_lengths),
        "keypoints": len(body.marker_names),
        "degrees_of_freedom": int(body.model.nv),
        "rate_hz": result.rate_hz,
        **error_figures(error[np.isfinite(error)]),
        "per_keypoint_mm": {
            name: rounded(mean) if np.isfinite(mean) else None
            for name, mean in zip(body.marker_names, means(error, axis=0), strict=True)
        },
        "frames_at_limit": frames_at_limit(result.qpos, result.at_limit),
        "failed_frames": int(failed(result.status).sum()),
        "solver_status": {name: int(n) for name, n in zip(SOLVER_STATUS, counts, strict=True)},
        "calibration_frames": 0 if calibration is None else len(calibration.frames),
        "calibration_rounds": 0 if calibration is None else len(calibration.mean_error_mm),
        "wall_s": round(wall_s, 3),
        "frames_per_s": round(len(result.qpos) / max(registration.timings["solve_s"], 1e-9), 1),
        "timings": {name: round(seconds, 3) for name, seconds in registration.timings.items()},
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "warnings": warnings,
        "notes": list(inputs.notes),
        "versions": json.loads(environment_json()),
    }


def write_results(registration: Registration, out: Path) -> ReferenceClips:
    """Write ``clips.h5``, and ``offsets.h5`` where offsets were calibrated, to folder `out`; return the clips.

    Raises:
        OutputError: when a file cannot be written; the others stay as they were.
    """
    clips = clips_of(registration)
    if registration.calibration is not None:
        write_offsets(out / "offsets.h5", offsets_of(registration))
    write_clips(out / "clips.h5", clips)
    return clips


def write_summary(summary: dict[str, Any], out: Path) -> None:
    """Write ``fit_summary.json`` to folder `out`."""
    write_text(out / "fit_summary.json", json.dumps(summary, indent=2) + "\n")
