"""The linear-time step against dense algebra; the solver against optima found by SciPy, limits and broken input."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.optimize import least_squares
from stac import bodies_for_tests as bodies
from stac_mjx.body.body import Body
from stac_mjx.body.poses import marker_jacobian
from stac_mjx.config import SolverConfig
from stac_mjx.inverse_kinematics import levenberg as solver
from stac_mjx.inverse_kinematics.levenberg import Status
from stac_mjx.inverse_kinematics.pose_solver import Observation, pose_solver
from stac_mjx.inverse_kinematics.solve import pilot, solve
from stac_mjx.kinematics import articulated
from stac_mjx.kinematics import forward as kinematics
from stac_mjx.kinematics.forward import Screw, Vec, marker_positions
from stac_mjx.synthetic.motion import Flaws, Motion, Truth, make_truth


def seen_of(truth: Truth) -> Observation:
    keypoints = truth.keypoints
    return Observation(keypoints.positions, keypoints.confidence, keypoints.clip_lengths)


def axes_of(body: Body, qpos: jax.Array) -> tuple[jax.Array, Vec, Vec, Screw]:
    """Nodes and positions of the markers at poses, their mean, and the motion axes about it."""
    tree, offsets = body.tree, jnp.asarray(body.marker_offset, qpos.dtype)
    node = jnp.asarray(tree.body_node[body.marker_body])
    pose = kinematics.node_poses(tree, qpos.T)
    markers = kinematics.points_on_nodes(pose, node, kinematics.marker_locals(tree, body.marker_body, offsets))
    origin = tuple(m.mean(0) for m in markers)
    return node, markers, origin, kinematics.screws(tree, pose, origin)


def step_and_truth(body: Body, seed: int, free_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Steps by the articulated-body algorithm and by dense Cholesky-like algebra, for four random frames."""
    rng = np.random.default_rng(seed)
    tree, n_frames = body.tree, 4
    qpos = jnp.asarray(tree.from_model(bodies.random_qpos(body.model, n_frames, seed)), jnp.float32)
    node, markers, origin, axes = axes_of(body, qpos)
    weight = rng.uniform(0.2, 1.0, (len(body.marker_names), n_frames)).astype(np.float32)
    residual = rng.normal(size=(3, *weight.shape)).astype(np.float32)
    size = float(np.asarray(solver.damping_scale(body, body.marker_offset)).max())
    diagonal = rng.uniform(0.01, 0.1, (tree.n_dof, n_frames)).astype(np.float32) * size
    free = (rng.random((tree.n_dof, n_frames)) < free_fraction).astype(np.float32)
    tau = rng.normal(size=(tree.n_dof, n_frames)).astype(np.float32) * np.sqrt(size)
    masses = articulated.PointMasses(
        tuple(m - o for m, o in zip(markers, origin, strict=True)),
        jnp.asarray(weight),
        tuple(jnp.asarray(weight * r) for r in residual),
    )
    terms = articulated.JointTerms(jnp.asarray(diagonal), jnp.asarray(free), jnp.asarray(tau))
    ours = np.asarray(articulated.damped_step(tree, node, axes, masses, terms))
    jacobian = marker_jacobian(body, np.asarray(qpos), body.marker_offset)
    truth = np.zeros_like(ours)
    for f in range(n_frames):
        moving = free[:, f] > 0
        part = jacobian[f][:, :, moving]
        pull = np.einsum("kci,k,ck->i", part, weight[:, f].astype(float), residual[:, :, f].astype(float))
        normal = np.einsum("kci,k,kcj->ij", part, weight[:, f].astype(float), part) + np.diag(diagonal[moving, f])
        truth[moving, f] = np.linalg.solve(normal, pull + tau[moving, f])
    return ours, truth


@pytest.mark.parametrize("free_fraction", [1.0, 0.6])
def test_articulated_step_equals_dense_normal_equations(free_fraction: float) -> None:
    ours, truth = step_and_truth(bodies.every_joint(), 0, free_fraction)
    np.testing.assert_allclose(ours, truth, atol=2e-4 * np.abs(truth).max())


@pytest.mark.parametrize("species", ["rat", "fly", "mouse"])
def test_articulated_step_of_real_bodies_equals_dense_normal_equations(data_dir: Path, species: str) -> None:
    ours, truth = step_and_truth(bodies.real_body(data_dir, species), 1, 0.9)
    np.testing.assert_allclose(ours, truth, atol=2e-3 * np.abs(truth).max())


