"""The failed cases that run in seconds end without their fault; they are skipped where their folder is absent."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import FOLDER, run_case

NAMES = (
    "03_root_body_is_the_ball",
    "05_nwb_series_names",
    "06_trials_end_to_end",
    "07_root_free_beside_a_ball",
    "08_root_free_behind_a_wheel",
    "09_nwb_series_of_unequal_length",
    "13_nested_include",
    "14_lacking_keypoint_message",
    "16_flat_recording",
    "20_equality_constraints",
    "21_unobserved_joints",
    "26_letters_in_paths",
    "28_far_from_the_origin",
    "31_preset_mjcf_path",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_case_ends_without_its_fault(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAC_CASES", str(tmp_path))
    done = run_case(f"stac/{name}.py", cwd=FOLDER / "stac")
    assert done.returncode == 0, done.stdout + done.stderr
