"""Progress of long commands: a bar on a terminal, log lines on standard error and in a file."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from track_mjx._common.errors import output_error


@contextmanager
def reporting(log_file: Path | None = None) -> Iterator[tuple[logging.Logger, Console]]:
    """Yield a logger that writes to standard error and to a file, and the console it shares with progress bars."""
    logger = logging.getLogger("track_mjx")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    console = Console(stderr=True)
    handlers: list[logging.Handler] = [RichHandler(console=console, show_path=False, show_time=False, markup=False)]
    if log_file is not None:
        try:
            file_handler = logging.FileHandler(log_file, mode="a", encoding="utf-8")
        except OSError as error:
            raise output_error(log_file, error) from error
        file_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file_handler)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield logger, console
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


@contextmanager
def training_bar(console: Console, total: int, done: int) -> Iterator[Callable[[Mapping[str, float | int]], None]]:
    """Yield a function that shows a line of metrics: steps, speed, reward, errors, time left; terminals only."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"))
    bar = Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    errors = ""

    with bar:
        task = bar.add_task("training", total=total, completed=done, numbers="compiling")

        def show(line: Mapping[str, float | int]) -> None:
            nonlocal errors
            if "eval/test/mean_body_error_mm" in line or "eval/train/mean_body_error_mm" in line:
                group = "test" if "eval/test/mean_body_error_mm" in line else "train"
                errors = (
                    f"  {group}: {line[f'eval/{group}/mean_body_error_mm']:.2f} mm "
                    f"{line[f'eval/{group}/mean_joint_error_deg']:.2f} deg"
                )
            numbers = (
                f"{line['steps'] / 1e6:.2f} M steps  {line['control_steps_per_s'] / 1e3:.1f} k/s  "
                f"reward {line['reward']:.3f}{errors}"
            )
            bar.update(task, completed=int(line["steps"]), numbers=numbers)

        yield show


@contextmanager
def counting_bar(console: Console, name: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how many parts of how many are done; terminals only."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    bar = Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    with bar:
        task = bar.add_task(name, total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], str]]:
    """Yield a function that says which of SIGTERM and SIGINT has come since, if any; a second one ends at once."""
    received: list[str] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        if len(received) > 1:
            raise KeyboardInterrupt

    old = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: received[0] if received else ""
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in $TRACK_MJX_CACHE, else the user's cache folder."""
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    base = os.environ.get("TRACK_MJX_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "track-mjx"
    )
    jax.config.update("jax_compilation_cache_dir", os.path.join(base, "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
