"""The state of the studio, driven by a script: a new body from nothing to the preset that the command reads."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import mujoco
import numpy as np
import pytest
from stac.bodies_for_tests import real_body
from stac.studio_case import LEG, PLACES, SIZE, leg_config
from stac_mjx._common.errors import ConfigError, InputError
from stac_mjx.cli import main
from stac_mjx.config import FitConfig, KeypointsConfig, StudioConfig, WorkConfig
from stac_mjx.inverse_kinematics import levenberg
from stac_mjx.studio.presets import opened, preset_path, preset_yaml
from stac_mjx.studio.serve import open_studio
from stac_mjx.studio.session import History, Session, begin
from stac_mjx.studio.suggestions import by_name, paired_segments
from stac_mjx.studio.worker import Cancelled, Underway, Worker, fit_all, fit_frame, fit_some


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The leg without pairs."""
    return begin(leg_config(tmp_path_factory.mktemp("leg")))


@pytest.fixture(scope="module")
def ready(bare: Session) -> Session:
    """The leg paired, scaled and aligned."""
    session = bare.accepted({name: body for name, (body, _) in PLACES.items()})
    session = session.with_offsets({name: offset for name, (_, offset) in PLACES.items()})
    return session.with_scale(SIZE).aligned(session.spread(20)).with_alignment(mode="rigid")


def test_another_offset_or_pair_needs_no_new_program(ready: Session) -> None:
    fit_frame(ready, 0)
    programs = levenberg.iterate._cache_size()  # type: ignore[attr-defined]
    other = fit_frame(ready.with_offset("Hip", [0.01, 0.0, 0.0]), 0)
    assert fit_frame(ready.without("Toe"), 0).clips.kp_names == tuple(name for name in PLACES if name != "Toe")
    assert np.abs(other.clips.qpos - fit_frame(ready, 0).clips.qpos).max() > 1e-3
    assert levenberg.iterate._cache_size() == programs  # type: ignore[attr-defined]


def test_a_new_body_is_registered_as_the_command_does(ready: Session, tmp_path: Path) -> None:
    rounds: list[Underway] = []
    solved = fit_all(ready, watch=rounds.append)
    frame = rounds[0].nearest(40)
    errors = [np.nanmean(poses.placed(frame).error_mm) for poses in rounds]
    assert errors[-1] < 0.8 * errors[0]
    whole = solved.placed(frame)
    assert whole is not None
    np.testing.assert_allclose(rounds[-1].placed(frame).xpos, whole.xpos, atol=2e-3)
    assert solved.registration is not None
    path = preset_path(tmp_path, "my leg")
    path.parent.mkdir(parents=True)
    path.write_text(preset_yaml(ready, path.stem))
    assert main(["fit", "--config-dir", str(tmp_path), f"body={path.stem}", f"out={tmp_path}", "report=false"]) == 0
    summary = json.loads((tmp_path / "fit_summary.json").read_text())
    shown = solved.registration.summary()
    assert summary["mean_error_mm"] == pytest.approx(shown["mean_error_mm"], abs=1e-3)
    assert summary["mean_error_mm"] < 1.0  # 0.3 mm of noise on each coordinate
    placed = solved.placed(7)
    assert placed is not None
    data = mujoco.MjData(ready.body.model)
    data.qpos[:] = solved.clips.qpos[7]
    mujoco.mj_kinematics(ready.body.model, data)
    np.testing.assert_allclose(placed.xpos, data.xpos, atol=1e-5)


def test_commands_are_undone_and_leave_the_earlier_session(bare: Session) -> None:
    history = History(bare).then(bare.paired("Hip", "femur"))
    history = history.then(history.now.with_offset("Hip", [0.1, 0.0, 0.0]))
    history = history.then(history.now.with_offset("Hip", [0.2, 0.0, 0.0]), replaces=True)
    assert history.now.pairs["Hip"].offset == [0.2, 0.0, 0.0]
    assert history.undo().now.pairs["Hip"].offset == [0.0, 0.0, 0.0]
    assert history.undo().undo().now is bare
    assert not bare.pairs
    assert history.undo().redo().now is history.now


