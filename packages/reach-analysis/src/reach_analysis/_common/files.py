"""Small files, written completely or not at all: text, JSON, CSV and Markdown tables, and the folders they go to."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from .errors import OutputError, output_error


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; the file written there replaces `path` when the block succeeds.

    Raises:
        OutputError: when the file cannot be written; an earlier file at `path` is unchanged.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.{path.name[-80:]}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        # a read-only disk refuses this even where nothing is to be removed
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def file_name(name: str) -> str:
    """Return a name, as of a clip, in the letters that file systems take."""
    return re.sub(r"[^\w.-]+", "_", name)[:80]


def file_names(names: Sequence[str]) -> list[str]:
    """Return the `file_name` of each name; those that a file system takes for the same, as ``a b``, ``A_b``, differ."""
    return make_unique([file_name(name) for name in names], str.lower)


def make_unique(names: Sequence[str], same: Callable[[str], str] = str) -> list[str]:
    """Number the repeats of a name: ``a, a, b`` becomes ``a, a_2, b``; names of one `same` are repeats."""
    taken, used, unique = set(map(same, names)), set[str](), list[str]()
    for name in names:
        candidate, number = name, 1
        while same(candidate) in used or (number > 1 and same(candidate) in taken):
            number += 1
            candidate = f"{name}_{number}"
        used.add(same(candidate))
        unique.append(candidate)
    return unique


def write_bytes(path: Path, data: bytes) -> None:
    """Write a binary file."""
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a text file with the line ends of `text`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write numbers, text, arrays and dataclasses as JSON; NaN becomes null, because JSON has no NaN."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_lines(text: str) -> list[dict[str, Any]]:
    """Return the objects of JSON lines; a line that was cut off by a crash is left out."""
    values: list[Any] = []
    for line in text.splitlines():
        with suppress(ValueError, RecursionError):
            values.append(json.loads(line))
    return [value for value in values if isinstance(value, dict)]


def plain(value: Any) -> Any:
    """Convert dataclasses and arrays to what JSON has; paths to the name of the file, other objects to text."""
    # most values are numbers and texts
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    as_list = getattr(value, "tolist", None)
    if as_list is not None:
        return plain(as_list())
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    return value.name if isinstance(value, Path) else str(value)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV with the columns of all rows; missing and non-finite values stay empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    # csv writes None as an empty cell, and floats with all their digits
    table.writerows([plain(row.get(column)) for column in columns] for row in rows)
    write_text(path, text.getvalue())


def markdown_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]]) -> str:
    """Rows as a Markdown table; `columns` are key, heading and format, and missing values stay empty."""
    cells = [[heading for _, heading, _ in columns], ["---"] * len(columns)]
    cells += [["" if row.get(key) is None else form.format(row[key]) for key, _, form in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def output_file(path: Path) -> Path:
    """Create the folder of a file and check that it is writable (OutputError), before anything is computed."""
    if path.is_dir():
        raise OutputError(f"out={path}: is a folder; expected the name of a file")
    output_folder(str(path.parent), ".")
    return path


@contextmanager
def results_folder(out: str | None, default: str) -> Iterator[Path]:
    """The folder as by :func:`output_folder`; what was created is removed again where an error leaves it empty."""
    folder = _expanded(out, default)
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield output_folder(out, default)
    except BaseException:
        for path in new:
            with suppress(OSError):
                path.rmdir()
        raise


def output_folder(out: str | None, default: str) -> Path:
    """Create the folder of the results and check that it is writable (OutputError), before anything is computed."""
    folder = _expanded(out, default)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex[:12]}"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise OutputError(f"out={folder}: is a file; the results need a folder") from error
    except OSError as error:
        raise OutputError(f"out={folder}: results cannot be written there: {error.strerror or error}") from error
    return folder


def _expanded(out: str | None, default: str) -> Path:
    return Path(os.path.expandvars(out or default)).expanduser()
