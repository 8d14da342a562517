"""Rollouts files: ours conform, all of the reader's numbers are those written, and foreign files are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from reach_analysis._common.errors import ContractError, DataError
from reach_analysis._common.hdf5.check import check_file, errors_in
from reach_analysis.cli import main
from reach_analysis.data.rollouts import read_rollouts
from synthetic.reach import ReachSettings, make_reaches, write_reaches

SMALL = ReachSettings(n_trials=5, duration_s=0.1, n_units=6, hazard_per_s=8.0, seed=3)


def edit(path: Path) -> Any:
    return h5py.File(path, "r+")


@pytest.fixture(scope="module")
def reach_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rollouts") / "rollouts.h5"
    write_reaches(path, SMALL)
    return path


@pytest.fixture
def copy(reach_file: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(reach_file, tmp_path / "copy.h5"))


def test_reader_returns_what_was_written_up_to_the_end_of_each_clip(reach_file: Path) -> None:
    truth = make_reaches(SMALL).content
    read = read_rollouts(reach_file)
    assert read.rate_hz == 400.0
    assert read.trials == truth.trial_ids
    assert read.n_steps.tolist() == truth.n_steps.tolist()
    assert len(set(truth.n_steps.tolist())) > 1, "the example must have clips of unequal length"
    assert [reason is not None for reason in read.ended] == truth.terminated.tolist()
    assert set(read.ended) <= {None, "lost"}
    for path, extra in (("act", 1), ("ctrl", 0), ("qpos", 1), ("latent_mean", 0), ("metrics", 0)):
        series = read.series(path)
        assert series.lengths == tuple(truth.n_steps + extra)
        for rows, written, count in zip(series.values, truth.arrays[path], series.lengths, strict=True):
            np.testing.assert_array_equal(rows, written[:count].astype(np.float32))
    assert read.series("act").channels == truth.body.actuators
    assert read.series("metrics").channels == truth.metrics
    assert read.series("reward").channels == ("reward",)
    assert read.series("xpos").channels[6:9] == ("ulna/x", "ulna/y", "ulna/z")
    assert read.column_units("qpos") == ("rad", "rad")


def test_layers_come_in_the_order_of_the_network(reach_file: Path) -> None:
    read = read_rollouts(reach_file)
    assert read.layers == (
        "encoder/layer_0", "encoder/layer_1", "decoder/layer_0", "decoder/layer_1", "decoder/layer_2",
    )  # fmt: skip
    assert read.layer("decoder/layer_2").channels == tuple("012345")
    with pytest.raises(DataError, match="did you mean 'decoder/layer_2'"):
        read.layer("decoder/layer_3")


def test_times_count_from_the_start_of_the_reference_clip(copy: Path) -> None:
    with edit(copy) as file:
        file["clip_start_time"][:] = [0.0, 0.05, 0.1, 0.0, 0.0]
    np.testing.assert_allclose(read_rollouts(copy).series("ctrl").times(1)[:2], [0.05, 0.0525])


def test_trials_can_be_named_from_the_clip_names(reach_file: Path) -> None:
    assert read_rollouts(reach_file).renamed(r"trial(\d+)").trials == ("1", "2", "3", "4", "5")
    for pattern, message in ((r"reach(\d+)", "finds nothing"), (r"trial\d+", "exactly one group"), ("(", "regular")):
        with pytest.raises(DataError, match=message):
            read_rollouts(reach_file).renamed(pattern)
    with pytest.raises(DataError, match="several clips alike"):
        read_rollouts(reach_file).renamed("(synthetic)")


def test_a_seed_of_a_file_without_repeats_is_refused_by_the_name_of_the_setting(reach_file: Path) -> None:
    with pytest.raises(DataError, match="leave rollouts_seed empty"):
        read_rollouts(reach_file, seed=1)
    assert read_rollouts(reach_file, seed=SMALL.seed).seeds == ()


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_a_file_without_the_repeats_it_counts_is_refused(copy: Path, seed: int | None) -> None:
    """It names eight seeds, but its arrays hold one rollout a clip."""
    with edit(copy) as file:
        file.create_dataset("seed", data=np.arange(8))
    with pytest.raises(ContractError, match=r"(valid|clip_start_time): shape .* has no repeat [07]"):
        read_rollouts(copy, seed)
    with edit(copy) as file:
        for name in ("valid", "clip_start_time"):
            whole = np.stack([file[name][...]] * 8)
            del file[name]
            file.create_dataset(name, data=whole)
    with pytest.raises(ContractError, match="termination_reason"):
        read_rollouts(copy, seed)


@pytest.mark.parametrize("names", [["1", "1", "2", "3", "4"], ["1", "01", "2", "3", "4"]])
def test_trials_of_one_name_are_refused_with_the_name_of_the_file(copy: Path, names: list[str]) -> None:
    with edit(copy) as file:
        file["trial_id"][:] = names
    with pytest.raises(DataError, match=r"copy.h5: trial_id: several clips have the same trial: 1"):
        read_rollouts(copy)


def test_repeats_are_read_one_at_a_time_and_it_is_said(copy: Path, tmp_path: Path) -> None:
    with edit(copy) as file:
        file.create_dataset("seed", data=[7, 7, 7])
        for name, scale in list(file.items()):
            repeated = isinstance(scale, h5py.Dataset) and scale.ndim and len(scale) == 5
            if repeated and name not in ("clip", "clip_name", "trial_id", "metric", "names_qpos"):
                values, attributes = scale[...], dict(scale.attrs)
                del file[name]
                file.create_dataset(name, data=np.stack([values] * 3))
                for key, value in attributes.items():
                    if key != "DIMENSION_LIST":
                        file[name].attrs[key] = value
    with pytest.raises(DataError, match=r"copy.h5: seed: several repeats have the same seed: 7"):
        read_rollouts(copy)
    with edit(copy) as file:
        file["seed"][:] = [7, 8, 9]
    assert "holds 3 repeats of every clip; this is about the one of seed 8" in read_rollouts(copy, 8).unread_seeds


def test_the_set_of_each_clip_is_read_where_it_is_known(copy: Path) -> None:
    assert read_rollouts(copy).sets == ()
    with edit(copy) as file:
        file.create_dataset("clip_set", data=["train", "train", "train", "test", "test"], dtype=h5py.string_dtype())
    assert read_rollouts(copy).sets == ("train", "train", "train", "test", "test")
    assert read_rollouts(copy).endings == ("lost",)


def test_a_newer_minor_version_is_read_with_a_warning(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    with edit(copy) as file:
        file.attrs["schema_version"] = "1.7"
    assert len(read_rollouts(copy).trials) == 5
    assert main(["check", str(copy)]) == 0  # the command must not silence it
    assert caplog.text.count("1.7 is newer than 1.") == 2


def test_links_out_of_the_file_are_never_followed(copy: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["act"] = np.ones(3)
    with edit(copy) as file:
        del file["act"]
        file["act"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "act")
    with pytest.raises(ContractError, match="link to another file"):
        read_rollouts(copy).series("act")
    assert any(d.where == "act" and "link" in d.problem for d in check_file(copy))


DAMAGE = {
    "no reward": ("reward", lambda f: f.__delitem__("reward")),
    "no unit": ("qpos@units", lambda f: f["qpos"].attrs.__delitem__("units")),
    "gap": ("reward", lambda f: f["reward"].__setitem__((0, 0), np.nan)),
    "continues": ("valid", lambda f: f["valid"].__setitem__((slice(None), 0), 0)),
    "wrong step": ("@ctrl_dt_s", lambda f: f.attrs.__setitem__("ctrl_dt_s", 0.004)),
    "wrong rate": ("@rate_hz", lambda f: f.attrs.__setitem__("rate_hz", 200.0)),
    "no scale": ("act", lambda f: f["act"].dims[2].detach_scale(f["actuator"])),
    "strange flag": ("termination_reason", lambda f: f["termination_reason"].__setitem__(0, 7)),
    "bad json": ("@source_files", lambda f: f.attrs.__setitem__("source_files", "[")),
    "ends twice": ("terminated", lambda f: f["terminated"].__setitem__((slice(None), 0), 1)),
    "reference too long": ("reference/clip_start", lambda f: f["reference/clip_start"].__setitem__(4, 9999)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_each_violation_is_named_where_it_is(copy: Path, name: str) -> None:
    where, damage = DAMAGE[name]
    with edit(copy) as file:
        damage(file)
    errors = errors_in(check_file(copy))
    assert where in [d.where for d in errors], [str(d) for d in errors]


def test_check_lists_violations_and_exits_with_2(
    copy: Path, reach_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(reach_file)]) == 0
    assert "conforms to docs/schema" in capsys.readouterr().out
    with edit(copy) as file:
        del file["reward"]
    assert main(["check", str(reach_file), str(copy)]) == 2
    out = capsys.readouterr().out
    assert "violates docs/schema in 1 place" in out
    assert "reward: is missing" in out
