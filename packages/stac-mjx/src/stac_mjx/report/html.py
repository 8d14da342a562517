"""The page of a report: one static HTML file without scripts or links, with its pictures inside.

The template escapes everything that comes from files.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from stac_mjx.report.accuracy import ClipFigures, three_digits

MOST_CLIPS = 30
"""Rows of the table of clips."""
MOST_WARNINGS = 40


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: str
    """What to look for."""
    pictures: tuple[tuple[str, bytes], ...]
    """File name and PNG."""


@dataclass(frozen=True)
class Page:
    """Content of a report."""

    title: str
    subtitle: str
    figures: dict[str, Any]
    """Numbers under the names of ``fit_summary.json``."""
    clips: Sequence[ClipFigures]
    sections: Sequence[Section]
    footer: str
    """Where the numbers come from."""
    config_yaml: str
    """Settings of the run; empty where unknown."""


def html_of(page: Page) -> str:
    """Return the page as text."""
    environment = Environment(loader=PackageLoader("stac_mjx.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "digits": three_digits,
        "whole": _whole,
        "base64": lambda data: base64.b64encode(data).decode(),
    }
    figures, clips = page.figures, list(page.clips)
    status = {str(name): int(count) for name, count in (figures.get("solver_status") or {}).items()}
    title = "Clips"
    if len(clips) > MOST_CLIPS:
        title = f"The {MOST_CLIPS} of {len(clips)} clips with the largest mean error"
        clips = sorted(clips, key=lambda clip: -clip.mean if np.isfinite(clip.mean) else -np.inf)[:MOST_CLIPS]
    return environment.get_template("report.html.jinja").render(
        page=page,
        tiles=_tiles(figures),
        warnings=[str(text) for text in figures.get("warnings", ())],
        most_warnings=MOST_WARNINGS,
        clips=clips if len(page.clips) > 1 else [],
        clips_title=title,
        status=status,
        n_frames=max(sum(status.values()), 1),
        details=(
            ("Settings of the run", page.config_yaml),
            ("Notes", "\n".join(str(note) for note in figures.get("notes", ()))),
        ),
    )


def _tiles(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of the numbers at the top."""
    errors = {"mean_error_mm": "mean error", "median_error_mm": "median error", "rmse_mm": "root mean square"}
    counts = {
        "frames": "frames" if figures.get("clips") == 1 else f"frames in {_whole(figures.get('clips'))} clips",
        "keypoints": "keypoints",
        "degrees_of_freedom": "degrees of freedom",
        "failed_frames": "failed frames",
        "joints_at_limit": f"of {_whole(figures.get('joints'))} joints often at a limit",
    }
    tiles = [
        *(
            (name, f"{three_digits(figures.get(key))} mm")
            for key, name in (errors | {"p95_mm": "95 % are below"}).items()
        ),
        *((name, _whole(figures.get(key))) for key, name in counts.items()),
    ]
    if figures.get("wall_s") is not None:
        rate = f"{_whole(figures.get('frames_per_s'))} frames a second in the solver"
        tiles.append((rate, f"{figures['wall_s']:.3g} s"))
    return tiles


def _whole(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
