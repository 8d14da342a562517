"""The checker reports each of a list of broken files; readers accept or refuse the same files in one message."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract import examples, kit
from reach_analysis._common.errors import UserError as ReachError
from reach_analysis.data.rollouts import read_rollouts
from stac.keypoint_files import NAMES, movement, write_nwb
from stac_mjx._common.errors import UserError as StacError
from stac_mjx.check import check_file, errors_in, format_violations
from stac_mjx.config import KeypointsConfig
from stac_mjx.keypoints import load_keypoints
from stac_mjx.records import write_clips
from track_mjx.render.footage import read_footage


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("valid") / "clips.h5"
    write_clips(path, examples.clips())
    kit.assert_conforms(path)
    return path


@pytest.mark.parametrize("name", kit.CLIPS_DAMAGE)
def test_each_broken_file_is_reported(valid: Path, tmp_path: Path, name: str) -> None:
    where, damage = kit.CLIPS_DAMAGE[name]
    copy = Path(shutil.copy(valid, tmp_path))
    with kit.edit(copy) as file:
        damage(file)
    errors = errors_in(check_file(copy))
    assert any(where in str(error) for error in errors), format_violations(copy, errors)


def _replace(file: Any, name: str, values: np.ndarray, scales: tuple[str, ...] = ()) -> None:
    del file[name]
    file[name] = values
    for axis, scale in enumerate(scales):
        file[name].dims[axis].attach_scale(file[scale])


@pytest.fixture
def rollouts(tmp_path: Path) -> Path:
    examples.write_rollouts(tmp_path / "rollouts.h5")
    return tmp_path / "rollouts.h5"


def test_broken_rollouts_are_reported(rollouts: Path) -> None:
    """Times on two axes, and validity with swapped axes."""
    with kit.edit(rollouts) as file:
        _replace(file, "step_time", np.zeros((7, 3)))
        _replace(file, "valid", np.asarray(file["valid"]).T, ("clip",))
    report = format_violations(rollouts, errors_in(check_file(rollouts)))
    assert "step_time" in report
    assert "valid: expected shape" in report


def test_descriptions_that_are_not_text_are_ignored(rollouts: Path) -> None:
    with kit.edit(rollouts) as file:
        file.attrs["model_name"] = file["qpos"].attrs["units"] = np.array([1.0, 2.0])
        file["termination_reason"].attrs["flag_meanings"] = np.array([1.0, 2.0])
    assert read_footage(rollouts, [], None)[0].name == ""
    assert read_rollouts(rollouts).series("qpos").unit == "1"


def test_rows_without_repeats_in_a_file_of_several_seeds(tmp_path: Path) -> None:
    examples.write_rollouts(tmp_path / "rollouts.h5", seeds=(4, 9))
    with kit.edit(tmp_path / "rollouts.h5") as file:
        _replace(file, "qpos", np.zeros(12))
    with pytest.raises(ReachError, match=r"qpos: shape \(12,\)"):
        read_rollouts(tmp_path / "rollouts.h5").series("qpos")


def test_keypoints_that_overflow_are_refused(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "pose.nwb", movement(), rate_hz=50.0)
    with kit.edit(path) as file:
        data: list[Any] = []
        file.visititems(lambda name, item: data.append(item) if name.endswith("/data") else None)
        for item in data:
            item[...] = item.attrs["conversion"] = 1e300
    with pytest.raises(StacError, match=r"finite|infinite|missing|lost|NaN"):
        load_keypoints(KeypointsConfig(path=str(path)), list(NAMES))
