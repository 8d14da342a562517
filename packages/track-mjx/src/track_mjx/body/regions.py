"""Regions of the body, by the names of its parts (paper B, Fig. 2b: forelimbs, hindlimbs, back, head)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

REGIONS: Mapping[str, tuple[str, ...]] = {
    "trunk": ("walker", "thorax", "trunk", "root*", "reference_base", "[0-9][0-9]-t[0-9]-*"),
    "front legs": ("*_t1_*", "*-f-[lr]-*"),
    "middle legs": ("*_t2_*", "*-m-[lr]-*"),
    "hind legs": ("*_t3_*", "*-h-[lr]-*"),
    "abdomen": ("abdomen*", "[0-9][0-9]-a[0-9]-*"),
    "wings": ("wing*", "haltere*"),
    "forelimbs": (
        "clavicle*", "scapula*", "shoulder*", "humerus*", "upper_arm*", "elbow*", "ulna*", "radius*", "lower_arm*",
        "wrist*", "hand*", "paw*", "finger*",
    ),
    "hindlimbs": ("hip*", "upper_leg*", "femur*", "knee*", "lower_leg*", "tibia*", "ankle*", "foot*", "toe*"),
    "head": (
        "skull*", "head*", "jaw*", "mandible*", "snout*", "ear*", "antenna*", "rostrum*", "haustellum*", "labrum*",
        "vertebra_cervical*", "vertebra_axis*", "vertebra_atlant*", "atlas*",
    ),
    "tail": ("vertebra_c[0-9]*", "tail*"),
    "back": ("vertebra*", "spine*", "torso*", "pelvis*"),
}  # fmt: skip
"""Patterns of names, case aside; the first region that fits counts."""

REST = "other"
"""Region of what no pattern fits."""


def regions_by_name(names: Sequence[str]) -> dict[str, list[int]]:
    """Places in `names` of the parts of each region, in the order of :data:`REGIONS`; only regions that have some."""
    found: dict[str, list[int]] = {region: [] for region in (*REGIONS, REST)}
    for place, name in enumerate(names):
        found[region_of(name)].append(place)
    return {region: places for region, places in found.items() if places}


def region_of(name: str) -> str:
    """The region of one part."""
    fits = (r for r, patterns in REGIONS.items() if any(fnmatchcase(name.lower(), p) for p in patterns))
    return next(fits, REST)
