"""Settings of the verbs other than `train`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from track_mjx._common.nwb_session import NwbSession
from track_mjx._common.render.settings import FilmConfig, PageConfig
from track_mjx._common.settings import setting
from track_mjx.config.training import DistributedConfig, TrainConfig


@dataclass
class ResumeConfig:
    """Settings of `track-mjx resume`."""

    run: str = ""
    """Folder of a run."""
    steps: int | None = setting(None, ge=1)
    """Environment steps in all; empty: as the run was started."""
    max_minutes: float | None = setting(None, gt=0)
    """Wall time after which this start saves and ends; empty: as the run was started."""
    clips: str | None = None
    """The clips file of the run where it was moved, or another one with the same clips; empty: where it was."""
    engine: str | None = None
    """Physics engine from now on; empty: that of the run. All episodes restart with another one."""
    n_envs: int | None = setting(None, ge=1)
    """Simulations side by side from now on; empty: as in the run. All episodes restart with another number."""
    devices: int | None = setting(None, ge=1)
    """JAX devices that learn, in each process; empty: all. They need not be as many as before."""
    distributed: DistributedConfig = field(default_factory=DistributedConfig)


@dataclass
class PlayedRun:
    """A controller and the clips it follows."""

    run: str = ""
    """Folder of a run."""
    checkpoint: str = "best"
    """best, last, or the number of a checkpoint."""
    clips: str | None = None
    """Another clips file of the same body; empty: the clips of the run."""
    engine: str | None = None
    """Physics engine; empty: that of the run."""
    terrain_seed: int | None = setting(None, ge=0)
    """Seed of other noise on the terrain; empty: that of the run."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Parameters of the task that differ from those of the run, as {start_radius_m: 0.5} for other starts in a bowl."""
    select: Any = field(default_factory=list)
    """Clips played, by patterns of names (reach*) and labels (condition:fast), as in run.select of a training. Clips of
    the run's file that it was not trained on then count as held out. Empty: all clips of the run."""


@dataclass
class EvaluateConfig(PlayedRun):
    """Settings of `track-mjx evaluate`."""

    clip_set: str = setting("test", choices=("train", "test", "all"))
    """Set at the top of the summary: train, test (held out; all clips of another file) or all."""
    whole: bool = False
    """Play the clips of another file whole, not cut to task.clip_s: how long are movements followed?"""
    deviation_mm: float | None = setting(None, gt=0)
    """Episodes also end where the bodies reported are, on average, farther from the reference than this, mm; empty: by
    the terminations of the task alone."""
    out: str | None = None
    """Folder of the results; empty: RUN/evaluation."""


@dataclass
class PerturbConfig:
    """What disturbs a controller while it is played; all of it is off by default."""

    push: list[float] = setting([])
    """Force of a push, [x, y, z] in the world frame, in the MJCF's units (N in m and kg)."""
    push_body: str = ""
    """Body that is pushed, at its centre of mass; empty: the root."""
    push_at_s: float = setting(0.5, ge=0)
    """When the push begins, s since the start of the episode."""
    push_s: float = setting(0.1, gt=0)
    """How long it lasts."""
    actuators: dict[str, float] = field(default_factory=dict)
    """Actuator, by name or pattern -> factor of its force: 0.5 weakens it, 0 silences it."""
    latents: list[int] = setting([], ge=0)
    """Dimensions of the intention that the decoder reads as 0."""
    units: dict[str, list[int]] = field(default_factory=dict)
    """Hidden layer of the decoder -> units whose output is read as 0, as {layer_0: [3, 7]}."""
    noise: float = setting(0.0, ge=0)
    """Standard deviation of noise on proprioception, in standard deviations of each of its values in training."""


@dataclass
class RolloutConfig(PlayedRun):
    """Settings of `track-mjx rollout`."""

    clip_set: str = setting("all", choices=("train", "test", "all"))
    """train, test or all."""
    whole: bool = False
    """Follow every clip to its end: where an episode ends, the next one begins on the reference. Clips of another file
    are not cut to task.clip_s."""
    deviation_mm: float | None = setting(None, gt=0)
    """With whole: episodes also end where the bodies reported are, on average, farther from the reference, mm."""
    seeds: list[int] = setting([0], ge=0)
    """Seeds; several repeat every clip."""
    deterministic: bool = True
    """Act on the means; off: intentions and actions are sampled."""
    activations: bool = True
    """Keep the activations of every hidden layer."""
    perturb: PerturbConfig = field(default_factory=PerturbConfig)
    """What disturbs the controller."""
    out: str | None = None
    """The file written; empty: RUN/rollouts.h5."""


