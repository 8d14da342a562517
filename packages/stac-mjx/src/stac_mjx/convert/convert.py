"""Output of the public stac-mjx, brought to the contract, with what is wrong in it computed again.

Poses, keypoints and offsets are taken over. Velocities (there divided by a physics time step and clipped), body frames
(there of a body whose joint anchors are not scaled) and marker sites (there in a wrong order for several clips) follow
from them; `convert_report` says how far the files' own are from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import ConfigError, InputError, raise_all
from stac_mjx._common.rotations import rotate
from stac_mjx._common.units import METRES_PER_UNIT
from stac_mjx.body.body import Body, load_body
from stac_mjx.config import ConvertConfig, FitConfig, KeypointsConfig
from stac_mjx.convert.matching import Columns, MarkerOffsets, match_columns, match_offsets
from stac_mjx.convert.public_files import PublicOutput, read_public_output
from stac_mjx.inputs import Inputs, match
from stac_mjx.inverse_kinematics.batches import Fit
from stac_mjx.inverse_kinematics.levenberg import Status
from stac_mjx.inverse_kinematics.tracker import Tracker
from stac_mjx.keypoints import Keypoints, load_keypoints
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.tree import build_tree
from stac_mjx.records import FileInfo, Offsets, ReferenceClips
from stac_mjx.registration import Registration, Trajectory, derive
from stac_mjx.results import clips_of
from stac_mjx.validation import check_convert

SAME_OFFSETS_M = 1e-6
"""Offsets of several files that differ by less are one set."""


@dataclass(frozen=True)
class Conversion:
    """Files of the public stac-mjx, converted.

    Attributes:
        registration: body, recording and trajectory, as after a fit; its offsets are the mean over the files.
        outputs: the files, in the order of the recording.
        columns: of each file, where the model's coordinates stand in it.
        clips, offsets: what is written.
        warnings: what the user should look at.
    """

    registration: Registration
    outputs: tuple[PublicOutput, ...]
    columns: tuple[Columns, ...]
    clips: ReferenceClips
    offsets: Offsets
    warnings: tuple[str, ...]

    def frames(self, file: int) -> slice:
        """Frames of one file."""
        start = sum(len(output.qpos) for output in self.outputs[:file])
        return slice(start, start + len(self.outputs[file].qpos))


def convert(config: ConvertConfig) -> Conversion:
    """Read the files a configuration names, and compute again what follows from their poses.

    Raises:
        ConfigError: when a setting is impossible, or body.scale is not that of the files.
        BodyError: when the body cannot be read, or lacks what the files name.
        InputError: when a file cannot be read, or does not fit the body.
    """
    check_convert(config)
    body = load_body(config.body)
    inputs, outputs, said = _read(config, body)
    raise_all(ConfigError, "body.scale", [fault for output in outputs for fault in _scale_faults(output, body)])
    columns = tuple(match_columns(output, body, config.joint_rename) for output in outputs)
    markers = [match_offsets(output, body, config) for output in outputs]
    inputs = replace(inputs, keypoints=_cut(inputs.keypoints, config.clip_frames, said))
    tracker = Tracker(build_tree(body.model), body, FitConfig().solver)
    fit = _poses(tracker, outputs, columns, inputs.keypoints)
    n_frames = [len(output.qpos) for output in outputs]
    per_file = np.stack([marker.final for marker in markers])
    common = np.average(per_file, axis=0, weights=n_frames)
    result = derive(tracker, common, fit, inputs.keypoints, None)
    apart = float(np.linalg.norm(per_file - common, axis=-1).max(initial=0.0))
    if apart > SAME_OFFSETS_M:
        said.append(
            f"the files were fitted with offsets of their own, up to {1000 * apart:.2f} mm from the mean: each clip's "
            "marker sites follow its own offsets, offsets.h5 holds the mean"
        )
        result = replace(result, marker_sites=_sites(body, result, np.repeat(per_file, n_frames, axis=0)))
    settings = FitConfig(body=config.body, keypoints=inputs.keypoints.config or KeypointsConfig())
    # nothing is solved here
    registration = Registration(inputs, settings, common, None, result, {"solve_s": 0.0})
    clips = clips_of(registration)
    info = replace(clips.info, **_info(body, config, outputs))
    clips = replace(clips, info=info, offsets=clips.offsets if apart <= SAME_OFFSETS_M else None)
    offsets = _offsets(registration, info, outputs, markers)
    return Conversion(registration, outputs, columns, clips, offsets, (*inputs.warnings, *said))


def _read(config: ConvertConfig, body: Body) -> tuple[Inputs, tuple[PublicOutput, ...], list[str]]:
    """The recording in the files, the files, and what has to be said about them."""
    said = []
    rate = config.rate_hz or body.rate_hz
    if rate is None:
        raise ConfigError(f"rate_hz: the files hold no frame rate and body {body.name!r} has no usual one; set rate_hz")
    if config.rate_hz is None:
        said.append(
            f"the files hold no frame rate; {rate:g} Hz, usual for body {body.name!r}, is used: set rate_hz={rate:g} "
            "to confirm, or to the true rate (velocities depend on it)"
        )
    reading = KeypointsConfig(path=config.path, format="stac", rate_hz=rate, rename=dict(config.keypoint_rename))
    try:
        inputs = match(body, load_keypoints(reading, body.keypoint_order), FitConfig(body=config.body))
    except InputError as error:  # speaks of the settings of `fit`, which are called otherwise here
        raise InputError(_own_words(str(error))) from error
    inputs = replace(inputs, notes=tuple(_own_words(note) for note in inputs.notes))
    outputs = tuple(read_public_output(source.path) for source in inputs.keypoints.sources)
    counts = zip(outputs, inputs.keypoints.clip_lengths.tolist(), strict=True)
    faults = [f"{o.path}: qpos has {len(o.qpos)} frames, kp_data {n}" for o, n in counts if len(o.qpos) != n]
    raise_all(InputError, "path", faults)
    return inputs, outputs, said


def _own_words(text: str) -> str:
    return text.replace("keypoints.rename", "keypoint_rename").replace("keypoints.", "")


def _cut(keypoints: Keypoints, clip_frames: int | None, said: list[str]) -> Keypoints:
    """Cut every file into clips of `clip_frames`; None: a file is a clip."""
    if clip_frames is None:
        return keypoints
    names, lengths = [], []
    for name, frames in zip(keypoints.clip_names, keypoints.clip_lengths.tolist(), strict=True):
        cuts = [min(clip_frames, frames - start) for start in range(0, frames, clip_frames)]
        width = len(str(len(cuts) - 1))
        names += [f"{name}_{i:0{width}d}" for i in range(len(cuts))] if len(cuts) > 1 else [name]
        lengths += cuts
        if frames % clip_frames:
            said.append(f"{name}: {frames} frames are no whole number of clips of {clip_frames}; the last is shorter")
    return replace(keypoints, clip_names=tuple(names), clip_lengths=np.array(lengths, np.int64))


def _scale_faults(output: PublicOutput, body: Body) -> list[str]:
    scale = output.model_settings.get("SCALE_FACTOR")
    if not isinstance(scale, int | float) or abs(scale - body.scale) <= 1e-6 * body.scale:
        return []
    return [f"{output.path}: was fitted at scale {scale:g}, not {body.scale:g}; set body.scale={scale:g}"]


def _poses(tracker: Tracker, outputs: Sequence[PublicOutput], columns: Sequence[Columns], keypoints: Keypoints) -> Fit:
    """The files' poses in the model's order, with unit quaternions; poses that are not finite are interpolated."""
    qpos = np.concatenate([o.qpos[:, c.qpos] for o, c in zip(outputs, columns, strict=True)])
    finite = np.atleast_1d(np.isfinite(qpos).all(axis=1))
    for start in tracker.tree.ball_qadr.tolist():
        norm = np.linalg.norm(qpos[:, start : start + 4], axis=1)
        finite &= norm > 0
        qpos[:, start : start + 4] /= np.where(finite, norm, 1.0)[:, None]
    if not finite.any():
        raise InputError(f"{outputs[0].path}: qpos: no frame holds a pose (NaN, or quaternions of length zero)")
    qpos = np.where(finite[:, None], qpos, tracker.neutral)
    qpos = trajectory.fill(tracker.tree, qpos, finite, keypoints.clip_lengths)
    status = np.where(keypoints.observed.any(axis=1), Status.CONVERGED, Status.NO_MARKERS)
    status = np.where(finite, status, Status.NON_FINITE).astype(np.int64)
    return Fit(np.asarray(qpos, np.float32), np.zeros(len(qpos)), status)


def _sites(
    body: Body, result: Trajectory, offsets: Float[np.ndarray, "frame keypoint 3"]
) -> Float[np.ndarray, "frame keypoint 3"]:
    """Marker sites of offsets that change from file to file, metres."""
    turned = rotate(result.xquat[:, body.marker_body], offsets)
    return (result.xpos[:, body.marker_body] + turned).astype(np.float32)


def _info(body: Body, config: ConvertConfig, outputs: Sequence[PublicOutput]) -> dict[str, object]:
    from omegaconf import OmegaConf

    settings = {**asdict(config), "source_config": dict(outputs[0].settings)}
    return {
        "title": f"{body.name}: output of the public stac-mjx, converted",
        "random_seed": None,
        "config_yaml": OmegaConf.to_yaml(OmegaConf.create(settings)),
    }


def _offsets(
    registration: Registration, info: FileInfo, outputs: Sequence[PublicOutput], markers: Sequence[MarkerOffsets]
) -> Offsets:
    """The mean offsets of the files, with the errors they left; how they were found is not known."""
    body, error_m = registration.body, registration.trajectory.error_mm / 1000
    final = np.stack([marker.final for marker in markers])
    deviation = final.std(axis=0, ddof=1) / np.sqrt(len(final)) if len(final) > 1 else None
    return Offsets(
        info=info,
        kp_names=body.marker_names,
        kp_body=tuple(body.body_names[b] for b in body.marker_body),
        offsets=registration.offsets.astype(np.float32),
        offset_initial=markers[0].initial.astype(np.float32),
        regularised=markers[0].regularised.astype(np.uint8),
        scale_factor=body.scale,
        keypoint_scale_factor=_besides_unit(outputs[0].model_settings.get("MOCAP_SCALE_FACTOR")),
        loss_history=np.array([np.nanmean(error_m**2)]),
        offset_std=None if deviation is None else deviation.astype(np.float32),
        mean_error_history=np.array([np.nanmean(error_m)]),
    )


def _besides_unit(factor: object) -> float:
    """A public scale factor of keypoints, 1 where it only turns a unit into metres."""
    if not isinstance(factor, int | float) or not factor > 0:
        return 1.0
    return 1.0 if any(abs(factor / unit - 1) < 1e-9 for unit in METRES_PER_UNIT.values()) else float(factor)
