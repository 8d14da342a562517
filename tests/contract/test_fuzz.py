"""Damaged and hostile files are accepted with sound content or refused in one message; nothing else ever happens.

A few files for each reader; ``python scripts/fuzz.py`` reads as many as one likes. Counts are in docs/hardening.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contract.fuzzed_readers import READERS
from contract.fuzzing import Worker, fuzz

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are set as Linux has them")

FILES = 60


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[str, Worker]]:
    """One process a package, for all its readers."""
    with Worker("stac_mjx") as stac, Worker("track_mjx") as track, Worker("reach_analysis") as reach:
        yield {"stac_mjx": stac, "track_mjx": track, "reach_analysis": reach}


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_end_in_one_message(workers: dict[str, Worker], name: str, tmp_path: Path) -> None:
    tally = fuzz(workers[READERS[name].package], name, tmp_path, range(FILES))
    assert not tally.faults, "\n".join(tally.faults)
    assert tally.total == FILES
    assert tally.counts["refused"] >= FILES // 10, "the damage does not reach what the reader looks at"