def test_inverse_diagonal_and_its_derivative_equal_dense_algebra() -> None:
    """In the direction of B the derivative of A^-1 is -A^-1 B A^-1."""
    body, rng = bodies.every_joint(), np.random.default_rng(4)
    tree, n_keypoints = body.tree, len(body.marker_names)
    weight, more = rng.uniform(0.2, 1.0, (2, n_keypoints, 3))
    diagonal, more_diagonal = 10 ** rng.uniform(-9, -4, (2, tree.n_dof, 3))
    with jax.enable_x64(True):
        qpos = jnp.asarray(bodies.random_qpos(body.model, 3, 4))
        node, markers, origin, axes = axes_of(body, qpos)
        away = tuple(m - o for m, o in zip(markers, origin, strict=True))
        ours, slope = jax.jvp(
            lambda w, d: articulated.inverse_diagonal(tree, node, axes, away, w, d),
            (jnp.asarray(weight), jnp.asarray(diagonal)),
            (jnp.asarray(more), jnp.asarray(more_diagonal)),
        )
        jacobian = marker_jacobian(body, np.asarray(qpos), body.marker_offset)
    for f in range(3):
        grams = [
            np.einsum("kci,k,kcj->ij", jacobian[f], w[:, f], jacobian[f]) + np.diag(d[:, f])
            for w, d in ((weight, diagonal), (more, more_diagonal))
        ]
        inverse = np.linalg.inv(grams[0])
        np.testing.assert_allclose(np.asarray(ours)[:, f], np.diag(inverse), rtol=1e-6)
        np.testing.assert_allclose(-np.asarray(slope)[:, f], np.diag(inverse @ grams[1] @ inverse), rtol=1e-6)


def test_joint_forces_are_the_gradient() -> None:
    body = bodies.every_joint()
    tree, rng = body.tree, np.random.default_rng(2)
    qpos = jnp.asarray(bodies.random_qpos(body.model, 3, 2), jnp.float32)
    node, markers, origin, axes = axes_of(body, qpos)
    pull = tuple(jnp.asarray(rng.normal(size=(7, 3)), jnp.float32) for _ in range(3))
    away = tuple(m - o for m, o in zip(markers, origin, strict=True))
    ours = np.asarray(articulated.joint_forces(tree, node, axes, articulated.PointMasses(away, jnp.ones((7, 3)), pull)))
    jacobian = marker_jacobian(body, np.asarray(qpos), body.marker_offset)
    np.testing.assert_allclose(ours, np.einsum("fkci,ckf->if", jacobian, np.stack(pull)), atol=1e-5)


def scipy_optimum(body: Body, offsets: np.ndarray, target: np.ndarray, start: np.ndarray, prior: np.ndarray) -> float:
    """Smallest cost (mm^2) SciPy's bounded trust-region solver finds from `start`; hinges only."""
    tree, mm = body.tree, 1000
    low, high = tree.lower, tree.upper
    local = jnp.asarray(offsets, jnp.float32)

    def residuals(q: np.ndarray) -> np.ndarray:
        at = marker_positions(tree, body.marker_body, jnp.asarray(q, jnp.float32)[None], local)
        return np.concatenate([mm * (np.asarray(at[0], np.float64) - target).ravel(), np.sqrt(prior) * q])

    # a step of single-precision kinematics large enough for differences to mean something
    best = least_squares(residuals, np.clip(start, low + 1e-6, high - 1e-6), bounds=(low, high), diff_step=1e-3)
    return float(2 * best.cost)


def test_the_optimum_within_limits_is_scipys() -> None:
    body = bodies.finger()
    settings = SolverConfig(robust="none", tolerance_mm=1e-5, max_iterations=200)
    ik = pose_solver(body, settings)
    rng = np.random.default_rng(0)
    truth = make_truth(body, Motion(n_frames=12, amplitude=1.0), seed=3)
    target = truth.keypoints.positions + rng.normal(0, 0.01, truth.keypoints.positions.shape)
    seen = Observation(target, np.ones((12, 4)), np.array([12]))
    fit = solve(ik, seen, body.marker_offset)
    at_limit = (fit.qpos <= ik.tree.lower + 1e-6) | (fit.qpos >= ik.tree.upper - 1e-6)
    assert at_limit.any(), "the case is meant to press joints against their limits"
    for frame in range(12):
        prior = np.full(3, settings.pose_prior_mm**2)
        prior[ik.tree.root_dofs] = 0.0
        truth_cost = scipy_optimum(body, body.marker_offset, target[frame], fit.qpos[frame], prior)
        ours = 4 * fit.error_mm[frame] ** 2 + (prior * fit.qpos[frame] ** 2).sum()
        assert ours <= truth_cost * 1.001 + 1e-3


