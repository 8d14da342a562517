"""Every setting of the package: one documented field each, filled by Hydra from presets and the command line.

The docstring under a field is its help text. Lengths are in metres unless the name ends in ``_mm``.
Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stac_mjx._common.render.settings import FilmConfig
from stac_mjx._common.settings import setting


@dataclass
class MarkerConfig:
    """Where one keypoint sits on the body."""

    body: str = ""
    """Name of the MJCF body the keypoint moves with."""
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Initial offset in the frame of that body, metres, at the scaled size."""
    regularize: float = 0.0
    """How firmly calibration holds the offset to the initial one, in multiples of calibration.regularization."""


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
    """Scale mass with the cube and inertia with the fifth power of `scale` too; off: masses stay, inertias follow
    the size (second power)."""
    root: str = "keep"
    """``keep`` the model's root as it is; ``free``: add a free joint to a model whose root is fixed;
    ``upright``: the root slides along three axes and turns about the vertical, but cannot tilt (an animal on a plane
    whose keypoints do not tell which side is up)."""
    markers: dict[str, MarkerConfig] = field(default_factory=dict)
    """Keypoint name -> body, initial offset, regularisation."""
    leave_out: list[str] = field(default_factory=list)
    """Keypoints of `markers` that are not used, for recordings that lack them."""
    keypoint_order: list[str] = field(default_factory=list)
    """Order of the keypoints in files that hold no names; empty: the order of `markers`."""
    root_keypoint: str | None = None
    """Keypoint closest to the root, for plots and reports."""
    trunk_keypoints: list[str] = field(default_factory=list)
    """Keypoints that move with the trunk: they place the root and fix alignment; empty: all keypoints."""
    parts: dict[str, list[str]] = field(default_factory=dict)
    """Part name -> bodies (all their joints) or joints solved together on their own keypoints before the whole body is;
    ``*`` and ``?`` match any letters."""
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
    """auto, dannce, nwb, sleap, anipose_csv, dlc_csv, stac or clips."""
    unit: str | None = None
    """Length unit of the numbers: m, dm, cm, mm or um. Overrides the file; empty: what the file or its format says."""
    rate_hz: float | None = None
    """Frames per second. Overrides the file."""
    names: list[str] | None = None
    """Keypoint names in file order, for files without names. Overrides body.keypoint_order."""
    rename: dict[str, str] = field(default_factory=dict)
    """Name in the file -> name in the body preset."""
    flip: str | None = None
    """Axis whose sign is turned round (x, y or z), for recordings with left-handed axes."""
    track: int | None = None
    """Which animal of a file with several tracks."""
    min_confidence: float = 0.0
    """Points below this confidence count as missing."""
    start: int = 0
    """First frame used of each clip."""
    stop: int | None = None
    """Frame after the last one used of each clip."""


@dataclass
class AlignmentConfig:
    """How the recording is brought into the frame and size of the body, before anything is solved."""

    mode: str = "none"
    """``none``: the recording is taken as it is; ``rigid``: one rotation and translation for the whole recording are
    fitted to the body (needed when the root is fixed and the rig has axes of its own); ``similarity``: a scale too."""
    up: str | None = None
    """Axis of the recording that points up (x, -x, y, -y, z, -z); it is turned to +z. Empty: taken as it is."""
    scale: float = 1.0
    """Factor on all positions of the recording, for rigs whose unit is uncalibrated."""
    implausible_factor: float = 4.0
    """Stop when recording and body differ in size by more than this factor."""


@dataclass
class SolverConfig:
    """Inverse kinematics of one frame."""

    max_iterations: int = 48
    """Iterations after which a frame is given up as not converged."""
    tolerance_mm: float = 0.004
    """A frame has converged when an iteration lowers its error (root mean square over markers) by less than this."""
    robust: str = "cauchy"
    """Loss on marker distances: none (least squares), huber or cauchy (far outliers lose all influence)."""
    robust_mm: float | None = None
    """Distance at which the robust loss leaves the parabola; empty: four times each keypoint's median."""
    pose_prior_mm: float = 0.1
    """Weight of the neutral pose: one radian away from it costs as much as one marker this far off. Keeps joints
    still that no marker observes."""
    smoothness_mm: float = 0.0
    """Weight of smoothness: one radian between neighbouring frames costs as much as one marker this far off.
    Never reaches across a clip border."""
    smoothing_passes: int = 20
    """Passes over the frames that spread the smoothness term."""
    keyframe_stride: int = 10
    """Every so many frames one is solved from scratch, with the staged start; the others start between them."""
    restart_factor: float = 3.0
    """Frames whose error exceeds this multiple of the median start again from a neighbour's pose, and so does every
    frame that a neighbour's pose explains about as well as its own."""
    batch: int = 0
    """Frames solved at once; 0: what suits the device."""
    threads: int = 0
    """Batches solved side by side on a CPU; 0: one for each core this process may use."""


