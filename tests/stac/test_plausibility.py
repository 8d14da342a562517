"""What a recording says about itself when held against a body; a body that does without some of its keypoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac.bodies_for_tests import ARM_NAMES, QUICK
from stac.keypoint_files import write_sleap
from stac_mjx._common.errors import BodyError, InputError
from stac_mjx.body.body import Body, load_body
from stac_mjx.cli import main
from stac_mjx.config import AlignmentConfig, FitConfig, KeypointsConfig
from stac_mjx.inputs import match
from stac_mjx.keypoints import Keypoints, load_keypoints, select
from stac_mjx.plausibility import is_mirrored, jumps, size_ratio, swapped_stretches
from stac_mjx.report.accuracy import marker_warnings
from stac_mjx.synthetic.motion import Flaws, Motion, make_truth


@pytest.fixture(scope="module")
def recording(body: Body) -> Keypoints:
    return make_truth(body, Motion(n_frames=40, amplitude=0.5), Flaws(noise_m=0.002, missing_fraction=0.1)).keypoints


def moved(recording: Keypoints, matrix: np.ndarray) -> Keypoints:
    return replace(recording, positions=recording.positions @ np.asarray(matrix, float).T)


def said(body: Body, recording: Keypoints, **alignment: object) -> str:
    return "\n".join(match(body, recording, FitConfig(alignment=AlignmentConfig(**alignment))).warnings)  # type: ignore[arg-type]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_left_handed_axes_are_seen_however_the_recording_is_turned(body: Body, recording: Keypoints, axis: int) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(axis).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    flip = np.diag(np.where(np.arange(3) == axis, -1.0, 1.0))
    assert not is_mirrored(body, moved(recording, turn))
    assert is_mirrored(body, moved(recording, turn @ flip))
    assert "keypoints.flip=y" in said(body, moved(recording, flip))
    assert "mirror" not in said(body, recording)


def test_flat_or_few_keypoints_do_not_tell_left_from_right(tmp_path: Path, recording: Keypoints) -> None:
    flat = bodies.body_of(tmp_path, bodies.EVERY_JOINT, {n: ("root", [x, y, 0.0]) for n, x, y in (
        ("a", 0.1, 0.0), ("b", -0.1, 0.0), ("c", 0.0, 0.1), ("d", 0.0, -0.05), ("e", 0.1, 0.1),
    )})  # fmt: skip
    truth = make_truth(flat, Motion(n_frames=20), Flaws(noise_m=0.001)).keypoints
    assert not is_mirrored(flat, moved(truth, np.diag([1, -1, 1])))
    fewer = replace(recording, positions=recording.positions[:, :3], confidence=recording.confidence[:, :3])
    three = load_body(replace(flat.config, leave_out=["d", "e"]))  # type: ignore[arg-type]
    assert not is_mirrored(three, replace(fewer, names=three.marker_names))


@pytest.mark.parametrize("species", ["rat", "fly", "stick", "mouse"])
def test_real_recordings_are_told_from_their_mirror_images(data_dir: Path, species: str) -> None:
    from stac_mjx.bench import find_case

    case = find_case(species, data_dir)
    assert not is_mirrored(case.body, case.keypoints)
    assert is_mirrored(case.body, moved(case.keypoints, np.diag([1, 1, -1])))


def test_an_animal_of_another_size_is_told_the_scale(body: Body, recording: Keypoints) -> None:
    large = moved(recording, 2 * np.eye(3))
    assert size_ratio(body, large) == pytest.approx(2, rel=0.1)
    assert "times the size of body 'test'" in said(body, large)
    assert "body.scale=2" in said(body, large)
    assert "body.scale" not in said(body, recording)
    assert "body.scale" not in said(body, large, mode="similarity")
    pair = load_body(replace(body.config, leave_out=[*large.names[2:]]))  # type: ignore[arg-type]
    assert "body.scale" not in said(pair, large), "one distance changes with the posture"


def test_an_unusual_frame_rate_is_named(body: Body, recording: Keypoints) -> None:
    assert "60000 frames per second are unusual" in said(body, replace(recording, rate_hz=60_000.0))
    assert "unusual" not in said(body, replace(recording, rate_hz=500.0))


def test_clips_without_a_point_are_named(body: Body, recording: Keypoints) -> None:
    gone = recording.positions.copy()
    gone[10:20] = np.nan
    lengths, names = np.array([10, 10, 20]), ("first", "second", "third")
    cut = replace(recording, positions=gone, clip_lengths=lengths, clip_names=names)
    assert "clips without keypoints, marked as invalid: second" in said(body, cut)


def test_frames_with_too_few_keypoints_to_place_the_body_are_left_out(body: Body) -> None:
    whole = make_truth(body, Motion(n_frames=12, amplitude=0.5)).keypoints
    few = whole.positions.copy()
    few[5, 2:], few[6, 3:], few[7, :] = np.nan, np.nan, np.nan
    inputs = match(body, replace(whole, positions=few), FitConfig())
    assert inputs.keypoints.observed.sum(axis=1)[4:8].tolist() == [few.shape[1], 0, 3, 0]
    assert any("1 frame with fewer than 3 keypoints" in note for note in inputs.keypoints.notes)
    hand = make_truth(bodies.finger(), Motion(n_frames=12)).keypoints
    hand.positions[3, 1:] = np.nan
    assert match(bodies.finger(), hand, FitConfig()).keypoints.observed.any(axis=1).all(), "its root does not move"


def test_keypoints_far_from_their_bodies_are_one_warning() -> None:
    names, error = ("a", "b", "c", "d"), np.ones((5, 4))
    near, far = np.full((4, 3), 0.01), np.full((4, 3), 3.0)
    assert marker_warnings(names, error, near, 0.4) == []
    [warning] = marker_warnings(names, error, far, 0.4)
    assert "4 of 4 keypoints are far from their bodies (median 5,196 mm on a body of 400 mm)" in warning
    assert "alignment.mode=rigid" in warning
    [warning] = marker_warnings(names, error, np.where(np.arange(4)[:, None] == 2, far, near), 0.4)
    assert warning.startswith("c: 5196.2 mm from the origin of its body")


def test_frames_that_do_not_follow_are_one_warning() -> None:
    error = np.ones((5, 4))
    error[3:] = 90.0
    [warning] = marker_warnings(("a", "b", "c", "d"), error, np.zeros((4, 3)), 0.4)
    assert warning.startswith("2 of 5 frames (the first is 3) do not follow the recording")
    assert "40.0 mm" in warning


def test_a_body_without_some_keypoints(body: Body) -> None:
    named = {"trunk_keypoints": ["a", "b", "c"], "root_keypoint": "b", "skeleton": [["a", "b"], ["a", "c"]]}
    assert body.config is not None
    config = replace(body.config, leave_out=["b", "g"], **named)
    less = load_body(config)
    assert less.marker_names == ("a", "c", "d", "e", "f")
    assert (less.trunk_keypoints, less.root_keypoint, less.skeleton) == (("a", "c"), None, (("a", "c"),))
    # files without names still hold all of them
    assert less.keypoint_order == body.marker_names
    for wrong, words in ((["h"], "leave_out: unknown keypoint 'h'"), (list("abcdefg"), "leave_out")):
        with pytest.raises(BodyError, match=words):
            load_body(replace(config, leave_out=wrong))


def test_flip_and_leave_out_on_the_command_line(
    tmp_path: Path, arm_positions: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    mirrored = arm_positions[:20] * [1, -1, 1]
    path = write_sleap(tmp_path / "a.h5", mirrored[:, None], ARM_NAMES, units="m", fps=200.0)
    changes = ["keypoints.flip=y", "body.leave_out=[Shoulder]"]
    given = [f"keypoints.path={path}", f"out={tmp_path / 'out'}", *changes, *QUICK]
    assert main(["fit", *given]) == 0
    err = capfd.readouterr().err
    assert "keypoints.flip" in err
    [closing] = [line for line in err.splitlines() if "mean error" in line]
    assert closing.startswith("INFO     20 frames, 2 keypoints: mean error 0.")
    assert main(["fit", *given, "keypoints.flip=w"]) == 2
    assert "keypoints.flip: unknown value 'w'" in capfd.readouterr().err


@pytest.mark.parametrize("setting", ["~body.markers.tail tip", "body.markers.Rücken.body=arm"])
def test_names_that_no_command_line_can_hold_are_sent_to_a_file(
    setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", setting]) == 2
    assert "YAML file" in capsys.readouterr().err


def test_a_stretch_of_mirror_images_is_named(body: Body) -> None:
    calm = make_truth(body, Motion(n_frames=80, amplitude=0.1), Flaws(noise_m=0.002)).keypoints
    positions = calm.positions.copy()
    positions[12:25] *= [1, -1, 1]
    assert swapped_stretches(body, calm) == []
    [(first, last)] = swapped_stretches(body, replace(calm, positions=positions))
    assert abs(first - 12) <= 2
    assert abs(last - 24) <= 2
    assert f"frames {first} to {last}: the mirror image" in said(body, replace(calm, positions=positions))


def test_a_recording_in_a_plane_is_named_unless_the_body_stays_in_one(
    tmp_path: Path, body: Body, recording: Keypoints
) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    for flat in (np.diag([1, 1, 0]), np.diag([0, 1, 1]), turn @ np.diag([1, 1, 0])):
        assert "one plane" in said(body, moved(recording, flat))
    noise = np.random.default_rng(2).normal(scale=2e-3, size=recording.positions.shape)
    flat = moved(recording, np.diag([1, 1, 0]))
    assert "one plane" in said(body, replace(flat, positions=flat.positions + noise))
    walk = np.linspace(0, 1000, 40)[:, None, None] * [1, 0, 0]
    for far in (recording, replace(recording, positions=recording.positions + walk)):
        assert "one plane" not in said(body, far)
    xml = """<mujoco><worldbody><body name="a"><joint type="slide" axis="1 0 0"/><joint type="slide" axis="0 1 0"/>
      <joint axis="0 0 1"/><geom size=".1"/><body name="b" pos=".1 0 0"><joint axis="0 0 1"/><geom size=".1"/>
      </body></body></worldbody></mujoco>"""
    places = {"p": ("a", [0.0, 0.05, 0.0]), "q": ("a", [0.05, 0.0, 0.0]), "r": ("b", [0.1, 0.0, 0.0])}
    planar = bodies.body_of(tmp_path, xml, places)
    assert "one plane" not in said(planar, make_truth(planar, Motion(n_frames=40, amplitude=0.5)).keypoints)


def test_a_pair_that_changes_places_and_a_place_that_is_held_are_named(tmp_path: Path) -> None:
    places = {"HipL": (0.1, 0.1, 0), "HipR": (0.1, -0.1, 0), "l_foot": (0.1, 0.1, -0.2), "r_foot": (0.1, -0.1, -0.2)}
    places |= {"Back": (0, 0, 0.1), "Rump": (-0.2, 0, 0), "Nose": (0.3, 0, 0.05)}
    body = bodies.body_of(tmp_path, bodies.EVERY_JOINT, {name: ("root", list(at)) for name, at in places.items()})
    recording = make_truth(body, Motion(n_frames=60, amplitude=0.3), Flaws(noise_m=1e-3)).keypoints
    for clean in (recording, replace(recording, positions=np.round(recording.positions, 3))):
        assert not any(word in said(body, clean) for word in ("other side", "exactly where"))
    swapped, held = recording.positions.copy(), recording.positions.copy()
    swapped[20:33, 2:4] = swapped[20:33, [3, 2]]
    assert "l_foot and r_foot at frames 20, 33" in said(body, replace(recording, positions=swapped))
    held[40:50, 6] = held[39, 6]
    assert "Nose 1 time (from frame 39)" in said(body, replace(recording, positions=held))


def test_trials_end_to_end_are_named_and_cut(tmp_path: Path, body: Body, recording: Keypoints) -> None:
    apart = np.repeat([[0.0, 0, 0], [1.0, 0, 0], [1.0, 2.0, 0]], (10, 20, 10), axis=0)[:, None]
    trials = replace(recording, positions=recording.positions + apart)
    assert jumps(body, trials)[0].tolist() == [10, 30]
    assert len(jumps(body, recording)[0]) == 0
    behind_gaps = recording.positions + 5 * apart
    behind_gaps[[8, 9, 30, 31]] = np.nan
    assert jumps(body, replace(trials, positions=behind_gaps))[0].tolist() == [10, 32]
    assert "keypoints.clip_starts=[10,30]" in said(body, trials)
    path = str(write_sleap(tmp_path / "a.h5", trials.positions, recording.names, units="m", fps=100.0))
    cut = load_keypoints(KeypointsConfig(path=path, clip_starts=[10, 30]))
    assert cut.clip_lengths.tolist() == [10, 20, 10]
    assert "jump" not in said(body, cut)
    assert load_keypoints(KeypointsConfig(path=path, clip_frames=16)).clip_lengths.tolist() == [16, 16, 8]
    with pytest.raises(InputError, match="clip_starts: expected frames below 40"):
        load_keypoints(KeypointsConfig(path=path, clip_starts=[50]))


def test_a_recording_far_from_the_origin_is_moved_there(body: Body, recording: Keypoints) -> None:
    far = replace(recording, positions=recording.positions + np.array([1e5, -3e5, 0]))
    inputs = match(body, far, FitConfig())
    assert "single precision" in "\n".join(inputs.warnings)
    assert np.nanmax(np.abs(inputs.keypoints.positions)) < 10
    np.testing.assert_allclose(inputs.T_keypoints_file.apply(far.positions), inputs.keypoints.positions, atol=1e-9)
    assert "precision" not in said(body, recording)


def test_a_lacking_keypoint_is_left_out_before_it_is_renamed_and_never_takes_the_other_side(
    recording: Keypoints,
) -> None:
    names = ("EarL", "PawFL", "Snout", "hand_right", "c", "d", "e")
    for lacking in ("EarR", "PawFR", "HandLeft"):
        with pytest.raises(InputError) as caught:
            select(replace(recording, names=names), ["Snout", lacking])
        assert f"body.leave_out=[{lacking}]" in str(caught.value)
        assert "did you mean" not in str(caught.value)
    with pytest.raises(InputError, match="did you mean 'hand_right'"):
        select(replace(recording, names=names), ["Snout", "HandRight"])
