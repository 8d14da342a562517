"""Which keypoint is which: names from the file, the settings or the body preset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stac_mjx._common.errors import InputError, raise_all, shorten, unknown
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints.formats.keypoints_reading import Reading


def settle_names(
    path: Path, reading: Reading, config: KeypointsConfig, order: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the keypoints of `reading`, renamed, and notes on who named them.

    The file's own names come first. ``keypoints.names`` may replace them by other names, but not by the same names in
    another order, which would silently swap body parts. Files without names take ``keypoints.names``, else `order`.

    Raises:
        InputError: when nobody names the keypoints, the count differs, a name repeats or a renamed one does not exist.
    """
    names, note = _chosen(path, reading, list(config.names or ()), tuple(order))
    if len(names) != reading.n_keypoints:
        raise InputError(
            f"{path}: holds {reading.n_keypoints} keypoints, but there are {len(names)} names ({note}):"
            f" {shorten(names)}; give keypoints.names in file order"
        )
    faults = [f"keypoints.rename: {unknown('keypoint', old, names)}" for old in config.rename if old not in names]
    renamed = tuple(config.rename.get(name, name) for name in names)
    faults += [f"keypoint name {name!r} occurs {n} times" for name, n in Counter(renamed).items() if n > 1]
    faults += ["a keypoint name is empty"] if "" in renamed else []
    raise_all(InputError, str(path), faults)
    return renamed, (f"names of the {len(names)} keypoints: {note}",)


def _chosen(path: Path, reading: Reading, given: list[str], order: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return the names before renaming, and whose they are."""
    own = reading.names
    if own is None and given:
        return tuple(given), "keypoints.names"
    if own is None and order:
        return order, "the order of the body preset, as the file holds none"
    if own is None:
        raise InputError(
            f"{path}: holds {reading.n_keypoints} keypoints without names; give keypoints.names in file order"
        )
    if given and tuple(given) != own:
        if sorted(given) == sorted(own):
            raise InputError(
                f"{path}: keypoints.names has the file's own names in another order (file: {shorten(own)};"
                f" given: {shorten(given)}); leave keypoints.names empty, the file's order is used"
            )
        return tuple(given), f"keypoints.names, in place of the file's ({shorten(own)})"
    return own, "the file"
