"""Code that the three packages share by copy stays the same; see docs/decisions/0005-shared-code-by-copy.md.

No package imports another, so that each installs alone; what all need is small and stands in each. A change to one copy
is made to all, or the copy is taken off this list with a reason.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FOLDERS = {
    "stac": "packages/stac-mjx/src/stac_mjx",
    "track": "packages/track-mjx/src/track_mjx",
    "reach": "packages/reach-analysis/src/reach_analysis",
}

WHOLE = {
    "what HDF5 does not survive": ("stac:contract/damage.py", "track:contract/damage.py", "reach:contract/damage.py"),
    "settings from strangers": (
        "stac:contract/plain_yaml.py", "track:contract/plain_yaml.py", "reach:contract/plain_yaml.py",
    ),
    "HDF5 whole or not at all": ("stac:contract/sink.py", "track:contract/sink.py", "reach:contract/sink.py"),
    "dimension scales": ("stac:contract/scales.py", "reach:contract/scales.py"),
    "bodies from strangers": ("stac:contract/enclosed.py", "track:contract/enclosed.py"),
    "drawing without a window": ("stac:gl.py", "track:film/gl.py"),
    "films": ("stac:video.py", "track:film/video.py"),
    "settings as text": ("stac:settings.py", "track:settings.py", "reach:settings.py"),
}  # fmt: skip
"""Modules that are the same up to the name of the package."""

PARTS = {
    "wording of errors": (
        ("stac:errors.py", "track:errors.py", "reach:errors.py"),
        ("ContractError", "OutputError", "printable", "nearest", "shorten", "unknown", "raise_all", "output_error"),
    ),
    "files whole or not at all": (
        ("stac:files.py", "track:files.py", "reach:files.py"), ("replace_file", "write_text", "output_folder"),
    ),
    "command line": (
        ("stac:app.py", "track:app.py", "reach:app.py"),
        ("require", "_in_order", "_own_groups", "_sweep_folder", "_complain", "_first_sentence"),
    ),
    "what this computer has": (("stac:machine.py", "track:machine.py", "reach:machine.py"), ("n_cores", "processor")),
    "labels of a model": (
        ("stac:model_labels.py", "track:labels.py"),
        ("body_labels", "qpos_labels", "qvel_labels", "qpos_units", "qvel_units", "unit_name"),
    ),
    "reading HDF5": (
        ("stac:contract/reading.py", "reach:contract/hdf5.py"),
        ("attribute", "link_fault", "find", "require", "storage_faults", "size_faults"),
    ),
    "attributes of HDF5": (("stac:contract/reading.py", "track:contract/reading.py"), ("attribute",)),
}  # fmt: skip
"""Functions and classes that are the same in modules which hold other things besides."""


def source(repository: Path, place: str) -> str:
    """A module with the package's name and that of its base error made neutral."""
    package, _, path = place.partition(":")
    text = (repository / FOLDERS[package] / path).read_text(encoding="utf-8")
    text = re.sub(r"stac[-_]mjx|track[-_]mjx|reach[-_]analysis", "PACKAGE", text)
    return re.sub(r"\b(?:Stac|Track|Reach)Error\b", "BaseError", text)


@pytest.mark.parametrize("what", WHOLE)
def test_modules_that_are_copies_are_the_same(repository: Path, what: str) -> None:
    first, *others = WHOLE[what]
    for other in others:
        assert source(repository, other) == source(repository, first), f"{first} and {other} have drifted apart"


@pytest.mark.parametrize("what", PARTS)
def test_parts_that_are_copies_are_the_same(repository: Path, what: str) -> None:
    places, names = PARTS[what]
    found = {}
    for place in places:
        text = source(repository, place)
        nodes = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        found[place] = {node.name: ast.get_source_segment(text, node) for node in nodes if node.name in names}
        assert set(found[place]) == set(names), f"{place} lacks one of {names}"
    for place in places[1:]:
        for name in names:
            assert found[place][name] == found[places[0]][name], f"{name}: {places[0]} and {place} have drifted apart"
