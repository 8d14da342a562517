"""The folder of a run: config, what made it, the split of the clips, metrics, checkpoints.

config.yaml        the resolved settings
run.json           versions, hash of the body, clips file and its hash, names of train and held-out clips
metrics.jsonl      one line of numbers every few iterations, never repeated, never missing
metrics.csv        the same as a table
checkpoints/       STEP/ and best.json
decoder.npz        the decoder of another run, where one is used
learning_curves.png  drawn when a training ends or stops
films/             STEPS.mp4, films of a held-out clip during training
"""

from __future__ import annotations

import json
import math
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from track_mjx._common.errors import ConfigError, OutputError, RunError, output_error, shorten
from track_mjx._common.files import json_lines, output_folder, write_table, write_text
from track_mjx._common.settings import plain_yaml
from track_mjx._common.system import environment, now
from track_mjx.clips import Clips
from track_mjx.config import TrainConfig
from track_mjx.renamed import with_present_names
from track_mjx.runs.checkpoints import Checkpoints

CONFIG, RECORD, METRICS, TABLE = "config.yaml", "run.json", "metrics.jsonl", "metrics.csv"
CURVES, DECODER = "learning_curves.png", "decoder.npz"

IMITATION_OUTCOMES = ("mean_body_error_mm", "mean_joint_error_deg", "unterminated_fraction")
"""Those of imitation, the only task of runs that name none."""


@dataclass(frozen=True)
class RunRecord:
    """What a run was made of."""

    clips: str
    clips_sha256: str
    model_name: str
    model_sha256: str
    train: tuple[str, ...]
    """Names of the clips of each set."""
    test: tuple[str, ...]
    started_utc: str
    environment: Mapping[str, str]
    outcomes: tuple[str, ...] = IMITATION_OUTCOMES
    """Numbers of the task by which runs are compared."""
    decoder: Mapping[str, Any] | None = None
    """Of a decoder of another run: ``run``, its ``step`` and the ``sha256`` of the copy in this folder."""
    tracker_id: str | None = None
    """Name of the run at experiment trackers, so that a resumed run stays one run there."""
    saved: bool = False
    """Whether a checkpoint was ever written."""


