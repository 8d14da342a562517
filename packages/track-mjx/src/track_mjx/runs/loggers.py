"""Optional copies of the metrics for experiment trackers: TensorBoard files and Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from track_mjx._common.errors import ConfigError
from track_mjx.config import TrainConfig

Log = Callable[[Mapping[str, Any]], None]


def open_trackers(config: TrainConfig, folder: Path, stack: ExitStack) -> list[Log]:
    """Functions that each take a line of metrics; what they hold open is closed with `stack`."""
    logs: list[Log] = []
    if config.run.tensorboard:
        logs.append(_tensorboard(folder / "tensorboard", stack))
    if config.run.wandb:
        logs.append(_wandb(config, folder, stack))
    return logs


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in line.items() if isinstance(value, int | float)}


def _tensorboard(folder: Path, stack: ExitStack) -> Log:
    try:
        from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports] - an extra
    except ModuleNotFoundError as error:
        raise ConfigError("run.tensorboard: not installed; pip install 'track-mjx[tensorboard]'") from error
    writer = SummaryWriter(str(folder))
    stack.callback(writer.close)

    def log(line: Mapping[str, Any]) -> None:
        for name, value in _numbers(line).items():
            writer.add_scalar(name, value, int(line["steps"]))

    return log


def _wandb(config: TrainConfig, folder: Path, stack: ExitStack) -> Log:
    try:
        import wandb  # pyright: ignore[reportMissingImports] - an extra
    except ModuleNotFoundError as error:
        raise ConfigError("run.wandb: not installed; pip install 'track-mjx[wandb]'") from error
    from dataclasses import asdict

    run = wandb.init(project=config.run.wandb, dir=str(folder), name=folder.name, config=asdict(config), resume="allow")
    stack.callback(run.finish)
    return lambda line: run.log(_numbers(line), step=int(line["steps"]))