def test_limits_hold_exactly() -> None:
    body = bodies.finger()
    ik = pose_solver(body, SolverConfig())
    far = np.random.default_rng(0).normal(size=(40, 4, 3))
    fit = solve(ik, Observation(far, np.ones((40, 4)), np.array([40])), body.marker_offset)
    assert (fit.qpos >= ik.tree.lower.astype(np.float32)).all()
    assert (fit.qpos <= ik.tree.upper.astype(np.float32)).all()
    assert np.isfinite(fit.qpos).all()


def test_exact_keypoints_give_exact_poses() -> None:
    body = bodies.every_joint()
    ik = pose_solver(body, SolverConfig(pose_prior_mm=1e-3, robust="none", tolerance_mm=1e-6))
    truth = make_truth(body, Motion(n_frames=50, amplitude=0.4), seed=4)
    fit = solve(ik, seen_of(truth), truth.offsets)
    assert fit.error_mm.max() < 0.5  # of a body 0.8 m long
    assert (fit.status == Status.CONVERGED).mean() > 0.9


def test_a_root_of_slides_and_hinges_is_found_far_away_and_facing_back(tmp_path: Path) -> None:
    kinds = (("slide", "xyz"), ("hinge", "xyz"))
    axes = dict(zip("xyz", ("1 0 0", "0 1 0", "0 0 1"), strict=True))
    joints = [f'<joint name="{kind}_{a}" type="{kind}" axis="{axes[a]}"/>' for kind, names in kinds for a in names]
    xml = bodies.EVERY_JOINT.replace('<freejoint name="free"/>', "".join(joints))
    body = bodies.body_of(tmp_path, xml, bodies.EVERY_JOINT_MARKERS)
    truth = make_truth(bodies.every_joint(), Motion(n_frames=40, amplitude=0.4), seed=4)
    seen = seen_of(truth)
    walked = seen.target * [-1, -1, 1] + np.linspace([0, 0, 0], [60, -20, 2], 40)[:, None]
    seen = replace(seen, target=walked)
    ik = pose_solver(body, SolverConfig())
    fit = solve(ik, seen, truth.offsets, robust_mm=pilot(ik, seen, truth.offsets))
    assert fit.error_mm.max() < 1.0  # of a body 0.8 m long


ARM = """
<mujoco><worldbody><body name="trunk"><freejoint/><geom size=".1"/>
  <body name="upper" pos=".2 .1 0" quat="0.18 0.68 -0.68 0.18"><geom size=".03"/>
    <joint name="a" axis="0 0 1" range="-90 90"/><joint name="b" axis="0 1 0" range="-90 90"/>
    <joint name="c" axis="1 0 0" range="-60 90"/>
    <body name="fore" pos="0 -.28 0"><joint name="elbow" axis="1 0 0" range="-10 170"/><geom size=".03"/></body>
  </body>
</body></worldbody></mujoco>
"""


