"""Which body a keypoint is likely to move with, from their names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from stac_mjx.keypoints.keypoints import opposite, side

LEAST = 0.4
"""Likeness below which two names say nothing about each other."""
_ALIKE = {
    "snout": "skull head",
    "nose": "skull head",
    "ear": "skull head",
    "eye": "skull head",
    "head": "skull",
    "neck": "cervical head",
    "spine": "vertebra thorax torso lumbar chest",
    "back": "vertebra thorax torso lumbar",
    "chest": "thorax torso sternum",
    "tailbase": "pelvis root",
    "hip": "pelvis femur coxa thigh",
    "thigh": "femur upper_leg",
    "shin": "tibia lower_leg shank",
    "knee": "tibia shin shank lower_leg femur",
    "ankle": "foot tarsus lower_leg tibia",
    "foot": "foot toes metatarsus tarsus",
    "toe": "toes foot",
    "shoulder": "scapula humerus clavicle upper_arm",
    "elbow": "ulna forearm lower_arm radius upper_arm",
    "wrist": "hand carpus lower_arm radius",
    "hand": "hand paw wrist carpus",
    "paw": "hand foot wrist",
    "finger": "hand fingers",
}
"""Words of keypoints -> words of bodies that carry them, best first."""


def words(name: str) -> list[str]:
    """Return the words of a name in small letters, without those that name a side: ``lower_leg_L`` -> lower, leg."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)
    return [part.lower() for part in parts if not side(part)]


def likeness(keypoint: str, body: str) -> float:
    """Return how well the names fit, 0 to 1; names of opposite sides do not."""
    if opposite(keypoint, body):
        return 0.0
    ours, theirs = "".join(words(keypoint)), "".join(words(body))
    score = difflib.SequenceMatcher(None, ours, theirs).ratio()
    for word, bodies in _ALIKE.items():
        if word in ours:
            for rank, other in enumerate(bodies.split()):
                if other.replace("_", "") in theirs:
                    score = max(score, 0.95 - 0.08 * rank)
    return score + 0.05 * (side(keypoint) == side(body))


def by_name(keypoints: Iterable[str], bodies: Sequence[str]) -> dict[str, str]:
    """Return the likeliest of the bodies for each keypoint; those without a likely one are left out."""
    best = {name: max(bodies, key=lambda body, name=name: likeness(name, body)) for name in keypoints}
    return {name: body for name, body in best.items() if likeness(name, body) >= LEAST}
