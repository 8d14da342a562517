"""What is written on the pictures of a video: clip, time, speed and error below, the meaning of the colours above."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_INK, _ALARM = "#222222", "#B00020"


class Captions:
    """Writes on pictures.

    Args:
        height: of the pictures, pixels.
        legend: (text, colour) of each entry; colours 0 to 1.
    """

    def __init__(self, height: int, legend: list[tuple[str, tuple[float, float, float]]]) -> None:
        size = max(11, height // 36)
        self._margin = size // 2
        self._font: Any = ImageFont.load_default(size)
        self._legend = legend

    def put_on(
        self, picture: UInt8[np.ndarray, "row column 3"], text: str, alarm: str = ""
    ) -> UInt8[np.ndarray, "row column 3"]:
        """The picture with `text` below, and `alarm` in red above it."""
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        margin = self._margin
        low = float(image.height - margin)
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
