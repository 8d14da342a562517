"""Find the files of ``keypoints.path``, each with a unique clip name."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stac_mjx._common.errors import InputError, nearest, raise_all, shorten
from stac_mjx._common.files import make_unique

_MAGIC = "*?["


def find_files(path: Any) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files of `path`, and notes: a file, a glob (in natural order), or a list of both (in its order).

    ``~`` and ``$VAR`` are expanded. A file listed twice is read once.
    """
    entries = list(path) if isinstance(path, Sequence) and not isinstance(path, str) else [path]
    entries = [entry for entry in entries if entry not in (None, "")]
    if not entries:
        raise InputError("keypoints.path is empty. Set it to a file, a list of files or a glob")
    files: list[Path] = []
    problems: list[str] = []
    for entry in entries:
        matches, problem = _expand(os.path.expandvars(os.path.expanduser(os.fspath(entry))))
        files += matches
        problems += [problem] if problem else []
    raise_all(InputError, "keypoints.path", problems)
    unique = list(dict.fromkeys(files))
    notes = (f"{len(files) - len(unique)} files listed twice are read once",) if len(unique) < len(files) else ()
    return unique, notes


def natural_key(text: object) -> list[tuple[int, int, str]]:
    """Return a sort key by which ``trial2`` comes before ``trial10``."""
    pieces = re.split(r"(\d+)", str(text))
    return [(0, int(piece), piece) if piece.isdigit() else (1, 0, piece.lower()) for piece in pieces if piece]


def unique_stems(files: Sequence[Path]) -> list[str]:
    """Return one clip name a file: its stem, with the folder's name in front where stems repeat, else a number."""
    stems = [file.stem for file in files]
    often = {stem for stem, count in Counter(stems).items() if count > 1}
    names = [f"{file.parent.name}_{stem}" if stem in often else stem for file, stem in zip(files, stems, strict=True)]
    return make_unique(names)


def _expand(text: str) -> tuple[list[Path], str]:
    """Return the files of one entry, and the problem with it."""
    path = Path(text)
    if path.is_dir():
        inside = sorted((entry.name for entry in path.iterdir() if entry.is_file()), key=natural_key)
        example = str(path / "*")
        return (
            [],
            f"{text}: is a folder (it contains {shorten(inside) or 'no file'}). Give a glob such as {example!r}",
        )
    if path.exists():
        return ([path], "") if path.is_file() else ([], f"{text}: not a regular file (a pipe, a socket or a device)")
    if any(sign in text for sign in _MAGIC):
        matches = [Path(match) for match in glob.glob(text, recursive=True)]
        matches = sorted((match for match in matches if match.is_file()), key=natural_key)
        return matches, "" if matches else f"{text}: matches no file{_nearby(path)}"
    return [], f"{text}: does not exist{_nearby(path)}"


def _nearby(path: Path) -> str:
    """Describe the folder that `path` points to."""
    unset = re.findall(r"\$\{?\w+\}?", str(path))
    if unset:
        return f" ({', '.join(unset)} is not set)"
    folder = path.parent
    if not folder.is_dir():
        return f"; missing folder {str(folder)!r}"
    names = sorted((entry.name for entry in folder.iterdir() if entry.is_file()), key=natural_key)
    close = nearest(path.name, [name for name in names if Path(name).suffix == path.suffix] or names)
    if close:
        return f"; did you mean {' or '.join(map(repr, close))}?"
    return f"; {str(folder)!r} contains {shorten(names) or 'no file'}"
