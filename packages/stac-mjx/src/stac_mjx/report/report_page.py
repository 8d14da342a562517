"""The page of a report: one static HTML file without scripts that holds its pictures and asks nothing of the network.

Everything that comes from files is escaped here.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from stac_mjx.report.accuracy import ClipFigures, three_digits

MOST_CLIPS = 30
"""Rows of the table of clips."""
MOST_WARNINGS = 40

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #222;
  background: #fff; max-width: 1080px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 40px 0 2px; }
p { margin: 2px 0 10px; max-width: 46em; }
.quiet { color: #666; font-size: .875rem; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 18px 0; }
.tile { border: 1px solid #ddd; border-radius: 6px; padding: 8px 12px; }
.tile b { display: block; font-size: 1.25rem; font-weight: 600; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.tile span { color: #666; font-size: .8125rem; }
.warnings { border-left: 4px solid #D55E00; background: #fdf3ec; padding: 8px 14px; margin: 18px 0; }
.warnings ul { margin: 4px 0; padding-left: 20px; }
.warnings li { overflow-wrap: anywhere; }
.fine { border-left-color: #009E73; background: #eef8f4; }
figure { margin: 8px 0; overflow-x: auto; }
figure img { width: 100%; min-width: 680px; height: auto; display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; margin: 8px 0; }
th, td { padding: 3px 14px 3px 0; text-align: right; border-bottom: 1px solid #eee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
details { margin: 10px 0; }
summary { cursor: pointer; color: #666; font-size: .875rem; }
pre { overflow-x: auto; font-size: .75rem; background: #f6f6f6; padding: 10px; }
@media print { body { max-width: none; padding: 0; } figure { break-inside: avoid; overflow: visible; }
  figure img { min-width: 0; } }
"""


@dataclass(frozen=True)
class Section:
    """A heading, what to look for, and pictures (file name, PNG)."""

    title: str
    text: str
    pictures: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Page:
    """What a report shows.

    Attributes:
        title, subtitle: two lines at the top.
        figures: numbers under the names of ``fit_summary.json``.
        clips: one record a clip; empty for a single clip.
        sections: the pictures.
        footer: where the numbers come from.
        config_yaml: settings of the run; empty where unknown.
    """

    title: str
    subtitle: str
    figures: dict[str, Any]
    clips: Sequence[ClipFigures]
    sections: Sequence[Section]
    footer: str
    config_yaml: str


def html_of(page: Page) -> str:
    """The page as text."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        f"<h1>{escape(page.title)}</h1>",
        f'<p class="quiet">{escape(page.subtitle)}</p>',
        _tiles(page.figures),
        _warnings(page.figures),
        *(_section(section) for section in page.sections),
        _clip_table(page.clips) if len(page.clips) > 1 else "",
        _status_table(page.figures),
        _details("Settings of the run", page.config_yaml),
        _details("Notes", "\n".join(str(note) for note in page.figures.get("notes", ()))),
        f'<p class="quiet">{escape(page.footer)}</p>',
        "</body>\n</html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _tiles(figures: dict[str, Any]) -> str:
    shown = [
        ("mean error", _mm(figures.get("mean_error_mm"))),
        ("median error", _mm(figures.get("median_error_mm"))),
        ("root mean square", _mm(figures.get("rmse_mm"))),
        ("95 % are below", _mm(figures.get("p95_mm"))),
        (
            "frames" if figures.get("clips") == 1 else f"frames in {_whole(figures.get('clips'))} clips",
            _whole(figures.get("frames")),
        ),
        ("keypoints", _whole(figures.get("keypoints"))),
        ("degrees of freedom", _whole(figures.get("degrees_of_freedom"))),
        ("frames failed", _whole(figures.get("failed_frames"))),
        (f"of {_whole(figures.get('joints'))} joints often at a limit", _whole(figures.get("joints_at_limit"))),
    ]
    if figures.get("wall_s") is not None:
        shown.append(
            (f"{_whole(figures.get('frames_per_s'))} frames a second in the solver", f"{figures['wall_s']:.3g} s")
        )
    tiles = (f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for name, value in shown)
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _warnings(figures: dict[str, Any]) -> str:
    texts = [str(text) for text in figures.get("warnings", ())]
    if not texts:
        return '<div class="warnings fine">No warnings.</div>'
    more = len(texts) - MOST_WARNINGS
    items = "".join(f"<li>{escape(text)}</li>" for text in texts[:MOST_WARNINGS])
    items += f"<li>and {more} more</li>" if more > 0 else ""
    return f'<div class="warnings"><strong>Look at this first</strong><ul>{items}</ul></div>'


def _section(section: Section) -> str:
    alt = escape(section.title)
    encoded = (base64.b64encode(data).decode() for _, data in section.pictures)
    pictures = "".join(f'<figure><img alt="{alt}" src="data:image/png;base64,{text}"></figure>' for text in encoded)
    return f"<h2>{alt}</h2>\n<p>{escape(section.text)}</p>\n{pictures}"


def _clip_table(clips: Sequence[ClipFigures]) -> str:
    rows, title = list(clips), "Clips"
    if len(rows) > MOST_CLIPS:
        rows = sorted(rows, key=lambda c: -c.mean if np.isfinite(c.mean) else -np.inf)[:MOST_CLIPS]
        title = f"The {MOST_CLIPS} of {len(clips)} clips with the largest mean error"
    body = "".join(
        f"<tr><td>{escape(c.name)}</td><td>{c.frames:,}</td><td>{three_digits(c.mean)}</td><td>{three_digits(c.p95)}</td>"
        f"<td>{three_digits(c.worst)}</td><td>{c.failed:,}</td></tr>"
        for c in rows
    )
    head = "<tr><th>clip</th><th>frames</th><th>mean, mm</th><th>95 %, mm</th><th>largest, mm</th><th>failed</th></tr>"
    return f'<h2>{title}</h2>\n<div class="scroll"><table>{head}{body}</table></div>'


def _status_table(figures: dict[str, Any]) -> str:
    counts = {str(name): int(count) for name, count in (figures.get("solver_status") or {}).items()}
    total = max(sum(counts.values()), 1)
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{count:,}</td><td>{100 * count / total:.3g} %</td></tr>"
        for name, count in counts.items()
    )
    text = (
        "How the solver left the frames. Frames without markers or with numbers that are not finite must not be used."
    )
    return f"<h2>Solver</h2>\n<p>{text}</p>\n<table><tr><th>status</th><th>frames</th><th></th></tr>{rows}</table>"


def _details(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>" if text.strip() else ""


def _mm(value: float | int | None) -> str:
    return f"{three_digits(value)} mm"


def _whole(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
