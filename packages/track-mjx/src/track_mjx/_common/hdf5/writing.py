"""Writing HDF5 so that a reader sees the old file or the whole new one.

HDF5 cannot be trusted with a disk that fills up: after a failed write it fails again on closing, prints tracebacks from
its destructors and may end the process with a bus error. All bytes therefore go through a Python file that remembers
the first error and lets HDF5 believe that all is well until it has closed (:class:`ForgivingFile`).
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from track_mjx._common.errors import output_error


class ForgivingFile:
    """A file for HDF5's file-object driver that keeps the first error instead of raising it; see the module's text.

    From then on, writes are kept in memory, so that HDF5 reads back what it wrote (it crashes on anything else).
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0
        self._unwritten: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of it, or keep in memory what the disk did not take."""
        view = memoryview(data).cast("B")
        done = 0
        while self.error is None and done < len(view):
            try:
                os.lseek(self._descriptor, self._position + done, os.SEEK_SET)
                done += os.write(self._descriptor, view[done:])
            except OSError as error:
                self.error = error
        if done < len(view):
            self._unwritten.append((self._position + done, bytes(view[done:])))
        self._position += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        """Read from the position on; zeros beyond the end."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on."""
        view = memoryview(buffer).cast("B")
        start, size = self._position, len(view)
        os.lseek(self._descriptor, start, os.SEEK_SET)
        on_disk = os.read(self._descriptor, size)
        view[:] = on_disk + bytes(size - len(on_disk))
        for offset, kept in self._unwritten:
            low, high = max(start, offset), min(start + size, offset + len(kept))
            if low < high:
                view[low - start : high - start] = kept[low - offset : high - offset]
        self._position += size
        return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._position = base[whence] + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def truncate(self, size: int) -> int:
        """Set the size of the file."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            self.error = self.error or error
        return size

    def flush(self) -> None:
        """Do nothing: nothing is buffered, and :meth:`sync` reports errors."""

    def fail_early(self) -> None:
        """Raise the error kept, if any."""
        if self.error is not None:
            raise self.error

    def sync(self) -> None:
        """Put the bytes on the disk."""
        self.fail_early()
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


@contextmanager
def whole_hdf5(path: Path) -> Iterator[tuple[h5py.File, ForgivingFile]]:
    """Open a new HDF5 file, and what it is written to, that takes the place of `path` when the block ends well.

    It is written beside `path` under a temporary name, put on the disk and renamed. When anything fails, the temporary
    file is removed and whatever was at `path` stays.

    Raises:
        OutputError: when the folder is missing or not writable, the disk is full or the rename fails.
    """
    target = path.absolute()
    temporary = target.with_name(f".{target.name[:80]}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        binary = getattr(os, "O_BINARY", 0)
        sink = ForgivingFile(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | binary, 0o666))
    except OSError as error:
        raise output_error(path, error) from error
    try:
        with h5py.File(sink, "w", track_order=True) as file:
            yield file, sink
        sink.sync()
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except (OSError, RuntimeError, ValueError) as error:
        # HDF5 may stumble in its own words over a write that failed before: the first cause is the one to tell
        cause = sink.error or error
        if isinstance(cause, OSError):
            raise output_error(path, cause) from error
        raise
    finally:
        sink.close()
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Put the renamed entry on the disk too; systems that cannot open folders do without."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some network file systems refuse to sync a folder; the file itself is safe already
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
