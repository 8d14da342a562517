"""The package from Python: load, fit, inspect and save in ten lines of a notebook.

    import stac_mjx

    body = stac_mjx.load_body("rat", mjcf="rodent.xml")
    keypoints = stac_mjx.load_keypoints("rat.mat", body=body)
    result = stac_mjx.fit(body, keypoints, calibration={"frames": 100})
    print(result)
    result.clips.qpos, result.trajectory.error_mm
    result.save("results")

Settings are those of the commands (``stac-mjx fit --help``); nested ones are given as dictionaries.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx import registration
from stac_mjx._common.errors import ConfigError, InputError, counted
from stac_mjx._common.settings import configure
from stac_mjx.body.body import Body
from stac_mjx.body.body import load_body as body_from
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.known_offsets import match_offsets, offsets_for, similarity_for
from stac_mjx.config import BodyConfig, FitConfig, KeypointsConfig
from stac_mjx.inputs import embedded, match
from stac_mjx.keypoints import Keypoints
from stac_mjx.keypoints import load_keypoints as keypoints_from
from stac_mjx.keypoints.alignment import IDENTITY, Similarity
from stac_mjx.records import Offsets, ReferenceClips
from stac_mjx.registration import Stage, no_stage

_IN_MEMORY = "(given from Python)"
_log = logging.getLogger("stac_mjx")


class Registration(registration.Registration):
    """The result of `fit` or `ik`: see the fields of `stac_mjx.registration.Registration`, and what is below."""

    @cached_property
    def clips(self) -> ReferenceClips:
        """What ``clips.h5`` will hold."""
        from stac_mjx.results import clips_of

        return clips_of(self)

    def summary(self) -> dict[str, Any]:
        """Errors in mm, frames that failed, settings and times, as in ``fit_summary.json``."""
        from stac_mjx.results import summary_of

        return summary_of(self, sum(self.timings.values()))

    def save(self, out: str | Path, report: bool = True) -> Path:
        """Write what the command writes (offsets, clips, summary, settings, report) to folder `out`, and return it.

        Raises:
            OutputError: when the folder or a file cannot be written.
        """
        from stac_mjx._common.files import output_folder
        from stac_mjx.outputs import save_registration

        folder = output_folder(str(out), "")
        config = replace(self.config, report=report, out=str(out))
        save_registration(replace(self, config=config), folder, time.perf_counter() - sum(self.timings.values()))
        return folder

    def __repr__(self) -> str:
        """One line."""
        n_frames, error = len(self.trajectory.qpos), np.nanmean(self.trajectory.error_mm)
        return f"<Registration of {self.body.name!r}: {n_frames} frames, mean error {error:.3f} mm>"

    def __str__(self) -> str:
        """What was registered, and how well."""
        figures = self.summary()
        worst = sorted(((e, name) for name, e in figures["per_keypoint_mm"].items() if e is not None), reverse=True)[:5]
        frames, clips = counted(figures["frames"], "frame"), counted(figures["clips"], "clip")
        lines = [
            f"{figures['body']}: {frames} ({clips}) at {figures['rate_hz']:g} Hz, "
            f"{counted(figures['keypoints'], 'keypoint')}, {figures['degrees_of_freedom']} degrees of freedom",
            f"error: mean {figures['mean_error_mm']:.3f} mm, median {figures['median_error_mm']:.3f} mm, "
            f"rmse {figures['rmse_mm']:.3f} mm, 95 % below {figures['p95_mm']:.3f} mm",
            f"largest: {', '.join(f'{name} {error:.3f} mm' for error, name in worst)}",
            f"frames failed: {figures['failed_frames']}; at a joint limit: {figures['frames_at_limit']}",
            f"offsets: calibrated on {figures['calibration_frames']} frames in {figures['calibration_rounds']} rounds"
            if self.calibration is not None
            else "offsets: known beforehand",
        ]
        return "\n".join([*lines, *(f"note: {warning}" for warning in figures["warnings"])])


def load_body(body: str | BodyConfig = "mouse_arm", **changes: Any) -> Body:
    """Load a body: a preset by name or settings, some of them changed (``mjcf="rodent.xml"``, ``scale=0.9``).

    Raises:
        ConfigError: when there is no such preset or setting.
        BodyError: when the model cannot be read, or lacks what the settings name.
    """
    if isinstance(body, str):
        return body_from(body_preset(body, **changes))
    return body_from(configure(body, changes, f"body {body.name!r}"))


def load_keypoints(
    path: str | Path | Sequence[str | Path] | None = None, *, body: Body | None = None, **settings: Any
) -> Keypoints:
    """Read a recording: a file, a glob or several files, each a clip. Without a path: the embedded reaches.

    Args:
        path: where it lies.
        body: the body it will be fitted to; tells the order of the keypoints in files that hold no names.
        settings: other settings of the recording: ``unit="mm"``, ``rate_hz=50``, ``names=[...]``, ``start=100``.

    Raises:
        ConfigError: when a setting does not exist or is impossible.
        InputError: when a file cannot be read.
    """
    if path is None:
        return replace(embedded(body or load_body(), FitConfig()).keypoints, config=KeypointsConfig())
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    config = configure(KeypointsConfig(), {**settings, "path": [os.fspath(p) for p in paths]}, "load_keypoints")
    return keypoints_from(config, body.keypoint_order if body is not None else ())


def fit(body: Body, keypoints: Keypoints | None = None, *, progress: bool = False, **settings: Any) -> Registration:
    """Find where the keypoints sit on the body, then the pose of every frame.

    Args:
        body: from `load_body`.
        keypoints: from `load_keypoints`, or made by hand; None: the embedded reaches.
        progress: show bars in a terminal or notebook.
        settings: settings of the command: ``solver={"robust": "huber"}``, ``calibration={"frames": 100}``, ``seed=1``.

    Raises:
        ConfigError: when a setting does not exist or is impossible.
        InputError: when recording and body do not fit each other.
    """
    config, inputs = _inputs(body, keypoints, settings)
    with _bars(progress) as stage:
        return _wrapped(registration.register(inputs, config, stage=stage))


def ik(
    body: Body,
    keypoints: Keypoints | None,
    offsets: Registration | Offsets | np.ndarray | str | Path,
    *,
    progress: bool = False,
    **settings: Any,
) -> Registration:
    """Find the pose of every frame with known offsets.

    Args:
        body: from `load_body`.
        keypoints: from `load_keypoints`, or made by hand; None: the embedded reaches.
        offsets: of an earlier `fit`, read by `read_offsets`, a path of an offsets file, or an array (keypoint, 3) in
            metres in the order of the body's markers.
        progress: show bars in a terminal or notebook.
        settings: as for `fit`.

    Raises:
        ConfigError: when a setting does not exist or is impossible.
        BodyError: when the offsets belong to another body.
        InputError: when recording and body do not fit each other, or the offsets file cannot be read.
    """
    config, inputs = _inputs(body, keypoints, settings)
    known, similarity = _known(body, offsets, config)
    with _bars(progress) as stage:
        return _wrapped(registration.register(inputs, config, offsets=known, similarity=similarity, stage=stage))


def _inputs(body: Body, keypoints: Keypoints | None, settings: dict[str, Any]) -> tuple[FitConfig, Any]:
    """The resolved settings, with those the body and the recording were made from, and the two matched."""
    given = {"offsets": "give the offsets to ik", "out": "give the folder to save", "report": "give report to save"}
    for name in settings:
        if name in given:
            raise ConfigError(f"{name}: is no setting here; {given[name]}")
    config: FitConfig = configure(FitConfig(), settings, "settings")
    config.body = body.config or BodyConfig(name=body.name)
    if keypoints is None:
        inputs = embedded(body, config)
    else:
        config.keypoints = keypoints.config or KeypointsConfig(path=_IN_MEMORY)
        inputs = match(body, keypoints, config)
    for warning in inputs.warnings:
        _log.warning(warning)
    return config, inputs


def _known(
    body: Body, offsets: Registration | Offsets | np.ndarray | str | Path, config: FitConfig
) -> tuple[np.ndarray, Similarity]:
    """Offsets in the order of the body's markers (metres), and the transform the recording needs."""
    if isinstance(offsets, np.ndarray):
        expected = (len(body.marker_names), 3)
        if offsets.shape != expected or not np.isfinite(offsets).all():
            raise InputError(f"offsets: expected finite numbers of shape {expected}, metres; got {offsets.shape}")
        return offsets.astype(np.float64), IDENTITY
    if isinstance(offsets, Registration):
        if offsets.calibration is None:
            return _known(body, offsets.offsets, config)
        from stac_mjx.results import offsets_of

        offsets = offsets_of(offsets)
    known = match_offsets(offsets, body, "offsets") if isinstance(offsets, Offsets) else offsets_for(offsets, body)
    similarity, said = similarity_for(known, config.alignment)
    for warning in (*known.warnings, *said):
        _log.warning(warning)
    return known.offsets, similarity


def _wrapped(result: registration.Registration) -> Registration:
    return Registration(**{entry.name: getattr(result, entry.name) for entry in fields(result)})


@contextmanager
def _bars(shown: bool) -> Iterator[Stage]:
    if not shown:
        yield no_stage
        return
    from stac_mjx._common.progress import progress_bars

    with progress_bars() as stage:
        yield stage
