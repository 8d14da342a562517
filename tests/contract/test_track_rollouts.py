"""What track-mjx writes: the contract kit, and every item of paper A, table 1, that a rollout has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import mujoco
import numpy as np
import pytest
from contract.kit import assert_conforms
from reach_analysis.data.rollouts import read_rollouts
from stac_mjx.body.mjcf import compile_spec, locate, read_spec
from track import small_setups
from track.clip_files import write_clips
from track.small_setups import write_rollouts
from track_mjx.clips import read_clips
from track_mjx.config import NetworkConfig
from track_mjx.learning.setup import Setup, build


@pytest.fixture(scope="module")
def mouse_arm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, mujoco.MjModel]:
    """The mouse arm with the paper's network, two short clips."""
    folder = tmp_path_factory.mktemp("mouse")
    spec, assets = read_spec(locate(None, "embedded:mouse_arm.xml", "mouse_arm"))
    xml, model = compile_spec(spec, assets, "mouse_arm.xml")
    clips = write_clips(
        folder / "clips.h5", xml, lengths=(4, 3), rate_hz=200.0, end_effectors=("wrist_body",), root="humerus"
    )
    config = small_setups.config(clips, small_setups.ARM_TASK)
    widths = [512, 512, 512]
    config.network = NetworkConfig(encoder=widths, decoder=widths, critic=[8], latent=4)
    return write_rollouts(build(config, read_clips(clips)), folder / "rollouts.h5"), model


def layers(part: str) -> list[str]:
    return [f"activations/{part}/layer_{i}" for i in range(3)]


# paper A, table 1, below "Rollouts (single file; multiple keys)", and of the recordings what a rollout refers to
TABLE_1 = {
    "latent activations, 4 dimensions over time": (["latent", "latent_mean", "latent_logvar"], "latent_unit", 4),
    "encoder activations, 3 layers of 512": (layers("encoder"), "activations/encoder/unit_{}", 512),
    "decoder activations, 3 layers of 512": (layers("decoder"), "activations/decoder/unit_{}", 512),
    "simulated muscle activations, 9 actuators": (["act", "ctrl", "actuator_force"], "actuator", 9),
    "simulated kinematics, four joints": (["qpos", "qvel"], "names_qpos", 4),
    "inverse kinematics, joint angles over time": (["qpos_ref", "reference/qpos"], "names_qpos", 4),
}


@pytest.mark.parametrize("item", TABLE_1)
def test_the_file_holds_table_1_item_by_item(mouse_arm: tuple[Path, mujoco.MjModel], item: str) -> None:
    names, scale, width = TABLE_1[item]
    with h5py.File(mouse_arm[0]) as opened:
        file: Any = opened
        steps = {"step_time": len(file["step_time"]), "state_time": len(file["state_time"])}
        for number, name in enumerate(names):
            data = file[name]
            assert data.shape[-1] == width, name
            last = data.dims[len(data.shape) - 1]
            labels = "names_qvel" if name == "qvel" else scale.format(number)
            assert last[0].name == f"/{labels}", name
            if not name.startswith("reference/"):
                time = data.dims[1][0].name.removeprefix("/")
                assert data.shape[:2] == (2, steps[time]), "clip by clip, over time"
            assert np.isfinite(data[0]).all(), name
            assert np.nanstd(np.asarray(data)) > 0, f"{name} holds something"


def test_the_file_conforms_and_names_are_those_of_the_body(mouse_arm: tuple[Path, mujoco.MjModel]) -> None:
    path, model = mouse_arm
    assert_conforms(path)
    with h5py.File(path) as opened:
        file: Any = opened
        words = {name: [text.decode() for text in file[name][:]] for name in ("actuator", "names_qpos", "metric")}
        units = list(file["qpos"].attrs["column_units"])
        stages = {str(file[name].attrs["stage"]) for name in (*layers("encoder"), *layers("decoder"))}
        assert [text.decode() for text in file["trial_id"][:]] == ["trial_0", "trial_1"]
        assert all(file[name].attrs["width"] == 512 for name in layers("decoder"))
    assert words["actuator"] == [model.actuator(i).name for i in range(9)]
    assert words["names_qpos"] == ["sh_elv", "sh_extension", "sh_rotation", "elbow"]
    assert words["metric"] == ["joint_position_exp", "control_difference"]
    assert units == ["rad"] * 4
    assert [bool(stage.strip()) for stage in stages] == [True]


