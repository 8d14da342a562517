"""Output of the public stac-mjx becomes files of the contract, with what is wrong in it computed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import mujoco
import numpy as np
import pytest
from omegaconf import OmegaConf
from stac_mjx.check import check_file, errors_in
from stac_mjx.cli import main
from stac_mjx.records import ReferenceClips, read_clips, read_offsets

RATE_HZ = 50.0
SCALE = 2.0
# head and snout are one rigid piece; the paw hangs on a hinge whose anchor is not its body's origin
MJCF = """
<mujoco><worldbody>
  <body name="trunk"><freejoint name="root"/><geom size=".02"/>
    <body name="head" pos=".1 0 0"><joint name="neck" type="ball"/><geom size=".01"/>
      <body name="snout" pos=".03 0 .01" euler="0 40 0"><geom size=".01"/></body>
    </body>
    <body name="paw" pos="0 .05 -.03"><joint name="wrist" axis="0 1 0" pos="0 0 .02"/><geom size=".01"/></body>
  </body>
</worldbody></mujoco>
"""
BODIES = ("world", "trunk", "head", "snout", "paw")
JOINTS = ("root",) * 7 + ("neck",) * 4 + ("wrist",)
NAMES = ("Ear", "Nose", "Paw", "Back")
PAIRS = {"Ear": "head", "Nose": "snout", "Paw": "paw", "Back": "trunk"}
OFFSETS = np.array([[0.01, 0.02, 0.0], [0.03, 0.0, 0.0], [0.0, 0.0, -0.02], [-0.05, 0.0, 0.01]])


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """Settings of the body, as given on the command line."""
    path = tmp_path / "animal.xml"
    path.write_text(MJCF)
    preset = {
        "name": "animal",
        "scale": SCALE,
        "markers": {name: {"body": PAIRS[name], "offset": [0.0, 0.0, 0.0]} for name in ("Back", "Nose", "Ear", "Paw")},
    }
    folder = tmp_path / "presets" / "body"
    folder.mkdir(parents=True)
    (folder / "animal.yaml").write_text(OmegaConf.to_yaml(preset))
    return ["--config-dir", str(folder.parent), "body=animal", f"body.mjcf={path}"]


def scaled_model() -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_string(MJCF)
    for body in spec.bodies:
        body.pos = SCALE * np.asarray(body.pos)
        for joint in body.joints:
            joint.pos = SCALE * np.asarray(joint.pos)
    return spec.compile()


def poses(n_frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth movement with a constant velocity of every joint: qpos (frame, nq) and that velocity (nv,)."""
    animal = scaled_model()
    velocity = np.random.default_rng(seed).normal(size=animal.nv)
    qpos = np.tile(animal.qpos0, (n_frames, 1))
    for frame in range(1, n_frames):
        qpos[frame] = qpos[frame - 1]
        mujoco.mj_integratePos(animal, qpos[frame], velocity, 1 / RATE_HZ)
    return qpos, velocity


