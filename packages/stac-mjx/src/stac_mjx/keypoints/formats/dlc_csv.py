"""DeepLabCut ``.csv`` of triangulated keypoints: title rows ``scorer``, ``bodyparts`` and ``coords``, then the frames.

``coords`` are x, y, z, and ``likelihood`` where known; with several animals a row ``individuals`` comes second. Source:
the tables that DeepLabCut's ``triangulate`` writes (Nath et al. 2019, Nature Protocols 14:2152).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stac_mjx._common.errors import InputError, raise_all
from stac_mjx.keypoints.formats.keypoints_reading import Reading, choose_track
from stac_mjx.keypoints.formats.tables import read_table

FIRST_TITLE = "scorer"
"""First cell of these tables."""
_SUFFIX = {"likelihood": "score"}
_SINGLE = "single"
"""Individual to which DeepLabCut ascribes points that belong to no animal."""


def read(path: Path, track: int | None = None) -> Reading:
    """Read one DeepLabCut table.

    Raises:
        InputError: when it is no such table, is 2D, lacks a coordinate, or holds several animals and none was chosen.
    """
    return read_table(path, track, _titles)


def _titles(path: Path, rows: Iterator[list[str]], track: int | None) -> list[str]:
    """Titles ``<bodypart>_<coord>``; empty for the frame number, and for animals that were not chosen."""
    levels: dict[str, list[str]] = {}
    for row in rows:
        levels[row[0] if row else ""] = row[1:]
        if "coords" in levels or len(levels) > 3:
            break
    needed = (FIRST_TITLE, "bodyparts", "coords")
    raise_all(InputError, str(path), [f"lacks the title row {name!r}" for name in needed if name not in levels])
    parts, coords = levels["bodyparts"], levels["coords"]
    owners = levels.get("individuals", ["the only animal"] * len(parts))
    if not len(parts) == len(coords) == len(owners):
        raise InputError(f"{path}: the title rows differ in length: {len(parts)}, {len(coords)} and {len(owners)}")
    animals = [name for name in dict.fromkeys(owners) if name != _SINGLE] or [_SINGLE]
    chosen = animals[choose_track(path, track, animals)]
    columns = zip(parts, coords, owners, strict=True)
    return ["", *(f"{part}_{_SUFFIX.get(coord, coord)}" if owner == chosen else "" for part, coord, owner in columns)]
