"""Writing mp4 files (H.264, which browsers and slides show) with the ffmpeg that comes with imageio-ffmpeg."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from track_mjx._common.errors import OutputError


def video_writer() -> ModuleType:
    """The library that brings ffmpeg.

    Raises:
        OutputError: when it is not installed.
    """
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise OutputError(
            f"videos need imageio with ffmpeg ({' '.join(str(error).split())}): pip install 'track-mjx[render]'"
        ) from error
    return imageio_ffmpeg


@contextmanager
def video(ffmpeg: ModuleType, path: Path, size: tuple[int, int], fps: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that adds a picture of `size` (width, height) to the video at `path`.

    Raises:
        OSError: when ffmpeg could not write the file to its end, as on a full disk.
    """
    command = [
        ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-f", "rawvideo", "-s", f"{size[0]}x{size[1]}",
        "-pix_fmt", "rgb24", "-r", f"{fps}", "-i", "-", "-an", "-vcodec", "libx264", "-pix_fmt", "yuv420p",
        "-crf", "10", "-movflags", "+faststart", "-f", "mp4", str(path),
    ]  # fmt: skip
    # a group of its own: Ctrl-C is for us, who end ffmpeg
    group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words, **group) as process,
    ):
        pipe = process.stdin
        assert pipe is not None
        ended_early = False
        try:
            yield lambda picture: _hand_over(pipe, picture)
        except BrokenPipeError:
            ended_early = True
        except BaseException:
            process.kill()
            raise
        finally:
            with suppress(BrokenPipeError):
                pipe.close()
        if process.wait() or ended_early:
            words.seek(0)
            raise _failure(words.read().decode("utf-8", "replace"))


def _hand_over(pipe: IO[bytes], picture: np.ndarray) -> None:
    pipe.write(np.ascontiguousarray(picture).data)


def _failure(words: str) -> OSError:
    """The system's error that ffmpeg tells of in its own words; else its last line."""
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
        if os.strerror(code) in words:
            return OSError(code, os.strerror(code))
    return OSError(f"ffmpeg failed: {' '.join(words.strip().splitlines()[-1:])[:200]}")
