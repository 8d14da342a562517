"""Errors a user can mend, and the wording they share.

Every error of the package derives from :class:`TrackError`; the command line turns it into one message on standard
error and exit code 2, without a traceback. A message says what is wrong, where (file, key, frame), what was expected
and what was found, how to mend it, and the nearest valid names.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence
from pathlib import Path


class TrackError(Exception):
    """Base of all errors that a user can mend; safe to print, whatever names a file holds."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class ConfigError(TrackError):
    """A setting that does not exist, or that contradicts another."""


class InputError(TrackError):
    """A file that cannot be read, or clips that cannot be trained on."""


class BodyError(TrackError):
    """A body model that does not compile, or that lacks what a setting names."""


class ContractError(TrackError):
    """A file that departs from the schema in docs/schema."""


class RunError(TrackError):
    """A run folder or checkpoint that cannot be used, or a training that cannot go on."""


class OutputError(TrackError):
    """A result that cannot be written."""


def printable(text: str, limit: int = 4000) -> str:
    """Write control characters and broken ones as escapes, and leave out the middle of long texts."""
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
    """Join names for a message, cutting long lists: ``a, b, c and 40 more``."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def unknown(kind: str, name: str, available: Sequence[str]) -> str:
    """Say that `name` is no `kind`, with the nearest names, or all there are when none is near."""
    close = nearest(name, available)
    hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else f"there are: {shorten(available)}"
    return f"unknown {kind} {name!r}; {hint}"


def raise_all(error: type[TrackError], where: str, faults: Sequence[str]) -> None:
    """Raise one `error` that lists all `faults` found in `where`; do nothing when there are none.

    Raises:
        error: when `faults` is not empty.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise error(f"{where}: {faults[0]}")
    raise error(f"{where}: {len(faults)} faults\n" + "\n".join(f"  - {fault}" for fault in faults))


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in the user's terms why `path` cannot be written."""
    folder = path.absolute().parent
    reasons = {
        errno.ENOSPC: f"the disk of {folder} is full; free some space or write elsewhere",
        errno.EDQUOT: f"your quota on the disk of {folder} is used up; free some space or write elsewhere",
        errno.EFBIG: "the file grew beyond the size that this system allows (ulimit -f, or the file system's limit)",
        errno.ENOENT: f"there is no folder {folder}; create it first",
        errno.ENOTDIR: f"{folder} is not a folder",
        errno.EACCES: f"no permission to write in {folder}",
        errno.EPERM: f"no permission to write in {folder}",
        errno.EROFS: f"{folder} is on a read-only disk",
        errno.EISDIR: "there is a folder of this name",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"{path}: cannot be written: {reason}; an earlier file there is as it was")
