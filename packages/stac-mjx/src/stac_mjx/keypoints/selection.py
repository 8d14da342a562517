"""The keypoints a body has markers for, in the body's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stac_mjx._common.errors import InputError, raise_all, shorten, unknown
from stac_mjx.keypoints.keypoints import Keypoints


def select(keypoints: Keypoints, wanted: Sequence[str]) -> Keypoints:
    """Return the keypoints called `wanted`, in that order; others are dropped with a note.

    Raises:
        InputError: when a wanted keypoint is not in the recording or is asked for twice; lists the nearest names.
    """
    faults = [unknown("keypoint", name, keypoints.names) for name in wanted if name not in keypoints.names]
    if len(faults) > 1 and len(faults) == len(wanted):
        faults = [f"none of {shorten(wanted)}; there are: {shorten(keypoints.names)}"]
    if faults:
        faults[-1] += "; map names with keypoints.rename={name in the file: name wanted}"
    faults += [f"keypoint {name!r} is wanted twice" for name in dict.fromkeys(wanted) if list(wanted).count(name) > 1]
    raise_all(InputError, "keypoints of the body that the recording lacks", faults)
    dropped = [name for name in keypoints.names if name not in set(wanted)]
    if tuple(wanted) == keypoints.names:
        return keypoints
    columns = [keypoints.names.index(name) for name in wanted]
    note = (f"keypoints the body has no marker for, dropped: {shorten(dropped)}",) if dropped else ()
    return replace(
        keypoints,
        positions=keypoints.positions[:, columns],
        confidence=keypoints.confidence[:, columns],
        names=tuple(wanted),
        notes=keypoints.notes + note,
    )
