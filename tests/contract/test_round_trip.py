"""What is written is read back, also by the readers other people use; and files of released versions stay readable."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
from contract import examples, kit
from reach_analysis._common.errors import DataError
from reach_analysis.data.rollouts import read_rollouts
from stac_mjx._common.hdf5.content import CONTENT_CHECKS
from stac_mjx._common.hdf5.schema import KINDS, load_schema
from stac_mjx.check import check_file
from stac_mjx.records import read_clips, read_offsets, write_clips, write_offsets
from synthetic.reach import ReachSettings, write_reaches
from synthetic.walk import WalkSettings, write_walks

KEPT = Path(__file__).parent / "kept"
ENGINES = ("netcdf4", "h5netcdf")


@pytest.fixture
def clips_file(tmp_path: Path) -> Path:
    write_clips(tmp_path / "clips.h5", examples.clips())
    return tmp_path / "clips.h5"


def assert_same(written, read):
    """Compare two records field by field; the writer's own stamps and empty defaults aside."""
    for field in dataclasses.fields(written):
        a, b = getattr(written, field.name), getattr(read, field.name)
        if field.name == "info":
            stamped = ("created_utc", "generator", "history", "environment_json")
            plain = {name: getattr(b, name) for name in stamped}
            assert all(plain.values())
            assert dataclasses.replace(a, **plain) == b
        elif isinstance(a, np.ndarray):
            np.testing.assert_allclose(b, np.asarray(a, float), rtol=1e-6, atol=1e-9, err_msg=field.name)
        elif field.name == "events":
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
        else:
            assert a == b, field.name


def test_clips_are_read_back(clips_file: Path):
    written = examples.clips()
    read = read_clips(clips_file)
    assert_same(written, read)
    assert read.qpos.dtype == np.float32
    assert read.valid.dtype == np.uint8
    np.testing.assert_allclose(read.residual, written.residual, atol=1e-9)
    kit.assert_conforms(clips_file)
    assert check_file(clips_file) == []


def test_offsets_are_read_back(tmp_path: Path):
    written = examples.offsets()
    write_offsets(tmp_path / "offsets.h5", written)
    assert_same(written, read_offsets(tmp_path / "offsets.h5"))
    assert check_file(tmp_path / "offsets.h5") == []


def test_a_file_that_was_read_can_be_written_again(clips_file: Path, tmp_path: Path):
    write_clips(tmp_path / "again.h5", read_clips(clips_file))
    assert_same(read_clips(clips_file), read_clips(tmp_path / "again.h5"))


@pytest.mark.parametrize("seeds", [(), (4, 9)])
def test_a_rollouts_file_written_from_the_page_conforms(tmp_path: Path, seeds: tuple[int, ...]):
    examples.write_rollouts(tmp_path / "rollouts.h5", seeds=seeds)
    assert check_file(tmp_path / "rollouts.h5") == []


def test_synthetic_rollouts_conform(tmp_path: Path) -> None:
    write_reaches(tmp_path / "reach.h5", ReachSettings(n_trials=3, duration_s=0.1, n_units=6, hazard_per_s=8.0))
    kit.assert_conforms(tmp_path / "reach.h5")
    write_walks(tmp_path / "walk.h5", WalkSettings(n_clips=2, duration_s=0.5, hazard_per_s=1.0))
    kit.assert_conforms(tmp_path / "walk.h5")


def test_repeats_are_read_one_seed_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "seeds.h5"
    examples.write_rollouts(path, seeds=(5, 9))
    with h5py.File(path) as file:
        qpos: Any = np.asarray(file["qpos"])
    assert read_rollouts(path).seeds == (5, 9)
    np.testing.assert_array_equal(read_rollouts(path).series("qpos").padded(), qpos[0])
    np.testing.assert_array_equal(read_rollouts(path, seed=9).series("qpos").padded(), qpos[1])
    with pytest.raises(DataError, match="rollouts_seed: unknown seed '7'"):
        read_rollouts(path, seed=7)


@pytest.mark.parametrize("engine", ENGINES)
def test_xarray_finds_labelled_axes(clips_file: Path, engine):
    with xarray.open_dataset(clips_file, engine=engine) as data:
        assert data["qpos"].dims == ("frame", "names_qpos")
        assert data["xpos"].sel(names_xpos="head", space="z").shape == (15,)
        assert set(data["kp_data"].coords) >= {"frame", "kp_names", "space", "time", "frame_clip"}
        assert data["qpos"].attrs["quaternion_order"] == "wxyz"
        written = examples.clips()
        np.testing.assert_allclose(
            data["marker_sites"].sel(kp_names="knee"), written.marker_sites[:, 2], rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["clips", "offsets", "rollouts"])
def test_xarray_opens_the_whole_tree(clips_file: Path, engine, kind):
    path = clips_file.with_name(f"{kind}.h5")
    if kind == "offsets":
        write_offsets(path, examples.offsets())
    elif kind == "rollouts":
        examples.write_rollouts(path)
    with xarray.open_datatree(path, engine=engine) as tree:
        assert "compiler" not in tree["provenance"]
        assert str(tree["provenance/mjcf_xml"].values) == examples.MJCF
        assert np.asarray(tree["provenance/assets/shell.stl"]).tobytes() == examples.tetrahedron()
        for group in tree.subtree:
            group.load()
        if kind == "rollouts":
            layer = tree["activations/encoder/layer_1"]
            assert layer.dims == ("clip", "step_time", "unit_1")
            assert np.asarray(layer["step_time"])[2] == pytest.approx(0.01)


@pytest.mark.parametrize("engine", ENGINES)
def test_own_variables_can_be_appended(clips_file: Path, engine):
    extra = xarray.Dataset({"speed": ("frame", np.arange(15.0, dtype="f4"), {"units": "m s-1"})})
    extra.to_netcdf(clips_file, mode="a", engine=engine)
    assert check_file(clips_file) == []
    np.testing.assert_array_equal(h5py.File(clips_file)["speed"], np.arange(15))
    assert_same(examples.clips(), read_clips(clips_file))


def test_netcdf4_appends(clips_file: Path):
    with netCDF4.Dataset(clips_file, "a") as file:
        file.createVariable("mine", "f4", ("clip",))[:] = [1, 2, 3]
        file.history += "\n2026-01-01T00:00:00Z by hand"
    assert check_file(clips_file) == []
    assert read_clips(clips_file).info.history.endswith("by hand")


def test_kept_files_hold_what_was_written():
    assert_same(examples.offsets(), read_offsets(KEPT / "offsets-1.0.h5"))
    old = examples.clips(qpos_stderr=None, qpos_resolution=None)  # since 1.1
    assert_same(old, read_clips(KEPT / "reference_clips-1.0.h5"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_of_a_page_is_understood(kind):
    schema = load_schema(kind)
    model_checks = {"model_hash", "model_compiles", "names_follow_model", "units_follow_model", "bodies_exist"}
    model_checks |= {"poses_follow_model", "sites_follow_offsets"}
    assert set(schema.checks) <= set(CONTENT_CHECKS) | model_checks
    for path, rule in schema.datasets.items():
        assert rule.level in ("must", "should", "may")
        assert rule.meaning
        assert (rule.units is None) == (rule.dtype == "string" or path.startswith("provenance/")), path
        assert all(
            schema.dimension(dim.replace("{1}", "a").replace("{2}", "b")) or dim == "provenance/assets/{1}"
            for dim in rule.dims
        )
        assert (rule.finite is not None) == rule.dtype.startswith("float"), path
    assert all(rule.level in ("must", "should", "may") for rule in schema.attributes)
