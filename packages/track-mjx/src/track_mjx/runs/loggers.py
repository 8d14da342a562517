"""Optional copies of the metrics and films for experiment trackers: TensorBoard files and Weights & Biases."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from struct import unpack
from typing import Any

from track_mjx._common.errors import ConfigError
from track_mjx._common.render.video import require_ffmpeg
from track_mjx.config import TrainConfig
from track_mjx.runs.run_folder import RunFolder

Log = Callable[[Mapping[str, Any]], None]


def open_trackers(config: TrainConfig, folder: RunFolder, done: int, stack: ExitStack) -> list[Log]:
    """Functions that each take a line of metrics, with paths of films; what they hold open is closed with `stack`.

    What was logged after the steps `done` before is dropped.
    """
    logs: list[Log] = []
    if config.run.tensorboard:
        logs.append(_tensorboard(folder.path / "tensorboard", done, stack))
    if config.run.wandb:
        logs.append(_wandb(config, folder, stack))
    return logs


def as_gif(path: Path, fps: int) -> bytes:
    """Return a film as a GIF of so many pictures a second."""
    arguments = ["-v", "error", "-i", str(path), "-r", str(fps), "-f", "gif", "-"]
    return subprocess.run([require_ffmpeg().get_ffmpeg_exe(), *arguments], check=True, capture_output=True).stdout


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in line.items() if isinstance(value, int | float)}


def _films(line: Mapping[str, Any]) -> dict[str, Path]:
    return {name: value for name, value in line.items() if isinstance(value, Path)}


def _extra(module: str, setting: str) -> Any:
    """Import a library that is not installed with the package by default."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(f"run.{setting}: not installed; pip install 'track-mjx[{setting}]'") from error


def _tensorboard(folder: Path, done: int, stack: ExitStack) -> Log:
    further = {"purge_step": done + 1} if done else {}
    writer = _extra("tensorboardX", "tensorboard").SummaryWriter(str(folder), **further)
    stack.callback(writer.close)

    def log(line: Mapping[str, Any]) -> None:
        for name, value in _numbers(line).items():
            writer.add_scalar(name, value, int(line["steps"]))
        for name, path in _films(line).items():
            writer.file_writer.add_summary(_moving_picture(name, path), int(line["steps"]))

    return log


def _moving_picture(name: str, path: Path) -> Any:
    """A film as TensorBoard shows it, a GIF."""
    gif = as_gif(path, fps=10)
    summary, (width, height) = _extra("tensorboardX.proto.summary_pb2", "tensorboard").Summary, unpack("<HH", gif[6:10])
    image = summary.Image(encoded_image_string=gif, width=width, height=height, colorspace=3)
    return summary(value=[summary.Value(tag=name, image=image)])


def _wandb(config: TrainConfig, folder: RunFolder, stack: ExitStack) -> Log:
    wandb = _extra("wandb", "wandb")
    try:
        run = wandb.init(
            project=config.run.wandb,
            dir=str(folder.path),
            name=folder.path.name,
            config=asdict(config),
            id=folder.record().tracker_id,
            resume="allow",
        )
    except wandb.Error as error:
        raise ConfigError(f"run.wandb: {' '.join(str(error).split())}") from error
    stack.callback(run.finish)

    def log(line: Mapping[str, Any]) -> None:
        films = {name: wandb.Video(str(path), format="mp4") for name, path in _films(line).items()}
        run.log({**_numbers(line), **films}, step=int(line["steps"]))

    return log
