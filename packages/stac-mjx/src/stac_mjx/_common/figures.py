"""One style for all figures: colours that colour-blind readers can distinguish, plain axes, reproducible files.

Figures are made without pyplot, so none stays open, and no state is changed outside :func:`drawing`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from . import PROGRAM
from .files import write_bytes

# Okabe and Ito, "Color universal design", 2008
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, GREY, LIGHT = "#222222", "#777777", "#DDDDDD"
CYCLE = (BLUE, ORANGE, GREEN, RED, SKY, PURPLE)
RECORDED, ON_BODY = ORANGE, BLUE
"""Colours of recorded keypoints and marker sites in every figure and video."""
SEQUENTIAL = "cividis"
"""Colour map of ordered values; readable without red-green vision and in grey."""

DPI = 144
_STYLE: Any = {
    "font.size": 9, "font.family": "DejaVu Sans",
    "axes.titlesize": 10, "axes.titlelocation": "left", "axes.labelcolor": INK, "axes.edgecolor": GREY,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "xtick.color": GREY, "ytick.color": GREY, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "grid.color": LIGHT, "grid.linewidth": 0.6, "legend.frameon": False, "legend.fontsize": 8,
    # names from files may contain dollar signs that do not mark formulas
    "text.parse_math": False,
    "svg.fonttype": "none",
    # without a salt, the ids inside an SVG differ from run to run
    "svg.hashsalt": PROGRAM,
}  # fmt: skip


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
        # names may be in scripts that the font lacks; they show as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        # comes after one second of wall time, so on a busy machine only
        warnings.filterwarnings("ignore", message="Creating legend with loc", category=UserWarning)
        yield


def panels(
    width: float,
    height: float,
    margins: Margins | None = None,
    *,
    rows: int = 1,
    columns: int = 1,
    three_d: bool = False,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `width` x `height` inches with a grid of axes, ``axes[row][column]``.

    With `margins` all axes are equal; without, Matplotlib makes room for labels.
    """
    look: Any = {"layout": "constrained"} if margins is None else {}
    figure = Figure(figsize=(width, height), **look)
    grid: Any = {"squeeze": False, "subplot_kw": {"projection": "3d"} if three_d else {}}
    if margins is not None:
        wide = (width - margins.left - margins.right - (columns - 1) * margins.between_columns) / columns
        high = (height - margins.top - margins.bottom - (rows - 1) * margins.between_rows) / rows
        grid["gridspec_kw"] = {
            "left": margins.left / width,
            "right": 1 - margins.right / width,
            "bottom": margins.bottom / height,
            "top": 1 - margins.top / height,
            "wspace": margins.between_columns / wide,
            "hspace": margins.between_rows / high,
        }
    return figure, [list(row) for row in figure.subplots(rows, columns, **grid)]


def label(name: str, longest: int = 24) -> str:
    """A name short enough for an axis; long ones lose their middle, because names often differ at the ends."""
    if len(name) <= longest:
        return name
    end = longest // 3
    return f"{name[: longest - end - 1]}…{name[-end:]}"


def log_scale(axes: Axes, which: str = "x") -> None:
    """Scale an axis (x or y) logarithmically, with plain numbers at its ticks."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def encode(figure: Figure, kind: str = "png") -> bytes:
    """The figure as ``png`` or ``svg``; the same figure gives the same bytes.

    Its canvas draws it once; ``savefig`` would first draw it without a file.
    """
    buffer = io.BytesIO()
    figure.set_facecolor("white")
    figure.set_dpi(DPI)
    with drawing():  # part of the style is applied only when saving
        if kind == "svg":
            FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
        else:
            FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None}, pil_kwargs={"compress_level": 3})
    figure.set_layout_engine("none")  # room for labels has been made
    return buffer.getvalue()


def save(figure: Figure, folder: Path, name: str, kinds: Sequence[str] = ("svg", "png")) -> None:
    """Write a figure as ``name.svg`` and ``name.png``."""
    for kind in kinds:
        write_bytes(folder / f"{name}.{kind}", encode(figure, kind))
