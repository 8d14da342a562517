"""Offsets: their steps, the choice of frames, known truth, and the precision that noise allows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from stac import bodies_for_tests as bodies
from stac.noise_bounds import calibration_bound, pose_bound
from stac_mjx.body.body import Body, load_body
from stac_mjx.body.poses import marker_frames
from stac_mjx.body.presets import body_preset
from stac_mjx.calibration.calibrate import ANCHOR, Alternation, calibrate
from stac_mjx.calibration.calibrate import objective as objective_of
from stac_mjx.calibration.normal_equations import Sample, Transforms, normal_equations
from stac_mjx.calibration.precision import FrameSample, lasting_factor
from stac_mjx.calibration.sampling import spread_frames
from stac_mjx.config import AlignmentConfig, CalibrationConfig, FitConfig, SolverConfig
from stac_mjx.inputs import confidence_weights, match
from stac_mjx.inverse_kinematics.pose_solver import Fit, Observation, PoseSolver, pose_solver
from stac_mjx.inverse_kinematics.solve import pilot, solve
from stac_mjx.keypoints.alignment import IDENTITY
from stac_mjx.kinematics import trajectory
from stac_mjx.kinematics.trajectory import steps
from stac_mjx.results import offsets_of, register
from stac_mjx.synthetic.motion import Flaws, Motion, Truth, make_truth, marker_positions


def observed(truth: Truth, body: Body) -> Observation:
    keypoints = truth.keypoints
    return Observation(keypoints.positions, confidence_weights(keypoints), keypoints.clip_lengths)


def around(body: Body) -> tuple[PoseSolver, Sample, np.ndarray, np.ndarray]:
    """Poses and offsets near those that keypoints were made from, with weights; some keypoints are missing."""
    rng, n = np.random.default_rng(0), len(body.marker_names)
    truth = make_truth(body, Motion(n_frames=6, amplitude=0.4), Flaws(noise_m=2e-3), offset_sd_m=3e-3, seed=1)
    weight = rng.uniform(0.2, 1.0, (6, n))
    weight[:, 2], weight[3, 0] = 0.0, 0.0
    seen = Observation(np.where(weight[..., None] > 0, truth.positions, np.nan), weight, np.ones(6, int))
    offsets = body.marker_offset + rng.normal(scale=1e-3, size=(n, 3))
    solver = pose_solver(body, SolverConfig(pose_prior_mm=1.0))
    return solver, Sample(seen, rng.uniform(0.5, 1.5, 6), rng.uniform(0.01, 0.5, n)), truth.qpos, offsets


ONE_TRANSFORM = Transforms("none", np.zeros((1, 3)), np.zeros(6, int))


def test_with_poses_held_the_best_offset_is_a_weighted_mean_in_the_frame_of_its_body() -> None:
    body = bodies.every_joint()
    ik, sample, qpos, offsets = around(body)
    local = marker_frames(body, qpos).within(sample.observation.target)
    weight, pull = sample.importance[:, None] * sample.observation.weight, sample.pull[:, None]
    mean = np.where(weight[..., None] > 0, weight[..., None] * local, 0.0).mean(axis=0)
    best = (mean + pull * body.marker_offset) / (weight.mean(axis=0)[:, None] + pull)
    step = normal_equations(ik, qpos, offsets, sample, ONE_TRANSFORM).step(1.0)
    np.testing.assert_allclose(offsets + step.offsets, best, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "mode"), [(bodies.every_joint, "none"), (bodies.finger, "rigid"), (bodies.finger, "similarity")]
)
def test_a_step_solves_the_linear_problem_of_poses_offsets_and_transforms(make: Callable[[], Body], mode: str) -> None:
    """Against least squares in all of them together, with derivatives by finite differences."""
    body = make()
    ik, sample, qpos, offsets = around(body)
    seen, tree, n = sample.observation, ik.tree, offsets.size
    group, middle = np.array([0, 0, 1, 1, 1, 0]), np.array([[0.1, 0.0, 0.2], [0.0, 0.3, 0.1]])
    root = 1000 * np.sqrt(np.repeat(sample.importance[:, None] * seen.weight, 3, axis=1))
    pose_root = np.sqrt(sample.importance[:, None] * ik.prior_weight)

    def residuals(u: np.ndarray) -> np.ndarray:
        """Residuals times the roots of their weights, and the terms of regularisation."""
        turns, moved, rest = np.split(u, [6 * tree.n_dof, 6 * tree.n_dof + n])
        shift, turn, stretch = (*rest[:12].reshape(2, 2, 3), rest[12]) if mode != "none" else np.zeros((3, 2, 3))
        growth = np.exp(np.mean(stretch))
        poses, placed = trajectory.moved(tree, qpos, turns.reshape(6, -1)), offsets + moved.reshape(-1, 3)
        arm = np.einsum(
            "fij,fkj->fki", Rotation.from_rotvec(turn).as_matrix()[group], seen.target - middle[group][:, None]
        )
        away = growth * arm + (middle + shift)[group][:, None] - marker_frames(body, poses).points(placed)
        back = pose_root * trajectory.steps(tree, np.tile(ik.neutral.astype(float), (6, 1)), poses)
        pulled = 1000 * np.sqrt(6 * sample.pull)[:, None] * (placed - body.marker_offset)
        return np.concatenate(
            [(root * np.nan_to_num(away.reshape(6, -1)) / growth).ravel(), back.ravel(), pulled.ravel()]
        )

    zero = np.zeros(6 * tree.n_dof + n + {"none": 0, "rigid": 13, "similarity": 13}[mode])
    jacobian = np.stack([residuals(h) - residuals(-h) for h in 1e-6 * np.eye(len(zero))], axis=1) / 2e-6
    if mode == "rigid":
        jacobian[:, -1] = 0.0
    by_pose, others = jacobian[:, : 6 * tree.n_dof], jacobian[:, 6 * tree.n_dof :]
    project = np.eye(len(jacobian)) - by_pose @ np.linalg.pinv(by_pose)
    start, others = project @ residuals(zero), project @ others
    least = np.linalg.lstsq(others, -start, rcond=1e-12)[0]
    step = normal_equations(ik, qpos, offsets, sample, Transforms(mode, middle, group)).step(0.0)
    found = np.concatenate([step.offsets.ravel(), step.shift.ravel(), step.turn.ravel(), [step.stretch]])[: len(least)]
    costs = [float(((start + others @ u) ** 2).sum()) for u in (0 * least, found, least)]
    assert costs[1] - costs[2] < 1e-5 * (costs[0] - costs[2])


def test_frames_spread_over_postures_and_stand_for_all_of_them() -> None:
    body = bodies.finger()
    rare = make_truth(body, Motion(n_frames=10, amplitude=1.0), seed=0)
    still = np.repeat(rare.positions[:1], 990, axis=0)
    target = np.concatenate([still, rare.positions])
    seen = Observation(target, np.ones((1000, 4)), np.array([1000]))
    sample = spread_frames(seen, 40, np.ones(4, bool), np.random.default_rng(0))
    assert len(np.unique(sample.frames)) == 40
    assert (sample.frames >= 990).sum() >= 5, "rare postures are found"
    assert sample.importance[sample.frames >= 990].sum() < 4, "but count for what they are"
    np.testing.assert_allclose(sample.importance.mean(), 1.0)
    again = spread_frames(seen, 40, np.ones(4, bool), np.random.default_rng(0))
    np.testing.assert_array_equal(sample.frames, again.frames)


@pytest.fixture(scope="module")
def noisy() -> tuple[Body, Truth]:
    body = bodies.every_joint()
    motion = Motion(n_frames=200, amplitude=0.6)
    return body, make_truth(body, motion, Flaws(noise_m=2e-3), offset_sd_m=3e-3, seed=1)


def angle_errors(ik: PoseSolver, found: np.ndarray, truth: Truth) -> np.ndarray:
    away = np.abs(np.asarray(steps(ik.tree, found.astype(np.float32), truth.qpos.astype(np.float32))))
    return np.delete(away, [0, 1, 2, 11], axis=1)  # rotations only


def test_errors_of_known_offsets_are_what_noise_allows(noisy: tuple[Body, Truth]) -> None:
    body, truth = noisy
    ik = pose_solver(body, SolverConfig(robust="none", pose_prior_mm=0.01))
    seen = observed(truth, body)
    fit = solve(ik, seen, truth.offsets)
    bound = np.delete(pose_bound(ik, truth.qpos, truth.offsets, seen, noise_mm=2.0), [0, 1, 2, 11], axis=1)
    ratio = np.median(angle_errors(ik, fit.qpos, truth)) / np.median(0.6745 * bound)
    assert 0.8 < ratio < 1.2, f"median error is {ratio:.2f} of the Cramer-Rao bound"


def test_offsets_and_poses_of_a_calibration_are_what_noise_allows(noisy: tuple[Body, Truth]) -> None:
    body, truth = noisy
    ik = pose_solver(body, SolverConfig(robust="none", pose_prior_mm=0.01))
    seen = observed(truth, body)
    calibration = calibrate(ik, seen, CalibrationConfig(frames=200))
    fit = solve(ik, seen, calibration.offsets)
    joint, covariance = calibration_bound(ik, truth.qpos, truth.offsets, seen, 2.0, pull=ANCHOR, initial_mm=3.0)
    offset_error = np.median(np.abs(calibration.offsets - truth.offsets)) * 1000
    assert offset_error < 1.3 * np.median(0.6745 * np.sqrt(np.diag(covariance)))
    assert offset_error < 1.6, "better than the initial offsets, which are 2 mm off (median)"
    bound = np.median(0.6745 * np.delete(joint, [0, 1, 2, 11], axis=1))
    assert np.median(angle_errors(ik, fit.qpos, truth)) < 1.3 * bound


def test_the_result_does_not_depend_on_round_off(noisy: tuple[Body, Truth]) -> None:
    body, truth = noisy
    ik, seen = pose_solver(body, SolverConfig()), observed(truth, body)
    nudged = replace(seen, target=seen.target * (1 + 1e-7))
    first, second = (calibrate(ik, one, CalibrationConfig(frames=100)) for one in (seen, nudged))
    assert first.mean_error_mm[-1] == pytest.approx(second.mean_error_mm[-1], rel=1e-3)
    np.testing.assert_allclose(1000 * first.offsets, 1000 * second.offsets, atol=0.05)  # standard errors: 0.2 mm


@pytest.mark.parametrize(("decay", "white"), [(0.0, 0.0), (0.5, 0.0), (0.9, 0.0), (0.97, 0.3)])
@pytest.mark.parametrize("n_frames", [300, 1000])
def test_errors_that_last_count_for_fewer_frames(decay: float, white: float, n_frames: int) -> None:
    """AR(1) noise, some of it white: the variance of a sum over that of independent terms has a closed form."""
    rng = np.random.default_rng(n_frames)
    noise = rng.normal(size=(n_frames, 40))
    for t in range(1, n_frames):
        noise[t] = decay * noise[t - 1] + np.sqrt(1 - decay**2) * noise[t]
    frames = np.sort(rng.choice(n_frames, 250, replace=False))
    scores = (noise + white * rng.normal(size=noise.shape))[frames] * rng.uniform(0.1, 9, 40)
    sample = FrameSample(frames, np.zeros(250, int), np.ones(250))
    correlation = decay ** np.abs(frames[:, None] - frames) / (1 + white**2)
    np.fill_diagonal(correlation, 1.0)
    found = lasting_factor(scores - scores.mean(axis=0), sample)
    assert found == pytest.approx(correlation.sum() / 250, rel=0.25)


@pytest.mark.slow
def test_arm_offsets_are_as_good_as_noise_allows_in_every_direction() -> None:
    """Errors of several calibrations, in units of what is expected along each eigenvector of the covariance."""
    body = load_body(body_preset("mouse_arm"))
    ratios, told, bounds, away = [], [], [], []
    for seed in range(8):
        truth = make_truth(body, Motion(n_frames=500), Flaws(noise_m=2e-4), offset_sd_m=2e-4, seed=seed)
        seen, ik = observed(truth, body), pose_solver(body, SolverConfig())
        found = calibrate(ik, seen, CalibrationConfig())
        some = replace(seen.take(found.frames), clip_lengths=np.ones(len(found.frames), int))
        poses = truth.qpos[found.frames]
        _, covariance = calibration_bound(ik, poses, truth.offsets, some, 0.2, pull=ANCHOR, initial_mm=0.2)
        size, direction = np.linalg.eigh(covariance)
        told.append(1000 * found.errors.standard_error)
        away.append(1000 * np.abs(found.offsets - truth.offsets))
        bounds.append(np.sqrt(np.diag(covariance)).reshape(3, 3))
        ratios.append(direction.T @ (1000 * (found.offsets - truth.offsets)).ravel() / np.sqrt(size))
    # 72 ratios of variance 1: their root mean square is 1 +- 0.083
    assert 0.8 < np.sqrt(np.mean(np.square(ratios))) < 1.2
    # a calibration that stops too early is off along the directions in which it creeps
    assert (np.sqrt(np.mean(np.square(ratios), axis=0)) < 1.7).all()
    # what the file says of errors, knowing neither the noise nor how good the initial offsets are
    told, bounds = np.array(told), np.array(bounds)
    np.testing.assert_allclose(np.median(told[bounds < 0.015] / bounds[bounds < 0.015]), 1.0, atol=0.2)
    assert 0.88 < np.mean(np.array(away) < 1.96 * told) <= 1.0
    assert told.max() < 1.0


def test_missing_and_wrong_points_cost_less_than_a_quarter() -> None:
    body = bodies.dense_finger()
    motion = Motion(n_frames=400, amplitude=0.6)
    medians = []
    for flaws in (Flaws(noise_m=1e-3), Flaws(1e-3, missing_fraction=0.1, outlier_fraction=0.05, outlier_m=0.02)):
        truth = make_truth(body, motion, flaws, seed=2)
        seen, ik = observed(truth, body), pose_solver(body, SolverConfig())
        fit = solve(ik, seen, truth.offsets, robust_mm=pilot(ik, seen, truth.offsets))
        medians.append(np.median(np.abs(fit.qpos - truth.qpos)))
    assert medians[1] < 1.25 * medians[0]


@pytest.mark.parametrize("robust", ["none", "cauchy"])
def test_the_loss_is_the_weighted_mean_of_squared_distances_plus_regularisation(robust: str) -> None:
    body, rng = bodies.finger(), np.random.default_rng(4)
    ik = pose_solver(body, SolverConfig(robust=robust, pose_prior_mm=2.0))
    truth = make_truth(body, Motion(n_frames=6), Flaws(noise_m=2e-3, missing_fraction=0.2), seed=4)
    seen, importance, pull = observed(truth, body), rng.uniform(0.5, 2, 6), rng.uniform(0.01, 0.2, 4)
    offsets, scale_mm = body.marker_offset + rng.normal(scale=1e-3, size=(4, 3)), np.full(4, 3.0)
    fit = Fit(truth.qpos.astype(np.float32), np.zeros(6), np.zeros(6, int))
    state = Alternation(seen, fit, offsets, IDENTITY, np.zeros(6, np.int64), scale_mm)
    # by MuJoCo's kinematics, in mm; all joints are hinges, and the root carries no prior
    away = 1000 * np.linalg.norm(seen.target - marker_positions(body, fit.qpos, offsets), axis=-1)
    rho = away**2 if robust == "none" else scale_mm**2 * np.log(1 + (away / scale_mm) ** 2)
    weight = importance[:, None] * seen.weight
    moved = 1000 * np.linalg.norm(offsets - body.marker_offset, axis=1)
    poses = (importance * (ik.prior_weight * (fit.qpos - ik.neutral) ** 2).sum(axis=1)).sum()
    total_mm2 = (np.nansum(weight * rho) + poses + 6 * (pull * moved**2).sum()) / weight.sum()
    np.testing.assert_allclose(objective_of(ik, state, importance, pull), total_mm2 * 1e-6, rtol=1e-4)


def test_the_loss_falls_and_is_what_files_hold(noisy: tuple[Body, Truth]) -> None:
    body, truth = noisy
    settings = FitConfig(calibration=CalibrationConfig(frames=40, max_rounds=8), solver=SolverConfig(robust="none"))
    result = register(match(body, truth.keypoints, settings), settings)
    assert result.calibration is not None
    history = offsets_of(result).loss_history
    np.testing.assert_array_equal(history, result.calibration.loss)
    assert history[-1] < history[0]
    # noise of 2 mm on each coordinate, less what poses and offsets take up
    assert 0.2 * 3 * 2e-3**2 < history[-1] < 1.2 * 3 * 2e-3**2


@pytest.mark.parametrize("mode", ["rigid", "similarity"])
def test_the_frame_of_the_recording_is_found(mode: str) -> None:
    body = bodies.finger()
    ik = pose_solver(body, SolverConfig())
    truth = make_truth(body, Motion(n_frames=120, amplitude=0.7), Flaws(noise_m=1e-4), seed=3)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    scale = 1.3 if mode == "similarity" else 1.0
    rig = truth.keypoints.positions @ turn.T * scale + [0.5, -0.2, 0.1]
    seen = Observation(rig, np.ones((120, 4)), np.array([120]))
    found = calibrate(ik, seen, CalibrationConfig(max_rounds=80), alignment=AlignmentConfig(mode=mode))
    back = found.T_body_recording.apply(rig)
    # turning the recording about the shoulder's own axis (y) equals turning the shoulder
    assert np.abs(back - truth.positions)[..., 1].mean() < 1e-3
    assert found.mean_error_mm[-1] < 1.0
    np.testing.assert_allclose(float(found.T_body_recording.scale), 1 / scale, rtol=0.05)
