"""One look for all figures: colours that colour-blind readers can tell apart, plain axes, margins in inches.

Figures are made without pyplot, so nothing is kept behind, and no state is changed outside `drawing`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, "Color universal design", 2008
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, GREY, LIGHT = "#222222", "#777777", "#DDDDDD"
RECORDED, ON_BODY = ORANGE, BLUE
"""Recorded keypoints and marker sites have these colours in every figure and video."""

DPI = 144
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # names from files may hold dollar signs, which are no formulas
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Margins:
    """Space around the axes, inches."""

    left: float = 0.6
    right: float = 0.15
    bottom: float = 0.5
    top: float = 0.35
    between_columns: float = 0.5
    between_rows: float = 0.5


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the style of the package."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # names may be in scripts the font lacks; they show as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def panels(
    width: float, height: float, margins: Margins, *, rows: int = 1, columns: int = 1
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `width` x `height` inches with a grid of equal axes, ``axes[row][column]``."""
    figure = Figure(figsize=(width, height))
    wide = (width - margins.left - margins.right - (columns - 1) * margins.between_columns) / columns
    high = (height - margins.top - margins.bottom - (rows - 1) * margins.between_rows) / rows
    axes = []
    for row in range(rows):
        y = height - margins.top - (row + 1) * high - row * margins.between_rows
        x = [margins.left + column * (wide + margins.between_columns) for column in range(columns)]
        axes.append([figure.add_axes((x0 / width, y / height, wide / width, high / height)) for x0 in x])
    return figure, axes


def label(name: str, longest: int = 24) -> str:
    """A name short enough for an axis; what is left out is in the middle, as names often differ at the ends."""
    if len(name) <= longest:
        return name
    end = longest // 3
    return f"{name[: longest - end - 1]}…{name[-end:]}"


def legend_above(axes: Axes) -> None:
    """A legend in one row between title and axes, each entry once; the title needs a pad of 20."""
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(names, handles, strict=True))
    axes.legend(
        once.values(),
        once.keys(),
        loc="lower left",
        bbox_to_anchor=(-0.006, 0.99),
        ncols=4,
        borderaxespad=0.1,
        borderpad=0.1,
        columnspacing=1.4,
        handlelength=1.4,
    )


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", pil_kwargs={"compress_level": 3})
    return buffer.getvalue()