def test_the_recording_is_laid_onto_the_body(bare: Session, ready: Session) -> None:
    # the leg moves, so a rigid fit of the default pose to all frames leaves some centimetres
    before = bare.accepted({name: body for name, (body, _) in PLACES.items()})
    assert np.nanmean(before.resting(0).error_mm) > 300
    assert np.nanmean(ready.resting(0).error_mm) < 100
    by_one = ready.aligned([5])
    moved = by_one.with_alignment(translation=[x + 0.05 for x in by_one.config.alignment.translation]).aligned([5])
    np.testing.assert_allclose(moved.points(5), by_one.points(5), atol=1e-6)


def test_the_scale_is_that_of_the_animal(bare: Session) -> None:
    session = bare.accepted({name: body for name, (body, _) in PLACES.items()})
    session = session.with_offsets({name: offset for name, (_, offset) in PLACES.items()})
    # posture changes distances
    assert session.scaled_to_recording().config.body.scale == pytest.approx(SIZE, rel=0.1)
    np.testing.assert_allclose(session.with_scale(2.0).pairs["Hip"].offset, 2 * np.array(PLACES["Hip"][1]))


def test_one_frame_and_some_frames_agree_with_the_whole(ready: Session) -> None:
    some = fit_some(ready, np.arange(0, 80, 8))
    assert some.placed(8) is not None
    assert some.placed(9) is None
    assert some.registration is not None
    found = dict(zip(ready.body.marker_names, some.offsets, strict=True))
    one = fit_frame(ready.with_offsets(found).transformed(some.registration.T_body_recording), 8)
    np.testing.assert_allclose(one.clips.error_mm, some.clips.error_mm[1:2], atol=0.15)


def test_a_fit_is_cancelled_and_a_mistake_is_told(ready: Session) -> None:
    results: list = []
    worker, ended = Worker(), threading.Event()

    def begin() -> bool:
        """Begin a fit that is cancelled at its first step."""
        then = ended.set if results else begin
        return worker.run(
            lambda stage: fit_all(ready, stage), progress=lambda *_: worker.cancel(), done=results.append, then=then
        )

    assert begin()
    assert not begin(), "one is running"
    assert ended.wait(60)
    assert [type(result) for result in results] == [Cancelled] * 2, "another fit begins as soon as one has ended"
    with pytest.raises(ConfigError, match="did you mean 'tibia'"):
        ready.paired("Hip", "tibias")
    with pytest.raises(InputError, match="at least 3"):
        ready.without("Hip").without("Knee").without("Shin").without("Toe").aligned([0])


def test_names_of_the_rat_and_its_bodies_suggest_its_pairs(data_dir: Path) -> None:
    body = real_body(data_dir, "rat")
    assert body.config is not None
    truth = {name: marker.body for name, marker in body.config.markers.items()}
    found = by_name(truth, body.body_names[1:])
    sides = [name for name in found if name.endswith(("L", "R")) and name not in ("SpineL",)]
    assert all(found[name][-1] == name[-1] for name in sides if found[name][-2:] in ("_L", "_R"))
    assert sum(found.get(name) == truth[name] for name in truth) >= 10
    assert len(found) >= 20


def test_scales_of_segments_are_part_of_the_preset(ready: Session) -> None:
    session = ready.with_segment_scales(True)
    again, _ = opened(session, preset_yaml(session, "leg"), "leg.yaml")
    assert again.config.calibration.segments
    assert again.config.body.segments == {name: [name] for name in ("femur", "tibia", "foot")}
    assert not session.with_segment_scales(False).config.calibration.segments
    assert paired_segments(["lfemur", "rfemur", "foot_L", "foot_R", "spine_1", "spine_2"]) == {
        "femur": ["lfemur", "rfemur"],
        "foot": ["foot_L", "foot_R"],
        "spine_1": ["spine_1"],
        "spine_2": ["spine_2"],
    }


def test_sides_are_seen_in_names_without_a_separator() -> None:
    halves = ["femur", "tibia", "foot", "toes", "humerus", "radius", "hand"]
    bodies = ["root", *(f"{side}{half}" for side in "lr" for half in halves), "thorax", "head"]
    words = {"Thigh": "femur", "Knee": "tibia", "Shank": "tibia", "Heel": "foot", "Toe": "toes", "Wrist": "hand"}
    for side in "lr":
        found = by_name([f"{side.upper()}.{word}" for word in words], bodies)
        assert found == {f"{side.upper()}.{word}": side + body for word, body in words.items()}
    assert by_name(["humerusr", "humerusl"], ["humerusl", "humerusr"]) == {s: s for s in ("humerusr", "humerusl")}


