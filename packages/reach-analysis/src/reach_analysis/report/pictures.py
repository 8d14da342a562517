"""Figures as they stand in the page: SVG text that shares one document with other figures and no network.

Ids get the figure's name in front, because all figures are in one document; sizes follow the page; fonts fall back to
any without serifs. Lines and letters keep the colours they have in the files beside the page.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from reach_analysis._common.figures import encode
from reach_analysis.studies.study import Shown

_POINT_PX = 4 / 3
"""CSS pixels in a point."""


@dataclass(frozen=True)
class Picture:
    """A figure in all its forms.

    Attributes:
        name: name of its files and of its place in the page; unique in a report.
        caption: what is drawn.
        svg, png: the files.
        inline: the SVG as it stands in the page.
    """

    name: str
    caption: str
    svg: bytes
    png: bytes
    inline: str

    @property
    def anchor(self) -> str:
        """Its name in ids."""
        return anchor(self.name)


def anchor(name: str) -> str:
    """A name as it can stand in ids and links."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", name)


def picture(shown: Shown, name: str) -> Picture:
    """Draw a figure for files and page."""
    svg = encode(shown.figure, "svg")
    text = svg.decode("utf-8")
    width = float(_attribute(text, "width").removesuffix("pt")) * _POINT_PX
    return Picture(name, shown.caption, svg, encode(shown.figure, "png"), inline(text, anchor(name), width))


def inline(svg: str, prefix: str, width: float) -> str:
    """The SVG element alone, as wide as the page but no wider than drawn, with ids that begin with `prefix`."""
    body = svg[svg.index("<svg") :].strip()
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    seen: Counter[str] = Counter()

    def own(found: re.Match[str]) -> str:
        seen[found[1]] += 1  # matplotlib gives equal pictures within a figure the same id
        return f' id="{prefix}.{found[1]}"' if seen[found[1]] == 1 else f' id="{prefix}.{found[1]}.{seen[found[1]]}"'

    body = re.sub(r'\sid="([^"]+)"', own, body)
    body = re.sub(r'((?:xlink:)?href=")#([^"]+)"', rf'\g<1>#{prefix}.\g<2>"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}.\g<1>)", body)
    body = body.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, Arial, sans-serif")
    head, rest = body.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    style = f"--natural:{width:.0f}px;max-width:{1.15 * width:.0f}px"
    return f'{head} style="{style}" role="img" aria-labelledby="{prefix}-caption">{rest}'


def _attribute(svg: str, name: str) -> str:
    found = re.search(rf'<svg[^>]*\s{name}="([^"]*)"', svg)
    assert found is not None, "matplotlib gives every SVG a size"
    return found[1]
