"""Read files of the public stac-mjx: poses, offsets and settings next to the keypoints.

Layouts: main and the arm, stick and fly branches. ``names_qpos`` names the joint of every column (a free joint
seven times), ``config`` is YAML, ``qvel`` may be empty, keypoints are sorted by name or not. In older ones qpos is
``q``, xpos ``x`` and marker_sites ``walker_body_sites``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from stac_mjx._common.errors import InputError, raise_all
from stac_mjx._common.settings import plain_yaml
from stac_mjx.keypoints.formats import reading as hdf5


@dataclass(frozen=True)
class PublicOutput:
    """One file of the public stac-mjx; lengths in metres."""

    path: Path
    qpos: Float[np.ndarray, "frame nq"]
    joints: tuple[str, ...] | None
    """Name of the joint each column of `qpos` belongs to, or None."""
    kp_names: tuple[str, ...] | None
    """Keypoint names in the order of `offsets` and `marker_sites`, or None."""
    offsets: Float[np.ndarray, "keypoint 3"]
    xpos: Float[np.ndarray, "frame body 3"] | None
    bodies: tuple[str, ...] | None
    """Names of the bodies of `xpos`, or None."""
    marker_sites: Float[np.ndarray, "frame keypoint 3"] | None
    qvel: Float[np.ndarray, "frame nv"] | None
    """Velocities, or None where absent or empty."""
    settings: Mapping[str, Any]
    """Content of ``config``; empty where there is none."""

    @property
    def model_settings(self) -> Mapping[str, Any]:
        """The settings of the body, under their public names (``SCALE_FACTOR``, ``KEYPOINT_MODEL_PAIRS``, ...)."""
        model = self.settings.get("model")
        return model if isinstance(model, Mapping) else {}


def read_public_output(path: Path) -> PublicOutput:
    """Read one file."""
    with hdf5.opened(path) as file:
        arrays = {name: _array(file, aliases) for name, aliases in _ALIASES.items()}
        n_keypoint_frames = len(hdf5.first_dataset(file, "kp_data") or ())
        texts = {name: hdf5.texts(file, name) for name in ("names_qpos", "names_xpos", "kp_names", "config")}
    qpos, offsets = arrays["qpos"], arrays["offsets"]
    if qpos is None or offsets is None:
        missing = [name for name in ("qpos", "offsets") if arrays[name] is None]
        raise InputError(f"{path}: {', '.join(missing)}: is missing; not an output of the public stac-mjx")
    if len(qpos) != n_keypoint_frames:
        raise InputError(f"{path}: qpos has {len(qpos)} frames, kp_data {n_keypoint_frames}")
    raise_all(InputError, str(path), _shape_problems(qpos, offsets, arrays))
    return PublicOutput(
        path=path,
        qpos=qpos,
        joints=texts["names_qpos"],
        kp_names=texts["kp_names"],
        offsets=offsets.reshape(-1, 3),
        xpos=arrays["xpos"],
        bodies=texts["names_xpos"],
        marker_sites=arrays["marker_sites"],
        qvel=arrays["qvel"],
        settings=_settings(texts["config"]),
    )


_ALIASES = {
    "qpos": ("qpos", "q"),
    "offsets": ("offsets",),
    "xpos": ("xpos", "x"),
    "marker_sites": ("marker_sites", "walker_body_sites"),
    "qvel": ("qvel",),
}


def _array(file: Any, names: tuple[str, ...]) -> np.ndarray | None:
    """Return the first of these data sets that is not empty, or None."""
    node = hdf5.first_dataset(file, *names)
    return None if node is None or not node.size else hdf5.numbers(node)


def _shape_problems(qpos: np.ndarray, offsets: np.ndarray, arrays: Mapping[str, np.ndarray | None]) -> list[str]:
    if qpos.ndim != 2:
        return [f"qpos: wrong axes {qpos.shape}; expected (frame, coordinate)"]
    if offsets.size % 3 or offsets.shape[-1] not in (3, offsets.size):
        return [f"offsets: wrong axes {offsets.shape}; expected (keypoint, 3)"]
    frames, keypoints = len(qpos), offsets.size // 3
    expected = {"xpos": (frames, None, 3), "marker_sites": (frames, keypoints, 3), "qvel": (frames, None)}
    problems = []
    for name, shape in expected.items():
        array = arrays[name]
        if array is None or (
            len(shape) == array.ndim and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
        ):
            continue
        words = " x ".join("any" if size is None else str(size) for size in shape)
        problems.append(f"{name}: wrong axes {array.shape}; expected {words} (qpos has {frames} frames)")
    return problems


def _settings(texts: tuple[str, ...] | None) -> Mapping[str, Any]:
    """Return the settings as plain data; empty where they cannot be read, which only skips checks."""
    if not texts:
        return {}
    try:
        found = plain_yaml(texts[0])
    except ValueError:
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
