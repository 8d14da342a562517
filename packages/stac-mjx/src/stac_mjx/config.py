"""Settings of the package, filled by Hydra from presets and the command line.

The string under a field is its help text; `setting` holds its limits. Lengths are in metres unless the name ends in
``_mm``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stac_mjx._common.nwb_session import NwbSession
from stac_mjx._common.render.settings import FilmConfig, PageConfig
from stac_mjx._common.settings import setting

FORMATS = (
    "auto", "dannce", "nwb", "sleap", "anipose_csv", "dlc_csv", "jarvis_csv", "numbers_csv", "c3d", "trc", "qualisys",
    "stac", "clips",
)  # fmt: skip
ROOTS = ("keep", "free", "upright", "planar")
AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1)}
UNITS = ("m", "dm", "cm", "mm", "um")


@dataclass
class MarkerConfig:
    """Position of one keypoint on the body."""

    body: str = ""
    """Name of the MJCF body the keypoint moves with."""
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Initial offset in the frame of that body, metres, at the scaled size."""
    regularize: float = setting(0.0, ge=0)
    """Pull of the offset toward the initial one, in multiples of calibration.regularization."""


@dataclass
class BodyConfig:
    """The animal: an MJCF model and the keypoints tied to it. Presets are in conf/body."""

    name: str = ""
    """Name of the body, written to every output."""
    mjcf: str | None = None
    """Path of the MJCF file, from the working folder, or else from the folder of the preset; empty: `default_mjcf`."""
    default_mjcf: str = ""
    """Model used when no path is given: ``embedded:FILE`` (ships with the package) or ``dm_control:PATH`` (part of
    dm_control, if installed); empty: `mjcf` is required."""
    unit: str = setting("m", choices=UNITS)
    """Length unit of the MJCF: m, dm, cm, mm or um."""
    scale: float = setting(1.0, gt=0)
    """Exact similarity scaling of the model (positions, joint anchors, sites, geoms, meshes, slide ranges)."""
    scale_inertia: bool = False
    """Scale mass with the cube and inertia with the fifth power of `scale` too; off: masses are kept, inertias
    change with the second power."""
    root: str = setting("keep", choices=ROOTS)
    """``keep`` the root of the model; ``free``: add a free joint to a model with a fixed root; ``upright``: the root
    slides along three axes and turns about the vertical, but cannot tilt (an animal on a plane whose keypoints do not
    determine which side is up); ``planar``: the same at the height of the model."""
    markers: dict[str, MarkerConfig] = field(default_factory=dict)
    """Keypoint name -> body, initial offset, regularisation."""
    leave_out: list[str] = field(default_factory=list)
    """Keypoints of `markers` that are not used, for recordings without them."""
    keypoint_order: list[str] = field(default_factory=list)
    """Order of the keypoints in files without names; empty: the order of `markers`."""
    root_keypoint: str | None = None
    """Keypoint closest to the root, for plots and reports."""
    trunk_keypoints: list[str] = field(default_factory=list)
    """Keypoints that move with the trunk: they place the root and determine the alignment; empty: all keypoints."""
    parts: dict[str, list[str]] = field(default_factory=dict)
    """Part name -> bodies (all their joints) or joints solved together on their own keypoints before the whole
    body; ``*`` and ``?`` match any letters."""
    segments: dict[str, list[str]] = field(default_factory=dict)
    """Group name -> bodies whose lengths share one scale (`calibration.segments`), as both thighs; ``*`` and ``?``
    match any letters."""
    end_effectors: list[str] = field(default_factory=list)
    """Bodies that touch the world or carry the task; for the controller."""
    skeleton: list[list[str]] = field(default_factory=list)
    """Pairs of keypoints connected by a line in plots and videos."""
    override: bool = False
    """Use offsets with this body, although they were calibrated on a model with another hash."""
    rate_hz: float | None = setting(None, gt=0)
    """Usual frame rate of this animal's recordings, used (with a warning) where neither file nor settings give one."""


