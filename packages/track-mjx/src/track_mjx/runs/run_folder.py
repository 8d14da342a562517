"""The folder of a run: config, what made it, the split of the clips, metrics, checkpoints.

config.yaml        the resolved settings
run.json           versions, hash of the body, clips file and its hash, names of train and held-out clips
metrics.jsonl      one line of numbers every few iterations, never repeated, never missing
metrics.csv        the same as a table
checkpoints/       STEP/ and best.json
learning_curves.png  drawn when a training ends or stops
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from track_mjx._common.errors import OutputError, RunError, output_error
from track_mjx._common.files import output_folder, write_table, write_text
from track_mjx._common.settings import plain_yaml
from track_mjx._common.system import environment, now
from track_mjx.clips import Clips
from track_mjx.config import TrainConfig
from track_mjx.renamed import with_present_names
from track_mjx.runs.checkpoints import Checkpoints

CONFIG, RECORD, METRICS, TABLE = "config.yaml", "run.json", "metrics.jsonl", "metrics.csv"
CURVES = "learning_curves.png"


@dataclass(frozen=True)
class RunRecord:
    """What a run was made of."""

    clips: str
    """Path of the clips file."""
    clips_sha256: str
    """Its hash."""
    model_name: str
    """The body."""
    model_sha256: str
    train: tuple[str, ...]
    """Names of the clips of each set."""
    test: tuple[str, ...]
    started_utc: str
    """When."""
    environment: Mapping[str, str]
    """Versions of programs."""


class RunFolder:
    """A run on the disk.

    Args:
        path: its folder, which holds the settings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints", self.config().run.keep_checkpoints)

    @classmethod
    def create(cls, config: TrainConfig, clips: Clips, train: list[int], test: list[int]) -> RunFolder:
        """Make the folder of a new run."""
        path = output_folder(config.out, "run")
        if (path / RECORD).exists():
            raise OutputError(f"{path}: there is a run already; `track-mjx resume run={path}` continues it")
        record = RunRecord(
            clips=str(clips.path.absolute()),
            clips_sha256=clips.sha256,
            model_name=clips.model_name,
            model_sha256=clips.model_sha256,
            train=tuple(clips.clip_name[i] for i in train),
            test=tuple(clips.clip_name[i] for i in test),
            started_utc=now(),
            environment=environment(),
        )
        write_text(path / CONFIG, config_yaml(config))
        write_text(path / METRICS, "")
        write_text(path / RECORD, json.dumps(asdict(record), indent=1))
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open the folder of a run."""
        folder = Path(path).expanduser()
        if not (folder / RECORD).is_file() or not (folder / CONFIG).is_file():
            raise RunError(f"{folder}: not the folder of a run: {RECORD} or {CONFIG} is missing")
        return cls(folder)

    def config(self, engine: str | None = None) -> TrainConfig:
        """The settings of the run, perhaps with another physics engine."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            text = (self.path / CONFIG).read_text(encoding="utf-8")
            if "${" in text:
                raise ValueError("the settings of a run are plain values, without ${...}")
            values = plain_yaml(text)
            values = with_present_names(values) if isinstance(values, dict) else values
            config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), values))
        except (OmegaConfBaseException, ValueError, OSError) as error:
            what = " ".join(str(error).split()).split(" full_key:")[0]
            raise RunError(f"{self.path / CONFIG}: the settings cannot be read: {what}") from error
        config.physics.engine = engine or config.physics.engine
        return config

    def record(self) -> RunRecord:
        """What the run was made of."""
        try:
            values = json.loads((self.path / RECORD).read_text(encoding="utf-8"))
            return RunRecord(**{**values, "train": tuple(values["train"]), "test": tuple(values["test"])})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{self.path / RECORD}: the record cannot be read: {error}") from error

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append a line of metrics; numbers that are not finite become null."""
        try:
            with (self.path / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({name: _finite(value) for name, value in line.items()}) + "\n")
        except OSError as error:
            raise output_error(self.path / METRICS, error) from error

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics; one that was cut off by a crash is left out."""
        try:
            texts = (self.path / METRICS).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise RunError(f"{self.path / METRICS}: the metrics cannot be read: {error}") from error
        lines = []
        for text in texts:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict) and isinstance(line.get("iteration"), int):
                lines.append(line)
        return lines

    def forget_after(self, iteration: int) -> None:
        """Drop metrics of iterations after this one, so that a resumed run repeats none."""
        lines = [line for line in self.metrics() if line["iteration"] <= iteration]
        write_text(self.path / METRICS, "".join(json.dumps(line) + "\n" for line in lines))

    def write_table(self) -> None:
        """Write the metrics as a CSV table; columns that a line lacks stay empty."""
        write_table(self.path / TABLE, self.metrics())


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def config_yaml(config: Any) -> str:
    """Settings as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.structured(config))
