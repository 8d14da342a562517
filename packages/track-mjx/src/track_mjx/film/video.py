"""Writing mp4 files (H.264, which browsers and slides show) through imageio-ffmpeg."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from track_mjx.errors import OutputError, output_error


def video_writer() -> ModuleType:
    """The library that writes videos.

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
        OutputError: when the file cannot be written.
    """
    writer = ffmpeg.write_frames(
        str(path), size, fps=fps, quality=8, macro_block_size=2, codec="libx264", pix_fmt_out="yuv420p",
        output_params=["-movflags", "+faststart"], ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    try:
        yield lambda picture: writer.send(np.ascontiguousarray(picture).tobytes())
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        writer.close()
