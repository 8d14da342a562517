"""Checking any file against docs/schema, the MJCF it encloses included: all violations in one list."""

from __future__ import annotations

from pathlib import Path

from stac_mjx._common.hdf5 import check
from stac_mjx._common.hdf5.check import errors_in, format_violations
from stac_mjx._common.hdf5.record import Violation

__all__ = ["Violation", "check_file", "errors_in", "format_violations"]


def check_file(path: str | Path) -> list[Violation]:
    """Compare a file with its page in docs/schema.

    Returns:
        All violations: broken MUSTs (severity "error") first, then missing SHOULDs ("advice"). Empty: none.

    Raises:
        InputError: when it is not a readable HDF5 file.
        ContractError: when it does not say which kind and version it is, or has another major version.
    """
    # MuJoCo takes a while to import
    from stac_mjx._common.hdf5.enclosed import model_violations

    return check.check_file(Path(path), model_violations)