def test_muscles_of_the_file_are_those_of_mujoco(mouse_arm: tuple[Path, mujoco.MjModel]) -> None:
    """MuJoCo in C, given the file's controls from its first state, goes through its states."""
    with h5py.File(mouse_arm[0]) as opened:
        file: Any = opened
        model = mujoco.MjModel.from_xml_string(file["provenance/mjcf_xml"][()].decode())
        data, n = mujoco.MjData(model), int(file.attrs["n_substeps"])
        stored = {name: file[name][0].astype(np.float64) for name in ("qpos", "qvel", "act", "ctrl", "actuator_force")}
    data.qpos[:], data.qvel[:], data.act[:] = stored["qpos"][0], stored["qvel"][0], stored["act"][0]
    for k in range(len(stored["ctrl"])):
        data.ctrl[:] = stored["ctrl"][k]
        mujoco.mj_step(model, data, n)
        assert data.act == pytest.approx(stored["act"][k + 1], abs=1e-5)
        assert data.qpos == pytest.approx(stored["qpos"][k + 1], abs=1e-5)
        assert data.actuator_force == pytest.approx(
            stored["actuator_force"][k], abs=1e-3 * abs(data.actuator_force).max()
        )


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """The walker, whose episodes end early."""
    return small_setups.walker(tmp_path_factory.mktemp("walker"), {"terminations": {"too_far": {"limit_m": 0.004}}})


@pytest.mark.parametrize("seeds", [(), (3, 5)])
def test_files_conform_also_where_rollouts_end_early(falling: Setup, tmp_path: Path, seeds: tuple[int, ...]) -> None:
    path = write_rollouts(falling, tmp_path / "rollouts.h5", seeds, clips=3)
    assert_conforms(path)
    found = read_rollouts(path)
    assert found.seeds == seeds
    with h5py.File(path) as opened:
        file: Any = opened
        assert file["terminated"][()].sum() == 3 * max(1, len(seeds)), "each ended early, once"
        assert set(json.loads(file.attrs["end_effectors"])) == {"foot_L", "foot_R"}
        assert {"foot_L", "foot_R"} <= set(file["contact"])


@pytest.mark.parametrize(("seeds", "whole"), [((), False), ((3, 5), False), ((3, 5), True)])
def test_pieces_give_the_same_file(falling: Setup, tmp_path: Path, seeds: tuple[int, ...], whole: bool) -> None:
    """Rollouts end within pieces, at their borders, and long before the last one; clips have 29 to 49 frames."""
    first, second = (
        write_rollouts(falling, tmp_path / f"{size}.h5", seeds, clips=3, size=size, whole=whole) for size in (None, 5)
    )
    assert_conforms(second)
    assert content(first) == content(second)


def content(path: Path) -> dict[str, Any]:
    """Values, types and attributes of all data sets."""
    found: dict[str, Any] = {}

    def note(name: str, data: Any) -> None:
        if isinstance(data, h5py.Dataset):
            values: Any = data[()]
            own = {key: repr(value) for key, value in data.attrs.items() if not key.endswith("_LIST")}
            found[name] = data.dtype, repr(values) if data.dtype == object else values.tobytes(), data.shape, own

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def test_rollouts_of_whole_clips_hold_every_episode(falling: Setup, tmp_path: Path) -> None:
    """Where an episode ends, the next state is the reference; nothing is left out, and nothing is terminated."""
    path = write_rollouts(falling, tmp_path / "whole.h5", (3, 5), clips=3, size=7, whole=True, deviation_mm=3.0)
    with h5py.File(path) as opened:
        file: Any = opened
        ended, valid, qpos, target = (file[name][()] for name in ("ended_by", "valid", "qpos", "qpos_ref"))
        reasons = file["ended_by"].attrs["flag_meanings"].split()
        assert file.attrs["deviation_mm"] == 3.0
        assert not file["terminated"][()].any()
        assert not file["termination_reason"][()].any()
        lengths = np.asarray(falling.reference.length)[:3] - 1
    assert valid.sum(-1).tolist() == [lengths.tolist()] * 2
    assert {reasons[i] for i in np.unique(ended)} >= {"clip_end", "deviation"}
    for seed, clip, step in np.argwhere(ended > 0):
        if step + 1 < lengths[clip]:
            assert qpos[seed, clip, step + 1] == pytest.approx(target[seed, clip, step + 1], abs=1e-6)
    assert (ended[:, :, 14:] > 0).sum() > 6, "also in later pieces"
    episodes, why = read_rollouts(path).episodes()
    assert episodes.steps.sum() == valid.sum()
    assert sorted(filter(None, why)) == sorted(reasons[i] for i in ended[ended > 0])
    assert episodes.ended.sum() == (ended > 0).sum()
    one, _ = read_rollouts(path, 5).episodes(every_repeat=False)
    assert one.steps.sum() == valid[1].sum()
