"""Tests hold their level: over a thousand small data sets without an effect, 5 % are called significant, not more.

Every null that says it controls its level is held to the 95 % binomial interval of 1000 x 5 %; the one that is
conservative by construction to its upper end. Nulls that say they do not are shown not to.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from reach_analysis.forecasting.assessment import AssessmentSettings, Task, null_targets

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/reach/calibration.py"))
CASES, DRAWS, TRIALS = BENCH["CASES"], BENCH["DRAWS"], BENCH["TRIALS"]
Case, DataKind, calibrate, simple = (BENCH[name] for name in ("Case", "DataKind", "calibrate", "simple"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_false_positives_are_as_promised(case: Any) -> None:
    found = calibrate(case)
    assert found.data_sets == 1000
    assert (found.low, found.high) == (37, 64)
    assert found.as_promised, f"{found.false_positives} of {found.data_sets}"


def test_every_null_that_claims_control_is_calibrated() -> None:
    """A null added to the assessment needs a case here."""
    held = {(calibrate(case, 2).null, case.data.own) for case in CASES if case.holds != "no"}
    for own in (False, True):
        data = DataKind(own=own, samples=12).draw(0)
        for method in ("phase", "iaaft"):
            settings = AssessmentSettings(permutations=DRAWS, surrogates=DRAWS, surrogate=method, shuffle=True)
            task = Task("noise", data, simple, noise=lambda rng: rng.normal(size=12 * TRIALS))
            nulls = list(null_targets(task, settings))
            assert len(nulls) > 2
            for targets in nulls:
                assert ((targets.name, own) in held) == targets.controls, targets.name


def test_a_count_outside_the_interval_breaks_the_promise() -> None:
    """The shuffle null on the same data as an exact test: the promise of 5 % must fail."""
    shuffle = next(case for case in CASES if case.holds == "no")
    wrong = calibrate(Case("shuffle sold as exact", shuffle.draw, shuffle.data), 60)
    assert not wrong.as_promised
    assert not wrong.controls
    assert wrong.false_positives > wrong.high
