"""Use the package from Python: train a controller, open a run, evaluate it, roll it out.

    import track_mjx

    run = track_mjx.train("clips.h5", "run", preset="mouse_arm_quick", run={"steps": 500_000})
    run = track_mjx.load("run")
    run.metrics()[-1]["reward"]
    run.evaluate()["mean_body_error_mm"]
    run.roll_out("rollouts.h5")
    run.export("policy")

Settings are those of the commands (``track-mjx train --help``); nested ones are given as dictionaries.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from track_mjx._common.cli import preset_names, preset_values
from track_mjx._common.errors import ConfigError, unknown
from track_mjx._common.progress import Stage, progress_bars, silent
from track_mjx._common.settings import configure, require
from track_mjx._common.system import use_compilation_cache
from track_mjx.clips import read_clips
from track_mjx.config import EvaluateConfig, ExportConfig, RenderConfig, ResumeConfig, RolloutConfig, TrainConfig
from track_mjx.devices import by_chief, join_processes
from track_mjx.evaluation.assess import assess
from track_mjx.export.policy import export_run
from track_mjx.learning.decoder import about, open_source, pretrained, verify_body
from track_mjx.learning.setup import build, choose_sets, open_setup, verify
from track_mjx.learning.terminal import learn
from track_mjx.render.render import render
from track_mjx.rollouts.writing import roll_out
from track_mjx.runs.run_folder import DECODER, RunFolder


@dataclass(frozen=True)
class Run:
    """A training on the disk."""

    folder: RunFolder
    """Its folder, with settings, metrics and checkpoints."""

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def settings(self) -> TrainConfig:
        """Settings of the training."""
        return self.folder.config()

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics, first to last, as in ``metrics.csv``."""
        return self.folder.metrics()

    def resume(self, **settings: Any) -> Run:
        """Continue the training from its last checkpoint, as ``track-mjx resume`` does (``steps=1_000_000``)."""
        continue_training(configure(ResumeConfig(run=str(self.path)), settings, "resume"))
        return self

    def evaluate(self, out: str | Path | None = None, **settings: Any) -> dict[str, Any]:
        """Play train and held-out clips on the policy's means; write tables and figures and return the summary.

        Args:
            out: folder of the results; None: ``evaluation`` in the folder of the run.
            settings: others of ``track-mjx evaluate``, as ``clips="other.h5"``.

        Raises:
            UserError: when run, checkpoint and clips do not fit.
        """
        return evaluate(configure(EvaluateConfig(run=str(self.path), out=_path(out)), settings, "evaluate"))[1]

    def roll_out(self, out: str | Path | None = None, *, progress: bool = False, **settings: Any) -> Path:
        """Write what body and network did on every clip; return the path.

        Args:
            out: the file; None: ``rollouts.h5`` in the folder of the run.
            progress: show bars in a terminal or notebook.
            settings: others of ``track-mjx rollout``, as ``deterministic=False, seeds=[0, 1]``.

        Raises:
            UserError: when run, checkpoint and clips do not fit.
        """
        config = configure(RolloutConfig(run=str(self.path), out=_path(out)), settings, "rollout")
        with progress_bars() if progress else nullcontext(silent) as stage:
            return write_rollouts(config, stage)[0]

    def film(self, out: str | Path, clip: str, checkpoint: str = "last", **settings: Any) -> Path:
        """Play one clip with a checkpoint on native MuJoCo, and film body and reference (mp4); return the path.

        Settings are those of `track_mjx.config.RenderConfig`.
        """
        path = Path(out).expanduser()
        with TemporaryDirectory() as folder:
            played = {"select": [clip], "activations": False, "engine": "native", "checkpoint": checkpoint}
            rollouts = self.roll_out(Path(folder) / "rollouts.h5", **played)
            return render(RenderConfig(rollouts=str(rollouts), out=str(path), **settings))

    def export(self, out: str | Path, checkpoint: str = "best") -> list[Path]:
        """Write the policy as ONNX and NumPy arrays, with its body; return the paths (`track_mjx.export.policy`)."""
        return export_run(self.folder, ExportConfig(run=str(self.path), out=str(out), checkpoint=checkpoint))


