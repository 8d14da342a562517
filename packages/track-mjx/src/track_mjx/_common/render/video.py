"""mp4 films (H.264, which browsers and slide programs play), written whole or not at all, and their captions."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from .. import PROGRAM
from ..errors import ConfigError, OutputError
from ..files import file_name, output_folder, replace_file
from ..mjcf import one_line
from .settings import FilmConfig

Picture = UInt8[np.ndarray, "row column 3"]
Colour = tuple[float, float, float]
_INK, _ALARM = "#222222", "#B00020"
_PROBE = bytes(1 << 20)
LONGEST_S = 20.0
"""Longest stretch of a motion shown by default, s."""


def film_problems(config: FilmConfig) -> list[str]:
    """List problems of the settings `width`, `height` and `out` that limits of a field cannot express."""
    sizes = [(name, getattr(config, name)) for name in ("width", "height")]
    problems = [f"{name}={pixels}: expected an even number" for name, pixels in sizes if pixels % 2]
    if config.out is not None and not config.out.lower().endswith(".mp4"):
        problems.append(f"out={config.out}: expected a file that ends in .mp4")
    return problems


def film_path(out: str | None, source: Path, name: str) -> Path:
    """Return the path of a film: `out`, or next to its source with a name in it."""
    if out is not None:
        return Path(out).expanduser()
    return source.with_name(f"{source.stem}_{file_name(name)}.mp4")


def shown_samples(
    time: Float[np.ndarray, " sample"], config: FilmConfig, speed: float, name: str
) -> Int[np.ndarray, " picture"]:
    """Return the sample of the motion `name` that each picture shows: the nearest one in time."""
    length = float(time[-1])
    if config.start_s > length:
        raise ConfigError(f"start_s={config.start_s}: {name!r} lasts {length:g} s")
    stretch = min(LONGEST_S if config.duration_s is None else config.duration_s, length - config.start_s)
    count = 1 + int(stretch / speed * config.fps + 1e-6)
    times = config.start_s + np.arange(count) * speed / config.fps
    return np.searchsorted((time[1:] + time[:-1]) / 2, times - 1e-9)


def require_ffmpeg() -> ModuleType:
    """Import the library that ships ffmpeg, or raise an OutputError."""
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise OutputError(
            f"films need imageio with ffmpeg ({one_line(error)}): pip install '{PROGRAM}[render]'"
        ) from error
    return imageio_ffmpeg


@contextmanager
def film(path: Path, fps: int) -> Iterator[Callable[[Picture], None]]:
    """Yield a function that appends a picture to the film at `path`.

    The film replaces an earlier one only once it is complete.
    """
    ffmpeg = require_ffmpeg()
    from imageio.v2 import get_writer

    output_folder(str(path.parent), "")
    n_pictures = 0
    with replace_file(path) as temporary:
        parameters = ["-crf", "10", "-movflags", "+faststart", "-f", "mp4"]
        writer: Any = get_writer(
            temporary, format="FFMPEG", mode="I", fps=fps, quality=None, macro_block_size=1, output_params=parameters
        )  # fmt: skip

        def append(picture: Picture) -> None:
            nonlocal n_pictures
            try:
                writer.append_data(picture)
            except OSError as error:
                raise _write_error(temporary) from error
            n_pictures += 1

        try:
            yield append
        finally:
            writer.close()
        if _count_pictures(ffmpeg, temporary) != n_pictures:
            raise _write_error(temporary)


def _count_pictures(ffmpeg: ModuleType, path: Path) -> int:
    """Count the pictures of a film; -1 if it is incomplete. imageio does not report ffmpeg's exit code."""
    try:
        return ffmpeg.count_frames_and_secs(str(path))[0]
    except (RuntimeError, OSError):
        return -1


def _write_error(path: Path) -> OSError:
    """Return why ffmpeg could not write its file: the system's error on writing more, if there is one."""
    try:
        with path.open("ab") as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error
    return OSError(errno.EIO, "ffmpeg stopped before the film was complete")


class Captions:
    """Writes on pictures: a text below, the meaning of the colours above."""

    def __init__(self, height: int, legend: list[tuple[str, Colour]]) -> None:
        """Prepare for pictures of `height` pixels. `legend` holds (text, colour) pairs, with colours from 0 to 1."""
        size = max(11, height // 36)
        self._margin = size // 2
        self._font: Any = ImageFont.load_default(size)
        self._legend = legend

    def put_on(self, picture: Picture, text: str, alarm: str = "") -> Picture:
        """Return the picture with `text` below, and `alarm` in red above it."""
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        margin, low = self._margin, float(image.height - self._margin)
        draw.text((margin, low), text, font=self._font, fill=_INK, anchor="ld")
        if alarm:
            draw.text((margin, low - 3 * margin), alarm, font=self._font, fill=_ALARM, anchor="ld")
        x, across = float(margin), 1.2 * margin
        for label, colour in self._legend:
            fill = tuple(round(255 * part) for part in colour)
            draw.ellipse((x, 1.1 * margin, x + across, 1.1 * margin + across), fill=fill, outline=_INK)
            draw.text((x + 1.6 * across, 0.6 * margin), label, font=self._font, fill=_INK, anchor="la")
            x += 1.6 * across + draw.textlength(label, font=self._font) + 2 * margin
        return np.asarray(image)
