"""The presets that come with the package: bodies and trainings, as YAML in conf/preset."""

from __future__ import annotations

from importlib import resources


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    folder = resources.files("track_mjx") / "conf" / "preset"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
