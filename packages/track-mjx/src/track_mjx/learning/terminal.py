"""A training at the terminal: its metrics on the progress bar, signals that stop it, and what is logged at its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import jax

from track_mjx._common.progress import Stage, reporting
from track_mjx.learning.setup import Setup
from track_mjx.learning.trainer import Trainer
from track_mjx.runs.curves import draw_curves
from track_mjx.runs.films import Films
from track_mjx.runs.loggers import open_trackers
from track_mjx.runs.run_folder import CURVES, IMITATION_OUTCOMES, RunFolder, resume_command

_WARNINGS = ("SIGUSR1", "SIGUSR2")


def learn(setup: Setup, folder: RunFolder, sets: tuple[list[int], list[int]]) -> None:
    """Train as a command does: progress on the terminal, signals, logs, curves at the end.

    A run that has a checkpoint is continued. Of several processes, one writes files and logs; the others only compute.
    """
    steps = setup.config.run.steps
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signals())
        if jax.process_index() > 0:
            trainer = Trainer(setup, folder, *sets)
            trainer.resume()
            trainer.run(lambda: bool(stopped()))
            return
        log, stage = stack.enter_context(reporting(folder.path / "train.log", append=True))
        trainer = Trainer(setup, folder, *sets)
        trainer.resume()
        done = trainer.progress.steps
        outcomes = setup.task.outcomes
        reports = [training_bar(stage, steps, done, outcomes), *open_trackers(setup.config, folder, done, stack)]
        if done:
            log.info("resumed at step %d", done)
        if done >= steps:
            log.info("all %d steps are done; %s continues", steps, resume_command(folder.path, "steps=MORE"))

        if setup.config.run.film_every_s is not None:
            films = Films(folder.path, setup.clips.clip_name[(sets[1] or sets[0])[0]], setup.config.run.film_every_s)
            stack.callback(films.close)

        def report(line: Mapping[str, Any]) -> None:
            line = line if setup.config.run.film_every_s is None else films.at(line)
            for each in reports:
                each(line)

        trainer.report = report
        in_time = trainer.run(lambda: bool(stopped()))
        lines = folder.metrics()
        draw_curves(lines, folder.path / CURVES, outcomes)
        if stopped() or not in_time:
            what = (
                f"stopped by {stopped()}"
                if stopped()
                else f"run.max_minutes={setup.config.run.max_minutes:g} are over:"
            )
            log.info("%s at step %d of %d and saved; %s continues", what, trainer.progress.steps, steps,
                     resume_command(folder.path))  # fmt: skip
        else:
            log.info("%s", closing_line(lines[-1], outcomes) if lines else f"{folder.path}: no metrics are left")


def closing_line(line: Mapping[str, Any], outcomes: Sequence[str] = IMITATION_OUTCOMES) -> str:
    """Summarise a training in one line."""
    text = f"{line['steps'] / 1e6:.2f} M steps in {line['seconds']:.0f} s"
    for group, name in (("train", "train"), ("test", "held-out")):
        error = line.get(f"eval/{group}/{outcomes[0]}") if outcomes else None
        if error is not None:
            part = 100 * line[f"eval/{group}/unterminated_fraction"]
            text += f"; {name} clips: {_with_unit(outcomes[0], error)}, {part:.0f} % followed to the end"
    return text


def _with_unit(outcome: str, value: float) -> str:
    """A number, and the unit in which its name ends."""
    unit = outcome.rpartition("_")[2]
    return f"{value:.2f} {unit if unit in ('mm', 'deg', 's') else outcome}"


def training_bar(
    stage: Stage, total: int, done: int, outcomes: Sequence[str] = IMITATION_OUTCOMES
) -> Callable[[Mapping[str, float | int]], None]:
    """Return a function that shows a line of metrics: steps, speed, reward, two outcomes, time left."""
    tick = stage("training", total)
    tick(done, "compiling")
    errors = ""

    def show(line: Mapping[str, float | int]) -> None:
        nonlocal errors, done
        for group in ("train", "test"):
            found = [(name, line.get(f"eval/{group}/{name}")) for name in outcomes[:2]]
            known = [_with_unit(name, value) for name, value in found if value is not None]
            errors = f"  {group}: {' '.join(known)}" if known else errors
        steps = int(line["steps"])
        tick(steps - done, f"{line['control_steps_per_s'] / 1e3:.1f} k/s  reward {line['reward']:.3f}{errors}")
        done = steps

    return show


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], str]]:
    """Yield a function that names the first signal that asked to stop, if any; the same one again stops at once.

    Job schedulers announce the end of a job's time with SIGUSR1 or SIGUSR2, and a requeue with SIGTERM. Where they have
    set a handler, as submitit does to queue the job again, it is called after everything was saved. After SIGTERM the
    process then ends without a result, so that the launcher of a sweep waits for the requeued job.
    """
    received: list[str] = []

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name in received:
            raise KeyboardInterrupt
        received.append(name)

    known = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", *_WARNINGS) if hasattr(signal, name)]
    old = {number: signal.signal(number, handle) for number in known}
    try:
        yield lambda: received[0] if received else ""
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    scheduler = old[getattr(signal, received[0])] if received and received[0] != "SIGINT" else None
    if callable(scheduler):
        scheduler(getattr(signal, received[0]), None)
        if received[0] == "SIGTERM":
            raise SystemExit(128 + signal.SIGTERM)
