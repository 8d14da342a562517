"""The failed cases end without their fault; they are skipped where their folder is absent."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cases import FOLDER
from documentation import run_here

NAMES = (
    "01_offset_errors_prior",
    "02_offset_errors_correlated",
    "03_root_body_is_the_ball",
    "04_missing_points_as_numbers",
    "05_nwb_series_names",
    "06_trials_end_to_end",
    "07_root_free_beside_a_ball",
    "08_root_free_behind_a_wheel",
    "09_nwb_series_of_unequal_length",
    "13_nested_include",
    "14_lacking_keypoint_message",
    "16_flat_recording",
    "17_sides_swapped_for_a_while",
    "18_rigid_alignment_stops_early",
    "19_ik_without_body",
    "20_equality_constraints",
    "21_unobserved_joints",
    "24_three_keypoints_transposed",
    "26_letters_in_paths",
    "28_far_from_the_origin",
    "31_preset_mjcf_path",
)


def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    """Run stac-mjx in this process, which has JAX loaded."""
    return subprocess.CompletedProcess(command, *run_here([Path(command[0]).name, *command[1:]]), stderr="")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_case_ends_without_its_fault(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = FOLDER / "stac" / f"{name}.py"
    if not script.is_file():
        pytest.skip(f"no cases: {script} does not exist; set MIMIC_CASES to the folder")
    monkeypatch.setenv("STAC_CASES", str(tmp_path))
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert not ended.value.code
