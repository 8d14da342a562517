"""Convert output of the public stac-mjx to the file contract and fix known defects.

Poses, keypoints and offsets are taken over. Velocities (there divided by a physics time step and clipped), body frames
(there of a body whose joint anchors are not scaled) and marker sites (there in a wrong order for several clips) are
computed from them; `conversion_summary` compares the arrays of the files with these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stac_mjx._common.errors import ConfigError, InputError, raise_all
from stac_mjx._common.rotations import rotate
from stac_mjx._common.settings import validate
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body import Body, load_body
from stac_mjx.config import ConvertConfig, FitConfig, KeypointsConfig
from stac_mjx.convert.matching import MarkerOffsets, in_model_order, match_offsets
from stac_mjx.convert.public_files import PublicOutput, read_public_output
from stac_mjx.inputs import Inputs, match
from stac_mjx.inverse_kinematics.levenberg import Status
from stac_mjx.inverse_kinematics.pose_solver import neutral_pose
from stac_mjx.keypoints import Keypoints, load_keypoints
from stac_mjx.keypoints.alignment import IDENTITY
from stac_mjx.kinematics import trajectory
from stac_mjx.records import Offsets
from stac_mjx.registration import config_yaml, derive
from stac_mjx.results import Registration, offsets_of

SAME_OFFSETS_M = 1e-6
"""Offsets of several files that differ by less are one set."""
CLIPPED = 0.005
"""Part of the velocities that must share the largest value before they count as clipped."""


@dataclass(frozen=True)
class Conversion:
    """Files of the public stac-mjx, converted."""

    registration: Registration
    """Body, recording and trajectory, as after a fit; its offsets are the mean over the files."""
    outputs: tuple[PublicOutput, ...]
    """The files in the order of the recording, their joints in that of the model."""
    offsets: Offsets
    warnings: tuple[str, ...]
    """What the user should check."""


def convert(config: ConvertConfig) -> Conversion:
    """Read public files and compute again what follows from their poses.

    Raises:
        ConfigError: when a setting is impossible, or body.scale differs from the files.
        BodyError: when the body cannot be read, or does not have the joints of the files.
        InputError: when a file cannot be read, or does not match the body.
    """
    validate(config)
    body = load_body(config.body)
    inputs, outputs = _read(config, body)
    notes: list[str] = []
    scales = {o.path: o.model_settings.get("SCALE_FACTOR") for o in outputs}
    other = {p: s for p, s in scales.items() if isinstance(s, int | float) and abs(s / body.scale - 1) > 1e-6}
    problems = [f"{p}: fitted at scale {s:g}, not {body.scale:g}. Set body.scale={s:g}" for p, s in other.items()]
    raise_all(ConfigError, "body.scale", problems)
    outputs = tuple(in_model_order(output, body, config.joint_rename) for output in outputs)
    markers = [match_offsets(output, body, config) for output in outputs]
    qpos, status = _poses(body, outputs, inputs.keypoints)
    n_frames = [len(output.qpos) for output in outputs]
    per_file = np.stack([marker.final for marker in markers])
    common = np.average(per_file, axis=0, weights=n_frames)
    settings = FitConfig(body=config.body, keypoints=inputs.keypoints.config or KeypointsConfig())
    clips = derive(inputs, settings, common, qpos, status)
    apart = float(np.linalg.norm(per_file - common, axis=-1).max(initial=0.0))
    if apart > SAME_OFFSETS_M:
        notes.append(
            f"the files have different offsets, up to {1000 * apart:.2f} mm from the mean: marker sites of each clip "
            "follow the offsets of its file, offsets.h5 holds the mean"
        )
        turned = rotate(clips.xquat[:, body.marker_body], np.repeat(per_file, n_frames, axis=0))
        sites = (clips.xpos[:, body.marker_body] + turned).astype(np.float32)
        clips = replace(clips, marker_sites=sites, offsets=None)
    info = replace(
        clips.info,
        title=f"{body.name}: output of the public stac-mjx, converted",
        random_seed=None,
        config_yaml=config_yaml(config, source_config=dict(outputs[0].settings)),
    )
    registration = Registration(inputs, settings, common, IDENTITY, None, replace(clips, info=info), {})
    offsets = _offsets(registration, outputs, markers)
    return Conversion(registration, outputs, offsets, (*inputs.warnings, *notes))


def _read(config: ConvertConfig, body: Body) -> tuple[Inputs, tuple[PublicOutput, ...]]:
    """Return the recording in the files, and the files."""
    rename = dict(config.keypoint_rename)
    reading = KeypointsConfig(
        path=config.path, format="stac", rate_hz=config.rate_hz, rename=rename, clip_frames=config.clip_frames
    )
    try:
        keypoints = load_keypoints(reading, body.keypoint_order)
        inputs = match(body, keypoints, FitConfig(body=config.body), may_move=False)
    except InputError as error:  # names the settings of `fit`, which have other names here
        raise InputError(_renamed_settings(str(error))) from error
    keypoints = inputs.keypoints
    notes, warnings = (tuple(map(_renamed_settings, texts)) for texts in (keypoints.notes, inputs.warnings))
    outputs = tuple(read_public_output(source.path) for source in keypoints.sources)
    return replace(inputs, keypoints=replace(keypoints, notes=notes), warnings=warnings), outputs


def _renamed_settings(text: str) -> str:
    return text.replace("keypoints.rename", "keypoint_rename").replace("keypoints.", "")


def _poses(body: Body, outputs: Sequence[PublicOutput], keypoints: Keypoints) -> tuple[np.ndarray, np.ndarray]:
    """Return the poses of the files, metres, and their status; interpolate poses that are not finite."""
    tree = body.tree
    qpos = tree.from_model(np.concatenate([output.qpos for output in outputs]))
    finite = np.atleast_1d(np.isfinite(qpos).all(axis=1))
    for start in tree.ball_qadr.tolist():
        norm = np.linalg.norm(qpos[:, start : start + 4], axis=1)
        finite &= norm > 0
        qpos[:, start : start + 4] /= np.where(finite, norm, 1.0)[:, None]
    if not finite.any():
        raise InputError(f"{outputs[0].path}: qpos: no frame has a pose (NaN, or quaternions of length zero)")
    qpos = np.where(finite[:, None], qpos, neutral_pose(tree))
    qpos = trajectory.fill(tree, qpos, finite, keypoints.clip_lengths)
    status = np.where(keypoints.observed.any(axis=1), Status.CONVERGED, Status.NO_MARKERS)
    status = np.where(finite, status, Status.NON_FINITE).astype(np.int64)
    return np.asarray(qpos, np.float32), status


def _offsets(registration: Registration, outputs: Sequence[PublicOutput], markers: Sequence[MarkerOffsets]) -> Offsets:
    """Return the mean offsets of the files, with the errors they leave; how they were found is unknown."""
    error_m = registration.clips.residual.astype(np.float64)
    final = np.stack([marker.final for marker in markers])
    deviation = final.std(axis=0, ddof=1) / np.sqrt(len(final)) if len(final) > 1 else None
    return replace(
        offsets_of(registration),
        offset_initial=markers[0].initial.astype(np.float32),
        regularised=markers[0].regularised.astype(np.uint8),
        keypoint_scale_factor=_factor_without_unit(outputs[0].model_settings.get("MOCAP_SCALE_FACTOR")),
        loss_history=np.array([np.nanmean(error_m**2)]),
        offset_std=None if deviation is None else deviation.astype(np.float32),
        mean_error_history=np.array([np.nanmean(error_m)]),
    )


def _factor_without_unit(factor: object) -> float:
    """Return a public scale factor of keypoints; 1 where it only converts a unit to metres."""
    if not isinstance(factor, int | float) or not factor > 0:
        return 1.0
    return 1.0 if any(abs(factor / unit - 1) < 1e-9 for unit in METRES_PER_UNIT.values()) else float(factor)


def conversion_summary(conversion: Conversion) -> dict[str, Any]:
    """Return the figures of a conversion, as written to ``convert_summary.json``: of the whole, and of each file."""
    summary = conversion.registration.summary()
    marker_warnings = [text for text in summary["warnings"] if text not in conversion.warnings]
    summary["warnings"] = [*conversion.warnings, *marker_warnings]
    stops = np.cumsum([len(output.qpos) for output in conversion.outputs]).tolist()
    summary["files"] = [_compared(conversion, o, stop) for o, stop in zip(conversion.outputs, stops, strict=True)]
    for key in (
        "calibration_frames",
        "calibration_rounds",
        "effective_frames",
        "segment_scales",
        "frames_per_s",
        "timings",
        "solver_status",
    ):
        del summary[key]
    return summary


def report_lines(summary: dict[str, Any]) -> list[str]:
    """Return sentences for the log: the arrays of the files against those computed."""
    lines = []
    for key, words in (("xpos_mm", "body positions"), ("marker_sites_mm", "marker sites")):
        stored = [entry[key] for entry in summary["files"] if entry[key]]
        if stored:
            mean, largest = np.mean([one["mean"] for one in stored]), max(one["max"] for one in stored)
            lines.append(f"{words} of the files are {mean:.3g} mm from the computed ones (at most {largest:.3g} mm)")
    velocities = [entry["qvel"] for entry in summary["files"] if entry["qvel"]]
    if velocities:
        clipped = 100 * np.mean([velocity["clipped_fraction"] for velocity in velocities])
        ratio = np.nanmedian(np.array([velocity["median_ratio"] for velocity in velocities], float))
        lines.append(
            f"velocities of the files are {ratio:.3g} times the computed ones, {clipped:.0f} % of them clipped"
        )
    return [*lines, f"mean marker error {summary['mean_error_mm']:.3f} mm"]


def _compared(conversion: Conversion, output: PublicOutput, stop: int) -> dict[str, Any]:
    """Return how far the arrays of one file, which ends before frame `stop`, are from those computed."""
    body, clips = conversion.registration.body, conversion.registration.clips
    frames = slice(stop - len(output.qpos), stop)
    sites, keypoints, stored = clips.marker_sites[frames], clips.kp_data[frames], output.marker_sites
    if stored is not None:
        rename = conversion.registration.config.keypoints.rename
        names = [rename.get(name, name) for name in output.kp_names or body.keypoint_order]
        stored = stored[:, [names.index(name) for name in body.marker_names]]
    theirs = output.bodies or body.body_names
    xpos = None
    if output.xpos is not None and len(theirs) == output.xpos.shape[1]:
        both = [name for name in theirs if name in body.body_names and name != "world"]
        ours = clips.xpos[frames][:, [body.body_names.index(name) for name in both]]
        xpos = _distances(output.xpos[:, [theirs.index(name) for name in both]], ours)
    return {
        "file": output.path.name,
        "frames": len(output.qpos),
        "scale_factor": output.model_settings.get("SCALE_FACTOR"),
        "xpos_mm": xpos,
        "marker_sites_mm": _distances(stored, sites),
        "qvel": _velocity_ratio(output.qvel, clips.qvel[frames]),
        "marker_error_mm": {"file": _distances(stored, keypoints), "computed": _distances(sites, keypoints)},
    }


def _distances(points: np.ndarray | None, others: np.ndarray) -> dict[str, float] | None:
    """Return the mean and largest distance, mm."""
    if points is None:
        return None
    away = 1000 * np.linalg.norm(points - others, axis=-1)
    away = away[np.isfinite(away)]
    return {"mean": float(away.mean()), "max": float(away.max())} if len(away) else None


def _velocity_ratio(stored: np.ndarray | None, ours: np.ndarray) -> dict[str, Any] | None:
    """Return the typical ratio of stored to computed velocities, and the part of them at a limit."""
    if stored is None:
        return None
    theirs, ours = np.abs(stored), np.abs(ours)
    largest = float(np.nanmax(theirs))
    clipped = theirs >= largest * (1 - 1e-6)
    moving = ~clipped & (ours > min(0.1 * ours.max(), float(np.median(ours))))
    fraction = float(clipped.mean())
    return {
        "median_ratio": float(np.median(theirs[moving] / ours[moving])) if moving.any() else None,
        "largest": largest,
        "clipped_fraction": fraction if fraction > CLIPPED else 0.0,
    }
