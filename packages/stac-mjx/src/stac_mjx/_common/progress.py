"""Progress bars and log lines of the commands: bars on a terminal only, log lines on standard error and in a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stac_mjx._common.errors import output_error

Stage = Callable[[str, int | None], Callable[[int], None]]


@contextmanager
def reporting(log_file: Path | None) -> Iterator[tuple[logging.Logger, Stage]]:
    """Yield a logger (console and file) and a function that starts a progress bar and returns its tick."""
    logger = logging.getLogger("stac_mjx")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    console = Console(stderr=True)
    handlers: list[logging.Handler] = [_on_screen(console)]
    if log_file is not None:
        try:
            file_handler = logging.FileHandler(log_file, mode="w", encoding="utf-8")
        except OSError as error:
            raise output_error(log_file, error) from error
        file_handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file_handler)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with progress_bars(console) as stage:
            yield logger, stage
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _on_screen(console: Console) -> logging.Handler:
    """Coloured and wrapped for people; a line a message for files and pipes."""
    if console.is_terminal:
        return RichHandler(console=console, show_path=False, show_time=False, markup=False)
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter("%(levelname)-8s %(message)s"))
    return plain


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Stage]:
    """Yield a function that starts a progress bar and returns its tick; bars show in terminals and notebooks only."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = console.is_terminal or console.is_jupyter
    bars = Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown)

    def stage(name: str, total: int | None) -> Callable[[int], None]:
        for earlier in bars.tasks:
            bars.update(earlier.id, total=earlier.completed)
        bar = bars.add_task(name, total=total)
        return lambda amount: bars.advance(bar, amount)

    with bars:
        yield stage


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in $STAC_MJX_CACHE, else the user's cache folder."""
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    base = os.environ.get("STAC_MJX_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "stac-mjx"
    )
    jax.config.update("jax_compilation_cache_dir", os.path.join(base, "jax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
