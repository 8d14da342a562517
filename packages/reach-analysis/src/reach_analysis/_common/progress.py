"""Progress of long commands: bars on a terminal, log lines on standard error and in a file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from . import PACKAGE
from .errors import output_error


class Tick(Protocol):
    """Advances a progress bar by an amount; a note is shown at its end."""

    def __call__(self, amount: int, note: str = "") -> None:
        """Advance by `amount`."""


Stage = Callable[[str, int | None], Tick]
"""Starts a progress bar with a name and a total, and returns the function that advances it."""


def silent(name: str, total: int | None) -> Tick:
    """A stage without a bar, for use as a library."""
    return lambda amount, note="": None


@contextmanager
def reporting(log_file: Path | None = None, *, append: bool = False) -> Iterator[tuple[logging.Logger, Stage]]:
    """Yield a logger that writes to standard error and to a file, and a function that starts progress bars."""
    logger = logging.getLogger(PACKAGE)
    before = logger.level, logger.propagate
    console = Console(stderr=True)
    handlers = [_on_screen(console)]
    if log_file is not None:
        try:
            handlers.append(logging.FileHandler(log_file, mode="a" if append else "w", encoding="utf-8"))
        except OSError as error:
            raise output_error(log_file, error) from error
        handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with progress_bars(console) as stage:
            yield logger, stage if _shows_bars(console) else log_lines(logger)
    finally:
        logger.level, logger.propagate = before
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _on_screen(console: Console) -> logging.Handler:
    """Coloured and wrapped on a terminal; one line for each message in files and pipes."""
    if console.is_terminal:
        return RichHandler(console=console, show_path=False, show_time=False, markup=False)
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter("%(levelname)-8s %(message)s"))
    return plain


def _shows_bars(console: Console) -> bool:
    return console.is_terminal or console.is_jupyter


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Stage]:
    """Yield a function that starts a progress bar; bars are shown in terminals and notebooks only."""
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    notes = (TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    bars = Progress(*columns, *notes, console=console, disable=not _shows_bars(console))

    def stage(name: str, total: int | None) -> Tick:
        for earlier in bars.tasks:
            bars.update(earlier.id, total=earlier.completed)
        bar = bars.add_task(name, total=total, note="")

        def tick(amount: int, note: str = "") -> None:
            bars.update(bar, advance=amount, note=note or bars.tasks[bar].fields["note"])

        return tick

    with bars:
        yield stage


def log_lines(log: logging.Logger, every_s: float = 60.0) -> Stage:
    """A stage for files and pipes, where no bar is shown: it logs a line, at most one in so many seconds."""

    def stage(name: str, total: int | None) -> Tick:
        done, latest, logged = 0, "", time.monotonic()

        def tick(amount: int, note: str = "") -> None:
            nonlocal done, latest, logged
            done, latest = done + amount, note or latest
            if time.monotonic() - logged >= every_s:
                logged = time.monotonic()
                log.info("%s", "  ".join(filter(None, [f"{name}: {done:,}" + f" of {total:,}" * bool(total), latest])))

        return tick

    return stage


def counter(stage: Stage, name: str) -> Callable[[int, int], None]:
    """Return a function of (done, total) that shows a bar from its first call on."""
    bars: list[Tick] = []
    shown = 0

    def show(done: int, total: int) -> None:
        nonlocal shown
        if not bars:
            bars.append(stage(name, total))
        bars[0](done - shown)
        shown = done

    return show
