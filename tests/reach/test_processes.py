"""Work in several processes gives what it gives here, in order, and its errors stay messages."""

from __future__ import annotations

import os

import pytest
from reach_analysis import processes
from reach_analysis._common.errors import DataError


def test_many_samples_go_to_other_processes_and_few_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(number: int) -> tuple[int, int]:
        if number < 0:
            raise DataError(f"{number} is negative")
        return number**2, os.getpid()

    monkeypatch.setattr(processes, "n_cores", lambda: 2)
    here, there = (list(processes.each_of(one, range(5), samples)) for samples in (10, processes.MANY_SAMPLES))
    assert [value for value, _ in here] == [value for value, _ in there] == [0, 1, 4, 9, 16]
    assert {process for _, process in here} == {os.getpid()}
    assert os.getpid() not in {process for _, process in there}
    with pytest.raises(DataError, match="-1 is negative"):
        list(processes.each_of(one, [3, -1], processes.MANY_SAMPLES))
