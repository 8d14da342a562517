"""The rules of docs/schema for rollouts, from the JSON that travels in the wheel (a copy of the one in docs/schema).

A rule's path may hold ``*``, which stands for one name; a dimension may refer to what the stars stood for as ``{1}``,
``{2}``: ``activations/*/layer_*`` has the dimension ``activations/{1}/unit_{2}``.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

PAGE = "mimic.rollouts-1.0.json"


@cache
def page() -> dict[str, Any]:
    """The machine-readable page of mimic.rollouts."""
    return json.loads((resources.files("reach_analysis._common.hdf5") / "schemas" / PAGE).read_text(encoding="utf-8"))


def dataset_rule(path: str) -> dict[str, Any] | None:
    """The rule for one data set, with what the stars stand for put into its dimensions; None where there is none."""
    for pattern, rule in page()["datasets"].items():
        stars = _stars(pattern, path)
        if stars is not None:
            return {**rule, "dims": [_fill(dim, stars) for dim in rule["dims"]]}
    return None


def dimension_rule(name: str) -> dict[str, Any] | None:
    """The rule for one dimension; None where there is none."""
    for pattern, rule in page()["dims"].items():
        if _stars(pattern, name) is not None:
            return rule
    return None


def takes_seed(path: str, dims: list[str]) -> bool:
    """Say whether a data set may carry the leading dimension `seed`."""
    leading = page()["leading"]
    return dims[:1] == [leading["before"]] and path not in leading["except"]


def _stars(pattern: str, path: str) -> tuple[str, ...] | None:
    """What the stars of `pattern` stand for in `path`, or None where it does not match."""
    if "*" not in pattern:
        return () if pattern == path else None
    found = re.fullmatch("([^/]+)".join(re.escape(part) for part in pattern.split("*")), path)
    return found.groups() if found else None


def _fill(template: str, stars: tuple[str, ...]) -> str:
    for number, star in enumerate(stars, start=1):
        template = template.replace(f"{{{number}}}", star)
    return template
