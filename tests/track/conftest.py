"""Fixtures of the tests of track-mjx: setups that many tests read, built once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from track import small_setups
from track_mjx.learning.setup import Setup
from track_mjx.task.registry import KINDS, _tasks, _terms, terms_of


@pytest.fixture(scope="session")
def arm_setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The arm on four clips; tests read it and change nothing."""
    return small_setups.arm(tmp_path_factory.mktemp("arm"))


@pytest.fixture(scope="session")
def walker_setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The walker on four clips; tests read it and change nothing."""
    return small_setups.walker(tmp_path_factory.mktemp("walker"))


@pytest.fixture
def clean_registry() -> Iterator[Any]:
    """Remove the terms and tasks that a test adds."""
    terms_of("reward")
    before, tasks = {kind: dict(_terms[kind]) for kind in KINDS}, dict(_tasks)
    yield _terms
    for kind in KINDS:
        _terms[kind].clear()
        _terms[kind].update(before[kind])
    _tasks.clear()
    _tasks.update(tasks)