@dataclass
class ReplayConfig:
    """Settings of `track-mjx replay`."""

    dump: str = ""
    """non_finite_state.json in the folder of a run."""


@dataclass
class CheckConfig(TrainConfig):
    """Settings of `track-mjx check`: those of a training that the files shall suit; most are set by a preset."""

    clips: Any = ""
    """A mimic.reference_clips file, or a list of files."""


@dataclass
class ShownRollouts:
    """The rollouts of a film."""

    rollouts: str = ""
    """A mimic.rollouts file, as `track-mjx rollout` writes it."""
    clip: Any = 0
    """Name or number of the clip, a list of these, or all: several are shown one after another."""
    seed: int | None = None
    """The repeat shown, in a file of several seeds; empty: the first."""
    ghost: float = setting(0.45, ge=0, le=1)
    """How opaque the reference is: 0 (not shown) to 1 (solid)."""
    speed: float | None = setting(None, gt=0)
    """Playback speed: 0.1 is ten times slower than in life; empty: 1, or slower for rollouts of less than 3 s."""


@dataclass
class RenderConfig(FilmConfig, ShownRollouts):  # the fields of the last base come first
    """Settings of `track-mjx render`."""


@dataclass
class StudioConfig:
    """Settings of `track-mjx studio`."""

    rollouts: Any = ""
    """A mimic.rollouts file, or a list of these, shown next to each other."""
    run: str = ""
    """Folder of a run: its learning curves, and the newest of its rollouts, followed while it trains."""
    clips: str = ""
    """A mimic.reference_clips file, whose recorded keypoints are shown; empty: that of the run, if it exists."""
    clip: Any = 0
    """Name or number of the clip, a list of these, or all: several are shown next to each other."""
    seed: int | None = None
    """The repeat shown, in a file of several seeds; empty: the first."""
    ghost: float = setting(0.35, ge=0, le=1)
    """How opaque the reference is: 0 (not shown) to 1 (solid)."""
    studio: PageConfig = field(default_factory=PageConfig)


@dataclass
class ExportConfig:
    """Settings of `track-mjx export`."""

    rollouts: str = ""
    """A mimic.rollouts file, as `track-mjx rollout` writes it: its movement is exported."""
    run: str = ""
    """Folder of a run: its policy is exported, as ONNX and NumPy arrays, with the body."""
    checkpoint: str = "best"
    """Of the run: best, last, or a number of steps."""
    seed: int | None = None
    """The repeat, in a file of several seeds; empty: the first."""
    out: str | None = None
    """Folder of the files, the reference of a movement in a folder of its own; empty: exported."""
    formats: list[str] = setting(["csv", "mot"], choices=("csv", "mot", "sto", "nwb", "html"))
    """csv (tables), mot (coordinates for OpenSim), sto (with velocities), nwb (what the body did, in one),
    html (a page a clip that plays it over its reference, without a server; extra studio)."""
    nwb: NwbSession = field(default_factory=NwbSession)
    """What NWB wants to know of the recording."""


@dataclass
class CompareConfig:
    """Settings of `track-mjx compare`."""

    runs: Any = ""
    """Runs: a folder of runs, a pattern such as 'sweep/*', or a list of these."""
    out: str | None = None
    """Folder of table, JSON and learning curves; empty: the folder of the runs."""


@dataclass
class BenchConfig(TrainConfig):
    """Settings of `track-mjx bench`: those of a training, and what is measured."""

    out: str | None = None
    """Folder of bench.json; empty: bench."""
    engines: list[str] = setting([], choices=("native", "mjx", "warp"))
    """Engines measured; empty: all that are installed."""
    parts: list[str] = setting(
        ["physics", "task", "policy", "learning"], choices=("physics", "task", "policy", "learning")
    )
    """Parts timed: physics (alone), task (with observations, rewards and resets), policy (with the network that acts),
    learning (with updates)."""
    n_envs: list[int] = setting([64, 256, 1024, 4096], ge=1)
    """Numbers of environments."""
    steps: int = setting(20, ge=1)
    """Control steps in a timed block; learning takes ppo.unroll."""
    max_minutes: float = setting(2.0, gt=0)
    """Measurements that have not begun by then are left out."""
