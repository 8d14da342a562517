"""Progress bars and log lines of the commands: bars on a terminal only, log lines on standard error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Stage = Callable[[str, int | None], Callable[[int], None]]
"""Starts a progress bar of a name and a total, and returns what advances it."""


@contextmanager
def reporting() -> Iterator[tuple[logging.Logger, Stage]]:
    """Yield a logger for the console and a function that starts a progress bar and returns its tick."""
    logger = logging.getLogger("reach_analysis")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False, markup=False)
    logger.addHandler(handler)
    try:
        with _bars(console) as stage:
            yield logger, stage
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
        handler.close()


@contextmanager
def _bars(console: Console) -> Iterator[Stage]:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = console.is_terminal or console.is_jupyter
    bars = Progress(*columns, TimeRemainingColumn(), console=console, disable=not shown)

    def stage(name: str, total: int | None) -> Callable[[int], None]:
        for earlier in bars.tasks:
            bars.update(earlier.id, total=earlier.completed)
        bar = bars.add_task(name, total=total)
        return lambda amount: bars.advance(bar, amount)

    with bars:
        yield stage


def silent(name: str, total: int | None) -> Callable[[int], None]:
    """A stage that shows nothing, for use as a library."""
    return lambda amount: None