def train(clips: str | Path, out: str | Path, *, preset: str = "mouse_arm_quick", **settings: Any) -> Run:
    """Train a controller on a clips file, with the settings of a preset, some of them changed.

    A folder that holds a run with the same settings is continued.

    Args:
        clips: a mimic.reference_clips file.
        out: folder of the run.
        preset: name of a preset, as for ``track-mjx train preset=NAME``.
        settings: settings that differ, as ``ppo={"n_envs": 256}, seed=1``.

    Raises:
        ConfigError: when preset or setting is unknown or invalid.
        UserError: when clips or body cannot be trained on.
    """
    if preset not in preset_names("preset"):
        raise ConfigError(unknown("preset", preset, preset_names("preset")))
    config = configure(TrainConfig(), preset_values("preset", preset), f"preset {preset}")
    config = configure(config, {**settings, "clips": os.fspath(clips), "out": os.fspath(out)}, "train")
    begin_training(config)
    return load(out)


def load(run: str | Path) -> Run:
    """Open the folder of a run.

    Raises:
        RunError: when it is none.
    """
    return Run(RunFolder.open(run))


# what the commands run


def begin_training(config: TrainConfig) -> None:
    """Train in a new run folder, or continue a run with the same settings."""
    require(config.out, "out", "run")
    source = open_source(config)
    require(config.clips, "clips", "results/clips.h5")
    join_processes(config.run.distributed)
    use_compilation_cache()
    setup = build(config, read_clips(config.clips), pretrained(config, source))
    verify(setup)
    if source is not None:
        verify_body(source, setup.task.body)
    sets = choose_sets(setup.clips, config.run, len(setup.windows))
    folder, new = by_chief(
        lambda: RunFolder.begin(config, setup.clips, *sets, **about(setup, source)),
        lambda: (RunFolder.open(str(config.out)), False),
    )
    try:
        if new and setup.pretrained is not None:
            setup.pretrained.save(folder.path / DECODER)
        learn(setup, folder, sets)
    except Exception:
        if new:
            folder.discard()
        raise


def continue_training(config: ResumeConfig) -> None:
    """Continue from the last checkpoint of a run."""
    folder = opened(config.run)
    folder.verify_checkpoints()
    join_processes(config.distributed)
    changed = folder.config(config.engine)
    # where a run is computed is not part of it
    changed.run.devices, changed.run.distributed = config.devices, config.distributed
    changed.run.max_minutes = changed.run.max_minutes if config.max_minutes is None else config.max_minutes
    done = max(folder.checkpoints.steps(), default=0)
    if config.steps is not None and config.steps < done:
        raise ConfigError(f"steps={config.steps}: the run has {done} steps already; give more")
    changed.run.steps, changed.ppo.n_envs = config.steps or changed.run.steps, config.n_envs or changed.ppo.n_envs
    setup, train, test = open_setup(folder, changed, config.clips, resumed=True)
    verify(setup)
    by_chief(lambda: folder.update(changed, setup.clips), lambda: None)
    learn(setup, folder, (train, test))


def evaluate(config: EvaluateConfig) -> tuple[Path, dict[str, Any]]:
    """Evaluate a run; return the folder of the results, and the summary."""
    folder = opened(config.run)
    target = Path(config.out).expanduser() if config.out else folder.path / "evaluation"
    return target, assess(folder, config, target)


def write_rollouts(config: RolloutConfig, stage: Stage = silent) -> tuple[Path, int]:
    """Play the clips of a run, once for each seed; return the file, and how many clips it has."""
    if not config.seeds:
        raise ConfigError("seeds: at least one is needed; for example seeds=[0]")
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"seeds: each may occur once, got {list(config.seeds)}")
    if config.deterministic and len(config.seeds) > 1:
        raise ConfigError("seeds: the means are the same for every seed; set deterministic=false to draw")
    folder = opened(config.run)
    path = Path(config.out).expanduser() if config.out else folder.path / "rollouts.h5"
    return path, roll_out(folder, config, path, stage)


def opened(run: str) -> RunFolder:
    """Open the folder of a run, and keep what is compiled for it."""
    folder = RunFolder.open(require(run, "run", "run"))
    use_compilation_cache()
    return folder


def _path(out: str | Path | None) -> str | None:
    return None if out is None else os.fspath(out)
