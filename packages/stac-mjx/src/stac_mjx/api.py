"""Use the package from Python: load, fit, inspect and save.

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
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stac_mjx._common.errors import ConfigError, raise_all
from stac_mjx._common.progress import progress_bars, silent
from stac_mjx._common.settings import configure
from stac_mjx.body.body import Body
from stac_mjx.body.body import load_body as body_from
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.known_offsets import known_offsets
from stac_mjx.config import BodyConfig, FitConfig, KeypointsConfig
from stac_mjx.inputs import embedded, match
from stac_mjx.keypoints import Keypoints
from stac_mjx.keypoints import load_keypoints as keypoints_from
from stac_mjx.records import Offsets
from stac_mjx.results import Registration, offsets_of, register

_IN_MEMORY = "(given from Python)"
_log = logging.getLogger("stac_mjx")


def load_body(body: str | BodyConfig = "mouse_arm", **changes: Any) -> Body:
    """Load a body: a preset by name or settings, some of them changed (``mjcf="rodent.xml"``, ``scale=0.9``).

    Raises:
        ConfigError: when the preset or a setting is unknown.
        BodyError: when the model cannot be read, or lacks a body or joint of the settings.
    """
    if isinstance(body, str):
        return body_from(body_preset(body, **changes))
    return body_from(configure(body, changes, f"body {body.name!r}"))


def load_keypoints(
    path: str | Path | Sequence[str | Path] | None = None, *, body: Body | None = None, **settings: Any
) -> Keypoints:
    """Read a recording: a file, a glob or several files, each a clip. Without a path: the embedded reaches.

    Args:
        path: the file or files.
        body: the body it will be fitted to; gives the order of the keypoints in files without names.
        settings: other settings of the recording: ``unit="mm"``, ``rate_hz=50``, ``names=[...]``, ``start=100``.

    Raises:
        ConfigError: when a setting is unknown or invalid.
        InputError: when a file cannot be read.
    """
    if path is None:
        return replace(embedded(body or load_body(), FitConfig()).keypoints, config=KeypointsConfig())
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    config = configure(KeypointsConfig(), {**settings, "path": [os.fspath(p) for p in paths]}, "load_keypoints")
    return keypoints_from(config, body.keypoint_order if body is not None else ())


def fit(body: Body, keypoints: Keypoints | None = None, *, progress: bool = False, **settings: Any) -> Registration:
    """Find the offsets of the keypoints on the body, then the pose of every frame.

    Args:
        body: from `load_body`.
        keypoints: from `load_keypoints`, or created directly; None: the embedded reaches.
        progress: show bars in a terminal or notebook.
        settings: settings of the command: ``solver={"robust": "huber"}``, ``calibration={"frames": 100}``, ``seed=1``.

    Raises:
        ConfigError: when a setting is unknown or invalid.
        InputError: when recording and body do not match.
    """
    return _registered(body, keypoints, None, progress, settings)


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
        keypoints: from `load_keypoints`, or created directly; None: the embedded reaches.
        offsets: of an earlier `fit`, read by `read_offsets`, a path of an offsets file, or an array (keypoint, 3) in
            metres in the order of the body's markers.
        progress: show bars in a terminal or notebook.
        settings: as for `fit`.

    Raises:
        BodyError: when the offsets belong to another body; other errors as for `fit`.
    """
    return _registered(body, keypoints, offsets, progress, settings)


def _registered(
    body: Body, keypoints: Keypoints | None, offsets: Any, progress: bool, settings: dict[str, Any]
) -> Registration:
    """Check the settings, match body and recording, and register; offsets None: calibrate them."""
    given = {"offsets": "Pass the offsets to ik", "out": "Pass the folder to save", "report": "Pass report to save"}
    wrong = [f"{name}: not a setting here. {given[name]}" for name in settings if name in given]
    raise_all(ConfigError, "settings", wrong)
    config: FitConfig = configure(FitConfig(), settings, "settings")
    config.body = body.config or BodyConfig(name=body.name)
    if keypoints is None:
        inputs = embedded(body, config)
    else:
        config.keypoints = keypoints.config or KeypointsConfig(path=_IN_MEMORY)
        inputs = match(body, keypoints, config)
    known = None
    if offsets is not None:
        record = offsets_of(offsets) if isinstance(offsets, Registration) else offsets
        clips = inputs.keypoints.clip_names
        known = known_offsets(record, body, config.alignment, inputs.T_keypoints_file, clips)
    for warning in (*inputs.warnings, *(known.warnings if known else ())):
        _log.warning(warning)
    with progress_bars() if progress else nullcontext(silent) as stage:
        return register(inputs, config, known=known, stage=stage)