class RunFolder:
    """A run on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints", self.config().run.keep_checkpoints)

    @classmethod
    def begin(
        cls, config: TrainConfig, clips: Clips, train: list[int], test: list[int], **about: Any
    ) -> tuple[RunFolder, bool]:
        """Make the folder of a run, or open that of a run with the same settings; say whether it is new."""
        path = output_folder(config.out, "run")
        if not (path / RECORD).exists():
            return cls.create(config, clips, train, test, **about), True
        cure = f"{resume_command(path)} continues it; another out=... starts a new one"
        if config.run.resume == "never" or not (path / CONFIG).exists():
            raise OutputError(f"{path}: there is a run already; {cure}")
        folder = cls(path)
        others = folder.other_settings(config, clips)
        if others:
            raise OutputError(f"{path}: there is a run already, with other settings ({shorten(others, 4)}); {cure}")
        folder.verify_checkpoints()
        folder.update(config, clips)
        return folder, False

    @classmethod
    def create(cls, config: TrainConfig, clips: Clips, train: list[int], test: list[int], **about: Any) -> RunFolder:
        """Make the folder of a new run; `about` are further fields of its record."""
        path = output_folder(config.out, "run")
        record = RunRecord(
            clips=str(clips.path.absolute()),
            clips_sha256=clips.sha256,
            model_name=clips.model_name,
            model_sha256=clips.model_sha256,
            train=tuple(clips.clip_name[i] for i in train),
            test=tuple(clips.clip_name[i] for i in test),
            started_utc=now(),
            environment=environment(),
            tracker_id=uuid.uuid4().hex[:12],
            **about,
        )
        write_text(path / CONFIG, config_yaml(config))
        write_text(path / METRICS, "")
        _write_record(path, record)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open the folder of a run."""
        folder = Path(path).expanduser()
        if not (folder / RECORD).is_file() or not (folder / CONFIG).is_file():
            raise RunError(f"{folder}: not the folder of a run: {RECORD} or {CONFIG} is missing")
        return cls(folder)

    def other_settings(self, config: TrainConfig, clips: Clips) -> list[str]:
        """Settings of the run that are not those of `config`, without those that may change; clips by their content."""
        mine, given = flat_settings(self.config()), flat_settings(config)
        names = [name for name in {**mine, **given} if mine.get(name) != given.get(name)]
        names = [name for name in names if not name.startswith(FREE_SETTINGS)]
        if not any(name.startswith("task.action_range.") for name in given):  # found from the clips when the run began
            names = [name for name in names if not name.startswith("task.action_range")]
        return names + (["clips"] if clips.sha256 != self.record().clips_sha256 else [])

    def update(self, config: TrainConfig, clips: Clips) -> None:
        """Store what a resumed run changes for good: its end, engine, number of simulations and clips file."""
        stored, record = self.config(), self.record()
        stored.run.steps, stored.ppo.n_envs = config.run.steps, config.ppo.n_envs
        stored.physics.engine, stored.clips = config.physics.engine, str(clips.path)
        path = str(clips.path.absolute())
        write_text(self.path / CONFIG, config_yaml(stored))
        _write_record(self.path, replace(record, clips=path, clips_sha256=clips.sha256))

    def save(self, step: int, state: Any) -> None:
        """Write a checkpoint, and note that there was one."""
        self.checkpoints.save(step, state)
        record = self.record()
        if not record.saved:
            _write_record(self.path, replace(record, saved=True))

    def verify_checkpoints(self) -> None:
        """Refuse to continue a run whose checkpoints are gone; one that never had any begins again."""
        if self.record().saved and not self.checkpoints.steps():
            raise RunError(
                f"{self.path / 'checkpoints'}: the checkpoints of the run are gone; put them back, or start again in "
                "another folder (out=...)"
            )

    def discard(self) -> None:
        """Remove the folder of a run whose start failed before anything was learned."""
        if self.metrics() or self.checkpoints.steps() or list(self.path.glob("non_finite*")):
            return
        for name in (CONFIG, RECORD, METRICS, DECODER, "train.log"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("tensorboard", "wandb", "checkpoints", "films"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        with suppress(OSError):  # files of others may be there
            self.path.rmdir()

    def config(
        self, engine: str | None = None, terrain_seed: int | None = None, parameters: Mapping[str, Any] | None = None
    ) -> TrainConfig:
        """The settings of the run, perhaps with another engine, noise on its terrain, or parameters of its task."""
        from omegaconf.errors import OmegaConfBaseException

        try:
            config = deepcopy(_settings_in((self.path / CONFIG).read_text(encoding="utf-8")))
        except (OmegaConfBaseException, ValueError, OSError) as error:
            what = " ".join(str(error).split()).split(" full_key:")[0]
            raise RunError(f"{self.path / CONFIG}: the settings cannot be read: {what}") from error
        config.physics.engine = engine or config.physics.engine
        config.task.parameters |= parameters or {}
        if terrain_seed is not None:
            if config.arena.terrain.kind == "none":
                raise ConfigError(f"terrain_seed={terrain_seed}: {self.path} was trained without arena.terrain")
            config.arena.terrain.seed = terrain_seed
        return config

    def record(self) -> RunRecord:
        """What the run was made of."""
        try:
            values = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            lists = {name: tuple(values[name]) for name in ("train", "test", "outcomes") if name in values}
            return RunRecord(**{**values, **lists})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{self.path / RECORD}: the record cannot be read: {error}") from error

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append a line of metrics; numbers that are not finite become null."""
        try:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(_json_line(line))
        except OSError as error:
            raise output_error(self.path / METRICS, error) from error

    def extend_metrics(self, line: Mapping[str, Any]) -> None:
        """Replace the last line of metrics by `line`, the same with further numbers."""
        earlier = (self.path / METRICS).read_text(encoding="utf-8").splitlines(keepends=True)[:-1]
        write_text(self.path / METRICS, "".join([*earlier, _json_line(line)]))

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics; one that was cut off by a crash is left out."""
        try:
            lines = json_lines((self.path / METRICS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / METRICS}: the metrics cannot be read: {error}") from error
        return [line for line in lines if isinstance(line.get("iteration"), int)]

    def forget_after(self, iteration: int) -> None:
        """Drop metrics of iterations after this one, so that a resumed run repeats none."""
        lines = [line for line in self.metrics() if line["iteration"] <= iteration]
        write_text(self.path / METRICS, "".join(json.dumps(line) + "\n" for line in lines))

    def write_table(self) -> None:
        """Write the metrics as a CSV table; columns that a line lacks stay empty."""
        write_table(self.path / TABLE, self.metrics())


def _write_record(path: Path, record: RunRecord) -> None:
    write_text(path / RECORD, json.dumps(asdict(record), indent=1))


@lru_cache(maxsize=8)  # a run is opened several times by one command
def _settings_in(text: str) -> TrainConfig:
    from omegaconf import OmegaConf

    if "${" in text:
        raise ValueError("the settings of a run are plain values, without ${...}")
    values = plain_yaml(text)
    values = with_present_names(values) if isinstance(values, dict) else values
    config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), values))
    return config


def _json_line(line: Mapping[str, Any]) -> str:
    return json.dumps({name: _finite(value) for name, value in line.items()}) + "\n"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def resume_command(path: Path, *more: str) -> str:
    """The command that continues a run, as it is typed in a shell."""
    plain = re.fullmatch(r"[\w./+-]+", str(path), re.ASCII)
    run = f"run={path}" if plain else f"\"run='{path}'\""
    return f"`{' '.join(['track-mjx resume', run, *more])}`"


FREE_SETTINGS = (
    "out", "clips", "physics.threads", "run.steps", "run.max_minutes", "run.resume", "run.devices", "run.distributed",
    "run.wandb", "run.tensorboard", "run.keep_checkpoints", "run.evaluate", "run.film_every_s",
    "run.checkpoint_every", "run.log_every",
)  # fmt: skip
"""Beginnings of the names of settings that a run may change when it is continued."""


def flat_settings(config: TrainConfig) -> dict[str, Any]:
    """Every setting by its dotted key."""

    def walk(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in tree.items():
            if isinstance(value, dict) and value:
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value

    return dict(walk(asdict(config), ""))


def config_yaml(config: Any) -> str:
    """Settings as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.structured(config))
