"""A short recording of the embedded arm, and a fit of it through the command, made once for all tests that need one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract import examples
from stac.bodies_for_tests import ARM_NAMES, QUICK, every_joint
from stac.keypoint_files import write_sleap
from stac_mjx.body.body import Body
from stac_mjx.cli import main
from stac_mjx.records import write_clips
from stac_mjx.synthetic.reaches import mouse_arm_reaches


@pytest.fixture(scope="session")
def body() -> Body:
    """A floating body with joints of every type."""
    return every_joint()


@pytest.fixture
def clips_file(tmp_path: Path) -> Path:
    """Clips of the contract's example."""
    write_clips(tmp_path / "clips.h5", examples.clips())
    return tmp_path / "clips.h5"


@pytest.fixture(scope="session")
def arm_positions() -> np.ndarray:
    """Two synthetic reaches of the embedded arm, (frame, keypoint, xyz), metres."""
    return mouse_arm_reaches(seed=0).keypoints.positions[:120]


@pytest.fixture(scope="session")
def arm_recording(tmp_path_factory: pytest.TempPathFactory, arm_positions: np.ndarray) -> Path:
    """One of the two reaches, as a file of the SLEAP layout."""
    path = tmp_path_factory.mktemp("recording") / "reach.h5"
    return write_sleap(path, arm_positions[:60, None], ARM_NAMES, units="m", fps=200.0)


@pytest.fixture(scope="session")
def arm_fit(tmp_path_factory: pytest.TempPathFactory, arm_recording: Path) -> Path:
    """Folder of a fit of that file: offsets.h5, clips.h5, fit_summary.json, config.yaml, fit.log."""
    out = tmp_path_factory.mktemp("fit")
    assert main(["fit", f"keypoints.path={arm_recording}", f"out={out}", *QUICK]) == 0
    return out
