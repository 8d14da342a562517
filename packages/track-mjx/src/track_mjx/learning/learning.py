"""A training as a command runs it: progress on the terminal, signals, logs, curves at the end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import jax

from track_mjx._common.progress import reporting, stop_on_signals, training_bar
from track_mjx.learning.setup import Setup
from track_mjx.learning.trainer import Report, Trainer
from track_mjx.runs.curves import draw_curves
from track_mjx.runs.loggers import open_trackers
from track_mjx.runs.run_folder import CURVES, RunFolder


def learn(setup: Setup, folder: RunFolder, sets: tuple[list[int], list[int]], *, resume: bool) -> int:
    """Train, or go on training, until the steps are done or a signal comes; return the exit code."""
    if jax.process_index() > 0:
        return assist(setup, folder, sets, resume=resume)
    with ExitStack() as stack, reporting(folder.path / "train.log") as (log, console), stop_on_signals() as stopped:
        trackers = open_trackers(setup.config, folder.path, stack)
        trainer = Trainer(setup, folder, *sets)
        if resume:
            trainer.go_on()
            log.info("going on from step %d", trainer.progress.steps)
        run = setup.config.run
        with training_bar(console, run.steps, trainer.progress.steps) as show:
            trainer.report = in_turn(show, *trackers)
            trainer.run(lambda: bool(stopped()))
        draw_curves(folder.metrics(), folder.path / CURVES)
        if stopped():
            log.info("stopped by %s at step %d and saved; `track-mjx resume run=%s` goes on", stopped(),
                     trainer.progress.steps, folder.path)  # fmt: skip
        else:
            log.info("%s", closing_line(folder.metrics()[-1]))
    return 0


def assist(setup: Setup, folder: RunFolder, sets: tuple[list[int], list[int]], *, resume: bool) -> int:
    """The same as one of several processes that neither write nor tell."""
    with stop_on_signals() as stopped:
        trainer = Trainer(setup, folder, *sets)
        if resume:
            trainer.go_on()
        trainer.run(lambda: bool(stopped()))
    return 0


def in_turn(*reports: Report) -> Report:
    """One report that hands its line to several."""

    def report(line: Mapping[str, Any]) -> None:
        for each in reports:
            each(line)

    return report


def closing_line(line: Mapping[str, float | int]) -> str:
    """One sentence about the end of a training."""
    text = f"{line['steps'] / 1e6:.2f} M steps in {line['seconds']:.0f} s"
    for group, name in (("train", "train"), ("test", "held-out")):
        if f"eval/{group}/mean_body_error_mm" in line:
            text += (
                f"; {name} clips: {line[f'eval/{group}/mean_body_error_mm']:.2f} mm, "
                f"{100 * line[f'eval/{group}/unterminated_fraction']:.0f} % followed to the end"
            )
    return text