@dataclass
class KeypointsConfig:
    """The recording."""

    path: Any = None
    """File, list of files or glob; each file is a clip. Empty: the embedded reaches (body=mouse_arm only)."""
    format: str = setting("auto", choices=FORMATS)
    """dannce, nwb, sleap, anipose_csv, dlc_csv, jarvis_csv, numbers_csv, c3d, trc, qualisys, stac or clips; auto: found
    from the content of the file."""
    unit: str | None = setting(None, choices=UNITS)
    """Length unit of the numbers: m, dm, cm, mm or um. Overrides the file; empty: that of the file or its
    format."""
    rate_hz: float | None = setting(None, gt=0)
    """Frames per second. Overrides the file."""
    names: list[str] | None = None
    """Keypoint names in file order, for files without names. Overrides body.keypoint_order."""
    rename: dict[str, str] = field(default_factory=dict)
    """Name in the file -> name in the body preset."""
    flip: str | None = setting(None, choices=("x", "y", "z"))
    """Axis to flip (x, y or z), for recordings with left-handed axes."""
    track: str | None = None
    """Number or name of the animal in a file with several tracks."""
    min_confidence: float = setting(0.0, ge=0, le=1)
    """Points below this confidence are missing."""
    start: int = setting(0, ge=0)
    """First frame used of each clip."""
    stop: int | None = setting(None, ge=1)
    """Frame after the last one used of each clip."""
    clip_frames: int | None = setting(None, ge=1)
    """Frames a clip, for files that hold several trials end to end; empty: the borders of the file."""
    clip_starts: list[int] = setting([], ge=0)
    """First frame of each clip in a file that holds several trials end to end."""
    trials: str | None = None
    """Table (CSV) of trials: trial_id, start_s and stop_s, and optionally clip, label, event_NAME_s and other labels.
    Each row becomes a clip."""
    window_event: str | None = None
    """Event of `trials` around which trials are cut (NAME of a column event_NAME_s), instead of start_s and stop_s."""
    window_s: list[float] = setting([-0.5, 0.5])
    """Start and end of that window, seconds from the event."""
    select: list[str] = field(default_factory=list)
    """Clips used: patterns of their names (reach*), or of a label (condition:light*)."""
    travel: str | None = None
    """Table (CSV) of how a tethered animal walks over a belt or a ball: time_s, and belt_mm (distance run) or
    forward_mm_s, sideways_mm_s, turn_rad_s (of the animal). Its path moves the recording."""
    heading_deg: float = 0.0
    """Direction the tethered animal faces at the start, degrees from +x to its left, after `alignment.up`."""
    bout_mm_s: float | None = setting(None, gt=0)
    """Speed over ground of locomotion: each stretch of at least `bout_s` as fast becomes a clip; empty: no cut."""
    bout_s: float = setting(0.5, gt=0)
    """Shortest bout, seconds."""
    bout_feet: list[str] = field(default_factory=list)
    """Keypoints of feet that must stand and step in each bout."""


@dataclass
class AlignmentConfig:
    """Conversion of the recording to the frame and size of the body, before anything is solved."""

    mode: str = setting("none", choices=("none", "rigid", "similarity"))
    """``none``: keep the frame of the recording; ``rigid``: fit one rotation and translation of the whole recording to
    the body (needed when the root is fixed and the rig has axes of its own); ``similarity``: fit a scale too."""
    per_clip: bool = False
    """Fit a rotation and translation for each clip, for clips of rigs with axes of their own; one scale for all."""
    up: str | None = setting(None, choices=tuple(AXES))
    """Axis of the recording that points up (x, -x, y, -y, z, -z); it is rotated to +z. Empty: +z."""
    scale: float = setting(1.0, gt=0)
    """Factor on all positions of the recording, for rigs without a calibrated unit."""
    rotation: list[float] = setting([1.0, 0.0, 0.0, 0.0])
    """Rotation of the recording after `up`, a quaternion (w, x, y, z), for rigs with axes of their own."""
    translation: list[float] = setting([0.0, 0.0, 0.0])
    """Translation of the recording after `scale` and `rotation`, metres."""
    ground: list[str] = field(default_factory=list)
    """Keypoints that touch the ground: the plane through their lowest places is turned level and moved to height 0."""


@dataclass
class SolverConfig:
    """Inverse kinematics of one frame."""

    max_iterations: int = setting(48, ge=1)
    """Iterations after which a frame counts as not converged."""
    tolerance_mm: float = setting(0.004, gt=0)
    """A frame has converged when an iteration lowers its error (root mean square over markers) by less than this."""
    robust: str = setting("cauchy", choices=("none", "huber", "cauchy"))
    """Loss on marker distances: none (least squares), huber or cauchy (far outliers lose all influence)."""
    robust_mm: float | None = setting(None, gt=0)
    """Scale of the robust loss, where it departs from the parabola; empty: four times the median of each keypoint."""
    pose_prior_mm: float = setting(0.1, ge=0)
    """Weight of the neutral pose: one radian away from it costs as much as one marker this far off. Holds joints
    that no marker observes."""
    smoothness_mm: float = setting(0.0, ge=0)
    """Weight of smoothness: one radian between neighbouring frames costs as much as one marker this far off.
    Does not cross clip borders."""


@dataclass
class CalibrationConfig:
    """Search for the offsets of the keypoints."""

    frames: int = setting(250, ge=1)
    """Frames used, spread over the poses of the recording."""
    max_rounds: int = setting(50, ge=1)
    """Largest number of alternations of poses and offsets."""
    tolerance: float = setting(1e-3, ge=0)
    """Calibration stops when the objective falls by less than this fraction a round, four rounds in a row."""
    iterations: int = setting(8, ge=1)
    """Solver iterations on the poses in each round."""
    regularization: float = setting(0.02, ge=0)
    """Pull of the regularised keypoints toward their initial offsets, in units of one observation a frame."""
    segments: bool = False
    """Also fit one scale for each group of `body.segments`; `clips.h5` and `offsets.h5` hold the scaled body."""
    segment_sd: float = setting(0.1, gt=0)
    """How far scales of segments are expected to be from 1 (standard deviation of the prior)."""