def test_an_elbow_bent_the_wrong_way_is_found_in_every_frame_alone(tmp_path: Path) -> None:
    """From the neutral pose alone, more than half of these frames end with the elbow at its limit, 20 to 30 mm off."""
    places = {
        "trunk": [(0.1, 0.1, 0), (-0.1, 0.1, 0.05), (0, -0.1, 0.02), (0.05, 0, 0.1)],
        "upper": [(-0.035, -0.28, -0.014)],
        "fore": [(-0.05, -0.13, 0), (0, -0.25, 0.03)],
    }
    markers = {f"{name}{i}": (name, list(at)) for name, many in places.items() for i, at in enumerate(many)}
    trunk = [name for name in markers if name.startswith("trunk")]
    body = bodies.body_of(tmp_path, ARM, markers, parts={"arm": ["upper", "fore"]}, trunk_keypoints=trunk)
    qpos = np.tile(body.tree.qpos0, (60, 1)).astype(np.float32)
    qpos[:, 7:] = np.radians([85, -10, -45, 45]) + np.random.default_rng(0).normal(0, 0.1, (60, 4))
    low, high = body.model.jnt_range[1:].T
    qpos[:, 7:] = qpos[:, 7:].clip(low, high)
    data, points = mujoco.MjData(body.model), np.empty((60, len(markers), 3))
    for frame, pose in enumerate(qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(body.model, data)
        turn = data.xmat[body.marker_body].reshape(-1, 3, 3)
        points[frame] = data.xpos[body.marker_body] + np.einsum("kij,kj->ki", turn, body.marker_offset)
    seen = Observation(points, np.ones((60, len(markers))), np.ones(60, np.int64))
    found = solve(pose_solver(body, SolverConfig()), seen, body.marker_offset, robust_mm=np.full(len(markers), 15.0))
    np.testing.assert_allclose(found.qpos[:, 7:], qpos[:, 7:], atol=0.02)


def test_status_says_what_happened_and_broken_frames_spread_nothing() -> None:
    body = bodies.finger()
    ik = pose_solver(body, SolverConfig(max_iterations=40))
    truth = make_truth(body, Motion(n_frames=30, amplitude=0.5), seed=5)
    target, weight = truth.keypoints.positions.copy(), np.ones((30, 4))
    clean = solve(ik, Observation(target, weight, np.array([30])), truth.offsets)
    weight[7] = 0.0
    target[7] = np.nan
    target[20, 2], weight[20, 2] = np.nan, 0.0
    fit = solve(ik, Observation(target, weight, np.array([30])), truth.offsets)
    assert fit.status[7] == Status.NO_MARKERS
    assert (np.delete(fit.status, 7) == Status.CONVERGED).all()
    assert np.isfinite(fit.qpos).all()
    others = np.delete(np.arange(30), [7, 20])
    np.testing.assert_allclose(fit.error_mm[others], clean.error_mm[others], atol=0.02)


def test_a_missing_marker_leaves_its_joint_between_the_neighbours() -> None:
    body = bodies.finger()
    ik = pose_solver(body, SolverConfig())
    truth = make_truth(body, Motion(n_frames=60, amplitude=0.5, cutoff_hz=1.0), seed=6)
    target, weight = truth.keypoints.positions.copy(), np.ones((60, 4))
    target[25:35, 2:], weight[25:35, 2:] = np.nan, 0.0
    fit = solve(ik, Observation(target, weight, np.array([60])), truth.offsets)
    elbow, ends = fit.qpos[24:36, 2], fit.qpos[[24, 35], 2]
    np.testing.assert_allclose(elbow, np.linspace(ends[0], ends[1], 12), atol=0.02)


def test_robust_loss_ignores_outliers() -> None:
    body = bodies.every_joint()
    flaws = Flaws(noise_m=1e-3, outlier_fraction=0.05, outlier_m=0.3)
    truth = make_truth(body, Motion(n_frames=150, amplitude=0.4), flaws, seed=7)
    seen = seen_of(truth)
    tree, errors = body.tree, {}
    for name in ("none", "cauchy"):
        ik = pose_solver(body, SolverConfig(robust=name, robust_mm=5.0))
        fit = solve(ik, seen, truth.offsets)
        found = marker_positions(tree, body.marker_body, jnp.asarray(fit.qpos), jnp.asarray(truth.offsets, jnp.float32))
        errors[name] = np.linalg.norm(np.asarray(found) - truth.positions, axis=-1).mean()
    assert errors["cauchy"] < 0.5 * errors["none"]


def test_a_batch_gives_what_single_frames_give() -> None:
    body = bodies.finger()
    truth = make_truth(body, Motion(n_frames=5), Flaws(noise_m=1e-3), seed=8)
    ik, seen = (
        pose_solver(body, SolverConfig(robust="none")),
        replace(seen_of(truth), clip_lengths=np.ones(5, np.int64)),
    )
    together = solve(ik, seen, truth.offsets)
    for frame in range(5):
        alone = solve(ik, seen.take(np.array([frame])), truth.offsets)
        np.testing.assert_allclose(alone.qpos[0], together.qpos[frame], atol=1e-5)


@pytest.mark.parametrize("robust", list(solver.Robust))
def test_derivative_of_the_loss_is_its_weight(robust: solver.Robust) -> None:
    squared, scale = np.linspace(0.1, 40.0, 50), jnp.asarray(2.0)
    h = 1e-2
    up, down = (solver.loss(jnp.asarray(squared + s * h), scale, robust)[0] for s in (1, -1))
    weight = solver.loss(jnp.asarray(squared), scale, robust)[1]
    np.testing.assert_allclose((np.asarray(up) - np.asarray(down)) / (2 * h), np.asarray(weight), atol=3e-3)
