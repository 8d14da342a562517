"""The checker reports every one of a list of broken files, and never follows what leads out of a file."""

from __future__ import annotations

from pathlib import Path

import h5py
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
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, kit.Variant]:
    folder = tmp_path_factory.mktemp("broken")
    sound = folder / "sound.h5"
    write_clips(sound, examples.clips())
    kit.assert_conforms(sound)
    return kit.broken_variants(sound, folder)


@pytest.mark.parametrize("name", kit.CLIPS_DAMAGE)
def test_each_broken_file_is_reported(variants: dict[str, kit.Variant], name: str):
    variant = variants[name]
    errors = errors_in(check_file(variant.path))
    assert any(variant.where in str(error) for error in errors), format_violations(variant.path, errors)


def test_descriptions_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    examples.write_rollouts(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_name"] = file["qpos"].attrs["units"] = np.array([1.0, 2.0])
        file["termination_reason"].attrs["flag_meanings"] = np.array([1.0, 2.0])
    body, _ = read_footage(path, [], None)
    assert body.name == ""
    assert read_rollouts(path).series("qpos").unit == "1"


def replaced(path: Path, name: str, values: np.ndarray) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = values


def test_rows_without_repeats_in_a_file_of_several_seeds(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    examples.write_rollouts(path, seeds=(4, 9))
    replaced(path, "qpos", np.zeros(12))
    with pytest.raises(ReachError, match=r"qpos: shape \(12,\) has no repeat 0"):
        read_rollouts(path).series("qpos")


def test_times_on_two_axes_are_violations(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    examples.write_rollouts(path)
    replaced(path, "step_time", np.zeros((7, 3)))
    assert "step_time" in format_violations(path, check_file(path))


def test_validity_whose_axes_are_swapped_is_a_violation(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    examples.write_rollouts(path)
    with h5py.File(path, "r+") as file:
        old = file["valid"]
        assert isinstance(old, h5py.Dataset)
        names, values = [axis[0].name for axis in old.dims], np.asarray(old)
        del file["valid"]
        swapped = file.create_dataset("valid", data=values.T)
        for axis, name in enumerate(names):
            swapped.dims[axis].attach_scale(file[name])
    assert any("valid: expected shape" in str(error) for error in errors_in(check_file(path)))


def test_keypoints_that_overflow_are_no_numbers(tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "pose.nwb", movement(), rate_hz=50.0)
    with h5py.File(path, "r+") as file:
        data: list[h5py.Dataset] = []
        file.visititems(lambda name, item: data.append(item) if name.endswith("/data") else None)
        assert data
        for item in data:
            item[...] = 1e300
            item.attrs["conversion"] = 1e300
    with pytest.raises(StacError, match=r"finite|infinite|missing|lost|NaN"):
        load_keypoints(KeypointsConfig(path=str(path)), list(NAMES))
