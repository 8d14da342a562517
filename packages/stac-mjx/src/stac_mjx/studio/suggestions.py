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
    "sternum": "sternum thorax chest torso",
    "sacr": "pelvis sacrum lowerback root",
    "asis": "pelvis hip root",
    "psis": "pelvis hip root",
    "tailbase": "pelvis root",
    "hip": "pelvis femur coxa thigh",
    "thigh": "femur upper_leg",
    "shin": "tibia lower_leg shank",
    "shank": "tibia shin lower_leg",
    "knee": "tibia shin shank lower_leg femur",
    "ankle": "foot tarsus lower_leg tibia",
    "heel": "heel foot calcaneus",
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


def with_sides(names: Iterable[str]) -> dict[str, str]:
    """Return names with the letter of a side set off, where the other side is there too: ``lfemur`` -> ``l_femur``."""
    names, other = list(names), {"l": "r", "r": "l"}
    known, out = {name.lower() for name in names}, {}
    for name in names:
        small = name.lower()
        if other.get(small[:1], "?") + small[1:] in known:
            out[name] = f"{name[0]}_{name[1:]}"
        elif small[:-1] + other.get(small[-1:], "?") in known:
            out[name] = f"{name[:-1]}_{name[-1]}"
        else:
            out[name] = name
    return out


def by_name(keypoints: Iterable[str], bodies: Sequence[str]) -> dict[str, str]:
    """Return the likeliest of the bodies for each keypoint; those without a likely one are left out."""
    sought, offered, out = with_sides(keypoints), with_sides(bodies), {}
    for keypoint, name in sought.items():
        score, best = max((likeness(name, offered[body]), -place) for place, body in enumerate(bodies))
        if score >= LEAST:
            out[keypoint] = bodies[-best]
    return out


def paired_segments(bodies: Iterable[str]) -> dict[str, list[str]]:
    """Return groups of bodies whose names differ by their side: ``lfemur`` and ``rfemur`` are ``femur``."""
    out: dict[str, list[str]] = {}
    for body, name in with_sides(dict.fromkeys(bodies)).items():
        out.setdefault("_".join(words(name)) or body, []).append(body)
    return out
