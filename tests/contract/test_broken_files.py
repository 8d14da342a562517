"""The checker reports every one of a list of broken files, and never follows what leads out of a file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from contract import examples, kit
from reach_analysis.rollouts import read_rollouts
from stac_mjx.check import check_file, errors_in, format_departures
from stac_mjx.clips import write_clips
from track_mjx.film.footage import read_footage


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
    departures = errors_in(check_file(variant.path))
    assert any(variant.where in str(departure) for departure in departures), format_departures(variant.path, departures)
    with pytest.raises(AssertionError, match="departs from docs/schema"):
        kit.assert_conforms(variant.path)


def test_descriptions_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.h5"
    examples.write_rollouts(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_name"] = file["qpos"].attrs["units"] = np.array([1.0, 2.0])
        file["termination_reason"].attrs["flag_meanings"] = np.array([1.0, 2.0])
    body, _ = read_footage(path, [], None)
    assert body.name == ""
    assert read_rollouts(path).series("qpos").unit == "1"
