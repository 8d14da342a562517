"""Name and version of this program."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def generator() -> str:
    """Name and version of this program, as ``--version`` and files say it."""
    try:
        return f"reach-analysis {version('reach-analysis')}"
    except PackageNotFoundError:
        return "reach-analysis unreleased"
