"""Every setting of the package: one documented field each, filled by Hydra from presets and the command line.

The docstring under a field is its help text. Lengths are in metres unless the name ends in ``_mm``.
Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class MarkerConfig:
    """Where one keypoint sits on the body."""

    body: str = ""
    """Name of the MJCF body the keypoint moves with."""
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Initial offset in the frame of that body, metres, at the scaled size."""
    regularize: bool = False
    """Keep the calibrated offset near the initial one (strength: calibration.regularization)."""


@dataclass
class BodyConfig:
    """The animal: an MJCF model and how its keypoints are tied to it. Presets live in conf/body."""

    name: str = ""
    """Name of the body, written to every output."""
    mjcf: str | None = None
    """Path of the MJCF file; empty: `default_mjcf`."""
    default_mjcf: str = ""
    """Model used when no path is given: ``embedded:FILE`` (ships with the package) or ``dm_control:PATH`` (found in an
    installed dm_control); empty: a path must be given."""
    unit: str = "m"
    """Length unit the MJCF is written in: m, dm, cm, mm or um."""
    scale: float = 1.0
    """Exact similarity scaling of the model (positions, joint anchors, sites, geoms, meshes, slide ranges)."""
    scale_inertia: bool = False
    """Scale mass with the cube and inertia with the fifth power of `scale` too; off: dynamics parameters stay."""
    root: str = "keep"
    """``keep`` the model's root as it is; ``free``: add a free joint to a model whose root is fixed."""
    markers: dict[str, MarkerConfig] = field(default_factory=dict)
    """Keypoint name -> body, initial offset, regularisation."""
    keypoint_order: list[str] = field(default_factory=list)
    """Order of the keypoints in files that hold no names; empty: the order of `markers`."""
    root_keypoint: str | None = None
    """Keypoint closest to the root, for plots and reports."""
    trunk_keypoints: list[str] = field(default_factory=list)
    """Keypoints that move with the trunk: they place the root and fix alignment; empty: all keypoints."""
    parts: dict[str, list[str]] = field(default_factory=dict)
    """Part name -> bodies or joints solved together on their own keypoints before the whole body is."""
    end_effectors: list[str] = field(default_factory=list)
    """Bodies that touch the world or carry the task; passed on to the controller."""
    skeleton: list[list[str]] = field(default_factory=list)
    """Pairs of keypoints joined by a line in plots and videos."""
    rate_hz: float | None = None
    """Usual frame rate of this animal's recordings, assumed (with a warning) where neither file nor user says one."""


@dataclass
class KeypointsConfig:
    """The recording."""

    path: Any = None
    """File, list of files or glob; each file is a clip. Empty: the embedded reaches (body=mouse_arm only)."""
    format: str = "auto"
    """auto, dannce, nwb, sleap, anipose_csv, stac or clips."""
    unit: str | None = None
    """Length unit of the numbers: m, dm, cm, mm or um. Overrides the file; empty: what the file or its format says."""
    rate_hz: float | None = None
    """Frames per second. Overrides the file."""
    names: list[str] | None = None
    """Keypoint names in file order, for files without names. Overrides body.keypoint_order."""
    rename: dict[str, str] = field(default_factory=dict)
    """Name in the file -> name in the body preset."""
    track: int | None = None
    """Which animal of a file with several tracks."""
    min_confidence: float = 0.0
    """Points below this confidence count as missing."""
    start: int = 0
    """First frame used of each clip."""
    stop: int | None = None
    """Frame after the last one used of each clip."""
