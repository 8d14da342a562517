"""Fail the build if a page loads a script, style, font or picture from another host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.errors import SphinxError

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link(?=[^>]*rel="(?:stylesheet|preload|icon))[^>]*)\s[^>]*?(?:src|href)="(?:https?:)?//[^"]+"""
)
_STYLE = re.compile(r"""(?:@import\s+|url\()\s*["']?(?:https?:)?//[^)"']+""")


def _check(app: Any, failure: Exception | None) -> None:
    if failure is not None or app.builder.format != "html":
        return
    pages = sorted(Path(app.outdir).rglob("*.html"))
    styles = sorted(Path(app.outdir).rglob("*.css"))
    loads = [
        f"{path.relative_to(app.outdir)}: {hit.group()[:120]}"
        for paths, pattern in ((pages, _LOADED), (styles, _STYLE))
        for path in paths
        for hit in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    if loads:
        raise SphinxError("pages load from other hosts:\n" + "\n".join(loads))


def setup(app: Any) -> dict[str, Any]:
    """Check all pages after the build."""
    app.connect("build-finished", _check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
