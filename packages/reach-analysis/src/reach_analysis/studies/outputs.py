"""What every command leaves beside its figures and tables: a JSON with settings, inputs and results."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from reach_analysis._common.errors import InputError
from reach_analysis._common.files import write_json
from reach_analysis.data.rollouts import file_sha256

_log = logging.getLogger(__name__)
_LIBRARIES = ("numpy", "scipy", "h5py", "scikit-learn", "matplotlib", "pyEDM")


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that the numbers come from."""
    found = {"python": platform.python_version()}
    for name in ("reach-analysis", *_LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed" if name in _LIBRARIES else "unreleased"
    return found


def input_hashes(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Name and SHA-256 of each file read; names without folders, as outputs are passed on.

    Raises:
        InputError: when a file cannot be read.
    """
    out = []
    for path in dict.fromkeys(paths):
        try:
            out.append({"name": path.name, "sha256": file_sha256(path)})
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
    return out


def save_result(folder: Path, name: str, settings: Any, inputs: Iterable[Path], results: Any) -> None:
    """Write ``name.json``: what was asked, of which files, with which versions, and what came out.

    Raises:
        OutputError: when it cannot be written.
    """
    write_json(
        folder / f"{name}.json",
        {
            "analysis": name,
            "versions": versions(),
            "inputs": input_hashes(inputs),
            "settings": settings,
            "results": results,
        },
    )
    _log.info("results in %s", folder)
