"""Several files, each a clip or more, as one recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stac_mjx._common.errors import InputError, raise_all, shorten
from stac_mjx.keypoints.keypoints import Keypoints
from stac_mjx.keypoints.paths import make_unique

RATE_TOLERANCE = 1e-4
"""Frame rates that differ by less than this fraction are the same."""


def join(pieces: Sequence[Keypoints]) -> Keypoints:
    """Put the clips of all `pieces`, one a file, end to end; keypoints are matched by name to the first file's order.

    Raises:
        InputError: listing all files that differ from the first in names, frame rate or unit.
    """
    first = pieces[0]
    faults = [fault for piece in pieces[1:] for fault in _differences(first, piece)]
    raise_all(InputError, f"keypoints.path: the {len(pieces)} files do not belong together", faults)
    orders = [[piece.names.index(name) for name in first.names] for piece in pieces]
    joined = replace(
        first,
        positions=_stack([_ordered(p.positions, order) for p, order in zip(pieces, orders, strict=True)]),
        confidence=_stack([_ordered(p.confidence, order) for p, order in zip(pieces, orders, strict=True)]),
        clip_names=tuple(make_unique([name for piece in pieces for name in piece.clip_names])),
        clip_lengths=np.concatenate([piece.clip_lengths for piece in pieces]),
        sources=tuple(source for piece in pieces for source in piece.sources),
        notes=_merged_notes(pieces),
    )
    return joined


def _differences(first: Keypoints, piece: Keypoints) -> list[str]:
    """What of `piece` does not fit the first file."""
    name, reference = piece.sources[0].path, first.sources[0].path.name
    faults: list[str] = []
    lacking = [keypoint for keypoint in first.names if keypoint not in piece.names]
    extra = [keypoint for keypoint in piece.names if keypoint not in first.names]
    if lacking or extra:
        words = [f"lacks {shorten(lacking)}"] * bool(lacking) + [f"also has {shorten(extra)}"] * bool(extra)
        faults.append(f"{name}: {' and '.join(words)} (compared with {reference})")
    if not _same_rate(first.rate_hz, piece.rate_hz):
        faults.append(
            f"{name}: frame rate {_said(piece.rate_hz)}, {reference} has {_said(first.rate_hz)};"
            " set keypoints.rate_hz if they are the same"
        )
    if first.unit != piece.unit:
        faults.append(f"{name}: the length unit is known of one file only (the other: {reference}); set keypoints.unit")
    return faults


def _same_rate(rate: float | None, other: float | None) -> bool:
    if rate is None or other is None:
        return rate is None and other is None
    return abs(rate - other) <= RATE_TOLERANCE * max(rate, other)


def _said(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:g} Hz"


def _ordered(values: np.ndarray, order: list[int]) -> np.ndarray:
    """Reorder the keypoint axis, without a copy where nothing changes."""
    return values if order == list(range(len(order))) else values[:, order]


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _merged_notes(pieces: Sequence[Keypoints]) -> tuple[str, ...]:
    """Say what is true of all files once, and of some with their names."""
    if len(pieces) == 1:
        return pieces[0].notes
    files: dict[str, list[str]] = {}
    for piece in pieces:
        for note in piece.notes:
            files.setdefault(note, []).append(piece.sources[0].path.name)
    return tuple(
        f"all {len(pieces)} files: {note}" if len(names) == len(pieces) else f"{shorten(names, 3)}: {note}"
        for note, names in files.items()
    )
