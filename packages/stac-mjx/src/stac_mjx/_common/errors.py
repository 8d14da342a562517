"""User-facing errors, and helpers that format their messages.

Every error that a user can cause derives from :class:`UserError`. The command line prints it as one message on standard
error, without a traceback, and exits with code 2. A message names the file, key or frame, what was expected and
what was read, the remedy, and the nearest valid names.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence
from pathlib import Path


class UserError(Exception):
    """Base of all errors that a user can fix. The message is safe to print, even with names from a damaged file."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class ConfigError(UserError):
    """A setting that does not exist, or that contradicts another setting or the data."""


class InputError(UserError):
    """A file that cannot be read, or whose content cannot be used."""


class BodyError(UserError):
    """A body model that does not compile, or that lacks a part named in the settings."""


class ContractError(InputError):
    """A file that violates the schema in docs/schema."""


class RunError(UserError):
    """A run folder or checkpoint that cannot be used, or a training that cannot continue."""


class MismatchError(UserError):
    """Data that cannot be compared: different rates, trials, lengths or units."""


class DataError(UserError):
    """Data that an analysis cannot use: too few trials, no variance, NaN where numbers are needed."""


class OutputError(UserError):
    """A result that cannot be written."""


def printable(text: str, limit: int = 4000) -> str:
    """Escape control characters and lone surrogates, and shorten long text in the middle."""
    if len(text) > limit:
        text = f"{text[: limit * 2 // 3]} ... {text[-limit // 4 :]}"
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in text
    )


def nearest(name: str, available: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` names of `available` that resemble `name`, best first, ignoring case."""
    by_lower = {candidate.lower(): candidate for candidate in available}
    hits = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)
    return [by_lower[hit] for hit in hits]


def shorten(names: Sequence[str], limit: int = 12) -> str:
    """Join names for a message and cut long lists: ``a, b, c and 40 more``."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def counted(number: int, thing: str) -> str:
    """Write a number of things: ``1 clip``, ``2 clips``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def unknown(kind: str, name: str, available: Sequence[str]) -> str:
    """Format the message for an unknown `name`, with the nearest names, or all available ones when none is near."""
    close = nearest(name, available)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else f"available: {shorten(available)}"
    return f"unknown {kind} {name!r}; {hint}"


def raise_all(error: type[UserError], where: str, faults: Sequence[str]) -> None:
    """Raise one `error` that lists all `faults` of `where`; do nothing when there are none."""
    if not faults:
        return
    if len(faults) == 1:
        raise error(f"{where}: {faults[0]}")
    raise error(f"{where}: {len(faults)} faults\n" + "\n".join(f"  - {fault}" for fault in faults))


def output_error(path: Path, error: OSError) -> OutputError:
    """Return an error that explains why `path` cannot be written."""
    folder = path.absolute().parent
    reasons = {
        errno.ENOSPC: f"the disk of {folder} is full; free some space or write elsewhere",
        errno.EDQUOT: f"the quota on the disk of {folder} is used up; free some space or write elsewhere",
        errno.EFBIG: "the file is larger than this system allows (ulimit -f, or a limit of the file system)",
        errno.ENOENT: f"no folder {folder}; create it first",
        errno.ENOTDIR: f"{folder} is not a folder",
        errno.EACCES: f"no permission to write in {folder}",
        errno.EPERM: f"no permission to write in {folder}",
        errno.EROFS: f"{folder} is on a read-only disk",
        errno.EISDIR: "a folder has this name",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"{path}: cannot be written: {reason}; an earlier file there is unchanged")
