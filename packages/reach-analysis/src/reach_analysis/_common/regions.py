"""Regions of a body, by the names of its joints, bodies and keypoints (paper B, Fig. 2b)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

REGIONS: Mapping[str, tuple[str, ...]] = {
    "trunk": (
        "* position", "* orientation", "walker", "thorax", "trunk", "root*", "reference_base", "[0-9][0-9]-t[0-9]-*",
    ),
    "front legs": ("*_t1_*", "*-f-[lr]-*"),
    "middle legs": ("*_t2_*", "*-m-[lr]-*"),
    "hind legs": ("*_t3_*", "*-h-[lr]-*"),
    "abdomen": ("abdomen*", "[0-9][0-9]-a[0-9]-*"),
    "wings": ("wing*", "haltere*"),
    "forelimbs": (
        "clavicle*", "scapula*", "shoulder*", "sh_*", "humerus*", "upper_arm*", "elbow*", "ulna*", "radius*",
        "lower_arm*", "wrist*", "hand*", "paw*", "finger*",
    ),
    "hindlimbs": ("hip*", "upper_leg*", "femur*", "knee*", "lower_leg*", "tibia*", "ankle*", "foot*", "toe*"),
    "head": (
        "skull*", "head*", "jaw*", "mandible*", "snout*", "ear*", "antenna*", "rostrum*", "haustellum*", "labrum*",
        "vertebra_cervical*", "vertebra_axis*", "vertebra_atlant*", "atlas*",
    ),
    "tail": ("vertebra_c[0-9]*", "tail", "tail[!b_]*", "tail_[!b]*"),
    "back": ("tailbase*", "tail_base*", "vertebra*", "spine*", "torso*", "pelvis*"),
}  # fmt: skip
"""Patterns of names, ignoring case; the first region with a matching pattern counts."""

REST = "other"
"""Region of names that no pattern matches."""


def region_of(name: str) -> str:
    """Return the region of one part."""
    lower = name.lower()
    return next((r for r, patterns in REGIONS.items() if any(fnmatchcase(lower, p) for p in patterns)), REST)


def regions_by_name(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names in each region, in the order of `REGIONS`, without empty regions."""
    regions: dict[str, list[str]] = {region: [] for region in (*REGIONS, REST)}
    for name in names:
        regions[region_of(name)].append(name)
    return {region: members for region, members in regions.items() if members}
