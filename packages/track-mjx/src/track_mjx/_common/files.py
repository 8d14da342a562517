"""Text and other small files, written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from track_mjx._common.errors import OutputError, output_error


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


def output_file(path: Path) -> Path:
    """Make the folder a result goes to, and see that the file can be made there, before anything is computed.

    Raises:
        OutputError: when it cannot be made or written to.
    """
    if path.is_dir():
        raise OutputError(f"out={path}: is a folder; expected the name of a file")
    output_folder(str(path.parent), ".")
    return path


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
