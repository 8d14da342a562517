"""One look for all figures: colours that colour-blind readers can tell apart, plain axes, the same files every time.

Figures are made without pyplot, so nothing is kept behind, and no state is changed outside :func:`drawing`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reach_analysis._common.files import write_bytes

# Okabe and Ito, "Color universal design", 2008
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
INK, GREY, LIGHT = "#222222", "#777777", "#DDDDDD"
CYCLE = (BLUE, ORANGE, GREEN, RED, SKY, PURPLE)
RECORDED = INK
"""Recordings are dark in every figure; conditions take the colours of :data:`CYCLE` in their order."""

SEQUENTIAL = "cividis"
"""Colour map of ordered values; readable without red-green vision and in grey."""

DPI = 144
_STYLE: Any = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    # names from files may hold dollar signs, which are no formulas
    "text.parse_math": False,
    "svg.fonttype": "none",
    # without a salt, the ids inside an SVG differ from run to run
    "svg.hashsalt": "reach-analysis",
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the style of the package."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # names may be in scripts the font lacks; they show as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def panels(
    width: float, height: float, *, rows: int = 1, columns: int = 1, three_d: bool = False
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `width` x `height` inches with a grid of axes, ``axes[row][column]``."""
    figure = Figure(figsize=(width, height), layout="constrained")
    options = {"projection": "3d"} if three_d else {}
    grid = figure.subplots(rows, columns, squeeze=False, subplot_kw=options)
    return figure, [list(row) for row in grid]


def label(name: str, longest: int = 24) -> str:
    """A name short enough for an axis."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def trial_label(name: str, longest: int = 14) -> str:
    """A trial's name, short enough for a panel; names of recordings differ at their end, so the end is kept."""
    short = name if len(name) <= longest else f"…{name[1 - longest :]}"
    return short if "trial" in short else f"trial {short}"


def layer_label(name: str) -> str:
    """What a layer is called in the papers: "intention", "decoder 1"; layers count from 1 there."""
    if name.startswith("latent_mean"):
        return name.replace("latent_mean", "intention", 1)
    found = re.match(r"(?:activations/)?(\w+)/layer_(\d+)(.*)", name)
    return f"{found[1]} {int(found[2]) + 1}{found[3]}" if found else label(name)


def encode(figure: Figure, kind: str) -> bytes:
    """The figure as ``png`` or ``svg``; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with drawing():  # some of the style is looked up only now
        figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white", metadata=metadata)
    return buffer.getvalue()


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as ``name.svg`` and ``name.png``.

    Raises:
        OutputError: when a file cannot be written.
    """
    for kind in ("svg", "png"):
        write_bytes(folder / f"{name}.{kind}", encode(figure, kind))
