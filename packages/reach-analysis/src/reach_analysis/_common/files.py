"""Files the commands write: whole or not at all, in a folder that is made if need be."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reach_analysis._common.errors import OutputError, output_error


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; what is written there takes the place of `path` when the block ends well.

    Raises:
        OutputError: when the file cannot be written; whatever was at `path` stays.
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
        # a read-only disk refuses this even where there is nothing to remove
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        OutputError: when it cannot be written.
    """
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a binary file.

    Raises:
        OutputError: when it cannot be written.
    """
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write numbers, texts, arrays and records as JSON; NaN becomes null, as JSON has no NaN.

    Raises:
        OutputError: when it cannot be written.
    """
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Turn records and arrays into what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV with the columns of the first one; numbers in full precision, what is missing empty.

    Raises:
        OutputError: when it cannot be written.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [",".join(columns), *(",".join(_cell(row.get(column)) for column in columns) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float | np.floating) and not math.isfinite(value)):
        return ""
    text = f"{float(value):.10g}" if isinstance(value, float | np.floating) else str(value)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n') else text


def output_folder(out: str | None, default: str) -> Path:
    """Make the folder results go to, and see that files can be made in it, before anything is computed.

    Raises:
        OutputError: when it cannot be made or written to.
    """
    folder = Path(os.path.expandvars(out or default)).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{uuid.uuid4().hex[:12]}"
        probe.touch()
        probe.unlink()
    except FileExistsError as error:
        raise OutputError(f"out={folder}: is a file; the results need a folder") from error
    except OSError as error:
        raise OutputError(f"out={folder}: no results can be written there: {error.strerror or error}") from error
    return folder
