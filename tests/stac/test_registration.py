"""The whole registration at its edges: one clip, one frame, one keypoint, short clips, segments, rates, smoothness."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stac import bodies_for_tests as bodies
from stac_mjx import registration
from stac_mjx._common.progress import Tick
from stac_mjx.body.body import Body
from stac_mjx.calibration.known_offsets import KnownOffsets
from stac_mjx.caveats import fit_warnings, open_turns
from stac_mjx.check import check_file
from stac_mjx.config import CalibrationConfig, FitConfig, SolverConfig, TrajectoryConfig
from stac_mjx.inputs import match
from stac_mjx.inverse_kinematics.pose_solver import Observation, pose_solver
from stac_mjx.inverse_kinematics.solve import solve
from stac_mjx.keypoints import Keypoints
from stac_mjx.kinematics.trajectory import steps
from stac_mjx.records import ReferenceClips, read_clips, write_clips
from stac_mjx.results import Registration, register
from stac_mjx.synthetic.motion import Flaws, Motion, Truth, make_truth, marker_positions

QUICK = CalibrationConfig(frames=60, max_rounds=6)


def registered(body: Body, keypoints: Keypoints, **settings: object) -> Registration:
    config = FitConfig(calibration=QUICK, **settings)  # type: ignore[arg-type]
    return register(match(body, keypoints, config), config)


def with_offsets(body: Body, truth: Truth, config: FitConfig | None = None) -> ReferenceClips:
    """All poses of the recording, with the true offsets."""
    config = config or FitConfig()
    inputs = match(body, truth.keypoints, config)
    return register(inputs, config, known=KnownOffsets(truth.offsets)).clips


@pytest.mark.parametrize(("n_clips", "n_frames"), [(1, 1), (5, 1), (6, 4)], ids=lambda value: str(value))
def test_any_number_of_clips_and_frames(body: Body, n_clips: int, n_frames: int) -> None:
    motion = Motion(n_frames=n_frames, n_clips=n_clips, amplitude=0.4)
    truth = make_truth(body, motion, Flaws(noise_m=1e-3), seed=0)
    result = registered(body, truth.keypoints)
    assert result.clips.info.synthetic == 1
    assert len(result.clips.qpos) == n_clips * n_frames
    assert result.clips.clip_length.tolist() == [n_frames] * n_clips
    assert np.isfinite(result.clips.qvel).all()
    assert result.summary()["failed_frames"] == 0


@pytest.mark.parametrize(("xml", "carrier"), [(bodies.FINGER, "lower"), (bodies.EVERY_JOINT, "root")])
def test_one_keypoint_on_a_fixed_and_on_a_floating_body(xml: str, carrier: str, tmp_path: Path) -> None:
    body = bodies.body_of(tmp_path, xml, {"k": (carrier, [0.1, 0.0, 0.05])})
    truth = make_truth(body, Motion(n_frames=20, amplitude=0.3), seed=1)
    assert np.nanmax(registered(body, truth.keypoints).clips.error_mm) < 1.0


def test_segments_of_a_long_recording_join_without_a_seam(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = make_truth(body, Motion(n_frames=300, amplitude=0.4), Flaws(noise_m=1e-3), seed=2)
    inputs, totals, ticks = match(body, truth.keypoints, FitConfig()), [], []

    def stage(_name: str, total: int | None) -> Tick:
        totals.append(total)
        return lambda amount, note="": ticks.append(amount)

    whole = register(inputs, FitConfig(), known=KnownOffsets(truth.offsets))
    monkeypatch.setattr(registration, "SEGMENT", 110)
    monkeypatch.setattr(registration, "OVERLAP", 20)
    parts = register(inputs, FitConfig(), known=KnownOffsets(truth.offsets), stage=stage)
    assert sum(ticks) == sum(totals) > 300, "progress ends at its total, overlaps included"
    away = np.asarray(steps(body.tree, whole.clips.qpos, parts.clips.qpos))
    assert np.median(np.abs(away)) < 2e-3
    jump = np.linalg.norm(np.diff(parts.clips.marker_sites, axis=0), axis=-1).max()
    assert jump <= 1.5 * np.linalg.norm(np.diff(truth.positions, axis=0), axis=-1).max() + 5e-3


def test_clips_do_not_touch_one_another(body: Body) -> None:
    truth = make_truth(body, Motion(n_frames=25, n_clips=3, amplitude=0.4), Flaws(noise_m=2e-3), seed=3)
    settings = FitConfig(solver=SolverConfig(smoothness_mm=30.0, robust="none"))
    together = with_offsets(body, truth, settings)
    second = replace(
        truth.keypoints,
        positions=truth.keypoints.positions[25:50],
        confidence=truth.keypoints.confidence[25:50],
        clip_names=("b",),
        clip_lengths=np.array([25]),
    )
    alone = with_offsets(body, replace(truth, keypoints=second), settings)
    np.testing.assert_allclose(together.qvel[25:50], alone.qvel, atol=2e-2)
    away = np.asarray(steps(body.tree, together.qpos[25:50], alone.qpos))
    assert np.abs(away).max() < 2e-3


def test_smoothness_lowers_its_objective_and_the_errors_of_a_noisy_recording() -> None:
    body = bodies.finger()
    truth = make_truth(body, Motion(n_frames=120, amplitude=0.6, cutoff_hz=1.0), Flaws(noise_m=4e-3), seed=4)
    seen = Observation(truth.keypoints.positions, np.ones((120, 4)), np.array([120]))
    weight, errors, objectives = 40.0, [], []
    for smoothness in (0.0, weight):
        ik = pose_solver(body, SolverConfig(smoothness_mm=smoothness, robust="none"))
        fit = solve(ik, seen, truth.offsets)
        errors.append(np.abs(fit.qpos - truth.qpos).mean())
        data = 4 * (fit.error_mm**2).sum()
        objectives.append(data + weight**2 * (np.diff(fit.qpos, axis=0) ** 2).sum())
    assert objectives[1] < 0.8 * objectives[0]
    assert errors[1] < 0.8 * errors[0]


def test_resampled_clips_have_the_new_rate_and_the_same_motion(body: Body) -> None:
    motion = Motion(n_frames=41, n_clips=2, rate_hz=50.0, amplitude=0.4, cutoff_hz=1.0)
    truth = make_truth(body, motion, seed=5)
    slow, fast = (
        with_offsets(body, truth, FitConfig(trajectory=TrajectoryConfig(rate_hz=rate))) for rate in (None, 100.0)
    )
    assert fast.info.rate_hz == 100.0
    assert fast.clip_length.tolist() == [81, 81]
    every_second = np.concatenate([np.arange(0, 81, 2), 81 + np.arange(0, 81, 2)])
    np.testing.assert_allclose(fast.qpos[every_second], slow.qpos, atol=1e-5)
    np.testing.assert_allclose(fast.qvel[every_second][5:35], slow.qvel[5:35], atol=0.15)
    assert np.isfinite(fast.error_mm).all()


def test_a_turned_recording_gives_the_turned_pose(body: Body) -> None:
    truth = make_truth(body, Motion(n_frames=12, amplitude=0.3), seed=6)
    angle = 1.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    turned = replace(truth.keypoints, positions=truth.keypoints.positions @ turn.T)
    first, second = with_offsets(body, truth), with_offsets(body, replace(truth, keypoints=turned))
    np.testing.assert_allclose(second.xpos[:, 1:], first.xpos[:, 1:] @ turn.T, atol=3e-3)
    np.testing.assert_allclose(second.qpos[:, 7:], first.qpos[:, 7:], atol=2e-2)


def test_files_keep_the_length_unit_of_the_model(tmp_path: Path) -> None:
    places = {name: [x / 100 for x in offset] for name, (_, offset) in bodies.EVERY_JOINT_MARKERS.items()}
    markers = {name: (carrier, places[name]) for name, (carrier, _) in bodies.EVERY_JOINT_MARKERS.items()}
    body = bodies.body_of(tmp_path, bodies.EVERY_JOINT, markers, unit="cm")
    truth = make_truth(body, Motion(n_frames=30, amplitude=0.4), seed=9)
    found = with_offsets(body, truth)
    np.testing.assert_allclose(marker_positions(body, found.qpos, truth.offsets), found.marker_sites, atol=1e-7)
    assert np.nanmean(found.error_mm) < 0.02  # of a body 8 mm long
    np.testing.assert_allclose(found.qpos[:, :3], truth.qpos[:, :3], atol=0.02)
    slopes = np.gradient(found.qpos[:, :3], axis=0)[1:-1] * found.info.rate_hz
    np.testing.assert_allclose(found.qvel[1:-1, :3], slopes, atol=1e-3 * np.abs(slopes).max())


def test_the_same_seed_gives_the_same_result(body: Body) -> None:
    truth = make_truth(body, Motion(n_frames=80, amplitude=0.4), Flaws(noise_m=1e-3), seed=7)
    once, again = (registered(body, truth.keypoints, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once.clips.qpos, again.clips.qpos)
    np.testing.assert_array_equal(once.offsets, again.offsets)


def test_markers_tied_to_the_wrong_body_are_named() -> None:
    body = bodies.dense_finger()
    truth = make_truth(body, Motion(n_frames=100, amplitude=0.8), Flaws(noise_m=5e-4), seed=8)
    wrong = body.marker_body.copy()
    wrong[body.marker_names.index("k8")] = body.model.body("upper").id
    mistaken = replace(body, marker_body=wrong)
    summary = registered(mistaken, truth.keypoints).summary()
    assert any(warning.startswith("k8: mean error") for warning in summary["warnings"])
    errors = summary["per_keypoint_mm"]
    assert errors["k8"] == max(errors.values())


def test_a_constraint_on_a_sum_of_angles_is_in_degrees(tmp_path: Path) -> None:
    xml = """<mujoco><worldbody><body><joint name="a" axis="0 1 0"/><geom size=".1"/><body name="lower" pos="0 0 .1">
    <joint name="b" axis="0 1 0"/><geom size=".1"/></body></body></worldbody><tendon><fixed name="sum">
    <joint joint="a" coef="1"/><joint joint="b" coef="1"/></fixed></tendon>
    <equality><tendon name="straight" tendon1="sum"/></equality></mujoco>"""
    body = bodies.body_of(tmp_path, xml, {"k": ("lower", [0.0, 0.0, 0.0])})
    [warning] = fit_warnings(
        pose_solver(body, FitConfig().solver, 1), np.ones(2, bool), "none", np.radians([[10.0, 20.0]])
    )
    assert "straight by up to 30 degrees" in warning


def test_frames_in_which_the_root_is_open_are_named() -> None:
    solver = pose_solver(bodies.every_joint(), FitConfig().solver, 10)
    stderr = np.full((10, solver.tree.n_dof), 0.5)  # a constant part says nothing of single frames
    assert open_turns(solver, stderr) == []
    stderr[[2, 3, 7], solver.tree.root_dofs[-1]] = 0.9
    [warning] = open_turns(solver, stderr)
    assert "3 frames" in warning
    assert "2 to 3, 7 to 7" in warning


def test_what_a_fit_leaves_open_is_said(tmp_path: Path) -> None:
    """A coupling of two joints that the recording breaks, and a joint that no keypoint observes."""
    couple = '<equality><joint joint1="bend" joint2="hip"/></equality></mujoco>'
    markers = {name: place for name, place in bodies.EVERY_JOINT_MARKERS.items() if name != "f"}
    body = bodies.body_of(tmp_path, bodies.EVERY_JOINT.replace("</mujoco>", couple), markers)
    truth = make_truth(body, Motion(n_frames=30, amplitude=0.4), seed=11)
    result = registered(body, truth.keypoints)
    warnings = "\n".join(result.summary()["warnings"])
    assert "1 active equality constraint" in warnings
    assert "degrees" in warnings
    assert "no keypoint observes joints slide:" in warnings
    assert result.clips.qpos_observed is not None
    unseen = [n for n, seen in zip(result.clips.names_qpos, result.clips.qpos_observed, strict=True) if not seen]
    assert unseen == ["slide"]
    write_clips(tmp_path / "clips.h5", result.clips)
    assert check_file(tmp_path / "clips.h5") == []
    np.testing.assert_array_equal(read_clips(tmp_path / "clips.h5").qpos_observed, result.clips.qpos_observed)
