"""Scripts of the folder of failed cases that run in seconds; each prints numbers, whose right values are here."""

from __future__ import annotations

import re

from cases import run_case

FORMER = {
    "reach_analysis.estimates": ("reach_analysis.statistics.estimates",),
    "reach_analysis.statistics.bootstrap": ("reach_analysis.statistics.estimates",),
    "reach_analysis.forecasting.folds": ("reach_analysis.statistics.folds", "reach_analysis.forecasting.embedding"),
    "reach_analysis.records": ("reach_analysis.data.series",),
    "reach_analysis.recordings": ("reach_analysis.data.recordings",),
    "reach_analysis.emg": ("reach_analysis.data.emg", "reach_analysis.config"),
}
"""Modules of the version that the scripts were written for."""


def printed(path: str) -> str:
    return run_case(f"reach/{path}", FORMER, {"reach_analysis.emg": {"EmgChain": "ChainConfig"}})


def test_sign_flips_count_the_observed_signs() -> None:
    assert "far below the exact one: 0 of 1200" in printed("01_p_value_rounding.py")


def test_p_does_not_depend_on_the_order_of_conditions() -> None:
    out = printed("14_order_of_conditions.py")
    assert float(re.findall(r"swapped ([\d.e-]+)", out)[0]) < 1e-12
    values = re.findall(r"[\d.]+", out.split("p by seed")[1].split("(")[0])
    assert len(set(values)) == 1


def test_a_constant_electrode_is_refused() -> None:
    out = printed("19_constant_electrode.py")
    assert out.count("was the electrode connected?") == 3
    assert "accepted" not in out


def test_an_own_past_that_holds_the_target_is_refused() -> None:
    out = printed("21_own_past_holds_the_target.py")
    assert abs(float(re.findall(r"r = (-?[\d.]+)", out)[0])) < 0.1
    assert "would hold what they predict" in out
