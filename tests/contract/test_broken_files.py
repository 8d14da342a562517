"""The checker reports every one of a list of broken files, and never follows what leads out of a file."""

from __future__ import annotations

import pytest
from contract import examples, kit
from stac_mjx.check import check_file, errors_in, format_departures
from stac_mjx.clips import write_clips


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