@dataclass
class CalibrationConfig:
    """Where the keypoints sit on the body."""

    frames: int = 250
    """Frames used, spread over the poses of the recording."""
    max_rounds: int = 50
    """Alternations of poses and offsets after which calibration stops at the latest."""
    tolerance: float = 1e-3
    """Calibration stops when the mean error falls by less than this fraction a round, four rounds in a row."""
    iterations: int = 8
    """Solver iterations on the poses in each round."""
    regularization: float = 0.02
    """Pull of the regularised keypoints toward their initial offsets, in units of one observation a frame."""
    anchor: float = 0.001
    """The same for all keypoints: settles what the recording leaves open, such as the zero of a joint's angle."""


@dataclass
class TrajectoryConfig:
    """From frames to trajectories."""

    segment: int = 32768
    """Frames solved at once; longer clips are cut into segments of this length."""
    overlap: int = 40
    """Frames two segments share; they are crossfaded on the joint manifold."""
    rate_hz: float | None = None
    """Resample the clips to this rate; empty: the rate of the recording."""


@dataclass
class FitConfig:
    """Everything `stac-mjx fit` and `stac-mjx ik` can be told."""

    body: BodyConfig = field(default_factory=BodyConfig)
    keypoints: KeypointsConfig = field(default_factory=KeypointsConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    solver: SolverConfig = field(default_factory=SolverConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    trajectory: TrajectoryConfig = field(default_factory=TrajectoryConfig)
    offsets: str | None = None
    """Offsets file of an earlier fit (`ik` only)."""
    out: str | None = None
    """Folder the results go to; it is made if need be."""
    seed: int = 0
    """Seed of every random choice."""
    report: bool = True
    """Write the page of plots too."""
    subject_id: str | None = None
    """Animal, written to the files."""
    session_id: str | None = None
    """Recording session, written to the files."""


@dataclass
class CheckConfig:
    """What `stac-mjx check` can be told."""

    file: Any = None
    """File of the contract, or a list of files."""


@dataclass
class ReportConfig:
    """What `stac-mjx report` can be told."""

    clips: str = ""
    """A mimic.reference_clips file."""
    offsets: str | None = None
    """The mimic.offsets file of the same fit; empty: offsets.h5 beside the clips, if there is one."""
    out: str | None = None
    """Folder of the page; empty: the folder of the clips."""


@dataclass
class ShownClip:
    """The clip of a film."""

    clips: str = ""
    """A mimic.reference_clips file."""
    clip: Any = 0
    """Name or number of the clip."""
    speed: float = setting(1.0, gt=0)
    """Playback speed: 0.1 is ten times slower than in life."""


@dataclass
class RenderConfig(FilmConfig, ShownClip):  # the fields of the last base come first
    """Settings of `stac-mjx render`."""


@dataclass
class ConvertConfig:
    """What `stac-mjx convert` can be told."""

    path: Any = None
    """Output of the public stac-mjx (.h5), a list of such files or a glob; each is a clip."""
    body: BodyConfig = field(default_factory=BodyConfig)
    """The body the files were fitted to."""
    rate_hz: float | None = None
    """Frame rate of the recording; the files do not hold it. Empty: the usual rate of the body."""
    clip_frames: int | None = None
    """Frames a clip, for files that hold several clips end to end; empty: each file is one clip."""
    joint_rename: dict[str, str] = field(default_factory=dict)
    """Name of a joint in the files -> its name in the model, as in {elbow_joint: elbow}."""
    body_rename: dict[str, str] = field(default_factory=dict)
    """Name of a body in the files -> its name in the model, as in {elbow: ulna}."""
    keypoint_rename: dict[str, str] = field(default_factory=dict)
    """Name of a keypoint in the files -> its name in the body preset."""
    out: str | None = None
    """Folder of the converted files."""


@dataclass
class BenchConfig:
    """What `stac-mjx bench` can be told."""

    bodies: list[str] = field(default_factory=lambda: ["mouse_arm", "rat", "fly", "worm", "stick", "mouse"])
    """Bodies measured; those whose model is not at hand are left out, and said so."""
    data: str | None = None
    """Folder with one folder of real models and recordings a species; empty: $MIMIC_DATA, else only models that are at
    hand and synthetic recordings."""
    frames: int = 8192
    """Frames registered in each measurement."""
    repeats: int = 5
    """Measurements of each figure; the median is given."""
    scaling: bool = True
    """Also measure how time grows with frames, keypoints and degrees of freedom."""
    solver: SolverConfig = field(default_factory=SolverConfig)
    """Solver settings measured."""
    out: str | None = None
    """Folder of the table (JSON, Markdown, plot); empty: bench."""
