"""Anipose ``.csv``: columns ``<keypoint>_x, _y, _z``, with ``_score`` where known.

Anipose (Karashchuk et al. 2021, Cell Reports 36:109730) also writes ``_error`` and ``_ncams``, the rotation ``M_00``..
and ``center_0``.. of its frame, and the frame number ``fnum``; of these only ``fnum`` is used, to find borders.
"""

from __future__ import annotations

from pathlib import Path

from stac_mjx.keypoints.formats.keypoints_reading import Reading
from stac_mjx.keypoints.formats.tables import first_row, read_table


def read(path: Path, track: int | None = None) -> Reading:
    """Read one Anipose table, or one like it.

    Raises:
        InputError: when it is no such table, lacks a coordinate, or holds something that is no number.
    """
    return read_table(path, track, first_row)