@dataclass
class TrajectoryConfig:
    """Conversion of frames to trajectories."""

    rate_hz: float | None = setting(None, gt=0)
    """Resample the clips to this rate; empty: the rate of the recording."""


@dataclass
class FitConfig:
    """Settings of `stac-mjx fit` and `stac-mjx ik`.

    `ik` takes the body from the offsets file, unless one is given.
    """

    body: BodyConfig = field(default_factory=BodyConfig)
    keypoints: KeypointsConfig = field(default_factory=KeypointsConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    solver: SolverConfig = field(default_factory=SolverConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    trajectory: TrajectoryConfig = field(default_factory=TrajectoryConfig)
    offsets: str | None = None
    """Offsets file of an earlier fit (`ik` only)."""
    out: str | None = None
    """Folder of the results; created if missing."""
    seed: int = setting(0, ge=0)
    """Seed of the frames chosen for calibration."""
    report: bool = True
    """Also write the page of plots."""
    subject_id: str | None = None
    """Animal, written to the files."""
    session_id: str | None = None
    """Recording session, written to the files."""


@dataclass
class WorkConfig(PageConfig):
    """The page of `stac-mjx studio`."""

    resume: bool = True
    """Continue the work kept in the folder `out`, where it is of the same recording and model."""


@dataclass
class StudioConfig(FitConfig):
    """Settings of `stac-mjx studio`."""

    clips: str | None = None
    """Results of an earlier fit to look at and continue from."""
    open: str | None = None
    """Settings to start from (YAML): a preset saved by the studio, or a configuration of the public package."""
    studio: WorkConfig = field(default_factory=WorkConfig)


@dataclass
class CheckConfig:
    """Settings of `stac-mjx check`."""

    file: Any = None
    """File of the contract, or a recording; or a list of files."""


@dataclass
class ReportConfig:
    """Settings of `stac-mjx report`."""

    clips: str = ""
    """A mimic.reference_clips file."""
    offsets: str | None = None
    """The mimic.offsets file of the same fit; empty: offsets.h5 next to the clips, if it exists."""
    out: str | None = None
    """Folder of the page; empty: the folder of the clips."""
    select: list[str] = field(default_factory=list)
    """Clips: patterns of their names (reach*), or of a label (label:left, condition:light*); empty: all."""


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
class ExportConfig:
    """Settings of `stac-mjx export`."""

    clips: str = ""
    """A mimic.reference_clips file, as `stac-mjx fit` writes it."""
    out: str | None = None
    """Folder of the files; empty: exported."""
    select: list[str] = field(default_factory=list)
    """Clips: patterns of their names (reach*), or of a label (label:left, condition:light*); empty: all."""
    formats: list[str] = setting(["csv", "mot", "trc"], choices=("csv", "mot", "sto", "trc", "nwb", "html"))
    """csv (tables), mot (coordinates for OpenSim), sto (with velocities), trc (recorded markers), nwb (all, in one),
    html (a page a clip that plays it, without a server; extra studio)."""
    nwb: NwbSession = field(default_factory=NwbSession)
    """What NWB wants to know of the recording."""


@dataclass
class ConvertConfig:
    """Settings of `stac-mjx convert`."""

    path: Any = None
    """Output of the public stac-mjx (.h5), a list of such files or a glob; each is a clip."""
    body: BodyConfig = field(default_factory=BodyConfig)
    """The body the files were fitted to."""
    rate_hz: float | None = setting(None, gt=0)
    """Frame rate of the recording; the files do not contain it. Empty: the usual rate of the body."""
    clip_frames: int | None = setting(None, ge=1)
    """Frames a clip, for files that hold several trials end to end; empty: each file is one clip."""
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
    """Settings of `stac-mjx bench`."""

    bodies: list[str] = field(default_factory=lambda: ["mouse_arm", "rat", "fly", "worm", "stick", "mouse"])
    """Bodies to measure; those without an available model are skipped with a note."""
    data: str | None = None
    """Folder with models and recordings, one folder a species; empty: $MIMIC_DATA, else available models and synthetic
    recordings."""
    frames: int = setting(8192, ge=1)
    """Frames registered in each measurement."""
    repeats: int = setting(5, ge=1)
    """Runs of each measurement; the median is reported."""
    solver: SolverConfig = field(default_factory=SolverConfig)
    """Solver settings measured."""
    out: str | None = None
    """Folder of the table (JSON, Markdown); empty: bench."""