def test_a_body_that_follows_the_recording_is_not_aligned(bare: Session, tmp_path: Path) -> None:
    trunk = '<worldbody><body name="trunk"><freejoint/><geom size="0.02"/>'
    model = tmp_path / "free.xml"
    model.write_text(LEG.replace("<worldbody>", trunk).replace("</worldbody>", "</body></worldbody>"))
    free = begin(dataclasses.replace(bare.config, body=dataclasses.replace(bare.config.body, mjcf=str(model))))
    with pytest.raises(InputError, match="root of this body follows the recording"):
        free.accepted({name: place for name, (place, _) in PLACES.items()}).aligned([0])


def test_a_public_configuration_gives_the_pairs_of_the_preset(data_dir: Path) -> None:
    with h5py.File(data_dir / "rat/reference/stac_demo_fit_offsets.h5") as file:
        text = np.asarray(file["config"]).item().decode()
    body = real_body(data_dir, "rat")
    assert body.config is not None
    recording = data_dir / "rat/recordings/test_rodent_mocap_1000_frames.mat"
    bare = dataclasses.replace(body.config, markers={}, skeleton=[], trunk_keypoints=[], root_keypoint=None)
    session = begin(FitConfig(body=bare, keypoints=KeypointsConfig(path=str(recording))))
    public, notes = opened(session, text, "demo")
    for name, marker in body.config.markers.items():
        assert public.pairs[name].body == marker.body
        np.testing.assert_allclose(public.pairs[name].offset, marker.offset, atol=1e-6)
    assert public.config.body.scale == body.config.scale
    assert public.config.body.trunk_keypoints == body.config.trunk_keypoints
    assert "FTOL" in " ".join(notes)


def test_an_offset_is_mirrored_to_the_other_side(data_dir: Path) -> None:
    body = real_body(data_dir, "rat")
    recording = data_dir / "rat/recordings/test_rodent_mocap_1000_frames.mat"
    assert body.config is not None
    session = begin(FitConfig(body=body.config, keypoints=KeypointsConfig(path=str(recording))))
    session = session.with_offset("KneeR", [0.0, 0.0, 0.0]).mirrored("KneeL")
    np.testing.assert_allclose(session.pairs["KneeR"].offset, body.config.markers["KneeR"].offset, atol=2e-4)


EDITING = """
import sys, threading, time
from pathlib import Path
from stac.studio_case import leg_config
from stac_mjx.config import StudioConfig, WorkConfig
from stac_mjx.studio.serve import open_studio

folder = Path(sys.argv[1])
config = StudioConfig(**vars(leg_config(folder)), studio=WorkConfig(port=0, browser=False))
studio, _, _ = open_studio(config, folder / "out")
threading.Thread(target=studio.run, daemon=True).start()
studio.change(lambda session: session.paired("Hip", "femur"))
for edit in range(10_000):
    studio.change(lambda session: session.with_offset("Hip", [edit, 0.0, 0.0]))
    print(edit, time.monotonic(), flush=True)
    time.sleep(0.05)
"""


def test_a_killed_server_loses_little_work(tmp_path: Path, repository: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", EDITING, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=repository / "tests"
    )
    made: dict[int, float] = {}
    assert child.stdout is not None
    for line in child.stdout:
        edit, when = line.split()
        made[int(edit)] = float(when)
        if made[int(edit)] - made[0] > 2.5:
            break
    child.kill()  # SIGKILL
    child.communicate()
    config = StudioConfig(**vars(leg_config(tmp_path)), studio=WorkConfig(port=0, browser=False))
    again, _, notes = open_studio(config, tmp_path / "out")
    again.server.stop()
    assert "continued" in notes[0]
    kept = int(again.session.pairs["Hip"].offset[0])
    assert max(made.values()) - made[kept] < 2.2  # of the 5 s that may be lost; without autosave all 2.5 s are