def kinematics(qpos: np.ndarray, offsets: np.ndarray = OFFSETS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Body positions, orientations and marker sites, by MuJoCo."""
    animal = scaled_model()
    data = mujoco.MjData(animal)
    ids = [BODIES.index(PAIRS[name]) for name in NAMES]
    xpos, xquat, sites = [], [], []
    for pose in qpos:
        data.qpos[:] = pose
        mujoco.mj_kinematics(animal, data)
        xpos.append(data.xpos.copy())
        xquat.append(data.xquat.copy())
        sites.append(data.xpos[ids] + np.einsum("kij,kj->ki", data.xmat.reshape(-1, 3, 3)[ids], offsets))
    return np.array(xpos), np.array(xquat), np.array(sites)


def write_public(path: Path, n_frames: int = 20, **changes: Any) -> Path:
    """A file as the public stac-mjx writes it; `changes` replace data sets, None leaves one out."""
    offsets = OFFSETS if changes.get("offsets") is None else changes["offsets"]
    qpos, _ = poses(n_frames)
    xpos, xquat, sites = kinematics(qpos, offsets)
    noise = np.random.default_rng(1).normal(scale=1e-3, size=sites.shape)
    settings = {
        "model": {
            "SCALE_FACTOR": SCALE,
            "MOCAP_SCALE_FACTOR": 0.001,
            "KEYPOINT_MODEL_PAIRS": PAIRS,
            "KEYPOINT_INITIAL_OFFSETS": dict.fromkeys(NAMES, "0. 0. 0.01"),
            "SITES_TO_REGULARIZE": ["Paw"],
        }
    }
    content: dict[str, Any] = {
        "kp_data": (sites + noise).reshape(n_frames, -1),
        "kp_names": np.array(NAMES, "S"),
        "qpos": qpos,
        "names_qpos": np.array(JOINTS, "S"),
        "qvel": np.clip(np.diff(qpos[:, :11], axis=0, append=qpos[-1:, :11]) * 1000, -20, 20),
        "xpos": xpos,
        "xquat": xquat,
        "names_xpos": np.array(BODIES, "S"),
        "marker_sites": sites,
        "offsets": offsets,
        "config": OmegaConf.to_yaml(settings),
    }
    with h5py.File(path, "w") as file:
        for name, value in (content | changes).items():
            if value is not None:
                file[name] = value
    return path


def converted(path: Path | str, model: list[str], out: Path, *more: str) -> ReferenceClips:
    assert main(["convert", *model, f"path='{path}'", f"rate_hz={RATE_HZ}", f"out={out}", *more]) == 0
    for name in ("clips.h5", "offsets.h5"):
        assert errors_in(check_file(out / name)) == []
    return read_clips(out / "clips.h5")


def test_poses_kept_and_the_rest_computed_again(tmp_path: Path, model: list[str]) -> None:
    qpos, velocity = poses(20)
    xpos, _, sites = kinematics(qpos)
    path = write_public(tmp_path / "walk.h5", xpos=0.9 * xpos, marker_sites=sites[::-1])
    clips = converted(path, model, tmp_path / "out")
    assert (clips.clip_name, clips.kp_names) == (("walk",), ("Back", "Nose", "Ear", "Paw"))
    np.testing.assert_allclose(clips.qpos, qpos, atol=1e-6)
    np.testing.assert_allclose(clips.xpos, xpos, atol=1e-6)
    order = [NAMES.index(name) for name in clips.kp_names]
    np.testing.assert_allclose(clips.marker_sites, sites[:, order], atol=1e-6)
    np.testing.assert_allclose(clips.qvel, np.tile(velocity, (20, 1)), atol=1e-3)
    assert 1e-3 < np.nanmean(clips.residual) < 2e-3


def test_what_the_file_said_is_reported(tmp_path: Path, model: list[str]) -> None:
    qpos, velocity = poses(20)
    xpos, _, sites = kinematics(qpos)
    lifted, aside = np.array([0, 0, 0.003]), np.array([0.004, 0, 0])
    fast = np.clip(np.tile(5 * velocity, (20, 1)), -4, 4)
    path = write_public(tmp_path / "walk.h5", xpos=xpos + lifted, marker_sites=sites + aside, qvel=fast)
    converted(path, model, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "convert_summary.json").read_text())
    (file,) = summary["files"]
    assert (file["file"], file["frames"], file["scale_factor"]) == ("walk.h5", 20, SCALE)
    assert file["xpos_mm"]["mean"] == pytest.approx(3.0, rel=1e-3)
    assert file["marker_sites_mm"]["max"] == pytest.approx(4.0, rel=1e-3)
    assert file["qvel"]["median_ratio"] == pytest.approx(5.0, rel=1e-2)
    assert file["qvel"]["largest"] == 4.0
    assert file["qvel"]["clipped_fraction"] == pytest.approx((np.abs(5 * velocity) >= 4).mean(), abs=0.02)
    assert file["marker_error_mm"]["computed"]["mean"] == pytest.approx(summary["mean_error_mm"], rel=1e-3)
    assert file["marker_error_mm"]["file"]["mean"] > file["marker_error_mm"]["computed"]["mean"]
    log = (tmp_path / "out" / "convert.log").read_text()
    assert "body positions of the files are 3 mm" in log
    assert "velocities of the files are 5 times" in log


def test_offsets_are_matched_by_name(tmp_path: Path, model: list[str]) -> None:
    converted(write_public(tmp_path / "walk.h5"), model, tmp_path / "out")
    offsets = read_offsets(tmp_path / "out" / "offsets.h5")
    order = [NAMES.index(name) for name in offsets.kp_names]
    np.testing.assert_allclose(offsets.offsets, OFFSETS[order], atol=1e-7)
    np.testing.assert_allclose(offsets.offset_initial, np.tile([0, 0, 0.01], (4, 1)), atol=1e-7)
    assert offsets.regularised.tolist() == [name == "Paw" for name in offsets.kp_names]
    assert (offsets.scale_factor, offsets.keypoint_scale_factor) == (SCALE, 1.0)
    assert offsets.info.source_files[0].path.name == "walk.h5"
    assert "SCALE_FACTOR: 2.0" in offsets.info.config_yaml


def test_converted_offsets_serve_ik(tmp_path: Path, model: list[str]) -> None:
    path = write_public(tmp_path / "walk.h5")
    converted(path, model, tmp_path / "out")
    settings = [f"offsets={tmp_path}/out/offsets.h5", f"keypoints.path={path}", f"keypoints.rate_hz={RATE_HZ}"]
    assert main(["ik", *model, *settings, f"out={tmp_path}/ik", "report=false"]) == 0
    assert np.nanmean(read_clips(tmp_path / "ik" / "clips.h5").residual) < 2e-3


def test_keypoint_on_another_body_of_the_same_rigid_piece_is_carried_over(tmp_path: Path, model: list[str]) -> None:
    path = write_public(tmp_path / "walk.h5")
    here = converted(path, model, tmp_path / "out")
    there = converted(path, model, tmp_path / "other", "body.markers.Nose.body=head")
    assert there.kp_body == ("trunk", "head", "head", "paw")
    np.testing.assert_allclose(there.marker_sites, here.marker_sites, atol=1e-6)
    assert there.offsets is not None
    assert here.offsets is not None
    assert np.abs(there.offsets - here.offsets).max() > 0.01


def test_joints_in_another_order_and_with_other_names(tmp_path: Path, model: list[str]) -> None:
    qpos, velocity = poses(20)
    columns = [11, *range(11)]
    names = np.array(["carpus", *JOINTS[:7], *JOINTS[7:11]], "S")
    # a free joint often has no name
    names[1:8] = b""
    path = write_public(tmp_path / "walk.h5", qpos=qpos[:, columns], names_qpos=names, qvel=np.tile(velocity, (20, 1)))
    clips = converted(path, model, tmp_path / "out", "joint_rename={carpus:wrist}")
    np.testing.assert_allclose(clips.qpos, qpos, atol=1e-6)


def test_several_files_and_offsets_of_their_own(tmp_path: Path, model: list[str]) -> None:
    moved = OFFSETS + np.array([0.002, 0.0, 0.0])
    first = write_public(tmp_path / "trial_2.h5", 20)
    second = write_public(tmp_path / "trial_10.h5", 10, offsets=moved)
    clips = converted(tmp_path / "trial_*.h5", model, tmp_path / "out")
    assert (clips.clip_name, clips.clip_length.tolist()) == (("trial_2", "trial_10"), [20, 10])
    order = [NAMES.index(name) for name in clips.kp_names]
    expected = [kinematics(poses(n)[0], o)[2][:, order] for n, o in ((20, OFFSETS), (10, moved))]
    np.testing.assert_allclose(clips.marker_sites, np.concatenate(expected), atol=1e-6)
    assert clips.offsets is None
    mean = (20 * OFFSETS + 10 * moved)[order] / 30
    np.testing.assert_allclose(read_offsets(tmp_path / "out" / "offsets.h5").offsets, mean, atol=1e-7)
    assert {source.path.name for source in clips.info.source_files} == {first.name, second.name}
    assert "different offsets" in (tmp_path / "out" / "convert.log").read_text()


def test_clips_end_to_end_in_one_file_do_not_share_velocities(tmp_path: Path, model: list[str]) -> None:
    qpos, velocity = poses(10)
    both = np.concatenate([qpos, qpos])
    _, _, sites = kinematics(both)
    path = write_public(tmp_path / "walk.h5", 20, qpos=both, kp_data=sites.reshape(20, -1))
    clips = converted(path, model, tmp_path / "out", "clip_frames=10")
    assert clips.clip_name == ("walk_0", "walk_1")
    np.testing.assert_allclose(clips.qvel, np.tile(velocity, (20, 1)), atol=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"qvel": np.zeros(0), "names_xpos": None},
        {"qvel": None, "xpos": None, "xquat": None, "marker_sites": None, "config": None},
        {"config": "model: ["},
    ],
)
def test_what_older_files_lack(changes: dict[str, Any], tmp_path: Path, model: list[str]) -> None:
    clips = converted(write_public(tmp_path / "walk.h5", **changes), model, tmp_path / "out")
    np.testing.assert_allclose(clips.qpos, poses(20)[0], atol=1e-6)


def test_older_names_of_data_sets(tmp_path: Path, model: list[str]) -> None:
    path = write_public(tmp_path / "walk.h5")
    with h5py.File(path, "r+") as file:
        for new, old in (("qpos", "q"), ("xpos", "x"), ("marker_sites", "walker_body_sites")):
            file.move(new, old)
    clips = converted(path, model, tmp_path / "out")
    np.testing.assert_allclose(clips.qpos, poses(20)[0], atol=1e-6)
    summary = json.loads((tmp_path / "out" / "convert_summary.json").read_text())
    assert summary["files"][0]["xpos_mm"]["max"] < 1e-3


def test_poses_that_are_not_finite_are_marked_and_bridged(tmp_path: Path, model: list[str]) -> None:
    qpos, _ = poses(20)
    broken = qpos.copy()
    broken[5], broken[6, 3:7] = np.nan, 0.0
    broken[8, 3:7] *= 1.5
    clips = converted(write_public(tmp_path / "walk.h5", qpos=broken), model, tmp_path / "out")
    assert np.flatnonzero(clips.valid == 0).tolist() == [5, 6]
    assert np.isfinite(clips.qpos).all()
    np.testing.assert_allclose(clips.qpos, qpos, atol=1e-4)


def other_pairs(theirs: str) -> dict[str, str]:
    return {"config": OmegaConf.to_yaml({"model": {"KEYPOINT_MODEL_PAIRS": PAIRS | {"Paw": theirs}}})}


BAD: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "another scale": ({}, ["body.scale=1"], ["walk.h5", "fitted at scale 2, not 1", "body.scale=2"]),
    "no poses": ({"qpos": None}, [], ["walk.h5", "qpos: is missing"]),
    "no offsets": ({"offsets": None}, [], ["walk.h5", "offsets: is missing"]),
    "no keypoints": ({"kp_data": None}, [], ["walk.h5", "kp_data"]),
    "unequal frames": ({"qpos": poses(19)[0]}, [], ["walk.h5", "qpos has 19 frames, kp_data 20"]),
    "unknown joint": (
        {"names_qpos": np.array([*JOINTS[:-1], "wrst"], "S")}, [],
        ["unknown joint 'wrst'", "did you mean 'wrist'", "joint_rename={wrst:NAME}"],
    ),
    "unknown body": (other_pairs("pw"), [], ["unknown body 'pw'", "did you mean 'paw'", "body_rename={pw:NAME}"]),
    "body that moves": (other_pairs("trunk"), [], ["'Paw'", "body.markers.Paw.body=trunk"]),
    "unknown keypoint": ({}, ["keypoint_rename={Paw:Hand}"], ["unknown keypoint 'Paw'", "keypoint_rename"]),
    "impossible numbers": ({}, ["rate_hz=0", "clip_frames=0"], ["2 faults", "rate_hz", "clip_frames", "got 0"]),
    "no path": ({}, ["path=null"], ["path is not set"]),
    "missing": ({}, ["path=wakl.h5"], ["path: wakl.h5: does not exist", "did you mean 'walk.h5'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_files(
    case: str, tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes, settings, words = BAD[case]
    unused: dict[str, Any] = {"xpos": None, "marker_sites": None, "qvel": None}
    path = write_public(tmp_path / "walk.h5", **unused | changes)
    arguments = [f"path={path}", f"rate_hz={RATE_HZ}", "out=out", *settings]
    assert main(["convert", *model, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("stac-mjx convert: ")
    assert "keypoints." not in err
    missing = [word for word in words if word not in err]
    assert not missing, f"{missing} not in: {err}"
    assert not (tmp_path / "out").exists()


def real(data_dir: Path, out: Path, path: str, rate_hz: float, *body: str) -> tuple[dict[str, Any], ReferenceClips]:
    assert main(["convert", f"path='{data_dir / path}'", f"rate_hz={rate_hz}", f"out={out}", *body]) == 0
    for name in ("clips.h5", "offsets.h5"):
        assert errors_in(check_file(out / name)) == []
    return json.loads((out / "convert_summary.json").read_text()), read_clips(out / "clips.h5")


REACHES = "mouse_arm/recordings/reach_trials/*.h5"


@pytest.mark.slow
def test_recorded_reaches(data_dir: Path, tmp_path: Path) -> None:
    """The stored velocities are 5 times too large and a quarter of them clipped (README of the recordings)."""
    mjcf = f"body.mjcf={data_dir}/mouse_arm/arm_torque.xml"
    summary, clips = real(data_dir, tmp_path / "own", REACHES, 200, mjcf)
    assert (summary["clips"], summary["frames"]) == (34, 3400)
    for key in ("xpos_mm", "marker_sites_mm"):
        assert max(file[key]["max"] for file in summary["files"]) < 2e-5
    assert np.mean([file["qvel"]["clipped_fraction"] for file in summary["files"]]) == pytest.approx(0.28, abs=0.02)
    assert {file["qvel"]["largest"] for file in summary["files"]} == {20.0}
    assert summary["mean_error_mm"] == pytest.approx(0.532, abs=1e-3)
    assert 20 < np.abs(clips.qvel).max() < 200
    # the muscle arms, among them the embedded one, have another name for the elbow, and their wrist is 0.45 mm away
    maps = ["joint_rename={elbow_joint:elbow}", "body_rename={elbow:ulna}"]
    summary, clips = real(data_dir, tmp_path / "embedded", REACHES, 200, *maps)
    assert clips.names_qpos[-1] == "elbow"
    assert max(file["xpos_mm"]["max"] for file in summary["files"]) == pytest.approx(0.45, abs=0.02)


@pytest.mark.slow
def test_public_rat_and_stick(data_dir: Path, tmp_path: Path) -> None:
    """Body positions alone were scaled in the rat's file, so it is 0.14 mm from the scaled body (README: 0.17 mm)."""
    path, body = "rat/reference/stac_demo_fit_offsets.h5", ("body=rat", f"body.mjcf={data_dir}/rat/rodent.xml")
    summary, _ = real(data_dir, tmp_path / "rat", path, 50, *body)
    assert 0.1 < summary["files"][0]["xpos_mm"]["max"] < 0.2
    assert summary["files"][0]["qvel"] is None
    assert summary["mean_error_mm"] < 0.2
    path, mjcf = "stick/reference/1500f_stick_fit_offsets.h5", f"body.mjcf={data_dir}/stick/stick_fast.xml"
    summary, _ = real(data_dir, tmp_path / "stick", path, 25, "body=stick", mjcf)
    assert summary["files"][0]["xpos_mm"]["max"] < 1e-4
    assert summary["mean_error_mm"] == pytest.approx(0.662, abs=1e-3)
